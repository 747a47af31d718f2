/* attention.c - scores and weighted values over a cache of floats.
 * SPDX-License-Identifier: MIT
 * Positions are lanes in scores, dimensions are lanes in values: each lane is one of the sequential chains
 * that kernels.h defines. Queries are taken in groups, whose sums stay in registers while each key or value
 * is loaded once for all of them. A few queries convert keys and values as they go; for more, a block is
 * converted once into a panel of floats, which stays in L1 and L2. */
#include "kernels/avx512/attention.h"
#include "kernels/avx512/avx512.h"
#include "kernels/avx512/level.h"
#include "kernels/queries.h"

/* 16 consecutive values of a cache as floats. */
typedef __m512 load16_function(const uint8_t *p, __mmask16 lanes);

static inline __m512 load16_f32(const uint8_t *p, __mmask16 lanes) {
    return _mm512_maskz_loadu_ps(lanes, (const void *)p);
}

static inline __m512 load16_f16(const uint8_t *p, __mmask16 lanes) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, p));
}

static inline __m512 load16_bf16(const uint8_t *p, __mmask16 lanes) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

/* n_rows rows of n values, row_bytes apart, become rows of floats. */
TEMPLATE void to_panel(load16_function *load16, size_t value_bytes, const uint8_t *rows, size_t row_bytes,
                       size_t n_rows, size_t n, float *panel) {
    for (size_t r = 0; r < n_rows; r++, rows += row_bytes, panel += n)
        for (size_t i = 0; i < n; i += 16) {
            const __mmask16 lanes = lanes_left(n - i);
            _mm512_mask_storeu_ps(panel + i, lanes, load16(rows + i * value_bytes, lanes));
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

TEMPLATE void score_tiles(load16_function *load16, size_t value_bytes, const struct scores *c, size_t first,
                          size_t n_q, size_t first_tile, size_t n_tiles) {
    const float *q = c->q + first * c->stride;
    const uint8_t *k = c->tiles + first_tile * c->tile_bytes;
    float *s = c->s + first * ATTN_BLOCK + first_tile * ATTN_TILE;
    const size_t n_dims = c->n_dims, stride = c->stride, tile_bytes = c->tile_bytes;
    const uint8_t *next = k + 4 * tile_bytes;
    __m512 sum[GROUP][4];
    UNROLL
    for (size_t j = 0; j < n_q; j++)
        UNROLL
    for (size_t i = 0; i < n_tiles; i++)
        sum[j][i] = c->goes_on ? _mm512_loadu_ps(s + j * ATTN_BLOCK + i * ATTN_TILE) : _mm512_setzero_ps();
    for (size_t d = 0; d < n_dims; d++, k += ATTN_TILE * value_bytes) {
        __m512 key[4];
        UNROLL
        for (size_t i = 0; i < n_tiles; i++)
            key[i] = load16(k + i * tile_bytes, 0xffff);
        if (value_bytes == 2) /* no panel: it comes from memory, and so does the next block */
            prefetch_ahead(next + d * n_tiles * ATTN_TILE * value_bytes, n_tiles * ATTN_TILE * value_bytes);
        UNROLL
        for (size_t j = 0; j < n_q; j++) {
            const __m512 x = _mm512_set1_ps(q[j * stride + d]);
            UNROLL
            for (size_t i = 0; i < n_tiles; i++)
                sum[j][i] = _mm512_fmadd_ps(key[i], x, sum[j][i]);
        }
    }
    UNROLL
    for (size_t j = 0; j < n_q; j++)
        UNROLL
    for (size_t i = 0; i < n_tiles; i++)
        _mm512_storeu_ps(s + j * ATTN_BLOCK + i * ATTN_TILE, sum[j][i]);
}

TEMPLATE void score_group(load16_function *load16, size_t value_bytes, const struct scores *c, size_t first,
                          size_t n_q) {
    if (c->n_tiles == 4)
        score_tiles(load16, value_bytes, c, first, n_q, 0, 4);
    else
        for (size_t i = 0; i < c->n_tiles; i++)
            score_tiles(load16, value_bytes, c, first, n_q, i, 1);
}

TEMPLATE void score_group_f32(const void *c, size_t first, size_t n_q) {
    score_group(load16_f32, 4, c, first, n_q);
}

TEMPLATE void score_group_f16(const void *c, size_t first, size_t n_q) {
    score_group(load16_f16, 2, c, first, n_q);
}

TEMPLATE void score_group_bf16(const void *c, size_t first, size_t n_q) {
    score_group(load16_bf16, 2, c, first, n_q);
}

static void score_floats(const struct scores *c, size_t n) { for_groups(score_group_f32, c, n); }

void attn_scores_f32_avx512(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    const struct scores c = { q->x, q->n, tiles, q->n * ATTN_TILE * 4, n_tiles, q->n, false, s };
    score_floats(&c, q->n_tokens);
}

TEMPLATE void attn_scores(load16_function *load16, group_function *score_few, const struct acts *q,
                          const uint8_t *tiles, size_t n_tiles, float *s) {
    const size_t tile_bytes = q->n * ATTN_TILE * 2;
    if (q->n_tokens <= FEW) {
        const struct scores c = { q->x, q->n, tiles, tile_bytes, n_tiles, q->n, false, s };
        for_groups(score_few, &c, q->n_tokens);
        return;
    }
    alignas(64) float panel[SLICE * ATTN_BLOCK];
    for (size_t d = 0; d < q->n; d += SLICE) {
        const size_t n_dims = q->n - d < SLICE ? q->n - d : SLICE;
        to_panel(load16, 2, tiles + d * ATTN_TILE * 2, tile_bytes, n_tiles, n_dims * ATTN_TILE, panel);
        const struct scores c = {
            q->x + d, q->n, (const uint8_t *)panel, n_dims * ATTN_TILE * 4, n_tiles, n_dims, d != 0, s
        };
        score_floats(&c, q->n_tokens);
    }
}

void attn_scores_f16_avx512(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(load16_f16, score_group_f16, q, tiles, n_tiles, s);
}

void attn_scores_bf16_avx512(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(load16_bf16, score_group_bf16, q, tiles, n_tiles, s);
}

/* ---- Values ---- */

/* n16 times 16 columns, of which only those in `lanes` exist. */
TEMPLATE void value_columns(load16_function *load16, size_t value_bytes, const struct values *c, size_t first,
                            size_t n_q, size_t begin, size_t end, size_t column, size_t n16,
                            __mmask16 lanes) {
    const float *p = c->p + first * ATTN_BLOCK;
    const uint8_t *row = c->rows + begin * c->row_bytes + column * value_bytes;
    float *o = c->o + first * c->stride + column;
    const size_t row_bytes = c->row_bytes, stride = c->stride;
    __m512 sum[GROUP][4];
    UNROLL
    for (size_t i = 0; i < n_q; i++)
        UNROLL
    for (size_t k = 0; k < n16; k++)
        sum[i][k] = _mm512_maskz_loadu_ps(lanes, o + i * stride + k * 16);
    for (size_t j = begin; j < end; j++, row += row_bytes) {
        __m512 value[4];
        UNROLL
        for (size_t k = 0; k < n16; k++)
            value[k] = load16(row + k * 16 * value_bytes, lanes);
        if (value_bytes == 2)
            prefetch_ahead(row + ATTN_BLOCK * row_bytes, n16 * 16 * value_bytes);
        UNROLL
        for (size_t i = 0; i < n_q; i++) {
            const __m512 pj = _mm512_set1_ps(p[i * ATTN_BLOCK + j]);
            UNROLL
            for (size_t k = 0; k < n16; k++)
                sum[i][k] = _mm512_fmadd_ps(pj, value[k], sum[i][k]);
        }
    }
    UNROLL
    for (size_t i = 0; i < n_q; i++)
        UNROLL
    for (size_t k = 0; k < n16; k++)
        _mm512_mask_storeu_ps(o + i * stride + k * 16, lanes, sum[i][k]);
}

TEMPLATE void value_group(load16_function *load16, size_t value_bytes, const struct values *c, size_t first,
                          size_t n_q, size_t begin, size_t end) {
    size_t column = 0;
    for (; column + 64 <= c->n_columns; column += 64)
        value_columns(load16, value_bytes, c, first, n_q, begin, end, column, 4, 0xffff);
    for (; column < c->n_columns; column += 16)
        value_columns(load16, value_bytes, c, first, n_q, begin, end, column, 1,
                      lanes_left(c->n_columns - column));
}

TEMPLATE void value_group_f32(const void *c, size_t first, size_t n_q, size_t begin, size_t end) {
    value_group(load16_f32, 4, c, first, n_q, begin, end);
}

TEMPLATE void value_group_f16(const void *c, size_t first, size_t n_q, size_t begin, size_t end) {
    value_group(load16_f16, 2, c, first, n_q, begin, end);
}

TEMPLATE void value_group_bf16(const void *c, size_t first, size_t n_q, size_t begin, size_t end) {
    value_group(load16_bf16, 2, c, first, n_q, begin, end);
}

void value_floats_avx512(const struct values *c, const struct attn_span *spans, size_t n) {
    for_spans(value_group_f32, c, spans, n);
}

void attn_values_f32_avx512(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                            size_t head_dim, float *o) {
    const struct values c = { p, rows, head_dim * 4, head_dim, o, head_dim };
    value_floats_avx512(&c, spans, n);
}

TEMPLATE void attn_values(load16_function *load16, span_function *values_of_few, const float *p,
                          const struct attn_span *spans, size_t n, const uint8_t *rows, size_t head_dim,
                          float *o) {
    const size_t row_bytes = head_dim * 2;
    if (n <= FEW) {
        const struct values c = { p, rows, row_bytes, head_dim, o, head_dim };
        for_spans(values_of_few, &c, spans, n);
        return;
    }
    alignas(64) float panel[SLICE * ATTN_BLOCK];
    const struct attn_span all = union_of_spans(spans, n);
    for (size_t d = 0; d < head_dim; d += SLICE) {
        const size_t n_columns = head_dim - d < SLICE ? head_dim - d : SLICE;
        to_panel(load16, 2, rows + all.begin * row_bytes + d * 2, row_bytes, (size_t)all.end - all.begin,
                 n_columns, panel + all.begin * n_columns);
        const struct values c = { p, (const uint8_t *)panel, n_columns * 4, n_columns, o + d, head_dim };
        value_floats_avx512(&c, spans, n);
    }
}

void attn_values_f16_avx512(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                            size_t head_dim, float *o) {
    attn_values(load16_f16, value_group_f16, p, spans, n, rows, head_dim, o);
}

void attn_values_bf16_avx512(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                             size_t head_dim, float *o) {
    attn_values(load16_bf16, value_group_bf16, p, spans, n, rows, head_dim, o);
}
