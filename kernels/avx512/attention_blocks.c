/* attention_blocks.c - scores and weighted values over a cache in blocks of 32: Q8_0 and Q4_0.
 * SPDX-License-Identifier: MIT
 * Groups of queries as in attention.c; keys meet quantized queries in exact integers. */
#include "kernels/avx512/attention.h"
#include "kernels/avx512/avx512.h"
#include "kernels/avx512/level.h"
#include "kernels/queries.h"

/* ---- Scores ---- */

struct scores {
    const struct acts *q;
    const uint8_t *tiles;
    size_t n_tiles;
    float *s;
};

/* Eight dimensions of a tile as two registers of [16][4] bytes, `above` zero: vpdpbusd multiplies unsigned by
 * signed bytes. */
struct key_type {
    enum cache_type cache;
    int above;
    void (*load)(const uint8_t *tile, size_t eight, __m512i key[2]);
};

TEMPLATE void load_keys_q8_0(const uint8_t *tile, size_t eight, __m512i key[2]) {
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    key[0] = _mm512_xor_si512(load512(tile + eight * 128), flip);
    key[1] = _mm512_xor_si512(load512(tile + eight * 128 + 64), flip);
}

TEMPLATE void load_keys_q4_0(const uint8_t *tile, size_t eight, __m512i key[2]) {
    const __m512i both = load512(tile + eight * 64), low = _mm512_set1_epi8(15);
    key[0] = _mm512_and_si512(both, low);
    key[1] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
}

static const struct key_type q8_0 = { CACHE_Q8_0, 128, load_keys_q8_0 };
static const struct key_type q4_0 = { CACHE_Q4_0, 8, load_keys_q4_0 };

/* The sums of 32 dimensions: what keys are above zero by is taken off by the sum of the query. */
TEMPLATE void dot_block(const struct key_type *type, const uint8_t *tiles, size_t tile_bytes, size_t n_tiles,
                        size_t block, const int8_t *x, size_t n, const int32_t *sum, size_t n_q,
                        __m512i dot[GROUP][2]) {
    UNROLL
    for (size_t j = 0; j < n_q; j++)
        UNROLL
    for (size_t i = 0; i < n_tiles; i++)
        dot[j][i] = _mm512_set1_epi32(-type->above * sum[j * (n / 32)]);
    for (size_t eight = 0; eight < 4; eight++, x += 8) {
        __m512i key[2][2];
        UNROLL
        for (size_t i = 0; i < n_tiles; i++) {
            const size_t bytes = type->cache == CACHE_Q8_0 ? 128 : 64;
            type->load(tiles + i * tile_bytes, block * 4 + eight, key[i]);
            prefetch_ahead(tiles + (i + 4) * tile_bytes + (block * 4 + eight) * bytes, bytes);
        }
        UNROLL
        for (size_t half = 0; half < 2; half++)
            UNROLL
        for (size_t j = 0; j < n_q; j++) {
            const __m512i xj = broadcast32(x + j * n + half * 4);
            UNROLL
            for (size_t i = 0; i < n_tiles; i++)
                dot[j][i] = dot_bytes(dot[j][i], key[i][half], xj);
        }
    }
}

TEMPLATE void score_tiles(const struct key_type *type, const struct scores *c, size_t first, size_t n_q,
                          size_t first_tile, size_t n_tiles) {
    const size_t n = c->q->n, n_blocks = n / 32, tile_bytes = cache_bytes(type->cache, n * ATTN_TILE);
    const uint8_t *tiles = c->tiles + first_tile * tile_bytes, *scales = tiles + tile_bytes - n;
    const int8_t *x = c->q->q + first * n;
    const float *d = c->q->d + first * n_blocks;
    const int32_t *sum = c->q->sum + first * n_blocks;
    float *s = c->s + first * ATTN_BLOCK + first_tile * ATTN_TILE;
    __m512 total[GROUP][2];
    UNROLL
    for (size_t j = 0; j < n_q; j++)
        UNROLL
    for (size_t i = 0; i < n_tiles; i++)
        total[j][i] = _mm512_setzero_ps();
    for (size_t b = 0; b < n_blocks; b++, x += 32) {
        __m512i dot[GROUP][2];
        dot_block(type, tiles, tile_bytes, n_tiles, b, x, n, sum + b, n_q, dot);
        UNROLL
        for (size_t i = 0; i < n_tiles; i++) {
            const __m512 dk = _mm512_cvtph_ps(load256(scales + b * ATTN_TILE * 2 + i * tile_bytes));
            UNROLL
            for (size_t j = 0; j < n_q; j++) {
                const __m512 t = _mm512_mul_ps(dk, _mm512_cvtepi32_ps(dot[j][i]));
                total[j][i] = _mm512_fmadd_ps(_mm512_set1_ps(d[j * n_blocks + b]), t, total[j][i]);
            }
        }
    }
    UNROLL
    for (size_t j = 0; j < n_q; j++)
        UNROLL
    for (size_t i = 0; i < n_tiles; i++)
        _mm512_storeu_ps(s + j * ATTN_BLOCK + i * ATTN_TILE, total[j][i]);
}

