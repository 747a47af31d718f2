/* neon.h - what the files of this folder share: lanes, sums, tails, e^x.
 * SPDX-License-Identifier: MIT
 * Private to kernels/neon and kernels/neon_i8mm. A group of 16 lanes, the unit of sums, is four registers. */
#ifndef QUERN_KERNELS_NEON_NEON_H
#define QUERN_KERNELS_NEON_NEON_H

#include "kernels/exp.h"

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Templates: functions that are inlined into callers which fix their function pointers and counts. A
 * register array must have its loops unrolled entirely, or it lives in memory. */
#define TEMPLATE static inline __attribute__((always_inline))
/* A function into which those it calls are inlined although they have users elsewhere. */
#define INLINE_ALL __attribute__((flatten))
#if defined(__clang__)
#    pragma clang diagnostic ignored "-Wpass-failed" /* sanitizers prevent it, at the cost of speed only */
#    define UNROLL _Pragma("clang loop unroll(full)")
#else
#    define UNROLL _Pragma("GCC unroll 16")
#endif

/* 16 lanes. */
struct lanes {
    float32x4_t v[4];
};

/* Bytes of any alignment. */
static inline uint8x16_t load_u8(const void *p) { return vld1q_u8(p); }
static inline int8x16_t load_s8(const void *p) { return vld1q_s8(p); }

/* Lanes l + 2 and l + 1 of 4. */
static inline float sum4(float32x4_t v) { return vpadds_f32(vadd_f32(vget_low_f32(v), vget_high_f32(v))); }

/* The tree over 16 lanes: l + 8, l + 4, l + 2, l + 1. */
static inline float sum16(const struct lanes *s) {
    return sum4(vaddq_f32(vaddq_f32(s->v[0], s->v[2]), vaddq_f32(s->v[1], s->v[3])));
}

static inline void store_lanes(float out[16], const struct lanes *s) {
    for (size_t i = 0; i < 4; i++)
        vst1q_f32(out + 4 * i, s->v[i]);
}

static inline struct lanes load_lanes(const float in[16]) {
    return (struct lanes){ { vld1q_f32(in), vld1q_f32(in + 4), vld1q_f32(in + 8), vld1q_f32(in + 12) } };
}

/* The greater of two lanes; max where v is NaN. */
static inline float32x4_t max_of_numbers(float32x4_t v, float32x4_t max) {
    return vbslq_f32(vcgtq_f32(v, max), v, max);
}

/* e^x: kernels/exp.h. Arm's maximum and minimum let NaN through. */
static inline float32x4_t exp4(float32x4_t x) {
    x = vminq_f32(vdupq_n_f32(EXP_MAX), vmaxq_f32(vdupq_n_f32(EXP_MIN), x));
    const float32x4_t shifted = vfmaq_f32(vdupq_n_f32(EXP_ROUND), x, vdupq_n_f32(LOG2E_HIGH));
    const float32x4_t n = vsubq_f32(shifted, vdupq_n_f32(EXP_ROUND));
    const float32x4_t high = vfmaq_f32(vnegq_f32(n), x, vdupq_n_f32(LOG2E_HIGH));
    const float32x4_t f = vfmaq_f32(high, x, vdupq_n_f32(LOG2E_LOW));
    float32x4_t p = vdupq_n_f32(EXP_P6);
    p = vfmaq_f32(vdupq_n_f32(EXP_P5), p, f);
    p = vfmaq_f32(vdupq_n_f32(EXP_P4), p, f);
    p = vfmaq_f32(vdupq_n_f32(EXP_P3), p, f);
    p = vfmaq_f32(vdupq_n_f32(EXP_P2), p, f);
    p = vfmaq_f32(vdupq_n_f32(EXP_P1), p, f);
    p = vfmaq_f32(vdupq_n_f32(1), p, f);
    const uint32x4_t biased = vaddq_u32(vreinterpretq_u32_f32(shifted), vdupq_n_u32(127));
    return vmulq_f32(p, vreinterpretq_f32_u32(vshlq_n_u32(biased, 23)));
}

/* 4 consecutive weights or cache values of a type as floats. */
typedef float32x4_t load4_function(const void *p);

static inline float32x4_t load4_f32(const void *p) { return vreinterpretq_f32_u8(load_u8(p)); }
static inline float32x4_t load4_f16(const void *p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
static inline float32x4_t load4_bf16(const void *p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16));
}

/* One value, for tails. */
typedef float load1_function(const void *p);

static inline float load1_f32(const void *p) {
    float f;
    memcpy(&f, p, sizeof f);
    return f;
}

static inline float load1_f16(const void *p) {
    __fp16 h;
    memcpy(&h, p, sizeof h);
    return h;
}

static inline float load1_bf16(const void *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return vgetq_lane_f32(vreinterpretq_f32_u32(vdupq_n_u32((uint32_t)h << 16)), 0);
}

/* {a, b, c, d}: the sums of the lanes of each. */
static inline int32x4_t sum_each(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) {
    return vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
}

/* Four f16 from four addresses as floats. */
static inline float32x4_t gather4_f16(const uint8_t *const p[4], size_t offset) {
    uint16x4_t h = vdup_n_u16(0);
    h = vld1_lane_u16((const void *)(p[0] + offset), h, 0);
    h = vld1_lane_u16((const void *)(p[1] + offset), h, 1);
    h = vld1_lane_u16((const void *)(p[2] + offset), h, 2);
    h = vld1_lane_u16((const void *)(p[3] + offset), h, 3);
    return vcvt_f32_f16(vreinterpret_f16_u16(h));
}

#endif
