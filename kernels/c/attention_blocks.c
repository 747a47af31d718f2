/* attention_blocks.c - the cache in blocks of 32 with an f16 scale, along a head: Q8_0 and Q4_0.
 * SPDX-License-Identifier: MIT
 * Layouts and formulas: kernels.h, section on attention. */
#include "kernels/c/level.h"
#include "kernels/c/scalar.h"

#include "formats/blocks.h"
#include "formats/types.h"

#include <math.h>

/* ---- Store ---- */

/* One head in A32. */
struct head_q8 {
    int8_t q[ATTN_MAX_HEAD_DIM];
    float d[ATTN_MAX_HEAD_DIM / 32];
    int32_t sum[ATTN_MAX_HEAD_DIM / 32];
};

static void quantize_head(const float *x, size_t head_dim, struct head_q8 *h) {
    const struct acts acts = {
        .form = ACT_A32, .n = head_dim, .n_tokens = 1, .q = h->q, .d = h->d, .sum = h->sum
    };
    quantize_a32_c(x, &acts, 0);
}

static void store_scale(void *p, float d) {
    uint16_t h = f32_to_f16(d);
    memcpy(p, &h, sizeof h);
}

void store_key_q8_0_c(const float *k, size_t head_dim, void *tile, size_t lane) {
    struct head_q8 h;
    quantize_head(k, head_dim, &h);
    int8_t *q = tile;
    uint8_t *scales = (uint8_t *)tile + head_dim * ATTN_TILE;
    for (size_t d = 0; d < head_dim; d++)
        q[(d / 4 * ATTN_TILE + lane) * 4 + d % 4] = h.q[d];
    for (size_t b = 0; b < head_dim / 32; b++)
        store_scale(scales + (b * ATTN_TILE + lane) * 2, h.d[b]);
}

void store_value_q8_0_c(const float *v, size_t head_dim, void *row) {
    struct head_q8 h;
    struct block_q8_0 *blocks = row;
    quantize_head(v, head_dim, &h);
    for (size_t b = 0; b < head_dim / 32; b++) {
        store_scale(&blocks[b].d, h.d[b]);
        memcpy(blocks[b].qs, h.q + b * 32, 32);
    }
}

/* The quants of one block, 0..15, and its scale. */
static float quantize_q4(const float *x, uint8_t q[32]) {
    uint32_t max = 0;
    bool is_negative = false;
    for (size_t i = 0; i < 32; i++) {
        const uint32_t bits = float_bits(x[i]), magnitude = bits & 0x7fffffff;
        if (magnitude > max || (magnitude == max && bits != magnitude)) {
            max = magnitude;
            is_negative = bits != magnitude;
        }
    }
    memset(q, 8, 32);
    if (max >= BITS_INF || max < BITS_TINY)
        return max >= BITS_INF ? NAN : 0;
    const float m = is_negative ? -float_from_bits(max) : float_from_bits(max), r = -8 / m;
    for (size_t i = 0; i < 32; i++) {
        const float v = round_even(x[i] * r);
        q[i] = (uint8_t)(v < -8 ? 0 : v > 7 ? 15 : (int)v + 8);
    }
    return m / -8;
}

void store_key_q4_0_c(const float *k, size_t head_dim, void *tile, size_t lane) {
    uint8_t *quants = tile, *scales = quants + head_dim * ATTN_TILE / 2;
    for (size_t b = 0; b < head_dim / 32; b++, k += 32) {
        uint8_t q[32];
        store_scale(scales + (b * ATTN_TILE + lane) * 2, quantize_q4(k, q));
        for (size_t d = 0; d < 32; d += 8)
            for (size_t i = 0; i < 4; i++)
                quants[((b * 32 + d) / 8 * ATTN_TILE + lane) * 4 + i] =
                    (uint8_t)(q[d + i] | q[d + i + 4] << 4);
    }
}

