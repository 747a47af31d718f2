/* float.c - y = W x for weights that are floats: F32, F16, BF16.
 * SPDX-License-Identifier: MIT
 * An output keeps its 16 lanes in two registers over the whole row. 4 rows of one token, or 2 rows of 3
 * tokens, are in flight at once: 8 or 12 chains of fma hide its latency of 4 at two a cycle. */
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/level.h"

#include <math.h>

struct float_type {
    size_t bytes; /* of a weight */
    load8_function *load8;
    load1_function *load1;
};

enum { MAX_ROWS = 4, MAX_TOKENS = 3 };

/* y[t][r] for n_rows x n_tokens outputs. next: what is prefetched meanwhile, as much as is read, or NULL. */
TEMPLATE void dot_rows(struct float_type type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                       const float *x, size_t n, size_t n_tokens, float *y, size_t y_stride,
                       const uint8_t *next) {
    __m256 low[MAX_ROWS][MAX_TOKENS], high[MAX_ROWS][MAX_TOKENS];
    UNROLL
    for (size_t r = 0; r < n_rows; r++) {
        UNROLL
        for (size_t t = 0; t < n_tokens; t++)
            low[r][t] = high[r][t] = _mm256_setzero_ps();
    }
    size_t k = 0;
    for (; k + 16 <= n; k += 16) {
        UNROLL
        for (size_t r = 0; r < n_rows; r++) {
            const uint8_t *p = w + r * row_bytes + k * type.bytes;
            const __m256 w_low = type.load8(p), w_high = type.load8(p + 8 * type.bytes);
            UNROLL
            for (size_t t = 0; t < n_tokens; t++) {
                low[r][t] = _mm256_fmadd_ps(w_low, _mm256_loadu_ps(x + t * n + k), low[r][t]);
                high[r][t] = _mm256_fmadd_ps(w_high, _mm256_loadu_ps(x + t * n + k + 8), high[r][t]);
            }
        }
        if (next)
            prefetch(next + k * type.bytes * n_rows, 16 * type.bytes * n_rows);
    }
    UNROLL
    for (size_t r = 0; r < n_rows; r++) {
        UNROLL
        for (size_t t = 0; t < n_tokens; t++) {
            float lane[16];
            _mm256_storeu_ps(lane, low[r][t]);
            _mm256_storeu_ps(lane + 8, high[r][t]);
            for (size_t i = k; i < n; i++)
                lane[i - k] = fmaf(type.load1(w + r * row_bytes + i * type.bytes), x[t * n + i], lane[i - k]);
            y[t * y_stride + r] = sum16(_mm256_loadu_ps(lane), _mm256_loadu_ps(lane + 8));
        }
    }
}

TEMPLATE void matmul_float(struct float_type type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                           const struct acts *x, float *y, size_t y_stride) {
    size_t n = x->n;
    for (size_t r = 0; r < n_rows;) {
        size_t rows = n_rows - r >= 4 ? 4 : 1, t = 0;
        const uint8_t *wr = w + r * row_bytes, *next = n_rows - r >= 8 ? wr + 4 * row_bytes : NULL;
        for (; t + 3 <= x->n_tokens; t += 3, next = NULL) {
            const float *xt = x->x + t * n;
            float *yt = y + t * y_stride + r;
            if (rows == 4) {
                dot_rows(type, wr, row_bytes, 2, xt, n, 3, yt, y_stride, next);
                dot_rows(type, wr + 2 * row_bytes, row_bytes, 2, xt, n, 3, yt + 2, y_stride,
                         next ? next + 2 * row_bytes : NULL);
            } else {
                dot_rows(type, wr, row_bytes, 1, xt, n, 3, yt, y_stride, NULL);
            }
        }
        for (; t < x->n_tokens; t++, next = NULL) {
            if (rows == 4)
                dot_rows(type, wr, row_bytes, 4, x->x + t * n, n, 1, y + t * y_stride + r, y_stride, next);
            else
                dot_rows(type, wr, row_bytes, 1, x->x + t * n, n, 1, y + t * y_stride + r, y_stride, NULL);
        }
        r += rows;
    }
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
