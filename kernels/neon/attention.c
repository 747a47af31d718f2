/* attention.c - the F16 cache, scores, running softmax and weighted values.
 * SPDX-License-Identifier: MIT
 * Positions are lanes in scores, dimensions are lanes in values: each lane is one of the sequential chains
 * that kernels.h defines, and several registers of lanes hide the latency of fma. */
#include "kernels/neon/level.h"
#include "kernels/neon/neon.h"

#include <math.h>

/* ---- Store ---- */

static inline uint16x4_t half4(const float *x) { return vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x))); }

static inline void store_half(void *p, float x) {
    const __fp16 h = (__fp16)x;
    memcpy(p, &h, sizeof h);
}

void store_key_f16_neon(const float *k, size_t head_dim, void *tile, size_t lane) {
    uint8_t *p = (uint8_t *)tile + lane * 2;
    size_t d = 0;
    for (; d + 4 <= head_dim; d += 4, p += 4 * ATTN_TILE * 2) {
        uint16_t h[4];
        vst1_u16(h, half4(k + d));
        for (size_t i = 0; i < 4; i++)
            memcpy(p + i * ATTN_TILE * 2, &h[i], 2);
    }
    for (; d < head_dim; d++, p += ATTN_TILE * 2)
        store_half(p, k[d]);
}

void store_value_f16_neon(const float *v, size_t head_dim, void *row) {
    uint8_t *p = row;
    size_t d = 0;
    for (; d + 4 <= head_dim; d += 4)
        vst1_u8(p + d * 2, vreinterpret_u8_u16(half4(v + d)));
    for (; d < head_dim; d++)
        store_half(p + d * 2, v[d]);
}

/* ---- Scores ---- */

enum { MAX_TILES = 4 }; /* at once: 16 registers of lanes */

TEMPLATE void score_tiles(load4_function *load4, size_t value_bytes, const float *q, size_t head_dim,
                          const uint8_t *tiles, size_t n_tiles, float *s) {
    const size_t tile_bytes = head_dim * ATTN_TILE * value_bytes;
    struct lanes sum[MAX_TILES];
    UNROLL
    for (size_t i = 0; i < n_tiles; i++) {
        UNROLL
        for (size_t c = 0; c < 4; c++)
            sum[i].v[c] = vdupq_n_f32(0);
    }
    for (size_t d = 0; d < head_dim; d++) {
        const float32x4_t qd = vdupq_n_f32(q[d]);
        const uint8_t *p = tiles + d * ATTN_TILE * value_bytes;
        UNROLL
        for (size_t i = 0; i < n_tiles; i++) {
            UNROLL
            for (size_t c = 0; c < 4; c++)
                sum[i].v[c] = vfmaq_f32(sum[i].v[c], load4(p + i * tile_bytes + 4 * c * value_bytes), qd);
        }
    }
    UNROLL
    for (size_t i = 0; i < n_tiles; i++)
        store_lanes(s + i * ATTN_TILE, &sum[i]);
}

TEMPLATE void attn_scores(load4_function *load4, size_t value_bytes, const float *q, size_t head_dim,
                          const uint8_t *tiles, size_t n_tiles, float *s) {
    const size_t tile_bytes = head_dim * ATTN_TILE * value_bytes;
    size_t i = 0;
    for (; i + MAX_TILES <= n_tiles; i += MAX_TILES)
        score_tiles(load4, value_bytes, q, head_dim, tiles + i * tile_bytes, MAX_TILES, s + i * ATTN_TILE);
    for (; i < n_tiles; i++)
        score_tiles(load4, value_bytes, q, head_dim, tiles + i * tile_bytes, 1, s + i * ATTN_TILE);
}

TEMPLATE void scores_of_queries(load4_function *load4, size_t value_bytes, const struct acts *q,
                                const uint8_t *tiles, size_t n_tiles, float *s) {
    for (size_t i = 0; i < q->n_tokens; i++)
        attn_scores(load4, value_bytes, q->x + i * q->n, q->n, tiles, n_tiles, s + i * ATTN_BLOCK);
}

void attn_scores_f32_neon(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    scores_of_queries(load4_f32, 4, q, tiles, n_tiles, s);
}

void attn_scores_f16_neon(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    scores_of_queries(load4_f16, 2, q, tiles, n_tiles, s);
}

/* ---- Softmax ---- */

static void shrink(struct attn_softmax *state, float factor, float *o, size_t head_dim) {
    for (size_t l = 0; l < 16; l += 4)
        vst1q_f32(state->l + l, vmulq_n_f32(vld1q_f32(state->l + l), factor));
    size_t d = 0;
    for (; d + 4 <= head_dim; d += 4)
        vst1q_f32(o + d, vmulq_n_f32(vld1q_f32(o + d), factor));
    for (; d < head_dim; d++)
        o[d] *= factor;
}

