/* stream.c - token ids to text, one after the other.
 * SPDX-License-Identifier: MIT */
#include "tokenizer/tokenizer_private.h"

#include "tokenizer/utf8.h"

#include <assert.h>
#include <stdio.h>

/* "<id N>" with its terminator, for any N. */
enum { NO_TOKEN_BYTES = sizeof "<id -2147483648>" };

static_assert(sizeof(((struct token_stream *)0)->held) >= 3, "an unfinished character has up to 3 bytes");

size_t tokenizer_max_text(const struct tokenizer *t) {
    size_t longest = t->vocab.max_token_bytes;
    return (longest > NO_TOKEN_BYTES ? longest : NO_TOKEN_BYTES) + sizeof((struct token_stream *)0)->held;
}

static char *release(struct token_stream *s, char *to) {
    memcpy(to, s->held, s->n_held);
    to += s->n_held;
    s->n_held = 0;
    return to;
}

/* Add one byte to the stream; returns the end of what could be written. */
static char *put_byte(struct token_stream *s, uint8_t byte, char *to) {
    bool goes_on = s->n_held == 1 ? utf8_second_fits(s->held[0], byte) : (byte & 0xc0) == 0x80;
    if (s->n_held && !goes_on)
        to = release(s, to);
    size_t length = s->n_held ? utf8_length(s->held[0]) : utf8_length(byte);
    s->held[s->n_held++] = byte;
    /* length is 0 for a byte that begins nothing: written as it is */
    return s->n_held >= length ? release(s, to) : to;
}

static char *put_text(struct token_stream *s, const char *text, size_t bytes, char *to) {
    for (size_t i = 0; i < bytes; i++)
        to = put_byte(s, (uint8_t)text[i], to);
    return to;
}

/* Text of a piece: U+2581 is a space. The first one is dropped if it stands for the space prefix. */
static char *put_piece(struct token_stream *s, const struct vocab_token *token, bool drop_first, char *to) {
    for (size_t i = 0; i < token->bytes;) {
        bool is_space = token->bytes - i >= SPACE_SYMBOL_BYTES &&
                        !memcmp(token->text + i, SPACE_SYMBOL, SPACE_SYMBOL_BYTES);
        uint8_t byte = is_space ? ' ' : (uint8_t)token->text[i];
        if (i > 0 || !drop_first || byte != ' ')
            to = put_byte(s, byte, to);
        i += is_space ? SPACE_SYMBOL_BYTES : 1;
    }
    return to;
}

size_t tokenizer_stream(const struct tokenizer *t, struct token_stream *s, int32_t id, char *out) {
    char *to = out;
    if (id < 0 || (size_t)id >= t->vocab.n_tokens) {
        char name[NO_TOKEN_BYTES];
        int n = snprintf(name, sizeof name, "<id %d>", (int)id);
        s->started = true;
        return (size_t)(put_text(s, name, (size_t)n, to) - out);
    }
    const struct vocab_token *token = &t->vocab.tokens[id];
    bool is_special = token->kind == TOKEN_CONTROL || token->kind == TOKEN_UNKNOWN;
    bool drop_first = t->vocab.add_space_prefix && !s->started && !s->keep_prefix;
    /* The unknown token stands for text even where it writes none; control tokens stand beside it. */
    s->started = s->started || s->write_special || token->kind != TOKEN_CONTROL;
    if (is_special && !s->write_special)
        return 0;
    if (is_special)
        to = put_text(s, token->text, token->bytes, to);
    else if (token->kind == TOKEN_BYTE)
        to = put_byte(s, token->byte, to);
    else
        to = put_piece(s, token, drop_first, to);
    return (size_t)(to - out);
}

size_t tokenizer_stream_end(struct token_stream *s, char *out) { return (size_t)(release(s, out) - out); }