TEMPLATE void score_group(const struct key_type *type, const struct scores *c, size_t first, size_t n_q) {
    size_t i = 0;
    for (; i + 2 <= c->n_tiles; i += 2)
        score_tiles(type, c, first, n_q, i, 2);
    if (i < c->n_tiles)
        score_tiles(type, c, first, n_q, i, 1);
}

TEMPLATE void score_group_q8_0(const void *c, size_t first, size_t n_q) { score_group(&q8_0, c, first, n_q); }

TEMPLATE void score_group_q4_0(const void *c, size_t first, size_t n_q) { score_group(&q4_0, c, first, n_q); }

void attn_scores_q8_0_avx512(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    const struct scores c = { q, tiles, n_tiles, s };
    for_groups(score_group_q8_0, &c, q->n_tokens);
}

void attn_scores_q4_0_avx512(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    const struct scores c = { q, tiles, n_tiles, s };
    for_groups(score_group_q4_0, &c, q->n_tokens);
}

/* ---- Values ---- */

/* Weights of queries and values of a block of positions. */
struct value_blocks {
    const float *p;
    const float *scales; /* [n_blocks][ATTN_BLOCK] */
    const uint8_t *rows;
    size_t row_bytes, block_bytes; /* from one to the next */
    size_t n_blocks;
    float *o; /* [32 * n_blocks] each */
};

/* A block of 32 without its scale. */
typedef void load32_function(const uint8_t *block, __m512 v[2]);

TEMPLATE void load32_q8_0(const uint8_t *block, __m512 v[2]) {
    v[0] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load128(block + 2)));
    v[1] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load128(block + 18)));
}

/* A nibble is an index into the 16 values: vpermps looks at its four bits only. */
TEMPLATE void load32_q4_0(const uint8_t *block, __m512 v[2]) {
    const __m512 values = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    const __m512i both = _mm512_cvtepu8_epi32(load128(block + 2));
    v[0] = _mm512_permutexvar_ps(both, values);
    v[1] = _mm512_permutexvar_ps(_mm512_srli_epi32(both, 4), values);
}

/* Row j of block b as floats. */
TEMPLATE void load_block(load32_function *load32, const struct value_blocks *c, size_t j, size_t b,
                         __m512 v[2]) {
    const __m512 scale = _mm512_set1_ps(c->scales[b * ATTN_BLOCK + j]);
    load32(c->rows + j * c->row_bytes + b * c->block_bytes, v);
    v[0] = _mm512_mul_ps(scale, v[0]);
    v[1] = _mm512_mul_ps(scale, v[1]);
}

/* n_blocks (1 or 2) blocks of columns from the first on. */
TEMPLATE void value_columns(load32_function *load32, const struct value_blocks *c, size_t first, size_t n_q,
                            size_t begin, size_t end, size_t first_block, size_t n_blocks) {
    const size_t stride = 32 * c->n_blocks;
    const float *p = c->p + first * ATTN_BLOCK;
    float *o = c->o + first * stride + first_block * 32;
    __m512 sum[GROUP][4];
    UNROLL
    for (size_t i = 0; i < n_q; i++)
        UNROLL
    for (size_t k = 0; k < 2 * n_blocks; k++)
        sum[i][k] = _mm512_loadu_ps(o + i * stride + k * 16);
    for (size_t j = begin; j < end; j++) {
        __m512 v[4];
        UNROLL
        for (size_t b = 0; b < n_blocks; b++)
            load_block(load32, c, j, first_block + b, v + 2 * b);
        prefetch_ahead(c->rows + (j + ATTN_BLOCK) * c->row_bytes + first_block * c->block_bytes,
                       n_blocks * c->block_bytes);
        UNROLL
        for (size_t i = 0; i < n_q; i++) {
            const __m512 pj = _mm512_set1_ps(p[i * ATTN_BLOCK + j]);
            UNROLL
            for (size_t k = 0; k < 2 * n_blocks; k++)
                sum[i][k] = _mm512_fmadd_ps(pj, v[k], sum[i][k]);
        }
    }
    UNROLL
    for (size_t i = 0; i < n_q; i++)
        UNROLL
    for (size_t k = 0; k < 2 * n_blocks; k++)
        _mm512_storeu_ps(o + i * stride + k * 16, sum[i][k]);
}

