/* ternary.c - decoding TQ1_0 and TQ2_0: values of -1, 0, 1 with one scale for 256.
 * SPDX-License-Identifier: MIT */
#include "formats/decode/decode.h"

/* Digit n (0 the most significant) of the five base-3 digits in a byte. The byte is the number 0.ddddd in
 * base 3 as a fraction of 256: times 3^n, the whole part dropped, leaves digit n in front; once more
 * times 3 makes it the whole part. */
static int ternary_digit(uint8_t byte, int n) {
    static const int power_of_3[5] = { 1, 3, 9, 27, 81 };
    const int fraction = byte * power_of_3[n] & 255;
    return fraction * 3 >> 8;
}

void decode_tq1_0(const void *src, float *dst, size_t n_blocks) {
    /* Values run through the bytes of a part first, through the digits second. */
    /* clang-format off */
    static const struct {
        int first, n_bytes, n_digits;
    } parts[] = { { 0, 32, 5 }, { 32, 16, 5 }, { 48, 4, 4 } };
    /* clang-format on */
    static_assert(offsetof(struct block_tq1_0, qh) == 48, "the third part is qh, which follows qs");
    const struct block_tq1_0 *b = src;
    for (; n_blocks--; b++) {
        const uint8_t *bytes = (const uint8_t *)b;
        const float d = load_f16(b->d);
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
            for (int n = 0; n < parts[p].n_digits; n++)
                for (int m = 0; m < parts[p].n_bytes; m++)
                    *dst++ = (float)(ternary_digit(bytes[parts[p].first + m], n) - 1) * d;
    }
}

void decode_tq2_0(const void *src, float *dst, size_t n_blocks) {
    const struct block_tq2_0 *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = load_f16(b->d);
        for (int i = 0; i < SUPER_BLOCK_VALUES; i++)
            dst[i] = (float)(two_bits_of_256(b->qs, i) - 1) * d;
    }
}
