/* matmul.c - y = W x of every quantized type: many tokens by smmla, few as kernels/neon does.
 * SPDX-License-Identifier: MIT */
#include "kernels/neon/level.h"
#include "kernels/neon/types.h"
#include "kernels/neon_i8mm/level.h"

static void multiply32(kernel_matmul *few, const struct type32 *many, const uint8_t *w, size_t row_bytes,
                       size_t n_rows, const struct acts *x, float *y, size_t y_stride) {
    if (x->n_tokens < GEMM_TOKENS)
        few(w, row_bytes, n_rows, x, y, y_stride);
    else
        gemm32_i8mm(many, w, row_bytes, n_rows, x, y, y_stride);
}

static void multiply_super(kernel_matmul *few, const struct super_type *many, const uint8_t *w,
                           size_t row_bytes, size_t n_rows, const struct acts *x, float *y, size_t y_stride) {
    if (x->n_tokens < GEMM_TOKENS)
        few(w, row_bytes, n_rows, x, y, y_stride);
    else
        gemm_super_i8mm(many, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q4_0_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    multiply32(matmul_q4_0_neon, &q4_0_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q4_1_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    multiply32(matmul_q4_1_neon, &q4_1_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q5_0_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    multiply32(matmul_q5_0_neon, &q5_0_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q5_1_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    multiply32(matmul_q5_1_neon, &q5_1_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q8_0_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    multiply32(matmul_q8_0_neon, &q8_0_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq4_nl_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    multiply32(matmul_iq4_nl_neon, &iq4_nl_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_mxfp4_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    multiply32(matmul_mxfp4_neon, &mxfp4_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q2_K_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    multiply_super(matmul_q2_K_neon, &q2_K_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q3_K_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    multiply_super(matmul_q3_K_neon, &q3_K_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q4_K_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    multiply_super(matmul_q4_K_neon, &q4_K_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q5_K_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    multiply_super(matmul_q5_K_neon, &q5_K_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q6_K_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    multiply_super(matmul_q6_K_neon, &q6_K_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq4_xs_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    multiply_super(matmul_iq4_xs_neon, &iq4_xs_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq3_s_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    multiply_super(matmul_iq3_s_neon, &iq3_s_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq3_xxs_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    multiply_super(matmul_iq3_xxs_neon, &iq3_xxs_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_s_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    multiply_super(matmul_iq2_s_neon, &iq2_s_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_xs_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    multiply_super(matmul_iq2_xs_neon, &iq2_xs_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_xxs_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    multiply_super(matmul_iq2_xxs_neon, &iq2_xxs_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq1_s_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    multiply_super(matmul_iq1_s_neon, &iq1_s_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq1_m_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    multiply_super(matmul_iq1_m_neon, &iq1_m_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_tq1_0_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    multiply_super(matmul_tq1_0_neon, &tq1_0_type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_tq2_0_i8mm(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    multiply_super(matmul_tq2_0_neon, &tq2_0_type, w, row_bytes, n_rows, x, y, y_stride);
}
