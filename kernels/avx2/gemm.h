/* gemm.h - products with many tokens: panels of 16 rows, transposed so that rows are lanes.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx2 and to kernels/avxvnni, which has inner loops of its own. A type fills panels from
 * 256 values of 32 rows; then the tokens of a tile are multiplied with them, three at a time. A dword of a
 * weight register is 4 consecutive values of one row, so a broadcast dword of x serves 8 rows and nothing has
 * to be added across lanes. */
#ifndef QUERN_KERNELS_AVX2_GEMM_H
#define QUERN_KERNELS_AVX2_GEMM_H

#include "kernels/c/unpack.h"
#include "kernels/kernels.h"

#include <stdalign.h>

enum {
    PANEL_ROWS = 16,
    PANEL_VALUES = 256, /* of each row: 8 blocks of 32, or a super-block */
    PANELS = 2,         /* at once */
    TOKENS = 3,         /* at once */
    GEMM_TOKENS = 4,    /* from here on panels pay for themselves */
};

struct panel {
    union { /* [k / 4][rows 0..7, 8..15][row][4 values], [k / 2][half][row][2 values] */
        alignas(32) uint8_t w[PANEL_VALUES / 4][2][32];
        alignas(32) int16_t words[PANEL_VALUES / 2][2][16];
    };
    /* Of block i; super-blocks use the first. Blocks: d_bias is -d * SUM_BIAS. */
    alignas(32) float d[8][PANEL_ROWS];
    alignas(32) float d_bias[8][PANEL_ROWS];
    alignas(32) float m[8][PANEL_ROWS];
    bool is_finite; /* all of d_bias */
    /* Super-blocks of bytes: scale * a in the form that the loop takes, [sub-block][a - 1][row], and what the
     * sums g of x are multiplied with for the total and the minimum, [j / 2][half][row][j % 2]. */
    alignas(32) int32_t scale[16][8][PANEL_ROWS];
    alignas(32) int16_t pairs[8][2][16];
    alignas(32) int16_t min[8][2][16];
};

/* What a loop reads besides the panel, gathered before, so that few registers address it. */
struct inner {
    alignas(32) int16_t words[TOKENS][PANEL_VALUES];   /* x, times its sub-scales */
    alignas(32) uint16_t line[TOKENS][16];             /* super-blocks: offset of each sub-block's scales */
    alignas(32) int32_t start[TOKENS][16];             /* of the sums of a block or sub-block */
    alignas(32) float dx[TOKENS][8], x_sum[TOKENS][8]; /* scales of x; blocks: its sums */
    /* Room for a loop */
    alignas(32) int16_t half[TOKENS][2 * PANEL_ROWS];
    alignas(32) int32_t total[PANELS][TOKENS][PANEL_ROWS];
    /* Of token 0, and bytes from token to token */
    const int8_t *q;  /* x */
    const int16_t *g; /* super-blocks: scaled sums of x */
    size_t q_stride, g_stride;
    size_t n_blocks; /* blocks: of the panel */
    float *acc;      /* [PANELS][TOKENS][PANEL_ROWS], added to */
};

/* p: [PANELS] */
typedef void inner_loop(const struct panel *p, struct inner *in);

/* The bits of this float plus an integer I, |I| < 2^22, are the float SUM_BIAS + I: so fma(d, that, -d *
 * SUM_BIAS) is fl(d * f32(I)), without a conversion. d is an f16 or a power of two: d * SUM_BIAS is exact. */
#define SUM_BIAS 12582912.0f /* 1.5 * 2^23 */
enum { SUM_BIAS_BITS = 0x4b400000 };

/* Fill p->w (p->words) from 8 rows, the half-th of the panel: PANEL_VALUES bytes (words) each, stride bytes
 * apart. */
void panel_fill_weights_avx2(struct panel *p, size_t half, const int8_t *rows, size_t stride);
void panel_fill_words_avx2(struct panel *p, size_t half, const int16_t *rows, size_t stride);

/* Blocks [i, i + n_blocks) of 8 rows, the half-th of the panel: weights, d and m. */
typedef void fill_function(const uint8_t *const row[8], size_t i, size_t n_blocks, size_t half,
                           struct panel *p);

/* y = W x for blocks of 32. */
struct gemm_block_type {
    fill_function *fill;
    inner_loop *loop;
    bool is_words; /* the loop takes words */
    int offset;    /* what the panel's weights are too large by */
};
void gemm_blocks_avx2(const struct gemm_block_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                      const struct acts *x, float *y, size_t y_stride);

/* What stands in a panel's table of scales. */
enum scale_table {
    TABLE_TWICE, /* scale * a in both words of a dword */
    TABLE_LOW,   /* in the low one, the other is zero */
    TABLE_DWORD, /* as a dword */
};

#define NO_D_OFFSET SIZE_MAX

/* y = W x for super-blocks. */
struct gemm_super_type {
    size_t block_bytes;
    unpack_super_block *unpack;
    size_t d_offset;     /* of the f16 d, behind which dmin stands, in a block; NO_D_OFFSET: unpack says */
    size_t scale_values; /* which share a scale: 16, 32 */
    bool is_signed;      /* unpack gives signed weights; otherwise quants, */
    int offset;          /* which are too large by this */
    bool has_min;
    /* For many tokens */
    inner_loop *loop;
    bool is_words; /* the loop takes words: w * scale; otherwise bytes, signed ones with 128 added */
    int centre;    /* the sums of a sub-block start at minus this times the sum of x */
    enum scale_table table;
};
void gemm_super_avx2(const struct gemm_super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                     const struct acts *x, float *y, size_t y_stride);

#endif
