/* attention.c - scores, running softmax and weighted values of one query.
 * SPDX-License-Identifier: MIT
 * Positions are lanes in scores, dimensions are lanes in values: each lane is one of the sequential chains
 * that kernels.h defines, and several registers of lanes hide the latency of fma. */
#include "kernels/avx512/avx512.h"
#include "kernels/avx512/level.h"

#include <math.h>

/* 16 consecutive values of a cache as floats. */
typedef __m512 load16_function(const uint8_t *p, __mmask16 lanes);

static inline __m512 load16_f32(const uint8_t *p, __mmask16 lanes) {
    return _mm512_maskz_loadu_ps(lanes, (const void *)p);
}

static inline __m512 load16_f16(const uint8_t *p, __mmask16 lanes) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, p));
}

/* ---- Scores ---- */

enum { MAX_TILES = 8 }; /* at once */

TEMPLATE void score_tiles(load16_function *load16, size_t value_bytes, const float *q, size_t head_dim,
                          const uint8_t *tiles, size_t n_tiles, float *s) {
    const size_t tile_bytes = head_dim * ATTN_TILE * value_bytes;
    __m512 sum[MAX_TILES];
    UNROLL
    for (size_t i = 0; i < n_tiles; i++)
        sum[i] = _mm512_setzero_ps();
    for (size_t d = 0; d < head_dim; d++) {
        const __m512 qd = _mm512_set1_ps(q[d]);
        const uint8_t *p = tiles + d * ATTN_TILE * value_bytes;
        UNROLL
        for (size_t i = 0; i < n_tiles; i++)
            sum[i] = _mm512_fmadd_ps(load16(p + i * tile_bytes, 0xffff), qd, sum[i]);
    }
    UNROLL
    for (size_t i = 0; i < n_tiles; i++)
        _mm512_storeu_ps(s + i * ATTN_TILE, sum[i]);
}

TEMPLATE void attn_scores(load16_function *load16, size_t value_bytes, const float *q, size_t head_dim,
                          const uint8_t *tiles, size_t n_tiles, float *s) {
    const size_t tile_bytes = head_dim * ATTN_TILE * value_bytes;
    size_t i = 0;
    for (; i + 8 <= n_tiles; i += 8)
        score_tiles(load16, value_bytes, q, head_dim, tiles + i * tile_bytes, 8, s + i * ATTN_TILE);
    for (; i + 4 <= n_tiles; i += 4)
        score_tiles(load16, value_bytes, q, head_dim, tiles + i * tile_bytes, 4, s + i * ATTN_TILE);
    for (; i < n_tiles; i++)
        score_tiles(load16, value_bytes, q, head_dim, tiles + i * tile_bytes, 1, s + i * ATTN_TILE);
}

void attn_scores_f32_avx512(const float *q, size_t head_dim, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(load16_f32, 4, q, head_dim, tiles, n_tiles, s);
}

void attn_scores_f16_avx512(const float *q, size_t head_dim, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(load16_f16, 2, q, head_dim, tiles, n_tiles, s);
}

/* ---- Softmax ---- */

/* Lanes of s[i..i + 16) that lie in [begin, end). */
static inline __mmask16 lanes_within(size_t i, size_t begin, size_t end) {
    const __mmask16 before = begin > i ? first_lanes(begin - i) : 0;
    return (__mmask16)(lanes_left(end - i) & ~before);
}

static void shrink(struct attn_softmax *state, float factor, float *o, size_t head_dim) {
    const __m512 f = _mm512_set1_ps(factor);
    _mm512_storeu_ps(state->l, _mm512_mul_ps(_mm512_loadu_ps(state->l), f));
    for (size_t d = 0; d < head_dim; d += 16) {
        const __mmask16 lanes = lanes_left(head_dim - d);
        _mm512_mask_storeu_ps(o + d, lanes, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, o + d), f));
    }
}

void attn_softmax_avx512(float *s, size_t begin, size_t end, struct attn_softmax *state, float *o,
                         size_t head_dim) {
    const size_t first = begin / 16 * 16;
    __m512 max_lanes = _mm512_set1_ps(-INFINITY);
    for (size_t i = first; i < end; i += 16) { /* the operand order lets no NaN in */
        const __mmask16 within = lanes_within(i, begin, end);
        max_lanes = _mm512_mask_max_ps(max_lanes, within, _mm512_maskz_loadu_ps(within, s + i), max_lanes);
    }
    const float max = max16(max_lanes);
    if (max > state->m) {
        shrink(state, kernels_exp(state->m - max), o, head_dim);
        state->m = max + 0.0f; /* never -0 */
    }
    __m512 l = _mm512_loadu_ps(state->l);
    for (size_t i = first; i < end; i += 16) {
        const __mmask16 within = lanes_within(i, begin, end);
        const __m512 p = exp16(_mm512_sub_ps(_mm512_maskz_loadu_ps(within, s + i), _mm512_set1_ps(state->m)));
        _mm512_mask_storeu_ps(s + i, within, p);
        l = _mm512_mask_add_ps(l, within, l, p);
    }
    _mm512_storeu_ps(state->l, l);
}

/* ---- Values ---- */

enum { MAX_GROUPS = 8 }; /* of 16 dimensions at once */

/* n_groups of 16 dimensions, of the last one those in `lanes`. */
TEMPLATE void add_values(load16_function *load16, size_t value_bytes, const float *p, size_t n,
                         const uint8_t *rows, size_t row_bytes, size_t n_groups, __mmask16 lanes, float *o) {
    __m512 sum[MAX_GROUPS];
    UNROLL
    for (size_t i = 0; i < n_groups; i++)
        sum[i] = _mm512_maskz_loadu_ps(lanes, o + i * 16);
    for (size_t j = 0; j < n; j++) {
        const __m512 pj = _mm512_set1_ps(p[j]);
        UNROLL
        for (size_t i = 0; i < n_groups; i++)
            sum[i] = _mm512_fmadd_ps(pj, load16(rows + j * row_bytes + i * 16 * value_bytes, lanes), sum[i]);
    }
    UNROLL
    for (size_t i = 0; i < n_groups; i++)
        _mm512_mask_storeu_ps(o + i * 16, lanes, sum[i]);
}

TEMPLATE void attn_values(load16_function *load16, size_t value_bytes, const float *p, size_t n,
                          const uint8_t *rows, size_t stride, size_t head_dim, float *o) {
    const size_t row_bytes = stride * value_bytes;
    size_t d = 0;
    for (; d + 128 <= head_dim; d += 128)
        add_values(load16, value_bytes, p, n, rows + d * value_bytes, row_bytes, 8, 0xffff, o + d);
    for (; d + 64 <= head_dim; d += 64)
        add_values(load16, value_bytes, p, n, rows + d * value_bytes, row_bytes, 4, 0xffff, o + d);
    for (; d < head_dim; d += 16)
        add_values(load16, value_bytes, p, n, rows + d * value_bytes, row_bytes, 1, lanes_left(head_dim - d),
                   o + d);
}

void attn_values_f32_avx512(const float *p, size_t n, const void *rows, size_t stride, size_t head_dim,
                            float *o) {
    attn_values(load16_f32, 4, p, n, rows, stride, head_dim, o);
}

void attn_values_f16_avx512(const float *p, size_t n, const void *rows, size_t stride, size_t head_dim,
                            float *o) {
    attn_values(load16_f16, 2, p, n, rows, stride, head_dim, o);
}
