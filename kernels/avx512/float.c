/* float.c - y = W x for weights that are floats: F32, F16, BF16.
 * SPDX-License-Identifier: MIT
 * An output keeps its 16 lanes in one register over the whole row. 8 rows of one token, or 5 rows of 5
 * tokens, are in flight at once: enough chains of fma to hide its latency, and for 5 x 5 fewer loads than
 * fma. */
#include "kernels/avx512/avx512.h"
#include "kernels/avx512/level.h"
#include "kernels/tile.h"

/* Lanes of 16 weights that are in the mask, zero elsewhere. */
typedef __m512 load16_function(const uint8_t *p, __mmask16 lanes);

static inline __m512 load16_f32(const uint8_t *p, __mmask16 lanes) {
    return _mm512_maskz_loadu_ps(lanes, (const void *)p);
}

static inline __m512 load16_f16(const uint8_t *p, __mmask16 lanes) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, p));
}

static inline __m512 load16_bf16(const uint8_t *p, __mmask16 lanes) {
    const __m512i words = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
}

struct float_type {
    size_t bytes; /* of a weight */
    load16_function *load16;
};

enum { MAX_ROWS = 8, MAX_TOKENS = 5 };

/* 16 values of n_rows rows and n_tokens tokens, those of `lanes`. Lanes outside stay as they are: +0 * +0
 * would turn a lane of -0 into +0. */
TEMPLATE void add_16(struct float_type type, const uint8_t *const *row, size_t at, size_t n_rows,
                     const float *x, size_t n, size_t n_tokens, __mmask16 lanes,
                     __m512 acc[MAX_ROWS][MAX_TOKENS]) {
    __m512 xt[MAX_TOKENS];
    UNROLL
    for (size_t t = 0; t < n_tokens; t++)
        xt[t] = _mm512_maskz_loadu_ps(lanes, x + t * n + at);
    UNROLL
    for (size_t r = 0; r < n_rows; r++) {
        const __m512 wr = type.load16(row[r] + at * type.bytes, lanes);
        UNROLL
        for (size_t t = 0; t < n_tokens; t++)
            acc[r][t] = _mm512_mask3_fmadd_ps(wr, xt[t], acc[r][t], lanes);
    }
}

/* y[t][r] for n_rows x n_tokens outputs; tile: what to prefetch for meanwhile, or NULL. */
TEMPLATE void dot_rows(struct float_type type, const uint8_t *const *row, size_t n_rows, const float *x,
                       size_t n, size_t n_tokens, float *y, size_t y_stride, const struct tile *tile) {
    __m512 acc[MAX_ROWS][MAX_TOKENS];
    UNROLL
    for (size_t r = 0; r < n_rows; r++) {
        UNROLL
        for (size_t t = 0; t < n_tokens; t++)
            acc[r][t] = _mm512_setzero_ps();
    }
    size_t k = 0;
    for (; k + 16 <= n; k += 16) {
        add_16(type, row, k, n_rows, x, n, n_tokens, 0xffff, acc);
        if (tile)
            tile_prefetch(tile, k * type.bytes, 16 * type.bytes);
    }
    if (k < n)
        add_16(type, row, k, n_rows, x, n, n_tokens, lanes_left(n - k), acc);
    UNROLL
    for (size_t r = 0; r < n_rows; r++) {
        UNROLL
        for (size_t t = 0; t < n_tokens; t++)
            y[t * y_stride + r] = sum16(acc[r][t]);
    }
}

/* Few tokens: memory is the limit, and rows are read as eight streams. */
TEMPLATE void multiply_tiles(struct float_type type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                             const struct acts *x, float *y, size_t y_stride) {
    for (size_t j = 0; j < tile_count(n_rows); j++) {
        const struct tile tile = tile_at(w, row_bytes, n_rows, j);
        for (size_t t = 0; t < x->n_tokens; t++) {
            float outputs[8];
            if (t == 0)
                dot_rows(type, tile.row, 8, x->x, x->n, 1, outputs, 0, &tile);
            else
                dot_rows(type, tile.row, 8, x->x + t * x->n, x->n, 1, outputs, 0, NULL);
            tile_store(&tile, y + t * y_stride, outputs);
        }
    }
}

/* n_rows rows, 5 or 1, of all tokens. */
TEMPLATE void multiply_rows(struct float_type type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                            const struct acts *x, float *y, size_t y_stride) {
    const uint8_t *row[5];
    size_t t = 0;
    for (size_t r = 0; r < n_rows; r++)
        row[r] = w + r * row_bytes;
    for (; t + 5 <= x->n_tokens; t += 5)
        dot_rows(type, row, n_rows, x->x + t * x->n, x->n, 5, y + t * y_stride, y_stride, NULL);
    for (; t < x->n_tokens; t++)
        dot_rows(type, row, n_rows, x->x + t * x->n, x->n, 1, y + t * y_stride, y_stride, NULL);
}

TEMPLATE void matmul_float(struct float_type type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                           const struct acts *x, float *y, size_t y_stride) {
    size_t r = 0;
    if (x->n_tokens < 5) {
        multiply_tiles(type, w, row_bytes, n_rows, x, y, y_stride);
        return;
    }
    for (; r + 5 <= n_rows; r += 5)
        multiply_rows(type, w + r * row_bytes, row_bytes, 5, x, y + r, y_stride);
    for (; r < n_rows; r++)
        multiply_rows(type, w + r * row_bytes, row_bytes, 1, x, y + r, y_stride);
}

void matmul_f32_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    matmul_float((struct float_type){ 4, load16_f32 }, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_f16_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    matmul_float((struct float_type){ 2, load16_f16 }, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_bf16_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    matmul_float((struct float_type){ 2, load16_bf16 }, w, row_bytes, n_rows, x, y, y_stride);
}
