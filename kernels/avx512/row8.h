/* row8.h - the inner loop of W8A8 with many tokens: 64 rows x 6 tokens.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx512. */
#ifndef QUERN_KERNELS_AVX512_ROW8_H
#define QUERN_KERNELS_AVX512_ROW8_H

#include "kernels/avx512/gemm.h"

enum { ROW8_TOKENS = 6 }; /* at once */

/* sum[t][r] += products of n_blocks blocks of 32 of row r of the panel, as unsigned bytes, and of token t,
 * whose q begin q_stride bytes behind those of the token before. sum is aligned to 64. */
void row8_inner_avx512(const struct panel *p, size_t n_blocks, const int8_t *q, size_t q_stride,
                       int32_t sum[ROW8_TOKENS][PANEL_ROWS]);

#endif
