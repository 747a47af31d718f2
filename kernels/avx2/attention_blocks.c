/* attention_blocks.c - scores and weighted values over a cache in blocks of 32: Q8_0 and Q4_0.
 * SPDX-License-Identifier: MIT
 * Groups of queries as in attention.c; keys meet quantized queries in exact integers. */
#include "kernels/avx2/attention.h"
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/level.h"
#include "kernels/queries.h"

#include "formats/blocks.h"

#include <stdalign.h>

/* ---- Store ---- */

/* One head in A32, with scales rounded to f16. Storing in Q4_0 is left to kernels/c. */
struct head_q8 {
    int8_t q[ATTN_MAX_HEAD_DIM];
    float d[ATTN_MAX_HEAD_DIM / 32];
    int32_t sum[ATTN_MAX_HEAD_DIM / 32];
    uint16_t scale[ATTN_MAX_HEAD_DIM / 32];
};

static void quantize_head(const float *x, size_t head_dim, struct head_q8 *h) {
    const struct acts acts = {
        .form = ACT_A32, .n = head_dim, .n_tokens = 1, .q = h->q, .d = h->d, .sum = h->sum
    };
    quantize_a32_avx2(x, &acts, 0);
    for (size_t b = 0; b < head_dim / 32; b++)
        h->scale[b] = _cvtss_sh(h->d[b], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

void store_key_q8_0_avx2(const float *k, size_t head_dim, void *tile, size_t lane) {
    struct head_q8 h;
    uint8_t *quants = (uint8_t *)tile + lane * 4;
    uint8_t *scales = (uint8_t *)tile + head_dim * ATTN_TILE + lane * 2;
    quantize_head(k, head_dim, &h);
    for (size_t d = 0; d < head_dim; d += 4)
        memcpy(quants + d * ATTN_TILE, h.q + d, 4);
    for (size_t b = 0; b < head_dim / 32; b++)
        memcpy(scales + b * ATTN_TILE * 2, &h.scale[b], 2);
}

void store_value_q8_0_avx2(const float *v, size_t head_dim, void *row) {
    struct head_q8 h;
    struct block_q8_0 *blocks = row;
    quantize_head(v, head_dim, &h);
    for (size_t b = 0; b < head_dim / 32; b++) {
        memcpy(blocks[b].d, &h.scale[b], 2);
        memcpy(blocks[b].qs, h.q + b * 32, 32);
    }
}

/* ---- Scores ---- */

struct scores {
    const struct acts *q;
    const uint8_t *tiles;
    size_t n_tiles;
    float *s;
};

static inline __m256i broadcast32(const int8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
}

/* The sums over block b of n_q queries with eight positions of a tile: k points at their bytes of the first
 * four dimensions (Q8_0) or eight (Q4_0), the next ones are 64 bytes further. */
typedef void dot_function(const uint8_t *k, size_t b, const struct acts *q, size_t first, size_t n_q,
                          __m256i dot[GROUP]);

/* |k| is unsigned, the query takes its sign; neither is -128, so a pair of products is at most 2 * 127 * 127
 * < 2^15. */
TEMPLATE void dot_q8_0(const uint8_t *k, size_t b, const struct acts *q, size_t first, size_t n_q,
                       __m256i dot[GROUP]) {
    const int8_t *x = q->q + first * q->n + b * 32;
    UNROLL
    for (size_t j = 0; j < n_q; j++)
        dot[j] = _mm256_setzero_si256();
    k += b * 512;
    for (size_t four = 0; four < 8; four++, x += 4, k += 64) {
        const __m256i key = load256(k), magnitude = _mm256_abs_epi8(key);
        UNROLL
        for (size_t j = 0; j < n_q; j++) {
            const __m256i xj = _mm256_sign_epi8(broadcast32(x + j * q->n), key);
            const __m256i pairs = _mm256_maddubs_epi16(magnitude, xj);
            dot[j] = _mm256_add_epi32(dot[j], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
        }
    }
}

/* Nibbles are 8 above zero. A lane of 16 bits takes 16 products of at most 15 * 127: 30480. */
TEMPLATE void dot_q4_0(const uint8_t *k, size_t b, const struct acts *q, size_t first, size_t n_q,
                       __m256i dot[GROUP]) {
    const int8_t *x = q->q + first * q->n + b * 32;
    const __m256i nibble = _mm256_set1_epi8(15);
    UNROLL
    for (size_t j = 0; j < n_q; j++)
        dot[j] = _mm256_setzero_si256();
    k += b * 256;
    for (size_t eight = 0; eight < 4; eight++, x += 8, k += 64) {
        const __m256i both = load256(k), low = _mm256_and_si256(both, nibble);
        const __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
        UNROLL
        for (size_t j = 0; j < n_q; j++) {
            const int8_t *xj = x + j * q->n;
            dot[j] = _mm256_add_epi16(dot[j], _mm256_maddubs_epi16(low, broadcast32(xj)));
            dot[j] = _mm256_add_epi16(dot[j], _mm256_maddubs_epi16(high, broadcast32(xj + 4)));
        }
    }
    UNROLL
    for (size_t j = 0; j < n_q; j++)
        dot[j] = _mm256_sub_epi32(_mm256_madd_epi16(dot[j], _mm256_set1_epi16(1)),
                                  _mm256_set1_epi32(8 * q->sum[(first + j) * (q->n / 32) + b]));
}

/* Eight positions of a tile, the first or the second half. */
TEMPLATE void score_half(dot_function *dot_block, enum cache_type type, const struct scores *c, size_t first,
                         size_t n_q, size_t tile, size_t half) {
    const size_t n = c->q->n, n_blocks = n / 32, at = tile * ATTN_TILE + half * 8;
    const size_t tile_bytes = cache_bytes(type, n * ATTN_TILE);
    const size_t quants_bytes = (tile_bytes - n) / n_blocks; /* of 32 dimensions */
    const uint8_t *k = c->tiles + tile * tile_bytes, *scales = k + tile_bytes - n + half * 16;
    const float *d = c->q->d + first * n_blocks;
    __m256 total[GROUP];
    UNROLL
    for (size_t j = 0; j < n_q; j++)
        total[j] = _mm256_setzero_ps();
    for (size_t b = 0; b < n_blocks; b++, scales += ATTN_TILE * 2) {
        __m256i dot[GROUP];
        dot_block(k + half * 32, b, c->q, first, n_q, dot);
        if (half == 0)
            prefetch_ahead(k + 4 * tile_bytes + b * quants_bytes, quants_bytes);
        const __m256 dk = _mm256_cvtph_ps(load128(scales));
        UNROLL
        for (size_t j = 0; j < n_q; j++) {
            const __m256 t = _mm256_mul_ps(dk, _mm256_cvtepi32_ps(dot[j]));
            total[j] = _mm256_fmadd_ps(_mm256_set1_ps(d[j * n_blocks + b]), t, total[j]);
        }
    }
    UNROLL
    for (size_t j = 0; j < n_q; j++)
        _mm256_storeu_ps(c->s + (first + j) * ATTN_BLOCK + at, total[j]);
}

TEMPLATE void score_group(dot_function *dot_block, enum cache_type type, const struct scores *c, size_t first,
                          size_t n_q) {
    for (size_t i = 0; i < 2 * c->n_tiles; i++)
        score_half(dot_block, type, c, first, n_q, i / 2, i % 2);
}

TEMPLATE void score_group_q8_0(const void *c, size_t first, size_t n_q) {
    score_group(dot_q8_0, CACHE_Q8_0, c, first, n_q);
}

TEMPLATE void score_group_q4_0(const void *c, size_t first, size_t n_q) {
    score_group(dot_q4_0, CACHE_Q4_0, c, first, n_q);
}

void attn_scores_q8_0_avx2(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    const struct scores c = { q, tiles, n_tiles, s };
    for_groups(score_group_q8_0, &c, q->n_tokens);
}

void attn_scores_q4_0_avx2(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
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

/* Quarter i of a block of 32 without its scale. */
typedef __m256 load_quarter_function(const uint8_t *block, size_t i);

TEMPLATE __m256 load_quarter_q8_0(const uint8_t *block, size_t i) {
    const __m128i q = _mm_loadl_epi64((const __m128i *)(const void *)(block + 2 + 8 * i));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q));
}

TEMPLATE __m256 load_quarter_q4_0(const uint8_t *block, size_t i) {
    __m128i q = _mm_loadl_epi64((const __m128i *)(const void *)(block + 2 + 8 * (i % 2)));
    q = _mm_and_si128(i < 2 ? q : _mm_srli_epi16(q, 4), _mm_set1_epi8(15));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_cvtepu8_epi32(q), _mm256_set1_epi32(8)));
}

