/* elementwise.c - norm, activation functions, softmax, rotation, and e^x.
 * SPDX-License-Identifier: MIT
 * Formulas: kernels.h. Sums follow the rule of 16 lanes. */
#include "kernels/c/level.h"
#include "kernels/c/scalar.h"
#include "kernels/exp.h"

#include <math.h>

float kernels_exp(float x) {
    x = x < EXP_MIN ? EXP_MIN : x; /* these comparisons let NaN through */
    x = x > EXP_MAX ? EXP_MAX : x;
    float shifted = fmaf(x, LOG2E_HIGH, EXP_ROUND), n = shifted - EXP_ROUND;
    float f = fmaf(x, LOG2E_LOW, fmaf(x, LOG2E_HIGH, -n));
    float p = EXP_P6;
    p = fmaf(p, f, EXP_P5);
    p = fmaf(p, f, EXP_P4);
    p = fmaf(p, f, EXP_P3);
    p = fmaf(p, f, EXP_P2);
    p = fmaf(p, f, EXP_P1);
    p = fmaf(p, f, 1);
    /* The low 9 bits of shifted are n; with the bias 127 they become the exponent. */
    return p * float_from_bits((float_bits(shifted) + 127) << 23);
}

void rms_norm_c(const float *x, const float *w, float eps, float *y, size_t n) {
    float lane[16] = { 0 };
    for (size_t i = 0; i < n; i++)
        lane[i % 16] = fmaf(x[i], x[i], lane[i % 16]);
    float r = 1 / sqrtf(sum_lanes(lane) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * r * w[i];
}

void add_c(float *x, const float *y, size_t n) {
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
}

void add_scaled_c(float *x, const float *y, float scale, size_t n) {
    for (size_t i = 0; i < n; i++)
        x[i] = fmaf(scale, y[i], x[i]);
}

void silu_mul_c(const float *gate, const float *up, float *y, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = gate[i] / (1 + kernels_exp(-gate[i])) * up[i];
}

void softmax_c(float *x, size_t n) {
    float max = -INFINITY, lane[16] = { 0 };
    for (size_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++) {
        x[i] = kernels_exp(x[i] - max);
        lane[i % 16] += x[i];
    }
    float r = 1 / sum_lanes(lane);
    for (size_t i = 0; i < n; i++)
        x[i] *= r;
}

void rope_pairs_c(float *x, const float *cs, size_t n) {
    for (size_t i = 0; i < n; i += 2) {
        float x0 = x[i], x1 = x[i + 1], c = cs[i], s = cs[i + 1];
        x[i] = fmaf(x0, c, -(x1 * s));
        x[i + 1] = fmaf(x1, c, x0 * s);
    }
}
