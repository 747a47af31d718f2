/* float.c - y = W x for weights that are floats: F32, F16, BF16.
 * SPDX-License-Identifier: MIT
 * The rule of 16 lanes: kernels.h, ACT_F32. A row that is no multiple of 16 leaves its last lanes one step
 * shorter; nothing is padded. */
#include "kernels/c/level.h"
#include "kernels/c/scalar.h"

#include <math.h>

typedef float load_weight(const void *p);

static inline void matmul_lanes(load_weight *load, size_t weight_bytes, const uint8_t *w, size_t row_bytes,
                                size_t n_rows, const struct acts *x, float *y, size_t y_stride) {
    for (size_t r = 0; r < n_rows; r++) {
        const uint8_t *row = w + r * row_bytes;
        for (size_t t = 0; t < x->n_tokens; t++) {
            const float *xt = x->x + t * x->n;
            float lane[16] = { 0 };
            for (size_t k = 0; k < x->n; k++)
                lane[k % 16] = fmaf(load(row + k * weight_bytes), xt[k], lane[k % 16]);
            y[t * y_stride + r] = sum_lanes(lane);
        }
    }
}

void matmul_f32_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                  size_t y_stride) {
    matmul_lanes(load_f32, 4, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_f16_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                  size_t y_stride) {
    matmul_lanes(load_half, 2, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_bf16_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                   size_t y_stride) {
    matmul_lanes(load_bfloat, 2, w, row_bytes, n_rows, x, y, y_stride);
}
