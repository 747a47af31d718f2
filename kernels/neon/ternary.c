/* ternary.c - y = W x for the ternary types.
 * SPDX-License-Identifier: MIT
 * Multiplied as super-blocks with all scales 1. */
#include "kernels/neon/bytes.h"
#include "kernels/neon/level.h"
#include "kernels/neon/super.h"
#include "kernels/neon/types.h"

#include "formats/blocks.h"

/* ---- Unpack ---- */

/* (t * 3) >> 8, less 1: -1 below 86, 0 below 171, 1 from there on. */
static inline int8x16_t leading_digit(uint8x16_t t) {
    const int8x16_t at_least_one = as_signed(vcgeq_u8(t, vdupq_n_u8(86))),
                    at_least_two = as_signed(vcgeq_u8(t, vdupq_n_u8(171)));
    return vsubq_s8(vdupq_n_s8(-1), vaddq_s8(at_least_one, at_least_two));
}

/* What is left of each fraction of 256 behind its leading digit: 3 t modulo 256. */
static inline uint8x16_t next_digits(uint8x16_t t) { return vaddq_u8(t, vaddq_u8(t, t)); }

void unpack_tq1_0_neon(const uint8_t *block, struct super_row *out) {
    static const uint8_t powers[16] = { 1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27 };
    const struct block_tq1_0 *b = (const void *)block;
    uint8x16_t v[3] = { load_u8(b->qs), load_u8(b->qs + 16), load_u8(b->qs + 32) };
    UNROLL
    for (int n = 0; n < 5; n++) {
        out->w[2 * n] = leading_digit(v[0]);
        out->w[2 * n + 1] = leading_digit(v[1]);
        out->w[10 + n] = leading_digit(v[2]);
        UNROLL
        for (int i = 0; i < 3; i++)
            v[i] = next_digits(v[i]);
    }
    /* 4 bytes of 4 digits: multiplied by 3^n, digit n leads. */
    const uint8x16_t qh = vreinterpretq_u8_u32(vdupq_n_u32(load_u32(b->qh)));
    out->w[15] = leading_digit(vmulq_u8(qh, load_u8(powers)));
    out->scale[0] = vdupq_n_s16(1);
    out->d = load1_f16(b->d);
}

void unpack_tq2_0_neon(const uint8_t *block, struct super_row *out) {
    const struct block_tq2_0 *b = (const void *)block;
    UNROLL
    for (int i = 0; i < 4; i++) {
        const uint8x16_t q = load_u8(b->qs + 16 * i);
        UNROLL
        for (int c = 0; c < 4; c++)
            out->w[8 * (i / 2) + 2 * c + i % 2] =
                vsubq_s8(as_signed(move_bits(q, 2 * c, 2, 0)), vdupq_n_s8(1));
    }
    out->scale[0] = vdupq_n_s16(1);
    out->d = load1_f16(b->d);
}

/* ---- The types ---- */

INLINE_ALL void matmul_tq1_0_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                  float *y, size_t y_stride) {
    matmul_super_neon(&tq1_0_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_tq2_0_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                  float *y, size_t y_stride) {
    matmul_super_neon(&tq2_0_type, w, row_bytes, n_rows, x, y, y_stride);
}
