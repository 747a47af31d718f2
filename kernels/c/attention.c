/* attention.c - the key and value cache, scores, running softmax and weighted values.
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

static void store_bf16(void *p, float f) {
    uint16_t h = f32_to_bf16(f);
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

void store_key_bf16_c(const float *k, size_t head_dim, void *tile, size_t lane) {
    for (size_t d = 0; d < head_dim; d++)
        store_bf16((uint8_t *)tile + (d * ATTN_TILE + lane) * 2, k[d]);
}

void store_value_f32_c(const float *v, size_t head_dim, void *row) { memcpy(row, v, head_dim * sizeof *v); }

void store_value_f16_c(const float *v, size_t head_dim, void *row) {
    for (size_t d = 0; d < head_dim; d++)
        store_f16((uint8_t *)row + d * 2, v[d]);
}

void store_value_bf16_c(const float *v, size_t head_dim, void *row) {
    for (size_t d = 0; d < head_dim; d++)
        store_bf16((uint8_t *)row + d * 2, v[d]);
}

/* ---- Scores ---- */

static inline void attn_scores(load_value *load, size_t value_bytes, const struct acts *q,
                               const uint8_t *tiles, size_t n_tiles, float *s) {
    for (size_t i = 0; i < q->n_tokens; i++)
        for (size_t p = 0; p < n_tiles * ATTN_TILE; p++) {
            const uint8_t *tile = tiles + p / ATTN_TILE * q->n * ATTN_TILE * value_bytes;
            float sum = 0;
            for (size_t d = 0; d < q->n; d++)
                sum =
                    fmaf(load(tile + (d * ATTN_TILE + p % ATTN_TILE) * value_bytes), q->x[i * q->n + d], sum);
            s[i * ATTN_BLOCK + p] = sum;
        }
}

void attn_scores_f32_c(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(load_f32, 4, q, tiles, n_tiles, s);
}

void attn_scores_f16_c(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(load_half, 2, q, tiles, n_tiles, s);
}

void attn_scores_bf16_c(const struct acts *q, const void *tiles, size_t n_tiles, float *s) {
    attn_scores(load_bfloat, 2, q, tiles, n_tiles, s);
}

/* ---- Softmax ---- */

static void softmax_of_query(float *s, size_t begin, size_t end, struct attn_softmax *state, float *o,
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

void attn_softmax_c(float *s, const struct attn_span *spans, size_t n, struct attn_softmax *states, float *o,
                    size_t head_dim) {
    for (size_t i = 0; i < n; i++)
        softmax_of_query(s + i * ATTN_BLOCK, spans[i].begin, spans[i].end, &states[i], o + i * head_dim,
                         head_dim);
}

/* ---- Values ---- */

static inline void attn_values(load_value *load, size_t value_bytes, const float *p,
                               const struct attn_span *spans, size_t n, const uint8_t *rows, size_t head_dim,
                               float *o) {
    for (size_t i = 0; i < n; i++, p += ATTN_BLOCK, o += head_dim)
        for (size_t j = spans[i].begin; j < spans[i].end; j++)
            for (size_t d = 0; d < head_dim; d++)
                o[d] = fmaf(p[j], load(rows + (j * head_dim + d) * value_bytes), o[d]);
}

void attn_values_f32_c(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                       size_t head_dim, float *o) {
    attn_values(load_f32, 4, p, spans, n, rows, head_dim, o);
}

void attn_values_f16_c(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                       size_t head_dim, float *o) {
    attn_values(load_half, 2, p, spans, n, rows, head_dim, o);
}

void attn_values_bf16_c(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                        size_t head_dim, float *o) {
    attn_values(load_bfloat, 2, p, spans, n, rows, head_dim, o);
}
