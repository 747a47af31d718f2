/* attention.c - the key and value cache, scores, running softmax and weighted values of one query.
 * SPDX-License-Identifier: MIT
 * Layouts and formulas: kernels.h, section on attention. A cache of another type is two functions that load
 * and store one value. */
#include "kernels/c/level.h"
#include "kernels/c/scalar.h"

#include "formats/types.h"

#include <math.h>

typedef float load_value(const void *p);

static void store_f16(void *p, float f) {
    uint16_t h = f32_to_f16(f);
    memcpy(p, &h, sizeof h);
}

/* ---- Store ---- */

void store_key_f32_c(const float *k, size_t head_dim, void *tile, size_t lane) {
    for (size_t d = 0; d < head_dim; d++)
        store_f32((uint8_t *)tile + (d * ATTN_TILE + lane) * 4, k[d]);
}

void store_key_f16_c(const float *k, size_t head_dim, void *tile, size_t lane) {
    for (size_t d = 0; d < head_dim; d++)
        store_f16((uint8_t *)tile + (d * ATTN_TILE + lane) * 2, k[d]);
}

void store_value_f32_c(const float *v, size_t head_dim, void *row) { memcpy(row, v, head_dim * sizeof *v); }

void store_value_f16_c(const float *v, size_t head_dim, void *row) {
    for (size_t d = 0; d < head_dim; d++)
        store_f16((uint8_t *)row + d * 2, v[d]);
}

/* ---- Scores ---- */

static inline void attn_scores(load_value *load, size_t value_bytes, const float *q, size_t head_dim,
                               const uint8_t *tiles, size_t n_tiles, float *s) {
    for (size_t i = 0; i < n_tiles; i++) {
        const uint8_t *tile = tiles + i * head_dim * ATTN_TILE * value_bytes;
        for (size_t lane = 0; lane < ATTN_TILE; lane++) {
            float sum = 0;
            for (size_t d = 0; d < head_dim; d++)
                sum = fmaf(load(tile + (d * ATTN_TILE + lane) * value_bytes), q[d], sum);
            s[i * ATTN_TILE + lane] = sum;
        }
    }
}

void attn_scores_f32_c(const float *q, size_t head_dim, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(load_f32, 4, q, head_dim, tiles, n_tiles, s);
}

void attn_scores_f16_c(const float *q, size_t head_dim, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(load_half, 2, q, head_dim, tiles, n_tiles, s);
}

/* ---- Softmax ---- */

void attn_softmax_c(float *s, size_t begin, size_t end, struct attn_softmax *state, float *o,
                    size_t head_dim) {
    float max = -INFINITY; /* of the block; a NaN is never greater and shows in p instead */
    for (size_t j = begin; j < end; j++)
        max = s[j] > max ? s[j] : max;
    if (max > state->m) {
        float shrink = kernels_exp(state->m - max);
        state->m = max + 0.0f; /* never -0, whichever zero was found first */
        for (size_t l = 0; l < 16; l++)
            state->l[l] *= shrink;
        for (size_t d = 0; d < head_dim; d++)
            o[d] *= shrink;
    }
    for (size_t j = begin; j < end; j++) {
        s[j] = kernels_exp(s[j] - state->m);
        state->l[j % 16] += s[j];
    }
}

/* ---- Values ---- */

static inline void attn_values(load_value *load, size_t value_bytes, const float *p, size_t n,
                               const uint8_t *rows, size_t stride, size_t head_dim, float *o) {
    for (size_t j = 0; j < n; j++)
        for (size_t d = 0; d < head_dim; d++)
            o[d] = fmaf(p[j], load(rows + (j * stride + d) * value_bytes), o[d]);
}

void attn_values_f32_c(const float *p, size_t n, const void *rows, size_t stride, size_t head_dim, float *o) {
    attn_values(load_f32, 4, p, n, rows, stride, head_dim, o);
}

void attn_values_f16_c(const float *p, size_t n, const void *rows, size_t stride, size_t head_dim, float *o) {
    attn_values(load_half, 2, p, n, rows, stride, head_dim, o);
}
