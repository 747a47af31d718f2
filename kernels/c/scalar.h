/* scalar.h - conversions and sums shared by the files of kernels/c.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_KERNELS_C_SCALAR_H
#define QUERN_KERNELS_C_SCALAR_H

#include "formats/status.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    BITS_INF = 0x7f800000,  /* from here on: Inf or NaN */
    BITS_TINY = 0x0d800000, /* 2^-100: smaller blocks are taken as zero, and 1016 / m cannot overflow */
};

static inline uint32_t float_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline float float_from_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* IEEE half to float, exact. The exponent is rebased by a multiplication (2^112 = 2^(127 - 15)), which also
 * normalizes subnormals; Inf and NaN, whose exponent is all ones in both formats, by an or. */
static inline float half_to_float(uint16_t h) {
    uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t bits = float_bits(float_from_bits(magnitude) * 0x1p112f);
    if (magnitude >= 0x7c00u << 13)
        bits = magnitude | 0x7f800000;
    return float_from_bits(bits | sign);
}

static inline float load_half(const void *p) { return half_to_float(load_le16(p)); }

static inline float load_bfloat(const void *p) { return float_from_bits((uint32_t)load_le16(p) << 16); }

static inline void store_f32(void *p, float f) { memcpy(p, &f, sizeof f); }

/* The nearest integer, ties to even, of |v| <= 2^22: adding 1.5 * 2^23 leaves no bits for a fraction. */
static inline float round_even(float v) { return (v + 0x1.8p23f) - 0x1.8p23f; }

/* The sum of 16 lanes: l + 8, l + 4, l + 2, l + 1. */
static inline float sum_lanes(const float lane[16]) {
    float s[16];
    memcpy(s, lane, sizeof s);
    for (size_t step = 8; step; step /= 2)
        for (size_t l = 0; l < step; l++)
            s[l] += s[l + step];
    return s[0];
}

#endif