/* Quarter i of row j of block b. */
TEMPLATE __m256 load_values(load_quarter_function *load, const struct value_blocks *c, size_t j, size_t b,
                            size_t i) {
    const __m256 scale = _mm256_set1_ps(c->scales[b * ATTN_BLOCK + j]);
    return _mm256_mul_ps(scale, load(c->rows + j * c->row_bytes + b * c->block_bytes, i));
}

/* Quarters i and i + 1 of block b. */
TEMPLATE void value_half(load_quarter_function *load, const struct value_blocks *c, size_t first, size_t n_q,
                         size_t begin, size_t end, size_t b, size_t i) {
    const size_t stride = 32 * c->n_blocks;
    const float *p = c->p + first * ATTN_BLOCK;
    float *o = c->o + first * stride + b * 32 + i * 8;
    __m256 sum[GROUP][2];
    UNROLL
    for (size_t k = 0; k < n_q; k++) {
        sum[k][0] = _mm256_loadu_ps(o + k * stride);
        sum[k][1] = _mm256_loadu_ps(o + k * stride + 8);
    }
    for (size_t j = begin; j < end; j++) {
        const __m256 v0 = load_values(load, c, j, b, i), v1 = load_values(load, c, j, b, i + 1);
        if (i == 0)
            prefetch_ahead(c->rows + (j + ATTN_BLOCK) * c->row_bytes + b * c->block_bytes, 1);
        UNROLL
        for (size_t k = 0; k < n_q; k++) {
            const __m256 pj = _mm256_set1_ps(p[k * ATTN_BLOCK + j]);
            sum[k][0] = _mm256_fmadd_ps(pj, v0, sum[k][0]);
            sum[k][1] = _mm256_fmadd_ps(pj, v1, sum[k][1]);
        }
    }
    UNROLL
    for (size_t k = 0; k < n_q; k++) {
        _mm256_storeu_ps(o + k * stride, sum[k][0]);
        _mm256_storeu_ps(o + k * stride + 8, sum[k][1]);
    }
}

