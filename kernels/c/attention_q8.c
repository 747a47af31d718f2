/* attention_q8.c - the cache in Q8_0: blocks of 32 int8 with an f16 scale, along a head.
 * SPDX-License-Identifier: MIT
 * Keys, queries and values are rounded as A32 activations are; the scale that is kept is rounded to f16.
 * Layouts and formulas: kernels.h, section on attention. */
#include "kernels/c/level.h"
#include "kernels/c/scalar.h"

#include "formats/blocks.h"
#include "formats/types.h"

#include <math.h>

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

void attn_scores_q8_0_c(const float *q, size_t head_dim, const void *tiles, size_t n_tiles, float *s) {
    struct head_q8 h;
    quantize_head(q, head_dim, &h);
    for (size_t i = 0; i < n_tiles * ATTN_TILE; i++) {
        const size_t lane = i % ATTN_TILE;
        const uint8_t *tile =
            (const uint8_t *)tiles + i / ATTN_TILE * cache_bytes(CACHE_Q8_0, head_dim * ATTN_TILE);
        const int8_t *k = (const int8_t *)tile;
        const uint8_t *scales = tile + head_dim * ATTN_TILE;
        float sum = 0;
        for (size_t b = 0; b < head_dim / 32; b++) {
            int32_t dot = 0; /* at most 32 * 127 * 127 */
            for (size_t d = b * 32; d < b * 32 + 32; d++)
                dot += k[(d / 4 * ATTN_TILE + lane) * 4 + d % 4] * h.q[d];
            sum = fmaf(h.d[b], load_half(scales + (b * ATTN_TILE + lane) * 2) * (float)dot, sum);
        }
        s[i] = sum;
    }
}

void attn_values_q8_0_c(const float *p, size_t n, const void *rows, size_t stride, size_t head_dim,
                        float *o) {
    for (size_t j = 0; j < n; j++) {
        const uint8_t *row = (const uint8_t *)rows + j * cache_bytes(CACHE_Q8_0, stride);
        const struct block_q8_0 *blocks = (const struct block_q8_0 *)row;
        for (size_t b = 0; b < head_dim / 32; b++) {
            const float scaled = p[j] * load_half(&blocks[b].d);
            for (size_t d = 0; d < 32; d++)
                o[b * 32 + d] = fmaf(scaled, (float)blocks[b].qs[d], o[b * 32 + d]);
        }
    }
}
