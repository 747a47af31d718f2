/* block32.c - y = W x for the types in blocks of 32 and A32 activations, one to three tokens.
 * SPDX-License-Identifier: MIT
 * Eight rows at once: the 32 products of a row's block are added to 4 lanes (2 sdot), four such vectors to
 * one with a row in each lane (3 addp), and that takes the one float step of the block. Quants are multiplied
 * as they are; what a type subtracts from them is subtracted later, times the sum of x. Eight rows of Q8_0
 * take 16 sdot, 6 addp, 8 lane loads and 8 for the floats, 38 vector operations for 272 bytes. */
#include "kernels/neon/bytes.h"
#include "kernels/neon/gemm.h"
#include "kernels/neon/level.h"
#include "kernels/neon/types.h"
#include "kernels/tile.h"

#include "formats/blocks.h"
#include "formats/iq_grids.h"

/* ---- Unpack: 32 bytes of one block ---- */

/* 16 bytes of nibbles: the low ones, then the high ones. */
static inline uint8x16x2_t unpack_nibbles(const uint8_t *qs) {
    const uint8x16_t packed = load_u8(qs);
    return (uint8x16x2_t){ { low_nibbles(packed), high_nibbles(packed) } };
}

static inline int8x16x2_t both_signed(uint8x16x2_t v) {
    return (int8x16x2_t){ { as_signed(v.val[0]), as_signed(v.val[1]) } };
}

/* Nibbles and, where bit i of qh is set, 16. */
static inline int8x16x2_t unpack_5_bits(const uint8_t *qs, const uint8_t *qh) {
    const uint32_t high = load_u32(qh);
    uint8x16x2_t v = unpack_nibbles(qs);
    v.val[0] = vorrq_u8(v.val[0], vandq_u8(mask_of_bits(high, 0), vdupq_n_u8(16)));
    v.val[1] = vorrq_u8(v.val[1], vandq_u8(mask_of_bits(high, 16), vdupq_n_u8(16)));
    return both_signed(v);
}

static inline int8x16x2_t lookup_nibbles(const uint8_t *qs, const int8_t table[16]) {
    const uint8x16x2_t v = unpack_nibbles(qs);
    return (int8x16x2_t){ { lookup(v.val[0], table), lookup(v.val[1], table) } };
}

int8x16x2_t unpack_q4_0_neon(const uint8_t *block) {
    return both_signed(unpack_nibbles(block + offsetof(struct block_q4_0, qs)));
}

int8x16x2_t unpack_q4_1_neon(const uint8_t *block) {
    return both_signed(unpack_nibbles(block + offsetof(struct block_q4_1, qs)));
}

int8x16x2_t unpack_q5_0_neon(const uint8_t *block) {
    return unpack_5_bits(block + offsetof(struct block_q5_0, qs), block + offsetof(struct block_q5_0, qh));
}

int8x16x2_t unpack_q5_1_neon(const uint8_t *block) {
    return unpack_5_bits(block + offsetof(struct block_q5_1, qs), block + offsetof(struct block_q5_1, qh));
}

int8x16x2_t unpack_q8_0_neon(const uint8_t *block) {
    const uint8_t *qs = block + offsetof(struct block_q8_0, qs);
    return (int8x16x2_t){ { load_s8(qs), load_s8(qs + 16) } };
}

int8x16x2_t unpack_iq4_nl_neon(const uint8_t *block) {
    return lookup_nibbles(block + offsetof(struct block_iq4_nl, qs), iq4_levels);
}

