/* gemm.h - products with many tokens: a panel of 16 rows, transposed so that rows are lanes.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx2. A type fills a panel from 256 values of 16 rows; then all tokens are multiplied
 * with it, four at a time. A dword of a weight register is 4 consecutive values of one row, so a broadcast
 * dword of x serves 8 rows, nothing has to be added across lanes, and the products of several dwords are
 * added in 16 bits before vpmaddwd widens them. */
#ifndef QUERN_KERNELS_AVX2_GEMM_H
#define QUERN_KERNELS_AVX2_GEMM_H

#include "kernels/c/unpack.h"
#include "kernels/kernels.h"

#include <stdalign.h>

enum {
    PANEL_ROWS = 16,
    PANEL_VALUES = 256, /* of each row: 8 blocks of 32, or a super-block */
    GEMM_TOKENS = 4,    /* from here on the panel pays for itself */
};

struct panel {
    alignas(32) uint8_t w[PANEL_VALUES / 4][2][32]; /* [k / 4][rows 0..7, 8..15][row][4 values] */
    alignas(32) float d[8][PANEL_ROWS];             /* of block i; super-blocks use the first */
    alignas(32) float m[8][PANEL_ROWS];             /* minima likewise */
    /* Super-blocks only */
    alignas(32) int16_t scale[16][2][16]; /* [sub-block][half][row][twice the scale] */
    alignas(
        32) int16_t pairs[8][2][16]; /* what the sums of x are multiplied with: [j / 2][half][row][j % 2] */
};

/* Fill p->w from rows of PANEL_VALUES bytes, stride apart. */
void panel_fill_weights(struct panel *p, const int8_t *rows, size_t stride);
/* Fill p->scale and, from `pairs`, p->pairs: 16 words of each row, stride bytes apart. */
void panel_fill_scales(struct panel *p, const int16_t *scales, const int16_t *pairs, size_t stride);

/* How products are formed: signed or not, and how many of two products each fit 16 bits. */
enum panel_kind {
    PANEL_UNSIGNED_15, /* 8 * 2 * 15 * 127 = 30480; not for super-blocks with scales per 16 */
    PANEL_UNSIGNED_31, /* 4 * 2 * 31 * 127 = 31496 */
    PANEL_UNSIGNED_63, /* 2 * 2 * 63 * 127 = 32004 */
    PANEL_SIGNED,      /* 1 * 2 * 128 * 127 = 32512 */
    PANEL_KINDS,
};

/* A panel times all tokens of x. Outputs are y [t * y_stride + row], row < n_out; with i = 0 they start at
 * zero, otherwise at what y holds. */
struct panel_job {
    const struct panel *panel;
    const struct acts *x;
    float *y;
    size_t y_stride, n_out;
    size_t i, n_blocks; /* which blocks of a row the panel holds; a super-block counts as one */
    int offset;         /* what the weights of the panel are too large by */
    bool has_min;
};

void panel_multiply_blocks(enum panel_kind kind, const struct panel_job *job);

/* y = W x for super-blocks. */
struct gemm_super_type {
    size_t block_bytes;
    unpack_super_block *unpack;
    enum panel_kind kind;
    int offset;
    bool has_min;
};
void gemm_super(const struct gemm_super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                const struct acts *x, float *y, size_t y_stride);

#endif
