/* iq.c - y = W x for the table types, with AVX-VNNI.
 * SPDX-License-Identifier: MIT */
#include "kernels/avxvnni/gemm_inner.h"
#include "kernels/avxvnni/level.h"
#include "kernels/avxvnni/dot.h"
#include "kernels/avx2/iq_unpack.h"
#include "kernels/avx2/super.h"

/* Values of both signs; their scale is d, or what unpacking says it is. */
TEMPLATE struct gemm_super_type table_type(size_t block_bytes, unpack_super_block *unpack, size_t d_offset,
                                           size_t scale_values) {
    return (struct gemm_super_type){ .block_bytes = block_bytes,
                                     .unpack = unpack,
                                     .d_offset = d_offset,
                                     .scale_values = scale_values,
                                     .is_signed = true,
                                     .centre = 128,
                                     .table = TABLE_DWORD,
                                     .loop = scale_values == 32 ? inner_super_32_dwords_avxvnni
                                                                : inner_super_16_dwords_avxvnni };
}

void matmul_iq4_xs_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                           size_t y_stride) {
    matmul_super(
        table_type(sizeof(struct block_iq4_xs), unpack_iq4_xs_avx2, offsetof(struct block_iq4_xs, d), 32), w,
        row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq3_s_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                          size_t y_stride) {
    matmul_super(
        table_type(sizeof(struct block_iq3_s), unpack_iq3_s_avx2, offsetof(struct block_iq3_s, d), 32), w,
        row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq3_xxs_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                            size_t y_stride) {
    matmul_super(table_type(sizeof(struct block_iq3_xxs), unpack_iq3_xxs_avx2, NO_D_OFFSET, 32), w, row_bytes,
                 n_rows, x, y, y_stride);
}

void matmul_iq2_s_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                          size_t y_stride) {
    matmul_super(table_type(sizeof(struct block_iq2_s), unpack_iq2_s_avx2, NO_D_OFFSET, 16), w, row_bytes,
                 n_rows, x, y, y_stride);
}

void matmul_iq2_xs_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                           size_t y_stride) {
    matmul_super(table_type(sizeof(struct block_iq2_xs), unpack_iq2_xs_avx2, NO_D_OFFSET, 16), w, row_bytes,
                 n_rows, x, y, y_stride);
}

void matmul_iq2_xxs_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                            size_t y_stride) {
    matmul_super(table_type(sizeof(struct block_iq2_xxs), unpack_iq2_xxs_avx2, NO_D_OFFSET, 32), w, row_bytes,
                 n_rows, x, y, y_stride);
}

void matmul_iq1_s_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                          size_t y_stride) {
    matmul_super(table_type(sizeof(struct block_iq1_s), unpack_iq1_s_avx2, NO_D_OFFSET, 32), w, row_bytes,
                 n_rows, x, y, y_stride);
}

void matmul_iq1_m_avxvnni(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                          size_t y_stride) {
    matmul_super(table_type(sizeof(struct block_iq1_m), unpack_iq1_m_avx2, NO_D_OFFSET, 16), w, row_bytes,
                 n_rows, x, y, y_stride);
}
