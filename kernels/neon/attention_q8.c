/* attention_q8.c - scores and values from a cache in Q8_0.
 * SPDX-License-Identifier: MIT
 * A register of keys is 4 positions of 4 dimensions: sdot by a lane of the query needs no sum across lanes.
 * Storing is left to kernels/c: it happens once a token. */
#include "kernels/neon/level.h"
#include "kernels/neon/neon.h"

#include "formats/blocks.h"

/* dot[p] += 16 dimensions of 16 positions. The lane of an intrinsic is a literal. */
#define DOT_LANE(j)                                                                                          \
    UNROLL for (size_t p = 0; p < 4; p++) dot[p] =                                                           \
        vdotq_laneq_s32(dot[p], load_s8(k + 64 * (j) + 16 * p), q, j)

static inline void dot16(const int8_t *k, int8x16_t q, int32x4_t dot[4]) {
    DOT_LANE(0);
    DOT_LANE(1);
    DOT_LANE(2);
    DOT_LANE(3);
}

#undef DOT_LANE

/* The 16 positions of a tile. */
static inline void score_tile(const struct acts *x, size_t query, const int8_t *k, float *s) {
    const uint8_t *scales = (const uint8_t *)k + x->n * ATTN_TILE;
    const int8_t *q = x->q + query * x->n;
    const float *d = x->d + query * (x->n / 32);
    struct lanes sum = { { vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0) } };
    for (size_t b = 0; b < x->n / 32; b++, scales += ATTN_TILE * 2, k += 32 * ATTN_TILE) {
        int32x4_t dot[4] = { vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0) };
        dot16(k, load_s8(q + b * 32), dot);
        dot16(k + 16 * ATTN_TILE, load_s8(q + b * 32 + 16), dot);
        UNROLL
        for (size_t p = 0; p < 4; p++) {
            const float32x4_t t = vmulq_f32(load4_f16(scales + 8 * p), vcvtq_f32_s32(dot[p]));
            sum.v[p] = vfmaq_n_f32(sum.v[p], t, d[b]);
        }
    }
    store_lanes(s, &sum);
}

void attn_scores_q8_0_neon(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    for (size_t i = 0; i < n_tiles; i++)
        for (size_t query = 0; query < q->n_tokens; query++)
            score_tile(q, query, (const int8_t *)tiles + i * cache_bytes(CACHE_Q8_0, q->n * ATTN_TILE),
                       s + query * ATTN_BLOCK + i * ATTN_TILE);
}

/* 32 columns at a time stay in registers over all rows. */
static void values_of_query(const float *p, size_t n, const uint8_t *rows, size_t head_dim, float *o) {
    const size_t row_bytes = cache_bytes(CACHE_Q8_0, head_dim);
    for (size_t b = 0; b < head_dim / 32; b++) {
        const uint8_t *block = rows + b * sizeof(struct block_q8_0);
        float32x4_t sum[8];
        UNROLL
        for (size_t i = 0; i < 8; i++)
            sum[i] = vld1q_f32(o + b * 32 + i * 4);
        for (size_t j = 0; j < n; j++, block += row_bytes) {
            const float d = load1_f16(block);
            UNROLL
            for (size_t i = 0; i < 4; i++) {
                const int16x8_t q = vmovl_s8(vld1_s8((const int8_t *)block + 2 + 8 * i));
                const float32x4_t low = vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(q))), d),
                                  high = vmulq_n_f32(vcvtq_f32_s32(vmovl_high_s16(q)), d);
                sum[2 * i] = vfmaq_n_f32(sum[2 * i], low, p[j]);
                sum[2 * i + 1] = vfmaq_n_f32(sum[2 * i + 1], high, p[j]);
            }
        }
        UNROLL
        for (size_t i = 0; i < 8; i++)
            vst1q_f32(o + b * 32 + i * 4, sum[i]);
    }
}

void attn_values_q8_0_neon(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                           size_t head_dim, float *o) {
    for (size_t i = 0; i < n; i++)
        values_of_query(p + i * ATTN_BLOCK + spans[i].begin, spans[i].end - spans[i].begin,
                        (const uint8_t *)rows + spans[i].begin * cache_bytes(CACHE_Q8_0, head_dim), head_dim,
                        o + i * head_dim);
}
