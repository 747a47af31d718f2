/* iq.c - y = W x for the table types and the ternary types.
 * SPDX-License-Identifier: MIT
 * All weights are multiplied signed. Types whose codebook entries have no vector form here are unpacked by
 * the scalar functions of kernels/c. */
#include "kernels/avx2/level.h"
#include "kernels/avx2/super.h"

#include "formats/blocks.h"
#include "formats/iq_grids.h"

/* ---- The types ---- */

void matmul_iq4_xs_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    const struct gemm_super_type type = { sizeof(struct block_iq4_xs), unpack_iq4_xs, PANEL_SIGNED, 0,
                                          false };
    matmul_super_avx2(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq3_s_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    const struct gemm_super_type type = { sizeof(struct block_iq3_s), unpack_iq3_s, PANEL_SIGNED, 0, false };
    matmul_super_avx2(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq3_xxs_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    const struct gemm_super_type type = { sizeof(struct block_iq3_xxs), unpack_iq3_xxs, PANEL_SIGNED, 0,
                                          false };
    matmul_super_avx2(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_s_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    const struct gemm_super_type type = { sizeof(struct block_iq2_s), unpack_iq2_s, PANEL_SIGNED, 0, false };
    matmul_super_avx2(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_xs_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    const struct gemm_super_type type = { sizeof(struct block_iq2_xs), unpack_iq2_xs, PANEL_SIGNED, 0,
                                          false };
    matmul_super_avx2(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_xxs_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    const struct gemm_super_type type = { sizeof(struct block_iq2_xxs), unpack_iq2_xxs, PANEL_SIGNED, 0,
                                          false };
    matmul_super_avx2(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq1_s_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    const struct gemm_super_type type = { sizeof(struct block_iq1_s), unpack_iq1_s, PANEL_SIGNED, 0, false };
    matmul_super_avx2(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq1_m_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    const struct gemm_super_type type = { sizeof(struct block_iq1_m), unpack_iq1_m, PANEL_SIGNED, 0, false };
    matmul_super_avx2(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_tq1_0_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    const struct gemm_super_type type = { sizeof(struct block_tq1_0), unpack_tq1_0, PANEL_SIGNED, 0, false };
    matmul_super_avx2(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_tq2_0_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    const struct gemm_super_type type = { sizeof(struct block_tq2_0), unpack_tq2_0, PANEL_SIGNED, 0, false };
    matmul_super_avx2(type, w, row_bytes, n_rows, x, y, y_stride);
}
