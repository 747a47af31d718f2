/* dot.h - products of 32 bytes with AVX-VNNI, for the templates of kernels/avx2.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avxvnni. The same functions as in kernels/avx2/dot.h. */
#ifndef QUERN_KERNELS_AVXVNNI_DOT_H
#define QUERN_KERNELS_AVXVNNI_DOT_H

#include "kernels/avx2/avx2.h"

/* Sums of four products each. */
TEMPLATE __m256i dot32(bool is_signed, __m256i w, const int8_t *q) {
    const __m256i x = load256(q), zero = _mm256_setzero_si256();
    return is_signed ? _mm256_dpbusd_avx_epi32(zero, _mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
                     : _mm256_dpbusd_avx_epi32(zero, w, x);
}

/* sum + the products of 32 w and x, times the words of scales. Assembly, because GCC keeps copies of x on the
 * stack. */
TEMPLATE __m256i add_products(bool is_signed, __m256i sum, __m256i w, const int8_t *q, __m256i scales) {
    const __m256i_u *x = (const void *)q;
    __m256i p;
    if (is_signed)
        p = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(*x, w));
    else
        __asm__("vpmaddubsw %[x], %[w], %[p]" : [p] "=x"(p) : [w] "x"(w), [x] "m"(*x));
    return _mm256_dpwssd_avx_epi32(sum, p, scales);
}

#endif
