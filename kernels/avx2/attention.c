/* attention.c - the F16 cache; scores and weighted values over a cache of floats.
 * SPDX-License-Identifier: MIT
 * Positions are lanes in scores, dimensions are lanes in values: each lane is one of the sequential chains
 * that kernels.h defines. Queries are taken in groups, whose sums stay in registers while each key or value
 * is loaded once for all of them. A few queries convert keys and values as they go; for more, a block is
 * converted once into a panel of floats, which stays in L1 and L2. */
#include "kernels/avx2/attention.h"
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/level.h"
#include "kernels/queries.h"

#include <math.h>
#include <stdalign.h>

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

/* n_rows rows of n values, row_bytes apart, become rows of floats. */
TEMPLATE void to_panel(load8_function *load8, load1_function *load1, size_t value_bytes, const uint8_t *rows,
                       size_t row_bytes, size_t n_rows, size_t n, float *panel) {
    for (size_t r = 0; r < n_rows; r++, rows += row_bytes, panel += n) {
        size_t i = 0;
        for (; i + 8 <= n; i += 8)
            _mm256_storeu_ps(panel + i, load8(rows + i * value_bytes));
        for (; i < n; i++)
            panel[i] = load1(rows + i * value_bytes);
    }
}

/* ---- Scores ---- */

/* Queries, and some dimensions of the keys of a block. */
struct scores {
    const float *q;
    size_t stride; /* of queries */
    const uint8_t *tiles;
    size_t tile_bytes; /* from one to the next */
    size_t n_tiles, n_dims;
    bool goes_on; /* s holds the sums of the dimensions before */
    float *s;
};

TEMPLATE void score_tile(load8_function *load8, size_t value_bytes, const struct scores *c, size_t first,
                         size_t n_q, size_t tile) {
    const float *q = c->q + first * c->stride;
    const uint8_t *k = c->tiles + tile * c->tile_bytes;
    float *s = c->s + first * ATTN_BLOCK + tile * ATTN_TILE;
    const size_t n_dims = c->n_dims, stride = c->stride;
    __m256 low[GROUP], high[GROUP];
    UNROLL
    for (size_t j = 0; j < n_q; j++) {
        low[j] = c->goes_on ? _mm256_loadu_ps(s + j * ATTN_BLOCK) : _mm256_setzero_ps();
        high[j] = c->goes_on ? _mm256_loadu_ps(s + j * ATTN_BLOCK + 8) : _mm256_setzero_ps();
    }
    for (size_t d = 0; d < n_dims; d++, k += ATTN_TILE * value_bytes) {
        const __m256 key_low = load8(k), key_high = load8(k + 8 * value_bytes);
        if (value_bytes == 2) /* no panel: it comes from memory, and so does the next block */
            prefetch_ahead(k + 4 * c->tile_bytes, 1);
        UNROLL
        for (size_t j = 0; j < n_q; j++) {
            const __m256 x = _mm256_set1_ps(q[j * stride + d]);
            low[j] = _mm256_fmadd_ps(key_low, x, low[j]);
            high[j] = _mm256_fmadd_ps(key_high, x, high[j]);
        }
    }
    UNROLL
    for (size_t j = 0; j < n_q; j++) {
        _mm256_storeu_ps(s + j * ATTN_BLOCK, low[j]);
        _mm256_storeu_ps(s + j * ATTN_BLOCK + 8, high[j]);
    }
}

TEMPLATE void score_group(load8_function *load8, size_t value_bytes, const struct scores *c, size_t first,
                          size_t n_q) {
    for (size_t i = 0; i < c->n_tiles; i++)
        score_tile(load8, value_bytes, c, first, n_q, i);
}

TEMPLATE void score_group_f32(const void *c, size_t first, size_t n_q) {
    score_group(load8_f32, 4, c, first, n_q);
}

