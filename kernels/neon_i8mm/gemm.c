/* gemm.c - panels times many tokens by smmla.
 * SPDX-License-Identifier: MIT
 * A register of weights is 2 rows of 8 values, one of activations 2 tokens of 8 values, a register of outputs
 * all four of their products. 12 loads for 16 smmla. */
#include "kernels/neon/neon.h"

#include "kernels/neon/gemm.h"

enum { ROW_VECTORS = 4, TOKEN_VECTORS = 2 };

/* Rows 0 0 1 1, 2 2 3 3, ... */
TEMPLATE void spread_rows(float32x4_t low, float32x4_t high, float32x4_t out[ROW_VECTORS]) {
    out[0] = vzip1q_f32(low, low);
    out[1] = vzip2q_f32(low, low);
    out[2] = vzip1q_f32(high, high);
    out[3] = vzip2q_f32(high, high);
}

/* Tokens 0 1 0 1, 2 3 2 3. */
TEMPLATE void spread_tokens(float32x4_t v, float32x4_t out[TOKEN_VECTORS]) {
    out[0] = vcombine_f32(vget_low_f32(v), vget_low_f32(v));
    out[1] = vcombine_f32(vget_high_f32(v), vget_high_f32(v));
}

/* [8 values][pair of n / 2][2][8 values] */
TEMPLATE void pack_pairs(const int8x16_t *v, size_t n, int8_t *out) {
    UNROLL
    for (size_t i = 0; i < n; i += 2) {
        const int64x2_t even = vreinterpretq_s64_s8(v[i]), odd = vreinterpretq_s64_s8(v[i + 1]);
        vst1q_s8(out + 8 * i, vreinterpretq_s8_s64(vzip1q_s64(even, odd)));
        vst1q_s8(out + 8 * n + 8 * i, vreinterpretq_s8_s64(vzip2q_s64(even, odd)));
    }
}

TEMPLATE void pack_rows(const int8x16_t v[8], int8_t *out) { pack_pairs(v, 8, out); }
TEMPLATE void pack_tokens(const int8x16_t v[4], int8_t *out) { pack_pairs(v, 4, out); }

TEMPLATE void multiply16(const int8_t *w, const int8_t *x, int32x4_t sum[8]) {
    UNROLL
    for (size_t h = 0; h < 2; h++) {
        const int8x16_t x0 = load_s8(x + 32 * h), x1 = load_s8(x + 32 * h + 16);
        UNROLL
        for (size_t p = 0; p < 4; p++) {
            const int8x16_t wp = load_s8(w + 64 * h + 16 * p);
            sum[2 * p] = vmmlaq_s32(sum[2 * p], wp, x0);
            sum[2 * p + 1] = vmmlaq_s32(sum[2 * p + 1], wp, x1);
        }
    }
}

/* Register 2 p + u: row 2 p of tokens 2 u and 2 u + 1, then row 2 p + 1. */
TEMPLATE void join_tile(const float outputs[4][8], float32x4_t tile[8]) {
    UNROLL
    for (size_t u = 0; u < 2; u++) {
        UNROLL
        for (size_t half = 0; half < 2; half++) {
            const float32x4_t even = vld1q_f32(outputs[2 * u] + 4 * half),
                              odd = vld1q_f32(outputs[2 * u + 1] + 4 * half);
            tile[4 * half + u] = vzip1q_f32(even, odd);
            tile[4 * half + 2 + u] = vzip2q_f32(even, odd);
        }
    }
}

TEMPLATE void split_tile(const float32x4_t tile[8], float outputs[4][8]) {
    UNROLL
    for (size_t u = 0; u < 2; u++) {
        UNROLL
        for (size_t half = 0; half < 2; half++) {
            const float32x4_t low = tile[4 * half + u], high = tile[4 * half + 2 + u];
            vst1q_f32(outputs[2 * u] + 4 * half, vuzp1q_f32(low, high));
            vst1q_f32(outputs[2 * u + 1] + 4 * half, vuzp2q_f32(low, high));
        }
    }
}

#include "kernels/neon/panel.h"

void gemm32_i8mm(const struct type32 *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                 const struct acts *x, float *y, size_t y_stride) {
    gemm32(type, w, row_bytes, n_rows, x, y, y_stride);
}

void gemm_super_i8mm(const struct super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                     const struct acts *x, float *y, size_t y_stride) {
    gemm_super(type, w, row_bytes, n_rows, x, y, y_stride);
}
