/* gemm.h - products with many tokens: a panel of 64 rows, transposed so that rows are lanes.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx512. A type fills a panel from 256 values of 64 rows; then all tokens are multiplied
 * with it, three at a time. A dword of a weight register is 4 consecutive values of one row, so a broadcast
 * dword of x serves 16 rows and nothing has to be added across lanes. */
#ifndef QUERN_KERNELS_AVX512_GEMM_H
#define QUERN_KERNELS_AVX512_GEMM_H

#include "kernels/kernels.h"

#include <immintrin.h>

#include <stdalign.h>

enum {
    PANEL_ROWS = 64,
    PANEL_VALUES = 256, /* of each row: 8 blocks of 32, or a super-block */
    GEMM_TOKENS = 8,    /* from here on the panel pays for itself */
};

/* A super-block of one row: value i is d * scale[i / 16] * (w[i] - offset) - dmin * min[i / 16], with d, dmin
 * and offset elsewhere. */
struct super_row {
    alignas(64) uint8_t w[256];
    alignas(64) int16_t scale[16];
    int16_t min[16]; /* types with minima only */
};

typedef void unpack_super_row(const uint8_t *block, struct super_row *out);

/* The scales of 8 rows; `offset` says where they stand from each address on. */
typedef __m256 scales_function(const uint8_t *const row[8], size_t offset);

struct panel {
    alignas(64) uint8_t w[PANEL_VALUES / 4][4][64]; /* [k / 4][rows / 16][row % 16][4 values] */
    alignas(64) float d[8][PANEL_ROWS];             /* of block i; super-blocks use the first */
    alignas(64) float m[8][PANEL_ROWS];             /* minima likewise */
    /* Super-blocks only */
    alignas(64) int32_t scale[16][8][PANEL_ROWS]; /* [sub-block][a - 1][row]: scale * a */
    /* What scaled sums of x are multiplied with, [j / 2][rows / 16][row][j % 2]: (centre - offset) * scale,
     * and minima. j counts the sub-blocks. */
    alignas(64) int16_t centre[8][4][32];
    alignas(64) int16_t min[8][4][32];
};

/* Fill p->w[16 c..][quarter] from 64 bytes of 16 rows, stride apart. */
void panel_fill_weights_avx512(struct panel *p, size_t quarter, size_t c, const uint8_t *rows, size_t stride);

/* ---- Blocks of 32 ---- */

/* Blocks [i, i + n_blocks) of n_out rows, the last row several times. */
typedef void fill_blocks(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                         struct panel *p);

struct gemm_block_type {
    fill_blocks *fill;
    int offset; /* what the weights of the panel are too large by */
    bool has_min;
};

void gemm_blocks_avx512(const struct gemm_block_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                        const struct acts *x, float *y, size_t y_stride);

/* ---- Super-blocks ---- */

/* How many values are summed before the scale is applied, the same that share a scale, and whether that sum
 * fits a signed word: then one vpdpwssd scales and adds it, otherwise vpmulld and vpaddd, three operations on
 * Intel. To fit, sums can be centred: weights 0..2c-1 are taken as -c..c-1 by starting the sum at -c times
 * the sum of x. Halving a sum to make it fit does not pay: two sums of 16 for Q5_K, of 8 for Q6_K were slower
 * than vpmulld. */
enum gemm_super_kind {
    GEMM_WORDS_16,  /* c <= 16, as 16 * 16 * 127 = 32512 */
    GEMM_WORDS_32,  /* c <= 8, 32512 */
    GEMM_DWORDS_16, /* any weights */
    GEMM_DWORDS_32,
    GEMM_SUPER_KINDS,
};

struct gemm_super_type {
    size_t block_bytes;
    unpack_super_row *unpack;
    scales_function *scales;
    size_t d_offset, dmin_offset; /* of f16 in a block */
    enum gemm_super_kind kind;
    int offset; /* what unpacked weights are too large by */
    int centre; /* as above; the offset, or without one half of the range */
    bool has_min;
};

void gemm_super_avx512(const struct gemm_super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                       const struct acts *x, float *y, size_t y_stride);

#endif
