/* k.c - y = W x for the K types, with AVX-VNNI.
 * SPDX-License-Identifier: MIT */
#include "kernels/avxvnni/gemm_inner.h"
#include "kernels/avxvnni/level.h"
#include "kernels/avxvnni/dot.h"
#include "kernels/avx2/k_unpack.h"
#include "kernels/avx2/super.h"

void matmul_q2_K_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_q2_K),
                                          .unpack = unpack_q2_K_avx2,
                                          .d_offset = offsetof(struct block_q2_K, d),
                                          .scale_values = 16,
                                          .has_min = true,
                                          .table = TABLE_LOW,
                                          .loop = inner_super_16_words_min_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q3_K_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_q3_K),
                                          .unpack = unpack_q3_K_avx2,
                                          .d_offset = offsetof(struct block_q3_K, d),
                                          .scale_values = 16,
                                          .offset = 4,
                                          .centre = 4,
                                          .table = TABLE_LOW,
                                          .loop = inner_super_16_words_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q4_K_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_q4_K),
                                          .unpack = unpack_q4_K_avx2,
                                          .d_offset = offsetof(struct block_q4_K, d),
                                          .scale_values = 32,
                                          .has_min = true,
                                          .centre = 8,
                                          .table = TABLE_LOW,
                                          .loop = inner_super_32_words_min_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q5_K_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_q5_K),
                                          .unpack = unpack_q5_K_avx2,
                                          .d_offset = offsetof(struct block_q5_K, d),
                                          .scale_values = 32,
                                          .has_min = true,
                                          .table = TABLE_DWORD,
                                          .loop = inner_super_32_dwords_min_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q6_K_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_q6_K),
                                          .unpack = unpack_q6_K_avx2,
                                          .d_offset = offsetof(struct block_q6_K, d),
                                          .scale_values = 16,
                                          .offset = 32,
                                          .centre = 32,
                                          .table = TABLE_DWORD,
                                          .loop = inner_super_16_dwords_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}
