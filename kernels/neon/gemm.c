/* gemm.c - panels times many tokens by sdot.
 * SPDX-License-Identifier: MIT
 * A register of weights is 4 rows of 4 values; sdot by a lane multiplies it with 4 values of one token, so
 * one register of 16 values of a token serves four groups of weights. 12 loads for 32 sdot. */
#include "kernels/neon/neon.h"

#include "kernels/neon/gemm.h"

enum { ROW_VECTORS = 2, TOKEN_VECTORS = 4 };

TEMPLATE void spread_rows(float32x4_t low, float32x4_t high, float32x4_t out[ROW_VECTORS]) {
    out[0] = low;
    out[1] = high;
}

TEMPLATE void spread_tokens(float32x4_t v, float32x4_t out[TOKEN_VECTORS]) {
    out[0] = vdupq_laneq_f32(v, 0);
    out[1] = vdupq_laneq_f32(v, 1);
    out[2] = vdupq_laneq_f32(v, 2);
    out[3] = vdupq_laneq_f32(v, 3);
}

/* [4 values][row][4 values]: a 4 x 4 transposition of dwords for each 4 rows. */
TEMPLATE void pack_rows(const int8x16_t v[8], int8_t *out) {
    UNROLL
    for (size_t r = 0; r < 8; r += 4) {
        int32x4_t d[4];
        UNROLL
        for (size_t i = 0; i < 4; i++)
            d[i] = vreinterpretq_s32_s8(v[r + i]);
        const int64x2_t even01 = vreinterpretq_s64_s32(vtrn1q_s32(d[0], d[1])),
                        odd01 = vreinterpretq_s64_s32(vtrn2q_s32(d[0], d[1])),
                        even23 = vreinterpretq_s64_s32(vtrn1q_s32(d[2], d[3])),
                        odd23 = vreinterpretq_s64_s32(vtrn2q_s32(d[2], d[3]));
        vst1q_s8(out + 4 * r, vreinterpretq_s8_s64(vtrn1q_s64(even01, even23)));
        vst1q_s8(out + 4 * r + 32, vreinterpretq_s8_s64(vtrn1q_s64(odd01, odd23)));
        vst1q_s8(out + 4 * r + 64, vreinterpretq_s8_s64(vtrn2q_s64(even01, even23)));
        vst1q_s8(out + 4 * r + 96, vreinterpretq_s8_s64(vtrn2q_s64(odd01, odd23)));
    }
}

TEMPLATE void pack_tokens(const int8x16_t v[4], int8_t *out) {
    UNROLL
    for (size_t j = 0; j < 4; j++)
        vst1q_s8(out + 16 * j, v[j]);
}

/* The lane of an intrinsic is a literal. */
#define MULTIPLY_LANE(j)                                                                                     \
    do {                                                                                                     \
        const int8x16_t w0 = load_s8(w + 32 * (j)), w1 = load_s8(w + 32 * (j) + 16);                         \
        UNROLL for (size_t t = 0; t < 4; t++) sum[t] = vdotq_laneq_s32(sum[t], w0, xt[t], j);                \
        UNROLL for (size_t t = 0; t < 4; t++) sum[4 + t] = vdotq_laneq_s32(sum[4 + t], w1, xt[t], j);        \
    } while (0)

TEMPLATE void multiply16(const int8_t *w, const int8_t *x, int32x4_t sum[8]) {
    int8x16_t xt[4];
    UNROLL
    for (size_t t = 0; t < 4; t++)
        xt[t] = load_s8(x + 16 * t);
    MULTIPLY_LANE(0);
    MULTIPLY_LANE(1);
    MULTIPLY_LANE(2);
    MULTIPLY_LANE(3);
}

#undef MULTIPLY_LANE

TEMPLATE void join_tile(const float outputs[4][8], float32x4_t tile[8]) {
    UNROLL
    for (size_t t = 0; t < 4; t++) {
        tile[t] = vld1q_f32(outputs[t]);
        tile[4 + t] = vld1q_f32(outputs[t] + 4);
    }
}

TEMPLATE void split_tile(const float32x4_t tile[8], float outputs[4][8]) {
    UNROLL
    for (size_t t = 0; t < 4; t++) {
        vst1q_f32(outputs[t], tile[t]);
        vst1q_f32(outputs[t] + 4, tile[4 + t]);
    }
}

#include "kernels/neon/panel.h"

void gemm32_neon(const struct type32 *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                 const struct acts *x, float *y, size_t y_stride) {
    gemm32(type, w, row_bytes, n_rows, x, y, y_stride);
}

void gemm_super_neon(const struct super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                     const struct acts *x, float *y, size_t y_stride) {
    gemm_super(type, w, row_bytes, n_rows, x, y, y_stride);
}
