/* elementwise.c - norm, activation functions, softmax, rotation.
 * SPDX-License-Identifier: MIT
 * Vectors, then a scalar tail of less than 4 (or 16, where lanes are summed) with the same operations. */
#include "kernels/neon/level.h"
#include "kernels/neon/neon.h"

#include <math.h>

void rms_norm_neon(const float *x, const float *w, float eps, float *y, size_t n) {
    struct lanes s = { { vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0) } };
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        UNROLL
        for (size_t c = 0; c < 4; c++) {
            const float32x4_t v = vld1q_f32(x + i + 4 * c);
            s.v[c] = vfmaq_f32(s.v[c], v, v);
        }
    }
    float lane[16];
    store_lanes(lane, &s);
    for (size_t k = i; k < n; k++)
        lane[k - i] = fmaf(x[k], x[k], lane[k - i]);
    s = load_lanes(lane);
    const float r = 1 / sqrtf(sum16(&s) / (float)n + eps);
    for (i = 0; i + 4 <= n; i += 4)
        vst1q_f32(y + i, vmulq_f32(vmulq_n_f32(vld1q_f32(x + i), r), vld1q_f32(w + i)));
    for (; i < n; i++)
        y[i] = x[i] * r * w[i];
}

void add_neon(float *x, const float *y, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1q_f32(x + i, vaddq_f32(vld1q_f32(x + i), vld1q_f32(y + i)));
    for (; i < n; i++)
        x[i] += y[i];
}

void add_scaled_neon(float *x, const float *y, float scale, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1q_f32(x + i, vfmaq_n_f32(vld1q_f32(x + i), vld1q_f32(y + i), scale));
    for (; i < n; i++)
        x[i] = fmaf(scale, y[i], x[i]);
}

void silu_mul_neon(const float *gate, const float *up, float *y, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const float32x4_t g = vld1q_f32(gate + i);
        const float32x4_t silu = vdivq_f32(g, vaddq_f32(vdupq_n_f32(1), exp4(vnegq_f32(g))));
        vst1q_f32(y + i, vmulq_f32(silu, vld1q_f32(up + i)));
    }
    for (; i < n; i++)
        y[i] = gate[i] / (1 + kernels_exp(-gate[i])) * up[i];
}

void softmax_neon(float *x, size_t n) {
    const size_t n_whole = n / 16 * 16;
    float32x4_t max_lanes = vdupq_n_f32(-INFINITY);
    for (size_t i = 0; i < n_whole; i += 4)
        max_lanes = max_of_numbers(vld1q_f32(x + i), max_lanes);
    float max = vmaxvq_f32(max_lanes), lane[16];
    for (size_t i = n_whole; i < n; i++)
        max = x[i] > max ? x[i] : max;
    struct lanes s = { { vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0) } };
    for (size_t i = 0; i < n_whole; i += 16) {
        UNROLL
        for (size_t c = 0; c < 4; c++) {
            const float32x4_t e = exp4(vsubq_f32(vld1q_f32(x + i + 4 * c), vdupq_n_f32(max)));
            vst1q_f32(x + i + 4 * c, e);
            s.v[c] = vaddq_f32(s.v[c], e);
        }
    }
    store_lanes(lane, &s);
    for (size_t i = n_whole; i < n; i++) {
        x[i] = kernels_exp(x[i] - max);
        lane[i - n_whole] += x[i];
    }
    s = load_lanes(lane);
    const float r = 1 / sum16(&s);
    for (size_t i = 0; i < n_whole; i += 4)
        vst1q_f32(x + i, vmulq_n_f32(vld1q_f32(x + i), r));
    for (size_t i = n_whole; i < n; i++)
        x[i] *= r;
}

void rope_pairs_neon(float *x, const float *cs, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) { /* val[0] and val[1]: the first and the second of each pair */
        float32x4x2_t v = vld2q_f32(x + i);
        const float32x4x2_t turn = vld2q_f32(cs + i);
        const float32x4_t crossed0 = vmulq_f32(v.val[1], turn.val[1]),
                          crossed1 = vmulq_f32(v.val[0], turn.val[1]);
        v.val[0] = vfmaq_f32(vnegq_f32(crossed0), v.val[0], turn.val[0]);
        v.val[1] = vfmaq_f32(crossed1, v.val[1], turn.val[0]);
        vst2q_f32(x + i, v);
    }
    for (; i < n; i += 2) {
        const float x0 = x[i], x1 = x[i + 1], c = cs[i], s = cs[i + 1];
        x[i] = fmaf(x0, c, -(x1 * s));
        x[i + 1] = fmaf(x1, c, x0 * s);
    }
}