int8x16x2_t unpack_mxfp4_neon(const uint8_t *block) {
    static const int8_t levels[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
    return lookup_nibbles(block + offsetof(struct block_mxfp4, qs), levels);
}

/* ---- Scales of 4 rows ---- */

float32x4_t scales_f16_neon(const uint8_t *const row[4], size_t offset) { return gather4_f16(row, offset); }

/* 2^(e - 128): exponent e - 1 of a float, or the subnormals 2^21 and 2^22 units for e = 0 and 1. */
float32x4_t scales_e8m0_neon(const uint8_t *const row[4], size_t offset) {
    const uint32_t bytes[4] = { row[0][offset], row[1][offset], row[2][offset], row[3][offset] };
    const uint32x4_t e = vld1q_u32(bytes);
    const uint32x4_t normal = vshlq_n_u32(vsubq_u32(e, vdupq_n_u32(1)), 23);
    const uint32x4_t subnormal = vshlq_u32(vdupq_n_u32(1 << 21), vreinterpretq_s32_u32(e));
    return vreinterpretq_f32_u32(vbslq_u32(vcgtq_u32(e, vdupq_n_u32(1)), normal, subnormal));
}

/* ---- Multiply ---- */

enum { MAX_TOKENS = 2 }; /* at once */

/* Block i of 4 rows times n_tokens tokens: a row's exact integer in each lane of sums[]. */
TEMPLATE void dot_blocks(struct type32 type, const uint8_t *const row[4], size_t at, const int8_t *q,
                         size_t n, size_t n_tokens, int32x4_t sums[MAX_TOKENS]) {
    int32x4_t u[MAX_TOKENS][4];
    UNROLL
    for (size_t r = 0; r < 4; r++) {
        const int8x16x2_t w = type.unpack(row[r] + at);
        UNROLL
        for (size_t t = 0; t < n_tokens; t++) {
            u[t][r] = vdotq_s32(vdupq_n_s32(0), w.val[0], load_s8(q + t * n));
            u[t][r] = vdotq_s32(u[t][r], w.val[1], load_s8(q + t * n + 16));
        }
    }
    UNROLL
    for (size_t t = 0; t < n_tokens; t++)
        sums[t] = sum_each(u[t][0], u[t][1], u[t][2], u[t][3]);
}

/* Outputs of a tile and n_tokens tokens from t0 on; the first pass over a tile prefetches. */
TEMPLATE void tile32(struct type32 type, const struct tile *tile, const struct acts *x, size_t t0,
                     size_t n_tokens, float *y, size_t y_stride) {
    const size_t n_blocks = x->n / 32;
    float32x4_t acc[MAX_TOKENS][2];
    UNROLL
    for (size_t t = 0; t < n_tokens; t++)
        acc[t][0] = acc[t][1] = vdupq_n_f32(0);
    for (size_t i = 0; i < n_blocks; i++) {
        const size_t at = i * type.block_bytes;
        UNROLL
        for (size_t h = 0; h < 2; h++) {
            const uint8_t *const *row = tile->row + 4 * h;
            int32x4_t sums[MAX_TOKENS];
            dot_blocks(type, row, at, x->q + t0 * x->n + i * 32, x->n, n_tokens, sums);
            const float32x4_t d = type.scales(row, at);
            UNROLL
            for (size_t t = 0; t < n_tokens; t++) {
                const size_t block = (t0 + t) * n_blocks + i;
                if (type.offset)
                    sums[t] = vsubq_s32(sums[t], vdupq_n_s32(type.offset * x->sum[block]));
                float32x4_t r = vmulq_f32(d, vcvtq_f32_s32(sums[t]));
                if (type.min_offset)
                    r = vfmaq_n_f32(r, gather4_f16(row, at + type.min_offset), (float)x->sum[block]);
                acc[t][h] = vfmaq_n_f32(acc[t][h], r, x->d[block]);
            }
        }
        if (t0 == 0 && i % 2 == 0) /* two blocks make a cache line or less */
            tile_prefetch(tile, at, 2 * type.block_bytes);
    }
    UNROLL
    for (size_t t = 0; t < n_tokens; t++) {
        float out[8];
        vst1q_f32(out, acc[t][0]);
        vst1q_f32(out + 4, acc[t][1]);
        tile_store(tile, y + t * y_stride, out);
    }
}

TEMPLATE void matmul32(const struct type32 *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                       const struct acts *x, float *y, size_t y_stride) {
    if (x->n_tokens >= GEMM_TOKENS) {
        gemm32_neon(type, w, row_bytes, n_rows, x, y, y_stride);
        return;
    }
    for (size_t j = 0; j < tile_count(n_rows); j++) {
        const struct tile tile = tile_at(w, row_bytes, n_rows, j);
        size_t t = 0;
        for (; t + 2 <= x->n_tokens; t += 2)
            tile32(*type, &tile, x, t, 2, y + t * y_stride, y_stride);
        if (t < x->n_tokens)
            tile32(*type, &tile, x, t, 1, y + t * y_stride, y_stride);
    }
}

/* ---- The types ---- */

INLINE_ALL void matmul_q4_0_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                 float *y, size_t y_stride) {
    matmul32(&q4_0_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_q4_1_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                 float *y, size_t y_stride) {
    matmul32(&q4_1_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_q5_0_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                 float *y, size_t y_stride) {
    matmul32(&q5_0_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_q5_1_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                 float *y, size_t y_stride) {
    matmul32(&q5_1_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_q8_0_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                 float *y, size_t y_stride) {
    matmul32(&q8_0_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_iq4_nl_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                   float *y, size_t y_stride) {
    matmul32(&iq4_nl_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_mxfp4_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                  float *y, size_t y_stride) {
    matmul32(&mxfp4_type, w, row_bytes, n_rows, x, y, y_stride);
}
