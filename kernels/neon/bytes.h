/* bytes.h - taking packed quants apart, 16 bytes at a time.
 * SPDX-License-Identifier: MIT
 * Private to kernels/neon. */
#ifndef QUERN_KERNELS_NEON_BYTES_H
#define QUERN_KERNELS_NEON_BYTES_H

#include "kernels/neon/neon.h"

static inline int8x16_t as_signed(uint8x16_t v) { return vreinterpretq_s8_u8(v); }

/* Bits [shift, shift + n) of each byte, moved to bit `to`. Shifting by a register takes any count, which an
 * immediate of an unrolled loop is not for every compiler. */
TEMPLATE uint8x16_t move_bits(uint8x16_t v, int shift, int n, int to) {
    const uint8x16_t moved = vshlq_u8(v, vdupq_n_s8((int8_t)(to - shift)));
    return vandq_u8(moved, vdupq_n_u8((uint8_t)(((1 << n) - 1) << to)));
}

static inline uint8x16_t low_nibbles(uint8x16_t v) { return vandq_u8(v, vdupq_n_u8(15)); }
static inline uint8x16_t high_nibbles(uint8x16_t v) { return vshrq_n_u8(v, 4); }

/* Entries of a table of 16 bytes. */
static inline int8x16_t lookup(uint8x16_t indices, const int8_t table[16]) {
    return vqtbl1q_s8(vld1q_s8(table), indices);
}

/* Byte i is all ones where bit i of the 16 from `first` on is set. */
TEMPLATE uint8x16_t mask_of_bits(uint32_t bits, int first) {
    const uint8x8_t each = vcreate_u8(0x8040201008040201);
    const uint8x8_t low = vdup_n_u8((uint8_t)(bits >> first)),
                    high = vdup_n_u8((uint8_t)(bits >> (first + 8)));
    return vtstq_u8(vcombine_u8(low, high), vcombine_u8(each, each));
}

/* -v where the mask is set. */
static inline int8x16_t negate(int8x16_t v, uint8x16_t mask) {
    const int8x16_t m = vreinterpretq_s8_u8(mask);
    return vsubq_s8(veorq_s8(v, m), m);
}

static inline uint32_t load_u32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint16_t load_u16(const void *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* 16 bytes as words. */
static inline void widen_u8(uint8x16_t v, int16x8_t out[2]) {
    out[0] = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(v)));
    out[1] = vreinterpretq_s16_u16(vmovl_high_u8(v));
}

static inline void widen_s8(int8x16_t v, int16x8_t out[2]) {
    out[0] = vmovl_s8(vget_low_s8(v));
    out[1] = vmovl_high_s8(v);
}

#endif