TEMPLATE void score_group_f16(const void *c, size_t first, size_t n_q) {
    score_group(load8_f16, 2, c, first, n_q);
}

TEMPLATE void score_group_bf16(const void *c, size_t first, size_t n_q) {
    score_group(load8_bf16, 2, c, first, n_q);
}

static void score_floats(const struct scores *c, size_t n) { for_groups(score_group_f32, c, n); }

void attn_scores_f32_avx2(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    const struct scores c = { q->x, q->n, tiles, q->n * ATTN_TILE * 4, n_tiles, q->n, false, s };
    score_floats(&c, q->n_tokens);
}

TEMPLATE void attn_scores(load8_function *load8, load1_function *load1, group_function *score_few,
                          const struct acts *q, const uint8_t *tiles, size_t n_tiles, float *s) {
    const size_t tile_bytes = q->n * ATTN_TILE * 2;
    if (q->n_tokens <= FEW) {
        const struct scores c = { q->x, q->n, tiles, tile_bytes, n_tiles, q->n, false, s };
        for_groups(score_few, &c, q->n_tokens);
        return;
    }
    alignas(32) float panel[SLICE * ATTN_BLOCK];
    for (size_t d = 0; d < q->n; d += SLICE) {
        const size_t n_dims = q->n - d < SLICE ? q->n - d : SLICE;
        to_panel(load8, load1, 2, tiles + d * ATTN_TILE * 2, tile_bytes, n_tiles, n_dims * ATTN_TILE, panel);
        const struct scores c = {
            q->x + d, q->n, (const uint8_t *)panel, n_dims * ATTN_TILE * 4, n_tiles, n_dims, d != 0, s
        };
        score_floats(&c, q->n_tokens);
    }
}

void attn_scores_f16_avx2(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(load8_f16, load1_f16, score_group_f16, q, tiles, n_tiles, s);
}

