/* elementwise.c - norm, activation functions, softmax, rotation.
 * SPDX-License-Identifier: MIT
 * Vectors, then a scalar tail of less than 8 (or 16, where lanes are summed) with the same operations. */
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/level.h"

#include <math.h>

void rms_norm_avx2(const float *x, const float *w, float eps, float *y, size_t n) {
    __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
        low = _mm256_fmadd_ps(a, a, low);
        high = _mm256_fmadd_ps(b, b, high);
    }
    float lane[16];
    _mm256_storeu_ps(lane, low);
    _mm256_storeu_ps(lane + 8, high);
    for (size_t k = i; k < n; k++)
        lane[k - i] = fmaf(x[k], x[k], lane[k - i]);
    const float sum = sum16(_mm256_loadu_ps(lane), _mm256_loadu_ps(lane + 8));
    const float r = 1 / sqrtf(sum / (float)n + eps);
    for (i = 0; i + 8 <= n; i += 8) {
        const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(r));
        _mm256_storeu_ps(y + i, _mm256_mul_ps(scaled, _mm256_loadu_ps(w + i)));
    }
    for (; i < n; i++)
        y[i] = x[i] * r * w[i];
}

void add_avx2(float *x, const float *y, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    for (; i < n; i++)
        x[i] += y[i];
}

void add_scaled_avx2(float *x, const float *y, float scale, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(
            x + i, _mm256_fmadd_ps(_mm256_set1_ps(scale), _mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i)));
    for (; i < n; i++)
        x[i] = fmaf(scale, y[i], x[i]);
}

void silu_mul_avx2(const float *gate, const float *up, float *y, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 g = _mm256_loadu_ps(gate + i), e = exp8(_mm256_xor_ps(g, _mm256_set1_ps(-0.0f)));
        const __m256 silu = _mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1), e));
        _mm256_storeu_ps(y + i, _mm256_mul_ps(silu, _mm256_loadu_ps(up + i)));
    }
    for (; i < n; i++)
        y[i] = gate[i] / (1 + kernels_exp(-gate[i])) * up[i];
}

void softmax_avx2(float *x, size_t n) {
    const size_t n_whole = n / 16 * 16;
    __m256 max_lanes = _mm256_set1_ps(-INFINITY), low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
    for (size_t i = 0; i < n_whole; i += 8) /* the operand order lets no NaN in */
        max_lanes = _mm256_max_ps(_mm256_loadu_ps(x + i), max_lanes);
    float max = max8(max_lanes), lane[16];
    for (size_t i = n_whole; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n_whole; i += 16) {
        const __m256 a = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(max)));
        const __m256 b = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i + 8), _mm256_set1_ps(max)));
        _mm256_storeu_ps(x + i, a);
        _mm256_storeu_ps(x + i + 8, b);
        low = _mm256_add_ps(low, a);
        high = _mm256_add_ps(high, b);
    }
    _mm256_storeu_ps(lane, low);
    _mm256_storeu_ps(lane + 8, high);
    for (size_t i = n_whole; i < n; i++) {
        x[i] = kernels_exp(x[i] - max);
        lane[i - n_whole] += x[i];
    }
    const float r = 1 / sum16(_mm256_loadu_ps(lane), _mm256_loadu_ps(lane + 8));
    for (size_t i = 0; i < n_whole; i += 8)
        _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(r)));
    for (size_t i = n_whole; i < n; i++)
        x[i] *= r;
}

void rope_pairs_avx2(float *x, const float *cs, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 v = _mm256_loadu_ps(x + i), turn = _mm256_loadu_ps(cs + i);
        const __m256 c = _mm256_moveldup_ps(turn), s = _mm256_movehdup_ps(turn);
        const __m256 crossed = _mm256_mul_ps(_mm256_permute_ps(v, 0xb1), s); /* x1 s, x0 s, ... */
        _mm256_storeu_ps(x + i, _mm256_fmaddsub_ps(v, c, crossed));
    }
    for (; i < n; i += 2) {
        const float x0 = x[i], x1 = x[i + 1], c = cs[i], s = cs[i + 1];
        x[i] = fmaf(x0, c, -(x1 * s));
        x[i + 1] = fmaf(x1, c, x0 * s);
    }
}
