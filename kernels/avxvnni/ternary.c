/* ternary.c - y = W x for the ternary types, with AVX-VNNI.
 * SPDX-License-Identifier: MIT */
#include "kernels/avxvnni/gemm_inner.h"
#include "kernels/avxvnni/level.h"
#include "kernels/avxvnni/dot.h"
#include "kernels/avx2/ternary_unpack.h"
#include "kernels/avx2/super.h"

void matmul_tq1_0_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                          size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_tq1_0),
                                          .unpack = unpack_tq1_0_avx2,
                                          .d_offset = offsetof(struct block_tq1_0, d),
                                          .scale_values = 32,
                                          .offset = 1,
                                          .centre = 1,
                                          .table = TABLE_LOW,
                                          .loop = inner_super_32_words_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_tq2_0_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                          size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_tq2_0),
                                          .unpack = unpack_tq2_0_avx2,
                                          .d_offset = offsetof(struct block_tq2_0, d),
                                          .scale_values = 32,
                                          .offset = 1,
                                          .centre = 1,
                                          .table = TABLE_LOW,
                                          .loop = inner_super_32_words_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}