TEMPLATE void value_group(load32_function *load32, const struct value_blocks *c, size_t first, size_t n_q,
                          size_t begin, size_t end) {
    size_t b = 0;
    for (; b + 2 <= c->n_blocks; b += 2)
        value_columns(load32, c, first, n_q, begin, end, b, 2);
    if (b < c->n_blocks)
        value_columns(load32, c, first, n_q, begin, end, b, 1);
}

TEMPLATE void value_group_q8_0(const void *c, size_t first, size_t n_q, size_t begin, size_t end) {
    value_group(load32_q8_0, c, first, n_q, begin, end);
}

TEMPLATE void value_group_q4_0(const void *c, size_t first, size_t n_q, size_t begin, size_t end) {
    value_group(load32_q4_0, c, first, n_q, begin, end);
}

/* Scales of blocks, which are the first two bytes of each, as [n_blocks][ATTN_BLOCK]; zero where there are no
 * rows. */
static void load_scales(const struct value_blocks *c, struct attn_span rows, float *scales) {
    for (size_t b = 0; b < c->n_blocks; b++, scales += ATTN_BLOCK) {
        uint16_t half[ATTN_BLOCK] = { 0 };
        const uint8_t *block = c->rows + rows.begin * c->row_bytes + b * c->block_bytes;
        for (size_t j = rows.begin; j < rows.end; j++, block += c->row_bytes)
            memcpy(&half[j], block, sizeof half[j]);
        UNROLL
        for (size_t j = 0; j < ATTN_BLOCK; j += 16)
            _mm512_storeu_ps(scales + j, _mm512_cvtph_ps(load256(half + j)));
    }
}

/* SLICE columns or less of the rows as floats. */
TEMPLATE void to_panel(load32_function *load32, const struct value_blocks *c, struct attn_span rows,
                       size_t first_block, size_t n_blocks, float *panel) {
    panel += rows.begin * n_blocks * 32;
    for (size_t j = rows.begin; j < rows.end; j++)
        for (size_t b = 0; b < n_blocks; b++, panel += 32) {
            __m512 v[2];
            load_block(load32, c, j, first_block + b, v);
            _mm512_storeu_ps(panel, v[0]);
            _mm512_storeu_ps(panel + 16, v[1]);
        }
}

TEMPLATE void attn_values(load32_function *load32, span_function *values_of_few, enum cache_type type,
                          const float *p, const struct attn_span *spans, size_t n, const uint8_t *rows,
                          size_t head_dim, float *o) {
    enum { PANEL_BLOCKS = SLICE / 32 };
    const struct attn_span all = union_of_spans(spans, n);
    const size_t n_blocks = head_dim / 32;
    alignas(64) float scales[ATTN_MAX_HEAD_DIM / 32 * ATTN_BLOCK], panel[SLICE * ATTN_BLOCK];
    const struct value_blocks c = {
        p, scales, rows, cache_bytes(type, head_dim), cache_bytes(type, 32), n_blocks, o
    };
    load_scales(&c, all, scales);
    if (n <= FEW) {
        for_spans(values_of_few, &c, spans, n);
        return;
    }
    for (size_t b = 0; b < n_blocks; b += PANEL_BLOCKS) {
        const size_t n_part = n_blocks - b < PANEL_BLOCKS ? n_blocks - b : PANEL_BLOCKS;
        to_panel(load32, &c, all, b, n_part, panel);
        const struct values part = {
            p, (const uint8_t *)panel, n_part * 32 * sizeof *panel, n_part * 32, o + b * 32, head_dim
        };
        value_floats_avx512(&part, spans, n);
    }
}

void attn_values_q8_0_avx512(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                             size_t head_dim, float *o) {
    attn_values(load32_q8_0, value_group_q8_0, CACHE_Q8_0, p, spans, n, rows, head_dim, o);
}

void attn_values_q4_0_avx512(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                             size_t head_dim, float *o) {
    attn_values(load32_q4_0, value_group_q4_0, CACHE_Q4_0, p, spans, n, rows, head_dim, o);
}
