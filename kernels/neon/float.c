/* float.c - y = W x for weights that are floats: F32, F16, BF16.
 * SPDX-License-Identifier: MIT
 * An output keeps its 16 lanes in four registers. 4 rows of one token, or 2 rows of 3 tokens, are in flight
 * at once: 16 or 24 chains of fma, as many as four pipes with a latency of 4 want. With many tokens k goes by
 * parts, so that x stays in L1 while 16 rows pass by; lanes wait in memory between two parts. Per 16 values
 * of 2 rows and 3 tokens: 24 fma, 8 loads of weights (and 8 conversions), 12 of x. */
#include "kernels/neon/level.h"
#include "kernels/neon/neon.h"

#include <math.h>

struct float_type {
    size_t bytes; /* of a weight */
    load4_function *load4;
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
    struct lanes s[MAX_ROWS][MAX_TOKENS];
    UNROLL
    for (size_t r = 0; r < n_rows; r++) {
        UNROLL
        for (size_t t = 0; t < n_tokens; t++)
            s[r][t] = load_lanes(sums[r][t]);
    }
    size_t k = 0;
    for (; k + 16 <= n; k += 16) {
        UNROLL
        for (size_t c = 0; c < 4; c++) {
            float32x4_t xc[MAX_TOKENS];
            UNROLL
            for (size_t t = 0; t < n_tokens; t++)
                xc[t] = vld1q_f32(x + t * x_stride + k + 4 * c);
            UNROLL
            for (size_t r = 0; r < n_rows; r++) {
                const float32x4_t wc = type.load4(w + r * row_bytes + (k + 4 * c) * type.bytes);
                UNROLL
                for (size_t t = 0; t < n_tokens; t++)
                    s[r][t].v[c] = vfmaq_f32(s[r][t].v[c], wc, xc[t]);
            }
        }
    }
    UNROLL
    for (size_t r = 0; r < n_rows; r++) {
        UNROLL
        for (size_t t = 0; t < n_tokens; t++) {
            float *lane = sums[r][t];
            store_lanes(lane, &s[r][t]);
            for (size_t i = k; i < n; i++)
                lane[i - k] =
                    fmaf(type.load1(w + r * row_bytes + i * type.bytes), x[t * x_stride + i], lane[i - k]);
        }
    }
}

static inline float sum_lanes_of(const float lane[16]) {
    const struct lanes s = load_lanes(lane);
    return sum16(&s);
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
            y[r + i * quarter] = sum_lanes_of(sums[i][0]);
    }
    for (size_t r = 4 * quarter; r < n_rows; r++) {
        lanes_of_row sums[1] = { 0 };
        add_products(type, w + r * row_bytes, row_bytes, 1, x, 0, n, 1, sums);
        y[r] = sum_lanes_of(sums[0][0]);
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
            y[t * y_stride + r] = sum_lanes_of(sums[r][t]);
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

void matmul_f32_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                     size_t y_stride) {
    matmul_float((struct float_type){ 4, load4_f32, load1_f32 }, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_f16_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                     size_t y_stride) {
    matmul_float((struct float_type){ 2, load4_f16, load1_f16 }, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_bf16_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    matmul_float((struct float_type){ 2, load4_bf16, load1_bf16 }, w, row_bytes, n_rows, x, y, y_stride);
}
