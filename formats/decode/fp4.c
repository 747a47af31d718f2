/* fp4.c - decoding MXFP4: 32 E2M1 numbers with a power of two as scale (OCP Microscaling Formats v1.0).
 * SPDX-License-Identifier: MIT */
#include "formats/decode/decode.h"

/* E2M1 numbers, doubled to be whole. Code 8, minus zero, decodes to plus zero. */
static const int8_t doubled[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

/* 2^(e - 128), half the scale because the numbers are doubled. Subnormal for e < 2. OCP reserves e = 255
 * for NaN; here it is an exponent like the others, and type_first_nonfinite() reports it. */
static float half_scale(uint8_t e) {
    const uint32_t bits = e < 2 ? UINT32_C(1) << (21 + e) : (uint32_t)(e - 1) << 23;
    return load_f32(&bits);
}

void decode_mxfp4(const void *src, float *dst, size_t n_blocks) {
    const struct block_mxfp4 *b = src;
    for (; n_blocks--; b++, dst += BLOCK_VALUES) {
        const float d = half_scale(b->e);
        for (int i = 0; i < BLOCK_VALUES; i++)
            dst[i] = (float)doubled[nibble_of_32(b->qs, i)] * d;
    }
}
