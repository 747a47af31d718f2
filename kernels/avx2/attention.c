/* attention.c - the F16 cache, scores, running softmax and weighted values of one query.
 * SPDX-License-Identifier: MIT
 * Positions are lanes in scores, dimensions are lanes in values: each lane is one of the sequential chains
 * that kernels.h defines, and several registers of lanes hide the latency of fma. */
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/level.h"

#include <math.h>

/* ---- Store ---- */

static inline __m128i half8(const float *x) {
    return _mm256_cvtps_ph(_mm256_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline uint16_t half1(float x) { return _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

void store_key_f16_avx2(const float *k, size_t head_dim, void *tile, size_t lane) {
    uint8_t *p = (uint8_t *)tile + lane * 2;
    size_t d = 0;
    for (; d + 8 <= head_dim; d += 8, p += 8 * ATTN_TILE * 2) {
        uint16_t h[8];
        _mm_storeu_si128((__m128i *)(void *)h, half8(k + d));
        for (size_t i = 0; i < 8; i++)
            memcpy(p + i * ATTN_TILE * 2, &h[i], 2);
    }
    for (; d < head_dim; d++, p += ATTN_TILE * 2) {
        const uint16_t h = half1(k[d]);
        memcpy(p, &h, 2);
    }
}

void store_value_f16_avx2(const float *v, size_t head_dim, void *row) {
    uint8_t *p = row;
    size_t d = 0;
    for (; d + 8 <= head_dim; d += 8)
        _mm_storeu_si128((__m128i *)(void *)(p + d * 2), half8(v + d));
    for (; d < head_dim; d++) {
        const uint16_t h = half1(v[d]);
        memcpy(p + d * 2, &h, 2);
    }
}

/* ---- Scores ---- */

enum { MAX_TILES = 4 }; /* at once: 8 registers of lanes */

TEMPLATE void score_tiles(load8_function *load8, size_t value_bytes, const float *q, size_t head_dim,
                          const uint8_t *tiles, size_t n_tiles, float *s) {
    const size_t tile_bytes = head_dim * ATTN_TILE * value_bytes;
    __m256 low[MAX_TILES], high[MAX_TILES];
    UNROLL
    for (size_t i = 0; i < n_tiles; i++)
        low[i] = high[i] = _mm256_setzero_ps();
    for (size_t d = 0; d < head_dim; d++) {
        const __m256 qd = _mm256_set1_ps(q[d]);
        const uint8_t *p = tiles + d * ATTN_TILE * value_bytes;
        UNROLL
        for (size_t i = 0; i < n_tiles; i++) {
            low[i] = _mm256_fmadd_ps(load8(p + i * tile_bytes), qd, low[i]);
            high[i] = _mm256_fmadd_ps(load8(p + i * tile_bytes + 8 * value_bytes), qd, high[i]);
        }
    }
    UNROLL
    for (size_t i = 0; i < n_tiles; i++) {
        _mm256_storeu_ps(s + i * ATTN_TILE, low[i]);
        _mm256_storeu_ps(s + i * ATTN_TILE + 8, high[i]);
    }
}

TEMPLATE void attn_scores(load8_function *load8, size_t value_bytes, const float *q, size_t head_dim,
                          const uint8_t *tiles, size_t n_tiles, float *s) {
    const size_t tile_bytes = head_dim * ATTN_TILE * value_bytes;
    size_t i = 0;
    for (; i + MAX_TILES <= n_tiles; i += MAX_TILES)
        score_tiles(load8, value_bytes, q, head_dim, tiles + i * tile_bytes, MAX_TILES, s + i * ATTN_TILE);
    for (; i < n_tiles; i++)
        score_tiles(load8, value_bytes, q, head_dim, tiles + i * tile_bytes, 1, s + i * ATTN_TILE);
}

void attn_scores_f32_avx2(const float *q, size_t head_dim, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(load8_f32, 4, q, head_dim, tiles, n_tiles, s);
}

void attn_scores_f16_avx2(const float *q, size_t head_dim, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(load8_f16, 2, q, head_dim, tiles, n_tiles, s);
}

/* ---- Softmax ---- */

/* Lanes of s[i..i + 8) that lie in [begin, end). */
static inline __m256i lanes_within(size_t i, size_t begin, size_t end) {
    const size_t skip = begin <= i ? 0 : begin - i, stop = end - i < 8 ? end - i : 8;
    return _mm256_andnot_si256(first_lanes(skip < 8 ? skip : 8), first_lanes(stop));
}

static void shrink(struct attn_softmax *state, float factor, float *o, size_t head_dim) {
    const __m256 f = _mm256_set1_ps(factor);
    _mm256_storeu_ps(state->l, _mm256_mul_ps(_mm256_loadu_ps(state->l), f));
    _mm256_storeu_ps(state->l + 8, _mm256_mul_ps(_mm256_loadu_ps(state->l + 8), f));
    size_t d = 0;
    for (; d + 8 <= head_dim; d += 8)
        _mm256_storeu_ps(o + d, _mm256_mul_ps(_mm256_loadu_ps(o + d), f));
    for (; d < head_dim; d++)
        o[d] *= factor;
}

void attn_softmax_avx2(float *s, size_t begin, size_t end, struct attn_softmax *state, float *o,
                       size_t head_dim) {
    const size_t first = begin / 8 * 8;
    const __m256 none = _mm256_set1_ps(-INFINITY);
    __m256 max_lanes = none;
    for (size_t i = first; i < end; i += 8) {
        const __m256i within = lanes_within(i, begin, end);
        const __m256 v = _mm256_maskload_ps(s + i, within);
        max_lanes = _mm256_max_ps(_mm256_blendv_ps(none, v, _mm256_castsi256_ps(within)), max_lanes);
    }
    const float max = max8(max_lanes);
    if (max > state->m) {
        shrink(state, kernels_exp(state->m - max), o, head_dim);
        state->m = max + 0.0f; /* never -0 */
    }
    for (size_t i = first; i < end; i += 8) {
        const __m256i within = lanes_within(i, begin, end);
        const __m256 p = exp8(_mm256_sub_ps(_mm256_maskload_ps(s + i, within), _mm256_set1_ps(state->m)));
        float *l = state->l + i % 16;
        const __m256 sum = _mm256_add_ps(_mm256_loadu_ps(l), p);
        _mm256_maskstore_ps(s + i, within, p);
        _mm256_maskstore_ps(l, within, sum);
    }
}

/* ---- Values ---- */

enum { MAX_GROUPS = 8 }; /* of 8 dimensions at once */

TEMPLATE void add_values(load8_function *load8, size_t value_bytes, const float *p, size_t n,
                         const uint8_t *rows, size_t row_bytes, size_t n_groups, float *o) {
    __m256 sum[MAX_GROUPS];
    UNROLL
    for (size_t i = 0; i < n_groups; i++)
        sum[i] = _mm256_loadu_ps(o + i * 8);
    for (size_t j = 0; j < n; j++) {
        const __m256 pj = _mm256_set1_ps(p[j]);
        UNROLL
        for (size_t i = 0; i < n_groups; i++)
            sum[i] = _mm256_fmadd_ps(pj, load8(rows + j * row_bytes + i * 8 * value_bytes), sum[i]);
    }
    UNROLL
    for (size_t i = 0; i < n_groups; i++)
        _mm256_storeu_ps(o + i * 8, sum[i]);
}

TEMPLATE void attn_values(load8_function *load8, load1_function *load1, size_t value_bytes, const float *p,
                          size_t n, const uint8_t *rows, size_t stride, size_t head_dim, float *o) {
    const size_t row_bytes = stride * value_bytes;
    size_t d = 0;
    for (; d + 64 <= head_dim; d += 64)
        add_values(load8, value_bytes, p, n, rows + d * value_bytes, row_bytes, 8, o + d);
    for (; d + 16 <= head_dim; d += 16)
        add_values(load8, value_bytes, p, n, rows + d * value_bytes, row_bytes, 2, o + d);
    for (; d < head_dim; d++)
        for (size_t j = 0; j < n; j++)
            o[d] = fmaf(p[j], load1(rows + j * row_bytes + d * value_bytes), o[d]);
}

void attn_values_f32_avx2(const float *p, size_t n, const void *rows, size_t stride, size_t head_dim,
                          float *o) {
    attn_values(load8_f32, load1_f32, 4, p, n, rows, stride, head_dim, o);
}

void attn_values_f16_avx2(const float *p, size_t n, const void *rows, size_t stride, size_t head_dim,
                          float *o) {
    attn_values(load8_f16, load1_f16, 2, p, n, rows, stride, head_dim, o);
}
