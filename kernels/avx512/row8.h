/* row8.h - the inner loop of W8A8 with many tokens: 64 rows x 6 tokens.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx512. */
#ifndef QUERN_KERNELS_AVX512_ROW8_H
#define QUERN_KERNELS_AVX512_ROW8_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

enum { ROW8_ROWS = 64, ROW8_TOKENS = 6, ROW8_BLOCKS = 8 }; /* at once; blocks of 32 values */

/* Rows as unsigned bytes, 128 too large. */
struct row8_panel {
    alignas(64) uint8_t w[ROW8_BLOCKS * 8][ROW8_ROWS / 16][64]; /* [k / 4][rows / 16][row % 16][4 values] */
};

/* sum[t][r] += products of n_blocks blocks of row r of the panel and of token t, whose q begin q_stride bytes
 * behind those of the token before. sum is aligned to 64. */
void row8_inner_avx512(const struct row8_panel *p, size_t n_blocks, const int8_t *q, size_t q_stride,
                       int32_t sum[ROW8_TOKENS][ROW8_ROWS]);

#endif
