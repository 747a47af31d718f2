/* ternary.c - y = W x for the ternary types.
 * SPDX-License-Identifier: MIT */
#include "kernels/avx2/gemm_inner.h"
#include "kernels/avx2/level.h"
#include "kernels/avx2/dot.h"
#include "kernels/avx2/ternary_unpack.h"
#include "kernels/avx2/super.h"

void matmul_tq1_0_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_tq1_0),
                                          .unpack = unpack_tq1_0_avx2,
                                          .d_offset = offsetof(struct block_tq1_0, d),
                                          .scale_values = 32,
                                          .offset = 1,
                                          .loop = inner_super_32_by_8_avx2 };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_tq2_0_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_tq2_0),
                                          .unpack = unpack_tq2_0_avx2,
                                          .d_offset = offsetof(struct block_tq2_0, d),
                                          .scale_values = 32,
                                          .offset = 1,
                                          .loop = inner_super_32_by_8_avx2 };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}