void store_value_q4_0_c(const float *v, size_t head_dim, void *row) {
    struct block_q4_0 *blocks = row;
    for (size_t b = 0; b < head_dim / 32; b++, v += 32) {
        uint8_t q[32];
        store_scale(&blocks[b].d, quantize_q4(v, q));
        for (size_t i = 0; i < 16; i++)
            blocks[b].qs[i] = (uint8_t)(q[i] | q[i + 16] << 4);
    }
}

/* ---- Scores ---- */

/* Dimension d of the key in one lane of a tile, without its scale. */
typedef int key_quant(const uint8_t *tile, size_t d, size_t lane);

static inline int key_q8_0(const uint8_t *tile, size_t d, size_t lane) {
    const int8_t *k = (const int8_t *)tile;
    return k[(d / 4 * ATTN_TILE + lane) * 4 + d % 4];
}

static inline int key_q4_0(const uint8_t *tile, size_t d, size_t lane) {
    const uint8_t both = tile[(d / 8 * ATTN_TILE + lane) * 4 + d % 4];
    return (d % 8 < 4 ? both & 15 : both >> 4) - 8;
}

/* The score of query i in one lane of a tile. */
static inline float score(key_quant *key, const struct acts *q, size_t i, const uint8_t *tile,
                          const uint8_t *scales, size_t lane) {
    const int8_t *x = q->q + i * q->n;
    float sum = 0;
    for (size_t b = 0; b < q->n / 32; b++) {
        int32_t dot = 0; /* at most 32 * 127 * 127 */
        for (size_t d = b * 32; d < b * 32 + 32; d++)
            dot += key(tile, d, lane) * x[d];
        const float dk = load_half(scales + (b * ATTN_TILE + lane) * 2);
        sum = fmaf(q->d[i * (q->n / 32) + b], dk * (float)dot, sum);
    }
    return sum;
}

static inline void attn_scores(key_quant *key, enum cache_type type, const struct acts *q,
                               const uint8_t *tiles, size_t n_tiles, float *s) {
    const size_t tile_bytes = cache_bytes(type, q->n * ATTN_TILE), scales_at = tile_bytes - q->n;
    for (size_t i = 0; i < q->n_tokens; i++)
        for (size_t p = 0; p < n_tiles * ATTN_TILE; p++) {
            const uint8_t *tile = tiles + p / ATTN_TILE * tile_bytes;
            s[i * ATTN_BLOCK + p] = score(key, q, i, tile, tile + scales_at, p % ATTN_TILE);
        }
}

void attn_scores_q8_0_c(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(key_q8_0, CACHE_Q8_0, q, tiles, n_tiles, s);
}

void attn_scores_q4_0_c(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(key_q4_0, CACHE_Q4_0, q, tiles, n_tiles, s);
}

/* ---- Values ---- */

/* Column d of a block, without its scale, which is its first two bytes. */
typedef int value_quant(const uint8_t *block, size_t d);

static inline int value_q8_0(const uint8_t *block, size_t d) { return (int8_t)block[2 + d]; }

static inline int value_q4_0(const uint8_t *block, size_t d) {
    return (d < 16 ? block[2 + d] & 15 : block[2 + d - 16] >> 4) - 8;
}

static inline void attn_values(value_quant *value, enum cache_type type, const float *p,
                               const struct attn_span *spans, size_t n, const uint8_t *rows, size_t head_dim,
                               float *o) {
    const size_t block_bytes = cache_bytes(type, 32);
    for (size_t i = 0; i < n; i++, p += ATTN_BLOCK, o += head_dim)
        for (size_t j = spans[i].begin; j < spans[i].end; j++)
            for (size_t d = 0; d < head_dim; d++) {
                const uint8_t *block = rows + (j * (head_dim / 32) + d / 32) * block_bytes;
                o[d] = fmaf(p[j], load_half(block) * (float)value(block, d % 32), o[d]);
            }
}

void attn_values_q8_0_c(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                        size_t head_dim, float *o) {
    attn_values(value_q8_0, CACHE_Q8_0, p, spans, n, rows, head_dim, o);
}

void attn_values_q4_0_c(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                        size_t head_dim, float *o) {
    attn_values(value_q4_0, CACHE_Q4_0, p, spans, n, rows, head_dim, o);
}