void attn_scores_bf16_avx2(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(load8_bf16, load1_bf16, score_group_bf16, q, tiles, n_tiles, s);
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

static void softmax_of_query(float *s, size_t begin, size_t end, struct attn_softmax *state, float *o,
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

void attn_softmax_avx2(float *s, const struct attn_span *spans, size_t n, struct attn_softmax *states,
                       float *o, size_t head_dim) {
    for (size_t i = 0; i < n; i++)
        softmax_of_query(s + i * ATTN_BLOCK, spans[i].begin, spans[i].end, &states[i], o + i * head_dim,
                         head_dim);
}

/* ---- Values ---- */

/* n8 times 8 columns. */
TEMPLATE void value_columns(load8_function *load8, size_t value_bytes, const struct values *c, size_t first,
                            size_t n_q, size_t begin, size_t end, size_t column, size_t n8) {
    const float *p = c->p + first * ATTN_BLOCK;
    const uint8_t *row = c->rows + begin * c->row_bytes + column * value_bytes;
    float *o = c->o + first * c->stride + column;
    const size_t row_bytes = c->row_bytes, stride = c->stride;
    __m256 sum[GROUP][2];
    UNROLL
    for (size_t i = 0; i < n_q; i++)
        UNROLL
    for (size_t k = 0; k < n8; k++)
        sum[i][k] = _mm256_loadu_ps(o + i * stride + k * 8);
    for (size_t j = begin; j < end; j++, row += row_bytes) {
        __m256 value[2];
        UNROLL
        for (size_t k = 0; k < n8; k++)
            value[k] = load8(row + k * 8 * value_bytes);
        if (value_bytes == 2 && column % 32 == 0)
            prefetch_ahead(row + ATTN_BLOCK * row_bytes, 1);
        UNROLL
        for (size_t i = 0; i < n_q; i++) {
            const __m256 pj = _mm256_set1_ps(p[i * ATTN_BLOCK + j]);
            UNROLL
            for (size_t k = 0; k < n8; k++)
                sum[i][k] = _mm256_fmadd_ps(pj, value[k], sum[i][k]);
        }
    }
    UNROLL
    for (size_t i = 0; i < n_q; i++)
        UNROLL
    for (size_t k = 0; k < n8; k++)
        _mm256_storeu_ps(o + i * stride + k * 8, sum[i][k]);
}

/* One column, the last few of heads that are no multiple of 8. */
TEMPLATE void value_column(load1_function *load1, size_t value_bytes, const struct values *c, size_t first,
                           size_t n_q, size_t begin, size_t end, size_t column) {
    for (size_t i = first; i < first + n_q; i++) {
        float *o = c->o + i * c->stride + column;
        for (size_t j = begin; j < end; j++)
            *o = fmaf(c->p[i * ATTN_BLOCK + j], load1(c->rows + j * c->row_bytes + column * value_bytes), *o);
    }
}

TEMPLATE void value_group(load8_function *load8, load1_function *load1, size_t value_bytes,
                          const struct values *c, size_t first, size_t n_q, size_t begin, size_t end) {
    size_t column = 0;
    for (; column + 16 <= c->n_columns; column += 16)
        value_columns(load8, value_bytes, c, first, n_q, begin, end, column, 2);
    for (; column + 8 <= c->n_columns; column += 8)
        value_columns(load8, value_bytes, c, first, n_q, begin, end, column, 1);
    for (; column < c->n_columns; column++)
        value_column(load1, value_bytes, c, first, n_q, begin, end, column);
}

TEMPLATE void value_group_f32(const void *c, size_t first, size_t n_q, size_t begin, size_t end) {
    value_group(load8_f32, load1_f32, 4, c, first, n_q, begin, end);
}

TEMPLATE void value_group_f16(const void *c, size_t first, size_t n_q, size_t begin, size_t end) {
    value_group(load8_f16, load1_f16, 2, c, first, n_q, begin, end);
}

TEMPLATE void value_group_bf16(const void *c, size_t first, size_t n_q, size_t begin, size_t end) {
    value_group(load8_bf16, load1_bf16, 2, c, first, n_q, begin, end);
}

void value_floats_avx2(const struct values *c, const struct attn_span *spans, size_t n) {
    for_spans(value_group_f32, c, spans, n);
}

void attn_values_f32_avx2(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                          size_t head_dim, float *o) {
    const struct values c = { p, rows, head_dim * 4, head_dim, o, head_dim };
    value_floats_avx2(&c, spans, n);
}

TEMPLATE void attn_values(load8_function *load8, load1_function *load1, span_function *values_of_few,
                          const float *p, const struct attn_span *spans, size_t n, const uint8_t *rows,
                          size_t head_dim, float *o) {
    const size_t row_bytes = head_dim * 2;
    if (n <= FEW) {
        const struct values c = { p, rows, row_bytes, head_dim, o, head_dim };
        for_spans(values_of_few, &c, spans, n);
        return;
    }
    alignas(32) float panel[SLICE * ATTN_BLOCK];
    const struct attn_span all = union_of_spans(spans, n);
    for (size_t d = 0; d < head_dim; d += SLICE) {
        const size_t n_columns = head_dim - d < SLICE ? head_dim - d : SLICE;
        to_panel(load8, load1, 2, rows + all.begin * row_bytes + d * 2, row_bytes,
                 (size_t)all.end - all.begin, n_columns, panel + all.begin * n_columns);
        const struct values c = { p, (const uint8_t *)panel, n_columns * 4, n_columns, o + d, head_dim };
        value_floats_avx2(&c, spans, n);
    }
}

void attn_values_f16_avx2(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                          size_t head_dim, float *o) {
    attn_values(load8_f16, load1_f16, value_group_f16, p, spans, n, rows, head_dim, o);
}

void attn_values_bf16_avx2(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                           size_t head_dim, float *o) {
    attn_values(load8_bf16, load1_bf16, value_group_bf16, p, spans, n, rows, head_dim, o);
}
