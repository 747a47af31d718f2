/* legacy.c - decoding Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1: 32 values with one scale, and perhaps a minimum.
 * SPDX-License-Identifier: MIT */
#include "formats/decode/decode.h"

void decode_q4_0(const void *src, float *dst, size_t n_blocks) {
    const struct block_q4_0 *b = src;
    for (; n_blocks--; b++, dst += BLOCK_VALUES) {
        const float d = load_f16(b->d);
        for (int i = 0; i < BLOCK_VALUES; i++)
            dst[i] = (float)(nibble_of_32(b->qs, i) - 8) * d;
    }
}

void decode_q4_1(const void *src, float *dst, size_t n_blocks) {
    const struct block_q4_1 *b = src;
    for (; n_blocks--; b++, dst += BLOCK_VALUES) {
        const float d = load_f16(b->d);
        const float m = load_f16(b->m);
        for (int i = 0; i < BLOCK_VALUES; i++)
            dst[i] = (float)nibble_of_32(b->qs, i) * d + m;
    }
}

/* Value i of 32 five-bit codes. */
static int five_bits_of_32(const uint8_t qs[16], uint32_t qh, int i) {
    return nibble_of_32(qs, i) | (int)(qh >> i & 1) << 4;
}

void decode_q5_0(const void *src, float *dst, size_t n_blocks) {
    const struct block_q5_0 *b = src;
    for (; n_blocks--; b++, dst += BLOCK_VALUES) {
        const float d = load_f16(b->d);
        const uint32_t qh = load_le32(b->qh);
        for (int i = 0; i < BLOCK_VALUES; i++)
            dst[i] = (float)(five_bits_of_32(b->qs, qh, i) - 16) * d;
    }
}

void decode_q5_1(const void *src, float *dst, size_t n_blocks) {
    const struct block_q5_1 *b = src;
    for (; n_blocks--; b++, dst += BLOCK_VALUES) {
        const float d = load_f16(b->d);
        const float m = load_f16(b->m);
        const uint32_t qh = load_le32(b->qh);
        for (int i = 0; i < BLOCK_VALUES; i++)
            dst[i] = (float)five_bits_of_32(b->qs, qh, i) * d + m;
    }
}

void decode_q8_0(const void *src, float *dst, size_t n_blocks) {
    const struct block_q8_0 *b = src;
    for (; n_blocks--; b++, dst += BLOCK_VALUES) {
        const float d = load_f16(b->d);
        for (int i = 0; i < BLOCK_VALUES; i++)
            dst[i] = (float)b->qs[i] * d;
    }
}

void decode_q8_1(const void *src, float *dst, size_t n_blocks) {
    const struct block_q8_1 *b = src;
    for (; n_blocks--; b++, dst += BLOCK_VALUES) {
        const float d = load_f16(b->d);
        for (int i = 0; i < BLOCK_VALUES; i++)
            dst[i] = (float)b->qs[i] * d;
    }
}
