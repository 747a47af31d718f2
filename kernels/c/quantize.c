/* quantize.c - activations to 8-bit blocks: A32 and A256.
 * SPDX-License-Identifier: MIT
 * The largest magnitude is found on the bits of the floats: as integers they order like magnitudes, with Inf
 * and NaN on top, and a maximum of integers does not depend on its order. x is never -128, which products
 * with |w| and sign(x, w) rely on. */
#include "kernels/c/level.h"
#include "kernels/c/scalar.h"

#include <math.h>
#include <string.h>

static uint32_t max_bits(const float *x, size_t n) {
    uint32_t max = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = float_bits(x[i]) & 0x7fffffff;
        if (bits > max)
            max = bits;
    }
    return max;
}

/* q = round(x * r), for |x * r| < 2^22. Returns the sum. */
static int32_t quantize_values(const float *x, float r, int8_t *q, size_t n) {
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t v = (int32_t)round_even(x[i] * r);
        v = v < -127 ? -127 : v > 127 ? 127 : v;
        q[i] = (int8_t)v;
        sum += v;
    }
    return sum;
}

/* A block that has no usable scale: all zero, or poisoned so that outputs become NaN. */
static float flat_scale(uint32_t max) { return max >= BITS_INF ? NAN : 0; }

static bool is_flat(uint32_t max) { return max >= BITS_INF || max < BITS_TINY; }

void quantize_a32_c(const float *x, const struct acts *acts, size_t t) {
    size_t n_blocks = acts->n / 32;
    for (size_t i = 0; i < n_blocks; i++) {
        size_t at = t * n_blocks + i;
        int8_t *q = acts->q + at * 32;
        uint32_t max = max_bits(x + i * 32, 32);
        if (is_flat(max)) {
            acts->d[at] = flat_scale(max);
            acts->sum[at] = 0;
            memset(q, 0, 32);
            continue;
        }
        float m = float_from_bits(max);
        acts->d[at] = m / 127;
        acts->sum[at] = quantize_values(x + i * 32, 127 / m, q, 32);
    }
}

/* Super-block `at` of acts from x [256], with sub-scales per sub_block (16 or 32) values. */
static void quantize_a256(const float *x, const struct acts *acts, size_t at, size_t sub_block) {
    size_t n_sub = 256 / sub_block;
    int8_t *q = acts->q + at * 256;
    uint8_t *a = acts->a + at * n_sub;
    int16_t *g16 = acts->g16 + at * 16;
    uint32_t max = max_bits(x, 256);
    bool flat = is_flat(max);
    float m = float_from_bits(max);
    /* The largest value is 127 steps of 8 d. 7.999 (0x40fff7cf) instead of 8 keeps a maximum of exactly k/8
     * of it at a = k; the largest |x * r_j| is then 127.016. */
    float step = flat ? 0 : 7.999f / m, scale = flat ? 0 : 1016 / m;
    acts->d[at] = flat ? flat_scale(max) : m / 1016;
    for (size_t j = 0; j < n_sub; j++) {
        const float *xj = x + j * sub_block;
        if (flat)
            memset(q + j * sub_block, 0, sub_block);
        a[j] = flat ? 1 : (uint8_t)(1 + (int)(float_from_bits(max_bits(xj, sub_block)) * step));
        for (size_t h = 0; h < sub_block / 16; h++) {
            size_t at16 = j * sub_block / 16 + h;
            int32_t sum = flat ? 0 : quantize_values(xj + 16 * h, scale / (float)a[j], q + 16 * at16, 16);
            g16[at16] = (int16_t)(a[j] * sum);
        }
        if (acts->g32)
            acts->g32[at * 8 + j] = (int16_t)(g16[2 * j] + g16[2 * j + 1]);
    }
}

void quantize_a256_16_c(const float *x, const struct acts *acts, size_t t) {
    for (size_t i = 0; i < acts->n / 256; i++)
        quantize_a256(x + i * 256, acts, t * (acts->n / 256) + i, 16);
}

void quantize_a256_32_c(const float *x, const struct acts *acts, size_t t) {
    for (size_t i = 0; i < acts->n / 256; i++)
        quantize_a256(x + i * 256, acts, t * (acts->n / 256) + i, 32);
}
