/* elementwise.c - what computes e^x: SiLU and softmax. The rest is no faster than in kernels/avx2.
 * SPDX-License-Identifier: MIT
 * Sixteen at a time; the last few under a mask, so that lanes of sums that end early stay as they are. */
#include "kernels/avx512/avx512.h"
#include "kernels/avx512/level.h"

#include <math.h>

void silu_mul_avx512(const float *gate, const float *up, float *y, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 lanes = lanes_left(n - i);
        const __m512 g = _mm512_maskz_loadu_ps(lanes, gate + i);
        const __m512 e = exp16(_mm512_xor_ps(g, _mm512_set1_ps(-0.0f)));
        const __m512 silu = _mm512_div_ps(g, _mm512_add_ps(_mm512_set1_ps(1), e));
        _mm512_mask_storeu_ps(y + i, lanes, _mm512_mul_ps(silu, _mm512_maskz_loadu_ps(lanes, up + i)));
    }
}

void softmax_avx512(float *x, size_t n) {
    __m512 max = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += 16) { /* the operand order lets no NaN in */
        const __mmask16 lanes = lanes_left(n - i);
        max = _mm512_mask_max_ps(max, lanes, _mm512_maskz_loadu_ps(lanes, x + i), max);
    }
    max = _mm512_set1_ps(max16(max));
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 lanes = lanes_left(n - i);
        const __m512 e = exp16(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), max));
        _mm512_mask_storeu_ps(x + i, lanes, e);
        sum = _mm512_mask_add_ps(sum, lanes, sum, e);
    }
    const __m512 r = _mm512_set1_ps(1 / sum16(sum));
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 lanes = lanes_left(n - i);
        _mm512_mask_storeu_ps(x + i, lanes, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), r));
    }
}
