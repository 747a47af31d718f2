/* gemm_inner.h - the inner loops of products with many tokens: 16 rows x 3 tokens.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx2. The name says how many values share a scale and how many products of two bytes
 * are added in 16 bits. */
#ifndef QUERN_KERNELS_AVX2_GEMM_INNER_H
#define QUERN_KERNELS_AVX2_GEMM_INNER_H

#include "kernels/avx2/gemm.h"

/* Unsigned weights below 16 may have 8 added: 8 * 2 * 15 * 127 = 30480; below 32 four: 31496; below 64 two:
 * 32004; below 129 one: 32512. Those without a minimum begin with what an offset contributes. */
inner_loop inner_super_32_by_8_avx2, inner_super_32_by_8_min_avx2, inner_super_32_by_4_min_avx2,
    inner_super_16_by_4_avx2, inner_super_16_by_4_min_avx2, inner_super_16_by_2_avx2;
inner_loop inner_super_words_avx2; /* of the panel's words, which hold weight * scale */

inner_loop inner_blocks_by_8_avx2, inner_blocks_by_8_min_avx2, inner_blocks_by_4_avx2,
    inner_blocks_by_4_min_avx2, inner_blocks_words_avx2;

#endif
