/* gemm_inner.h - the inner loops of products with many tokens: 64 rows x 3 tokens.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx512. What a loop reads besides weights and scales is gathered before, so that it is
 * addressed by few registers. */
#ifndef QUERN_KERNELS_AVX512_GEMM_INNER_H
#define QUERN_KERNELS_AVX512_GEMM_INNER_H

#include "kernels/avx512/gemm.h"

#include <immintrin.h>

enum { TOKENS = 3 }; /* at once */

struct inner {
    alignas(64) __m512i sum[TOKENS][4]; /* before and after: int32 of super-blocks, floats of blocks of 32 */
    alignas(64) int32_t start[TOKENS][16]; /* of the sums of sub-blocks, in order of k */
    alignas(
        64) int32_t line[TOKENS][16];   /* super-blocks: byte offset of each sub-block's scales in a table */
    alignas(64) float dx[TOKENS][8];    /* blocks: scales of x */
    alignas(64) float x_sum[TOKENS][8]; /* blocks with a minimum: sums of x */
    const int8_t *q;                    /* of token 0 */
    size_t q_stride;
    size_t n_blocks; /* blocks of 32 */
};

typedef void inner_loop(const struct panel *p, struct inner *in);

/* Blocks of 32. */
inner_loop inner_blocks_avx512, inner_blocks_min_avx512;

/* Super-blocks, by values per sum. Words: the sum fits 16 signed bits, and so do scales in the table; only
 * the low words count. */
inner_loop inner_words_16_avx512, inner_words_32_avx512, inner_dwords_16_avx512, inner_dwords_32_avx512;

#endif
