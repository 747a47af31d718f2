/* gemm_inner.h - the inner loops of products with many tokens: 32 rows x 3 tokens.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avxvnni. The name says how many values share a scale and whether their sum fits a word,
 * which vpdpwssd scales, or takes a dword. */
#ifndef QUERN_KERNELS_AVXVNNI_GEMM_INNER_H
#define QUERN_KERNELS_AVXVNNI_GEMM_INNER_H

#include "kernels/avx2/gemm.h"

inner_loop inner_super_32_words_avxvnni, inner_super_32_words_min_avxvnni, inner_super_16_words_avxvnni,
    inner_super_16_words_min_avxvnni, inner_super_32_dwords_avxvnni, inner_super_32_dwords_min_avxvnni,
    inner_super_16_dwords_avxvnni;

inner_loop inner_blocks_avxvnni, inner_blocks_min_avxvnni;

#endif
