/* block32.c - y = W x for the types in blocks of 32.
 * SPDX-License-Identifier: MIT */
#include "kernels/avx2/gemm_inner.h"
#include "kernels/avx2/level.h"
#include "kernels/avx2/dot.h"
#include "kernels/avx2/block32.h"

static fill_function fill_q4_0;
static inline struct type32 type_q4_0(void) {
    return (struct type32){ .block_bytes = sizeof(struct block_q4_0),
                            .unpack = unpack_q4_0_avx2,
                            .scales = gather8_f16,
                            .offset = 8,
                            .fill = fill_q4_0,
                            .loop = inner_blocks_by_8_avx2 };
}

static void fill_q4_0(const uint8_t *const row[8], size_t i, size_t n_blocks, size_t half, struct panel *p) {
    fill_panel(type_q4_0(), row, i, n_blocks, half, p);
}

void matmul_q4_0_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    matmul32(type_q4_0(), w, row_bytes, n_rows, x, y, y_stride);
}

static fill_function fill_q4_1;
static inline struct type32 type_q4_1(void) {
    return (struct type32){ .block_bytes = sizeof(struct block_q4_1),
                            .unpack = unpack_q4_1_avx2,
                            .scales = gather8_f16,
                            .min_offset = offsetof(struct block_q4_1, m),
                            .fill = fill_q4_1,
                            .loop = inner_blocks_by_8_min_avx2 };
}

static void fill_q4_1(const uint8_t *const row[8], size_t i, size_t n_blocks, size_t half, struct panel *p) {
    fill_panel(type_q4_1(), row, i, n_blocks, half, p);
}

void matmul_q4_1_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    matmul32(type_q4_1(), w, row_bytes, n_rows, x, y, y_stride);
}

static fill_function fill_q5_0;
static inline struct type32 type_q5_0(void) {
    return (struct type32){ .block_bytes = sizeof(struct block_q5_0),
                            .unpack = unpack_q5_0_avx2,
                            .scales = gather8_f16,
                            .offset = 16,
                            .fill = fill_q5_0,
                            .loop = inner_blocks_by_4_avx2 };
}

static void fill_q5_0(const uint8_t *const row[8], size_t i, size_t n_blocks, size_t half, struct panel *p) {
    fill_panel(type_q5_0(), row, i, n_blocks, half, p);
}

void matmul_q5_0_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    matmul32(type_q5_0(), w, row_bytes, n_rows, x, y, y_stride);
}

static fill_function fill_q5_1;
static inline struct type32 type_q5_1(void) {
    return (struct type32){ .block_bytes = sizeof(struct block_q5_1),
                            .unpack = unpack_q5_1_avx2,
                            .scales = gather8_f16,
                            .min_offset = offsetof(struct block_q5_1, m),
                            .fill = fill_q5_1,
                            .loop = inner_blocks_by_4_min_avx2 };
}

static void fill_q5_1(const uint8_t *const row[8], size_t i, size_t n_blocks, size_t half, struct panel *p) {
    fill_panel(type_q5_1(), row, i, n_blocks, half, p);
}

void matmul_q5_1_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    matmul32(type_q5_1(), w, row_bytes, n_rows, x, y, y_stride);
}

static fill_function fill_q8_0;
static inline struct type32 type_q8_0(void) {
    return (struct type32){ .block_bytes = sizeof(struct block_q8_0),
                            .unpack = unpack_q8_0_avx2,
                            .scales = gather8_f16,
                            .is_signed = true,
                            .fill = fill_q8_0,
                            .loop = inner_blocks_words_avx2,
                            .is_words = true };
}

static void fill_q8_0(const uint8_t *const row[8], size_t i, size_t n_blocks, size_t half, struct panel *p) {
    fill_panel(type_q8_0(), row, i, n_blocks, half, p);
}

void matmul_q8_0_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    matmul32(type_q8_0(), w, row_bytes, n_rows, x, y, y_stride);
}

static fill_function fill_iq4_nl;
static inline struct type32 type_iq4_nl(void) {
    return (struct type32){ .block_bytes = sizeof(struct block_iq4_nl),
                            .unpack = unpack_iq4_nl_avx2,
                            .scales = gather8_f16,
                            .is_signed = true,
                            .fill = fill_iq4_nl,
                            .loop = inner_blocks_words_avx2,
                            .is_words = true };
}

static void fill_iq4_nl(const uint8_t *const row[8], size_t i, size_t n_blocks, size_t half,
                        struct panel *p) {
    fill_panel(type_iq4_nl(), row, i, n_blocks, half, p);
}

void matmul_iq4_nl_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    matmul32(type_iq4_nl(), w, row_bytes, n_rows, x, y, y_stride);
}

static fill_function fill_mxfp4;
static inline struct type32 type_mxfp4(void) {
    return (struct type32){ .block_bytes = sizeof(struct block_mxfp4),
                            .unpack = unpack_mxfp4_avx2,
                            .scales = scales_e8m0,
                            .offset = 12,
                            .fill = fill_mxfp4,
                            .loop = inner_blocks_by_4_avx2 };
}

static void fill_mxfp4(const uint8_t *const row[8], size_t i, size_t n_blocks, size_t half, struct panel *p) {
    fill_panel(type_mxfp4(), row, i, n_blocks, half, p);
}

void matmul_mxfp4_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    matmul32(type_mxfp4(), w, row_bytes, n_rows, x, y, y_stride);
}
