/* utf8.h - the characters of a byte string.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_TOKENIZER_UTF8_H
#define QUERN_TOKENIZER_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What SentencePiece writes for a space, U+2581, and for bytes that are no character, U+FFFD. */
#define SPACE_SYMBOL          "\xe2\x96\x81"
#define REPLACEMENT_CHARACTER "\xef\xbf\xbd"
enum { SPACE_SYMBOL_BYTES = 3, REPLACEMENT_CHARACTER_BYTES = 3 };

/* Bytes of the character that begins with this byte, judged by the byte alone; 0 if none does. */
static inline size_t utf8_length(uint8_t first) {
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Whether a character that begins with `first` may have `second` as its second byte. The narrower ranges
 * exclude overlong forms, surrogates and what lies above U+10FFFF (Unicode 15, table 3-7). */
static inline bool utf8_second_fits(uint8_t first, uint8_t second) {
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return low <= second && second <= high;
}

/* The character at text [bytes]: its length in bytes, 1..4, and *code; 0 if bytes is 0 or there is no
 * valid character. */
static inline size_t utf8_decode(const char *text, size_t bytes, uint32_t *code) {
    const uint8_t *p = (const uint8_t *)text;
    size_t n = bytes ? utf8_length(p[0]) : 0;
    if (n == 1)
        *code = p[0];
    if (n < 2)
        return n;
    if (n > bytes || !utf8_second_fits(p[0], p[1]))
        return 0;
    uint32_t value = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (p[i] & 0x3fu);
    }
    *code = value;
    return n;
}

static inline bool utf8_is_valid(const char *text, size_t bytes) {
    uint32_t code;
    for (size_t i = 0, n; i < bytes; i += n)
        if ((n = utf8_decode(text + i, bytes - i, &code)) == 0)
            return false;
    return true;
}

#endif
