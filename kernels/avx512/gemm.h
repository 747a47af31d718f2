/* gemm.h - products with many tokens: panels of 32 rows, transposed so that rows are lanes.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx512. A type fills a panel from 256 values of 32 rows; then all tokens are multiplied
 * with it, seven at a time. A dword of a weight register is 4 consecutive values of one row, so a broadcast
 * dword of x serves 16 rows and nothing has to be added across lanes. */
#ifndef QUERN_KERNELS_AVX512_GEMM_H
#define QUERN_KERNELS_AVX512_GEMM_H

#include "kernels/avx512/gemv.h"
#include "kernels/kernels.h"

#include <immintrin.h>

#include <assert.h>
#include <stdalign.h>

enum {
    PANEL_ROWS = 32,
    PANEL_VALUES = 256, /* of each row: 8 blocks of 32, or a super-block */
    TOKENS = 7,         /* at once */
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

static_assert(GEMM_TOKENS >= TOKENS, "a group is full");

struct panel {
    alignas(64) uint8_t w[PANEL_VALUES / 4][2][64]; /* [k / 4][rows / 16][row % 16][4 values] */
    alignas(64) float d[8][PANEL_ROWS];             /* of block i; super-blocks use the first */
    alignas(64) float shift[8][PANEL_ROWS];         /* blocks: -d * BLOCK_BIAS */
    alignas(64) float m[8][PANEL_ROWS];             /* minima likewise */
    bool is_exact;                                  /* blocks: every shift is a finite number */
    /* Super-blocks only */
    alignas(
        64) int32_t scale[16][8][PANEL_ROWS]; /* [sub-block][a - 1][row]: scale * a, words with zero above */
    /* What scaled sums of x are multiplied with, [j / 2][rows / 16][row][j % 2]: (centre - offset) * scale,
     * and minima. j counts the sub-blocks. */
    alignas(64) int16_t centre[8][2][32];
    alignas(64) int16_t min[8][2][32];
    uint32_t norm[16]; /* of each sub-block: largest sum of (w - centre)^2 among the rows */
};

/* Fill p->w[16 c..][half] from 64 bytes of 16 rows, stride apart. */
void panel_fill_weights_avx512(struct panel *p, size_t half, size_t c, const uint8_t *rows, size_t stride);

/* ---- Blocks of 32 ----
 * fl(d * f32(I)) in one operation, without converting I: the integer sum begins at the bits of 1.5 * 2^23. As
 * |I| < 2^22, the float with the sum's bits is then bias + I exactly; d is an f16 or a power of two, so d *
 * bias is exact too, and fma(d, bias + I, -d * bias) rounds d * I once. The sign of a zero may differ from
 * that of d * 0, which no sum shows: acc begins at +0 and becomes -0 only below 2^-149, out of activations
 * below 2^-95. Panels with a d for which d * bias is not finite take the way of few tokens. */

#define BLOCK_BIAS 0x1.8p23f
enum { BLOCK_BIAS_BITS = 0x4b400000 };

/* Blocks [i, i + n_blocks) of n_out rows, the last row several times. */
typedef void fill_blocks(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                         struct panel *p);

struct gemm_block_type {
    fill_blocks *fill;
    kernel_matmul *few; /* the type's own product, called with fewer than GEMM_TOKENS */
    int offset;         /* what the weights of the panel are too large by */
    bool has_min;
};

void gemm_blocks_avx512(const struct gemm_block_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                        const struct acts *x, float *y, size_t y_stride);

/* ---- Super-blocks ----
 * The sum over the 16 or 32 values of a scale is multiplied as a signed word, by one vpdpwssd, where it fits
 * one: |sum| <= sqrt(norm of w * norm of x) <= 32767 (Cauchy-Schwarz), which holds for nearly all contents of
 * nearly all types. Otherwise dwords are multiplied, by three operations on Intel. To make norms small,
 * weights are centred: sums begin at -centre times the sum of x, and what that takes away is added by scaled
 * sums of x. */

struct gemm_super_type {
    size_t block_bytes;
    unpack_super_row *unpack;
    gemv_function *gemv; /* for one token; NULL: as for a few */
    scales_function *scales;
    size_t d_offset, dmin_offset; /* of f16 in a block */
    size_t scale_values;          /* that share a scale: 16 or 32 */
    int offset;                   /* what unpacked weights are too large by */
    int centre;                   /* the offset, or where the middle of the weights is */
    bool has_min;
};

void gemm_super_avx512(const struct gemm_super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                       const struct acts *x, float *y, size_t y_stride);

#endif
