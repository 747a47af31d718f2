/* dot.h - products of 32 bytes: what the templates take from a level.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx2. Included before super.h and block32.h, which kernels/avxvnni includes with a dot.h
 * of its own.
 *
 * vpmaddubsw multiplies unsigned by signed bytes and saturates at 16 bits. Quants up to 128 are its unsigned
 * operand as they are; signed weights are |w| times x with the sign of w: 2 * 128 * 127 = 32512, also for the
 * -128 that Q8_0 allows, because x is never -128. */
#ifndef QUERN_KERNELS_AVX2_DOT_H
#define QUERN_KERNELS_AVX2_DOT_H

#include "kernels/avx2/avx2.h"

/* Sums of four products each. */
TEMPLATE __m256i dot32(bool is_signed, __m256i w, const int8_t *q) {
    const __m256i x = load256(q);
    const __m256i pairs = is_signed ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
                                    : _mm256_maddubs_epi16(w, x);
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* The same of 64, in sums of eight; unsigned ones up to 64, of which four products fit 16 bits. */
TEMPLATE __m256i dot64(bool is_signed, __m256i w, __m256i x, __m256i w1, __m256i x1) {
    const __m256i one = _mm256_set1_epi16(1);
    if (is_signed)
        return _mm256_add_epi32(
            _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)), one),
            _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w1), _mm256_sign_epi8(x1, w1)), one));
    return _mm256_madd_epi16(_mm256_add_epi16(_mm256_maddubs_epi16(w, x), _mm256_maddubs_epi16(w1, x1)), one);
}

/* sum + the products of 32 w and x, times the words of scales. Assembly, because GCC rearranges a chain of
 * additions into a tree, for which it keeps every operand, on the stack. */
TEMPLATE __m256i add_products(bool is_signed, __m256i sum, __m256i w, const int8_t *q, __m256i scales) {
    const __m256i_u *x = (const void *)q;
    __m256i p;
    if (is_signed)
        __asm__("vpmaddubsw %[x], %[w], %[p]\n\t"
                "vpmaddwd %[scales], %[p], %[p]\n\t"
                "vpaddd %[p], %[sum], %[sum]"
                : [sum] "+x"(sum), [p] "=&x"(p)
                : [w] "x"(_mm256_abs_epi8(w)), [x] "x"(_mm256_sign_epi8(*x, w)), [scales] "x"(scales));
    else
        __asm__("vpmaddubsw %[x], %[w], %[p]\n\t"
                "vpmaddwd %[scales], %[p], %[p]\n\t"
                "vpaddd %[p], %[sum], %[sum]"
                : [sum] "+x"(sum), [p] "=&x"(p)
                : [w] "x"(w), [x] "m"(*x), [scales] "x"(scales));
    return sum;
}

#endif