/* Whole groups of 4 positions as vectors, those cut by begin or end one by one. */
static void softmax_of_query(float *s, size_t begin, size_t end, struct attn_softmax *state, float *o,
                             size_t head_dim) {
    const size_t up = (begin + 3) / 4 * 4, first = up < end ? up : end;
    const size_t last = end / 4 * 4 > first ? end / 4 * 4 : first;
    float32x4_t max_lanes = vdupq_n_f32(-INFINITY);
    for (size_t i = first; i < last; i += 4)
        max_lanes = max_of_numbers(vld1q_f32(s + i), max_lanes);
    float max = vmaxvq_f32(max_lanes);
    for (size_t i = begin; i < first; i++)
        max = s[i] > max ? s[i] : max;
    for (size_t i = last; i < end; i++)
        max = s[i] > max ? s[i] : max;
    if (max > state->m) {
        shrink(state, kernels_exp(state->m - max), o, head_dim);
        state->m = max + 0.0f; /* never -0 */
    }
    for (size_t i = begin; i < first; i++) {
        s[i] = kernels_exp(s[i] - state->m);
        state->l[i % 16] += s[i];
    }
    for (size_t i = first; i < last; i += 4) {
        const float32x4_t p = exp4(vsubq_f32(vld1q_f32(s + i), vdupq_n_f32(state->m)));
        float *l = state->l + i % 16;
        vst1q_f32(s + i, p);
        vst1q_f32(l, vaddq_f32(vld1q_f32(l), p));
    }
    for (size_t i = last; i < end; i++) {
        s[i] = kernels_exp(s[i] - state->m);
        state->l[i % 16] += s[i];
    }
}

void attn_softmax_neon(float *s, const struct attn_span *spans, size_t n, struct attn_softmax *states,
                       float *o, size_t head_dim) {
    for (size_t i = 0; i < n; i++)
        softmax_of_query(s + i * ATTN_BLOCK, spans[i].begin, spans[i].end, &states[i], o + i * head_dim,
                         head_dim);
}

/* ---- Values ---- */

enum { MAX_GROUPS = 16 }; /* of 4 dimensions at once */

TEMPLATE void add_values(load4_function *load4, size_t value_bytes, const float *p, size_t n,
                         const uint8_t *rows, size_t row_bytes, size_t n_groups, float *o) {
    float32x4_t sum[MAX_GROUPS];
    UNROLL
    for (size_t i = 0; i < n_groups; i++)
        sum[i] = vld1q_f32(o + i * 4);
    for (size_t j = 0; j < n; j++) {
        const float32x4_t pj = vdupq_n_f32(p[j]);
        UNROLL
        for (size_t i = 0; i < n_groups; i++)
            sum[i] = vfmaq_f32(sum[i], pj, load4(rows + j * row_bytes + i * 4 * value_bytes));
    }
    UNROLL
    for (size_t i = 0; i < n_groups; i++)
        vst1q_f32(o + i * 4, sum[i]);
}

TEMPLATE void values_of_query(load4_function *load4, load1_function *load1, size_t value_bytes,
                              const float *p, size_t n, const uint8_t *rows, size_t head_dim, float *o) {
    const size_t row_bytes = head_dim * value_bytes;
    size_t d = 0;
    for (; d + 64 <= head_dim; d += 64)
        add_values(load4, value_bytes, p, n, rows + d * value_bytes, row_bytes, 16, o + d);
    for (; d + 16 <= head_dim; d += 16)
        add_values(load4, value_bytes, p, n, rows + d * value_bytes, row_bytes, 4, o + d);
    for (; d < head_dim; d++)
        for (size_t j = 0; j < n; j++)
            o[d] = fmaf(p[j], load1(rows + j * row_bytes + d * value_bytes), o[d]);
}

TEMPLATE void attn_values(load4_function *load4, load1_function *load1, size_t value_bytes, const float *p,
                          const struct attn_span *spans, size_t n, const uint8_t *rows, size_t head_dim,
                          float *o) {
    for (size_t i = 0; i < n; i++) {
        const size_t begin = spans[i].begin, end = spans[i].end;
        values_of_query(load4, load1, value_bytes, p + i * ATTN_BLOCK + begin, end - begin,
                        rows + begin * head_dim * value_bytes, head_dim, o + i * head_dim);
    }
}

void attn_values_f32_neon(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                          size_t head_dim, float *o) {
    attn_values(load4_f32, load1_f32, 4, p, spans, n, rows, head_dim, o);
}

void attn_values_f16_neon(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                          size_t head_dim, float *o) {
    attn_values(load4_f16, load1_f16, 2, p, spans, n, rows, head_dim, o);
}
