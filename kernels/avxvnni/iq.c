/* iq.c - y = W x for the table types, with AVX-VNNI.
 * SPDX-License-Identifier: MIT */
#include "kernels/avxvnni/gemm_inner.h"
#include "kernels/avxvnni/level.h"
#include "kernels/avxvnni/dot.h"
#include "kernels/avx2/iq_unpack.h"
#include "kernels/avx2/super.h"

void matmul_iq4_xs_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                           size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_iq4_xs),
                                          .unpack = unpack_iq4_xs_avx2,
                                          .d_offset = NO_D_OFFSET,
                                          .scale_values = 32,
                                          .is_signed = true,
                                          .centre = 128,
                                          .table = TABLE_DWORD,
                                          .loop = inner_super_32_dwords_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq3_s_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                          size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_iq3_s),
                                          .unpack = unpack_iq3_s_avx2,
                                          .d_offset = NO_D_OFFSET,
                                          .scale_values = 32,
                                          .is_signed = true,
                                          .centre = 128,
                                          .table = TABLE_DWORD,
                                          .loop = inner_super_32_dwords_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq3_xxs_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                            size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_iq3_xxs),
                                          .unpack = unpack_iq3_xxs_avx2,
                                          .d_offset = NO_D_OFFSET,
                                          .scale_values = 32,
                                          .is_signed = true,
                                          .centre = 128,
                                          .table = TABLE_DWORD,
                                          .loop = inner_super_32_dwords_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_s_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                          size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_iq2_s),
                                          .unpack = unpack_iq2_s_avx2,
                                          .d_offset = NO_D_OFFSET,
                                          .scale_values = 16,
                                          .is_signed = true,
                                          .centre = 128,
                                          .table = TABLE_DWORD,
                                          .loop = inner_super_16_dwords_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_xs_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                           size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_iq2_xs),
                                          .unpack = unpack_iq2_xs_avx2,
                                          .d_offset = NO_D_OFFSET,
                                          .scale_values = 16,
                                          .is_signed = true,
                                          .centre = 128,
                                          .table = TABLE_DWORD,
                                          .loop = inner_super_16_dwords_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_xxs_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                            size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_iq2_xxs),
                                          .unpack = unpack_iq2_xxs_avx2,
                                          .d_offset = NO_D_OFFSET,
                                          .scale_values = 32,
                                          .is_signed = true,
                                          .centre = 128,
                                          .table = TABLE_DWORD,
                                          .loop = inner_super_32_dwords_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq1_s_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                          size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_iq1_s),
                                          .unpack = unpack_iq1_s_avx2,
                                          .d_offset = NO_D_OFFSET,
                                          .scale_values = 32,
                                          .is_signed = true,
                                          .centre = 128,
                                          .table = TABLE_DWORD,
                                          .loop = inner_super_32_dwords_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq1_m_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                          size_t y_stride) {
    const struct gemm_super_type type = { .block_bytes = sizeof(struct block_iq1_m),
                                          .unpack = unpack_iq1_m_avx2,
                                          .d_offset = NO_D_OFFSET,
                                          .scale_values = 16,
                                          .is_signed = true,
                                          .centre = 128,
                                          .table = TABLE_DWORD,
                                          .loop = inner_super_16_dwords_avxvnni };
    matmul_super(type, w, row_bytes, n_rows, x, y, y_stride);
}
