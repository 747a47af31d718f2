/* gemm_inner.h - the inner loops of products with many tokens: 32 rows x 7 tokens.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx512. */
#ifndef QUERN_KERNELS_AVX512_GEMM_INNER_H
#define QUERN_KERNELS_AVX512_GEMM_INNER_H

#include "kernels/avx512/gemm.h"

/* What super-blocks of tokens bring besides their values; sub-blocks of 16 or 32, as the weights' scales. */
struct group_super {
    const int32_t *line[TOKENS][16]; /* of the panel's scale table, for each sub-block */
    int16_t g[TOKENS][16];           /* scaled sums of x, of 16 or 32 values */
    uint32_t norm[16];               /* largest sum of squares of a sub-block among the tokens */
    float d[TOKENS];
};

/* The same of blocks of 32. */
struct group_blocks {
    float d[TOKENS][16];
    float sum[TOKENS][16]; /* of the quants */
};

/* Seven tokens and 256 values of each. */
struct group {
    const int8_t *q[TOKENS]; /* where they are: a copy would cost more than the distance between them */
    alignas(64) int32_t start[TOKENS][16]; /* what the sum of each block or sub-block begins with */
    union {
        struct group_super super;
        struct group_blocks blocks;
    };
};

/* A super-block of a panel times a group, added to acc: I = sum over sub-blocks of scale * a * (start + sum
 * w*x), by values per sub-block. Words: the inner sum fits 16 signed bits, and the table's upper words are
 * zero; then one vpdpwssd scales and adds, where dwords take vpmulld (two operations on Intel) and vpaddd. */
struct super_step {
    const struct panel *panel;
    const struct group *group;
    float (*acc)[PANEL_ROWS];       /* [TOKENS] */
    const int16_t (*centre)[2][32]; /* of the panel; NULL: the centre is the offset */
    const int16_t (*min)[2][32];    /* of the panel; NULL: the type has none */
    size_t pairs;                   /* of sub-blocks */
    const int16_t *g;               /* of the group */
    const float *d, *dmin, *dx;     /* of the panel; dx: of the group */
};
typedef void inner_super(const struct super_step *step);
inner_super inner_words_16_avx512, inner_words_32_avx512, inner_dwords_16_avx512, inner_dwords_32_avx512;

/* n_blocks blocks of 32, added to acc; start holds INNER_BIAS_BITS minus the offset's part. */
typedef void inner_blocks(const struct panel *p, const struct group *g, size_t n_blocks,
                          float acc[TOKENS][PANEL_ROWS]);
inner_blocks inner_blocks_avx512, inner_blocks_min_avx512;

#endif
