/* quantize.c - activations to 8-bit blocks: A32 and A256.
 * SPDX-License-Identifier: MIT
 * Magnitudes are compared as integers (kernels/c/quantize.c says why). Products stay within +-127.016, so
 * narrowing needs no clamp. */
#include "kernels/neon/level.h"
#include "kernels/neon/neon.h"

#include <math.h>

enum {
    BITS_INF = 0x7f800000,
    BITS_TINY = 0x0d800000, /* 2^-100 */
};

static inline uint32x4_t magnitude4(const float *x) {
    return vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x)), vdupq_n_u32(0x7fffffff));
}

static inline uint32x4_t magnitude16(const float *x) {
    return vmaxq_u32(vmaxq_u32(magnitude4(x), magnitude4(x + 4)),
                     vmaxq_u32(magnitude4(x + 8), magnitude4(x + 12)));
}

static inline float float_of_bits(uint32_t bits) {
    return vgetq_lane_f32(vreinterpretq_f32_u32(vdupq_n_u32(bits)), 0);
}

static inline int16x4_t round4(const float *x, float r) {
    return vmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), r)));
}

/* q = round(x * r) of 16 values. Returns their sum. */
static inline int32_t quantize16(const float *x, float r, int8_t *q) {
    const int16x8_t low = vcombine_s16(round4(x, r), round4(x + 4, r)),
                    high = vcombine_s16(round4(x + 8, r), round4(x + 12, r));
    const int8x16_t packed = vcombine_s8(vmovn_s16(low), vmovn_s16(high));
    vst1q_s8(q, packed);
    return vaddlvq_s8(packed);
}

void quantize_a32_neon(const float *x, const struct acts *acts, size_t t) {
    const size_t n_blocks = acts->n / 32;
    for (size_t i = 0; i < n_blocks; i++, x += 32) {
        const size_t at = t * n_blocks + i;
        const uint32_t max = vmaxvq_u32(vmaxq_u32(magnitude16(x), magnitude16(x + 16)));
        if (max >= BITS_INF || max < BITS_TINY) {
            acts->d[at] = max >= BITS_INF ? NAN : 0;
            acts->sum[at] = 0;
            memset(acts->q + at * 32, 0, 32);
            continue;
        }
        const float m = float_of_bits(max), r = 127 / m;
        acts->d[at] = m / 127;
        acts->sum[at] = quantize16(x, r, acts->q + at * 32) + quantize16(x + 16, r, acts->q + at * 32 + 16);
    }
}

/* A super-block that is all zero or holds Inf or NaN. */
static void set_flat(const struct acts *acts, size_t at, size_t n_sub, float d) {
    acts->d[at] = d;
    memset(acts->q + at * 256, 0, 256);
    memset(acts->a + at * n_sub, 1, n_sub);
    memset(acts->g16 + at * 16, 0, 16 * sizeof *acts->g16);
    if (acts->g32)
        memset(acts->g32 + at * 8, 0, 8 * sizeof *acts->g32);
}

/* Super-block `at` of acts from x [256], with sub-scales per sub_block (16 or 32) values. */
TEMPLATE void quantize_a256(const float *x, const struct acts *acts, size_t at, size_t sub_block) {
    const size_t n_sub = 256 / sub_block;
    uint32_t max[16], top = 0;
    for (size_t j = 0; j < n_sub; j++) {
        const float *xj = x + j * sub_block;
        uint32x4_t m = magnitude16(xj);
        if (sub_block == 32)
            m = vmaxq_u32(m, magnitude16(xj + 16));
        max[j] = vmaxvq_u32(m);
        top = max[j] > top ? max[j] : top;
    }
    if (top >= BITS_INF || top < BITS_TINY) {
        set_flat(acts, at, n_sub, top >= BITS_INF ? NAN : 0);
        return;
    }
    const float m = float_of_bits(top);
    int32_t a[16];
    float r[16];
    for (size_t j = 0; j < n_sub; j += 4) {
        const float32x4_t steps = vmulq_n_f32(vreinterpretq_f32_u32(vld1q_u32(max + j)), 7.999f / m);
        const int32x4_t a4 = vaddq_s32(vcvtq_s32_f32(steps), vdupq_n_s32(1));
        vst1q_s32(a + j, a4);
        vst1q_f32(r + j, vdivq_f32(vdupq_n_f32(1016 / m), vcvtq_f32_s32(a4)));
    }
    acts->d[at] = m / 1016;
    for (size_t h = 0; h < 16; h++) {
        const size_t j = h * 16 / sub_block;
        const int32_t g = a[j] * quantize16(x + h * 16, r[j], acts->q + at * 256 + h * 16);
        acts->a[at * n_sub + j] = (uint8_t)a[j];
        acts->g16[at * 16 + h] = (int16_t)g;
        if (sub_block == 32 && h % 2)
            acts->g32[at * 8 + j] = (int16_t)(acts->g16[at * 16 + h - 1] + g);
    }
}

void quantize_a256_16_neon(const float *x, const struct acts *acts, size_t t) {
    for (size_t i = 0; i < acts->n / 256; i++)
        quantize_a256(x + i * 256, acts, t * (acts->n / 256) + i, 16);
}

void quantize_a256_32_neon(const float *x, const struct acts *acts, size_t t) {
    for (size_t i = 0; i < acts->n / 256; i++)
        quantize_a256(x + i * 256, acts, t * (acts->n / 256) + i, 32);
}
