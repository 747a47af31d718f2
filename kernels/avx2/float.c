/* float.c - y = W x for weights that are floats: F32, F16, BF16.
 * SPDX-License-Identifier: MIT
 * An output keeps its 16 lanes in two registers. 4 rows of one token, or 2 rows of 3 tokens, are in flight at
 * once: 8 or 12 chains of fma hide its latency of 4 at two a cycle. With many tokens k goes by parts, so that
 * x stays in L1 while 16 rows pass by; lanes wait in memory between two parts. */
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/level.h"

#include <math.h>

struct float_type {
    size_t bytes; /* of a weight */
    load8_function *load8;
    load1_function *load1;
};

enum {
    MAX_ROWS = 4,   /* at once, */
    MAX_TOKENS = 3, /* but not both */
    TILE_ROWS = 16, /* rows that share x in L1 */
    PART = 1024,    /* values of a part; a multiple of 16 */
};

/* The lanes of some rows and tokens. */
typedef float lanes_of_row[MAX_TOKENS][16];

/* sums[r][t] += the products of n values of n_rows rows and n_tokens tokens, which are x_stride apart. */
TEMPLATE void add_products(struct float_type type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                           const float *x, size_t x_stride, size_t n, size_t n_tokens, lanes_of_row *sums) {
    __m256 low[MAX_ROWS][MAX_TOKENS], high[MAX_ROWS][MAX_TOKENS];
    UNROLL
    for (size_t r = 0; r < n_rows; r++) {
        UNROLL
        for (size_t t = 0; t < n_tokens; t++) {
            low[r][t] = _mm256_loadu_ps(sums[r][t]);
            high[r][t] = _mm256_loadu_ps(sums[r][t] + 8);
        }
    }
    size_t k = 0;
    for (; k + 16 <= n; k += 16) {
        UNROLL
        for (size_t r = 0; r < n_rows; r++) {
            const uint8_t *p = w + r * row_bytes + k * type.bytes;
            const __m256 w_low = type.load8(p), w_high = type.load8(p + 8 * type.bytes);
            UNROLL
            for (size_t t = 0; t < n_tokens; t++) {
                low[r][t] = _mm256_fmadd_ps(w_low, _mm256_loadu_ps(x + t * x_stride + k), low[r][t]);
                high[r][t] = _mm256_fmadd_ps(w_high, _mm256_loadu_ps(x + t * x_stride + k + 8), high[r][t]);
            }
        }
    }
    UNROLL
    for (size_t r = 0; r < n_rows; r++) {
        UNROLL
        for (size_t t = 0; t < n_tokens; t++) {
            float *lane = sums[r][t];
            _mm256_storeu_ps(lane, low[r][t]);
            _mm256_storeu_ps(lane + 8, high[r][t]);
            for (size_t i = k; i < n; i++)
                lane[i - k] =
                    fmaf(type.load1(w + r * row_bytes + i * type.bytes), x[t * x_stride + i], lane[i - k]);
        }
    }
}

/* One token: 4 rows at once, each over its whole length and from its own quarter of the rows, so that memory
 * is read as 4 long streams (struct tile has the same for 8). */
TEMPLATE void multiply_token(struct float_type type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                             const float *x, size_t n, float *y) {
    const size_t quarter = n_rows / 4;
    for (size_t r = 0; r < quarter; r++) {
        lanes_of_row sums[4] = { 0 };
        add_products(type, w + r * row_bytes, quarter * row_bytes, 4, x, 0, n, 1, sums);
        for (size_t i = 0; i < 4; i++)
            y[r + i * quarter] = sum16(_mm256_loadu_ps(sums[i][0]), _mm256_loadu_ps(sums[i][0] + 8));
    }
    for (size_t r = 4 * quarter; r < n_rows; r++) {
        lanes_of_row sums[1] = { 0 };
        add_products(type, w + r * row_bytes, row_bytes, 1, x, 0, n, 1, sums);
        y[r] = sum16(_mm256_loadu_ps(sums[0][0]), _mm256_loadu_ps(sums[0][0] + 8));
    }
}

/* Three tokens and at most TILE_ROWS rows, 2 at once. */
TEMPLATE void multiply_tile(struct float_type type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                            const float *x, size_t n, float *y, size_t y_stride) {
    lanes_of_row sums[TILE_ROWS] = { 0 };
    for (size_t k = 0; k < n; k += PART) {
        const size_t part = n - k < PART ? n - k : PART;
        const uint8_t *wk = w + k * type.bytes;
        size_t r = 0;
        for (; r + 2 <= n_rows; r += 2)
            add_products(type, wk + r * row_bytes, row_bytes, 2, x + k, n, part, 3, sums + r);
        if (r < n_rows)
            add_products(type, wk + r * row_bytes, row_bytes, 1, x + k, n, part, 3, sums + r);
    }
    for (size_t r = 0; r < n_rows; r++)
        for (size_t t = 0; t < 3; t++)
            y[t * y_stride + r] = sum16(_mm256_loadu_ps(sums[r][t]), _mm256_loadu_ps(sums[r][t] + 8));
}

TEMPLATE void matmul_float(struct float_type type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                           const struct acts *x, float *y, size_t y_stride) {
    const size_t n = x->n, whole = x->n_tokens / 3 * 3;
    for (size_t r = 0; r < n_rows && whole; r += TILE_ROWS) {
        const size_t rows = n_rows - r < TILE_ROWS ? n_rows - r : TILE_ROWS;
        for (size_t t = 0; t < whole; t += 3)
            multiply_tile(type, w + r * row_bytes, row_bytes, rows, x->x + t * n, n, y + t * y_stride + r,
                          y_stride);
    }
    for (size_t t = whole; t < x->n_tokens; t++)
        multiply_token(type, w, row_bytes, n_rows, x->x + t * n, n, y + t * y_stride);
}

void matmul_f32_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                     size_t y_stride) {
    matmul_float((struct float_type){ 4, load8_f32, load1_f32 }, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_f16_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                     size_t y_stride) {
    matmul_float((struct float_type){ 2, load8_f16, load1_f16 }, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_bf16_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    matmul_float((struct float_type){ 2, load8_bf16, load1_bf16 }, w, row_bytes, n_rows, x, y, y_stride);
}