TEMPLATE void value_group(load_quarter_function *load, const struct value_blocks *c, size_t first, size_t n_q,
                          size_t begin, size_t end) {
    for (size_t b = 0; b < c->n_blocks; b++) {
        value_half(load, c, first, n_q, begin, end, b, 0);
        value_half(load, c, first, n_q, begin, end, b, 2);
    }
}

TEMPLATE void value_group_q8_0(const void *c, size_t first, size_t n_q, size_t begin, size_t end) {
    value_group(load_quarter_q8_0, c, first, n_q, begin, end);
}

TEMPLATE void value_group_q4_0(const void *c, size_t first, size_t n_q, size_t begin, size_t end) {
    value_group(load_quarter_q4_0, c, first, n_q, begin, end);
}

/* Scales of blocks, which are the first two bytes of each, as [n_blocks][ATTN_BLOCK]; zero where there are no
 * rows. */
static void load_scales(const struct value_blocks *c, struct attn_span rows, float *scales) {
    for (size_t b = 0; b < c->n_blocks; b++, scales += ATTN_BLOCK) {
        uint16_t half[ATTN_BLOCK] = { 0 };
        const uint8_t *block = c->rows + rows.begin * c->row_bytes + b * c->block_bytes;
        for (size_t j = rows.begin; j < rows.end; j++, block += c->row_bytes)
            memcpy(&half[j], block, sizeof half[j]);
        for (size_t j = 0; j < ATTN_BLOCK; j += 8)
            _mm256_storeu_ps(scales + j, _mm256_cvtph_ps(load128(half + j)));
    }
}

/* SLICE columns or less of the rows as floats. */
TEMPLATE void to_panel(load_quarter_function *load, const struct value_blocks *c, struct attn_span rows,
                       size_t first_block, size_t n_blocks, float *panel) {
    panel += rows.begin * n_blocks * 32;
    for (size_t j = rows.begin; j < rows.end; j++)
        for (size_t b = 0; b < n_blocks; b++, panel += 32)
            UNROLL
    for (size_t i = 0; i < 4; i++)
        _mm256_storeu_ps(panel + 8 * i, load_values(load, c, j, first_block + b, i));
}

TEMPLATE void attn_values(load_quarter_function *load, span_function *values_of_few, enum cache_type type,
                          const float *p, const struct attn_span *spans, size_t n, const uint8_t *rows,
                          size_t head_dim, float *o) {
    enum { PANEL_BLOCKS = SLICE / 32 };
    const struct attn_span all = union_of_spans(spans, n);
    const size_t n_blocks = head_dim / 32;
    alignas(32) float scales[ATTN_MAX_HEAD_DIM / 32 * ATTN_BLOCK], panel[SLICE * ATTN_BLOCK];
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
        to_panel(load, &c, all, b, n_part, panel);
        const struct values part = {
            p, (const uint8_t *)panel, n_part * 32 * sizeof *panel, n_part * 32, o + b * 32, head_dim
        };
        value_floats_avx2(&part, spans, n);
    }
}

void attn_values_q8_0_avx2(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                           size_t head_dim, float *o) {
    attn_values(load_quarter_q8_0, value_group_q8_0, CACHE_Q8_0, p, spans, n, rows, head_dim, o);
}

void attn_values_q4_0_avx2(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                           size_t head_dim, float *o) {
    attn_values(load_quarter_q4_0, value_group_q4_0, CACHE_Q4_0, p, spans, n, rows, head_dim, o);
}
