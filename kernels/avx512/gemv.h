/* gemv.h - products of one token that have a kernel of their own.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx512. As kernel_matmul, for the one token of x and y [n_rows]; but only as many rows
 * as make full tiles of eight: their number is returned. */
#ifndef QUERN_KERNELS_AVX512_GEMV_H
#define QUERN_KERNELS_AVX512_GEMV_H

#include "kernels/kernels.h"

typedef size_t gemv_function(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                             float *y);

gemv_function gemv_q2_K_avx512, gemv_q3_K_avx512, gemv_q4_K_avx512, gemv_q5_K_avx512, gemv_q6_K_avx512,
    gemv_iq4_xs_avx512;

#endif
