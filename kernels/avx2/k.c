/* k.c - y = W x for the K types.
 * SPDX-License-Identifier: MIT */
#include "kernels/avx2/gemm_inner.h"
#include "kernels/avx2/level.h"
#include "kernels/avx2/dot.h"
#include "kernels/avx2/k_unpack.h"
#include "kernels/avx2/super.h"

void matmul_q2_K_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_q2_K),
                                          .unpack = unpack_q2_K_avx2,
                                          .d_offset = offsetof(struct block_q2_K, d),
                                          .scale_values = 16,
                                          .has_min = true,
                                          .loop = inner_super_16_by_4_min_avx2 };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q3_K_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_q3_K),
                                          .unpack = unpack_q3_K_avx2,
                                          .d_offset = offsetof(struct block_q3_K, d),
                                          .scale_values = 16,
                                          .offset = 4,
                                          .loop = inner_super_16_by_4_avx2 };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q4_K_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_q4_K),
                                          .unpack = unpack_q4_K_avx2,
                                          .d_offset = offsetof(struct block_q4_K, d),
                                          .scale_values = 32,
                                          .has_min = true,
                                          .loop = inner_super_32_by_8_min_avx2 };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q5_K_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_q5_K),
                                          .unpack = unpack_q5_K_avx2,
                                          .d_offset = offsetof(struct block_q5_K, d),
                                          .scale_values = 32,
                                          .has_min = true,
                                          .loop = inner_super_32_by_4_min_avx2 };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q6_K_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_q6_K),
                                          .unpack = unpack_q6_K_avx2,
                                          .d_offset = offsetof(struct block_q6_K, d),
                                          .scale_values = 16,
                                          .offset = 32,
                                          .loop = inner_super_16_by_2_avx2 };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}
