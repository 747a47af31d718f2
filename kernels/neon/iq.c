/* iq.c - y = W x for the table types.
 * SPDX-License-Identifier: MIT
 * Codebook entries are found one at a time, then 32 values are made of their bits at once. Scales and the
 * eightfold weights of IQ1: kernels/c/iq.c. */
#include "kernels/neon/bytes.h"
#include "kernels/neon/level.h"
#include "kernels/neon/super.h"
#include "kernels/neon/types.h"

#include "formats/blocks.h"
#include "formats/iq_grids.h"

/* ---- Unpack ---- */

/* 8 dwords to words. */
static inline int16x8_t narrow_dwords(uint32x4_t low, uint32x4_t high) {
    return vreinterpretq_s16_u16(vcombine_u16(vmovn_u32(low), vmovn_u32(high)));
}

/* 2 v + 1 of each word. */
static inline int16x8_t odd_scale(int16x8_t v) { return vaddq_s16(vaddq_s16(v, v), vdupq_n_s16(1)); }

/* The 8 fields of `bits` bits of v, the first in the lowest ones, to words. */
TEMPLATE int16x8_t spread_fields(uint32_t v, int bits) {
    const int32_t shifts[8] = { 0, -bits, -2 * bits, -3 * bits, -4 * bits, -5 * bits, -6 * bits, -7 * bits };
    const uint32x4_t mask = vdupq_n_u32((1u << bits) - 1), all = vdupq_n_u32(v);
    return narrow_dwords(vandq_u32(vshlq_u32(all, vld1q_s32(shifts)), mask),
                         vandq_u32(vshlq_u32(all, vld1q_s32(shifts + 4)), mask));
}

/* The 16 nibbles of 8 bytes, low ones first, as odd scales for each 16 values. */
static inline void nibble_scales(const uint8_t packed[8], int16x8_t scale[2]) {
    const uint8x8_t v = vld1_u8(packed), even = vand_u8(v, vdup_n_u8(15)), odd = vshr_n_u8(v, 4);
    widen_u8(vcombine_u8(vzip1_u8(even, odd), vzip2_u8(even, odd)), scale);
    scale[0] = odd_scale(scale[0]);
    scale[1] = odd_scale(scale[1]);
}

/* Bytes of 7 signs: bit 7 of each makes their number even. */
static inline uint8x16_t complete_signs(uint8x16_t seven) {
    return vorrq_u8(seven, vshlq_n_u8(vcntq_u8(seven), 7));
}

/* Four fields of 7 bits from bit 0 on of each dword, each to a byte. */
static inline uint8x16_t spread_sevens(uint32x4_t packed) {
    const uint32x4_t v0 = vandq_u32(packed, vdupq_n_u32(0x7f)),
                     v1 = vandq_u32(vshlq_n_u32(packed, 1), vdupq_n_u32(0x7f00)),
                     v2 = vandq_u32(vshlq_n_u32(packed, 2), vdupq_n_u32(0x7f0000)),
                     v3 = vandq_u32(vshlq_n_u32(packed, 3), vdupq_n_u32(0x7f000000));
    return vreinterpretq_u8_u32(vorrq_u32(vorrq_u32(v0, v1), vorrq_u32(v2, v3)));
}

/* 32 values with the signs in the bits of `negative`. */
static inline void store_signed(int8x16_t w[2], const int8x16_t v[2], uint32_t negative) {
    w[0] = negate(v[0], mask_of_bits(negative, 0));
    w[1] = negate(v[1], mask_of_bits(negative, 16));
}

/* 32 values from four entries of 8 codes of 2 bits, the first in the lowest bits. A nibble holds two codes:
 * even and odd list the values of its lower and its upper one. */
static inline void decode_pairs(uint64_t entries, const int8_t even[16], const int8_t odd[16],
                                int8x16_t out[2]) {
    const uint8x8_t packed = vcreate_u8(entries), low = vand_u8(packed, vdup_n_u8(15)),
                    high = vshr_n_u8(packed, 4);
    const uint8x16_t nibbles = vcombine_u8(vzip1_u8(low, high), vzip2_u8(low, high));
    const int8x16_t a = lookup(nibbles, even), b = lookup(nibbles, odd);
    out[0] = vzip1q_s8(a, b);
    out[1] = vzip2q_s8(a, b);
}

static inline void decode_iq2(uint64_t entries, int8x16_t out[2]) {
    static const int8_t even[16] = { 8, 25, 43, 0, 8, 25, 43, 0, 8, 25, 43, 0, 8, 25, 43, 0 };
    static const int8_t odd[16] = { 8, 8, 8, 8, 25, 25, 25, 25, 43, 43, 43, 43, 0, 0, 0, 0 };
    decode_pairs(entries, even, odd, out);
}

/* Eightfold, and 1 more or, in groups of 8 whose bit of `negative` is set, 1 less. */
static inline void decode_iq1(uint64_t entries, uint32_t negative, int8x16_t w[2]) {
    static const int8_t even[16] = { -8, 0, 8, 0, -8, 0, 8, 0, -8, 0, 8, 0, -8, 0, 8, 0 };
    static const int8_t odd[16] = { -8, -8, -8, -8, 0, 0, 0, 0, 8, 8, 8, 8, 0, 0, 0, 0 };
    const uint32_t bytes = (negative & 1) | (negative & 2) << 7 | (negative & 4) << 14 | (negative & 8) << 21;
    const uint8x16_t one = vdupq_n_u8(1);
    int8x16_t v[2];
    decode_pairs(entries, even, odd, v);
    w[0] = vaddq_s8(v[0], as_signed(vorrq_u8(mask_of_bits(bytes * 255, 0), one)));
    w[1] = vaddq_s8(v[1], as_signed(vorrq_u8(mask_of_bits(bytes * 255, 16), one)));
}

/* 16 codes of 3 bits from four entries of 4, each in a dword, each code to a byte. */
static inline uint8x16_t spread_threes(const uint32_t entries[4]) {
    const uint32x4_t v = vld1q_u32(entries);
    const uint32x4_t v0 = vandq_u32(v, vdupq_n_u32(7)), v1 = vandq_u32(vshlq_n_u32(v, 5), vdupq_n_u32(0x700)),
                     v2 = vandq_u32(vshlq_n_u32(v, 10), vdupq_n_u32(0x70000)),
                     v3 = vandq_u32(vshlq_n_u32(v, 15), vdupq_n_u32(0x7000000));
    return vreinterpretq_u8_u32(vorrq_u32(vorrq_u32(v0, v1), vorrq_u32(v2, v3)));
}

void unpack_iq4_xs_neon(const uint8_t *block, struct super_row *out) {
    const struct block_iq4_xs *b = (const void *)block;
    const int16x8_t low = spread_fields(load_u32(b->scales_l), 4),
                    high = spread_fields(load_u16(b->scales_h), 2);
    out->scale[0] = vsubq_s16(vorrq_s16(low, vshlq_n_s16(high, 4)), vdupq_n_s16(32));
    UNROLL
    for (size_t s = 0; s < 8; s++) {
        const uint8x16_t packed = load_u8(b->qs + 16 * s);
        out->w[2 * s] = lookup(low_nibbles(packed), iq4_levels);
        out->w[2 * s + 1] = lookup(high_nibbles(packed), iq4_levels);
    }
    out->d = load1_f16(b->d);
}

void unpack_iq3_s_neon(const uint8_t *block, struct super_row *out) {
    const struct block_iq3_s *b = (const void *)block;
    out->scale[0] = odd_scale(spread_fields(load_u32(b->scales), 4));
    for (size_t s = 0; s < 8; s++) {
        const uint8_t *qs = b->qs + 8 * s;
        const unsigned high = b->qh[s];
        uint32_t entries[8];
        int8x16_t v[2];
        for (size_t k = 0; k < 8; k++)
            entries[k] = iq3s_grid[qs[k] | (high >> k & 1) << 8];
        UNROLL
        for (size_t h = 0; h < 2; h++) {
            const uint8x16_t codes = spread_threes(entries + 4 * h); /* levels 1, 3, .., 15 */
            v[h] = as_signed(vaddq_u8(vaddq_u8(codes, codes), vdupq_n_u8(1)));
        }
        store_signed(out->w + 2 * s, v, load_u32(b->signs + 4 * s));
    }
    out->d = load1_f16(b->d);
}

void unpack_iq3_xxs_neon(const uint8_t *block, struct super_row *out) {
    static const int8_t levels[16] = { 4, 12, 20, 28, 36, 44, 52, 62 };
    const struct block_iq3_xxs *b = (const void *)block;
    const uint32x4_t packed[2] = { vreinterpretq_u32_u8(load_u8(b->scales)),
                                   vreinterpretq_u32_u8(load_u8(b->scales + 16)) };
    uint32_t signs[8];
    vst1q_u8((void *)signs, complete_signs(spread_sevens(packed[0])));
    vst1q_u8((void *)(signs + 4), complete_signs(spread_sevens(packed[1])));
    out->scale[0] = odd_scale(narrow_dwords(vshrq_n_u32(packed[0], 28), vshrq_n_u32(packed[1], 28)));
    for (size_t s = 0; s < 8; s++) {
        uint32_t entries[8];
        int8x16_t v[2];
        for (size_t k = 0; k < 8; k++)
            entries[k] = iq3xxs_grid[b->qs[8 * s + k]];
        UNROLL
        for (size_t h = 0; h < 2; h++)
            v[h] = lookup(spread_threes(entries + 4 * h), levels);
        store_signed(out->w + 2 * s, v, signs[s]);
    }
    out->d = load1_f16(b->d) * 0.25f;
}

void unpack_iq2_s_neon(const uint8_t *block, struct super_row *out) {
    const struct block_iq2_s *b = (const void *)block;
    nibble_scales(b->scales, out->scale);
    for (size_t s = 0; s < 8; s++) {
        uint64_t entries = 0;
        int8x16_t v[2];
        UNROLL
        for (size_t l = 0; l < 4; l++)
            entries |= (uint64_t)iq2s_grid[b->qs[4 * s + l] | ((unsigned)b->qh[s] >> 2 * l & 3) << 8]
                       << 16 * l;
        decode_iq2(entries, v);
        store_signed(out->w + 2 * s, v, load_u32(b->signs + 4 * s));
    }
    out->d = load1_f16(b->d) * 0.125f;
}

void unpack_iq2_xs_neon(const uint8_t *block, struct super_row *out) {
    const struct block_iq2_xs *b = (const void *)block;
    uint16_t packed[32];
    uint32_t signs[8];
    memcpy(packed, b->qs, sizeof packed);
    UNROLL
    for (size_t h = 0; h < 2; h++) {
        const uint16x8_t low = vld1q_u16(packed + 16 * h), high = vld1q_u16(packed + 16 * h + 8);
        const uint8x16_t sevens = vshrn_high_n_u16(vshrn_n_u16(vshrq_n_u16(low, 1), 8), vshrq_n_u16(high, 1),
                                                   8); /* 9 is too far for one */
        vst1q_u8((void *)(signs + 4 * h), complete_signs(sevens));
    }
    nibble_scales(b->scales, out->scale);
    for (size_t s = 0; s < 8; s++) {
        uint64_t entries = 0;
        int8x16_t v[2];
        UNROLL
        for (size_t l = 0; l < 4; l++)
            entries |= (uint64_t)iq2xs_grid[packed[4 * s + l] & 511] << 16 * l;
        decode_iq2(entries, v);
        store_signed(out->w + 2 * s, v, signs[s]);
    }
    out->d = load1_f16(b->d) * 0.125f;
}

void unpack_iq2_xxs_neon(const uint8_t *block, struct super_row *out) {
    const struct block_iq2_xxs *b = (const void *)block;
    uint32x4_t packed[2]; /* the odd dwords */
    UNROLL
    for (size_t h = 0; h < 2; h++)
        packed[h] = vuzp2q_u32(vreinterpretq_u32_u8(load_u8(b->qs + 32 * h)),
                               vreinterpretq_u32_u8(load_u8(b->qs + 32 * h + 16)));
    uint32_t signs[8];
    vst1q_u8((void *)signs, complete_signs(spread_sevens(packed[0])));
    vst1q_u8((void *)(signs + 4), complete_signs(spread_sevens(packed[1])));
    out->scale[0] = odd_scale(narrow_dwords(vshrq_n_u32(packed[0], 28), vshrq_n_u32(packed[1], 28)));
    for (size_t s = 0; s < 8; s++) {
        uint64_t entries = 0;
        int8x16_t v[2];
        UNROLL
        for (size_t l = 0; l < 4; l++)
            entries |= (uint64_t)iq2xxs_grid[b->qs[8 * s + l]] << 16 * l;
        decode_iq2(entries, v);
        store_signed(out->w + 2 * s, v, signs[s]);
    }
    out->d = load1_f16(b->d) * 0.125f;
}

void unpack_iq1_s_neon(const uint8_t *block, struct super_row *out) {
    const struct block_iq1_s *b = (const void *)block;
    uint16_t packed[8];
    memcpy(packed, b->qh, sizeof packed);
    const uint16x8_t fields = vandq_u16(vshrq_n_u16(vld1q_u16(packed), 12), vdupq_n_u16(7));
    out->scale[0] = odd_scale(vreinterpretq_s16_u16(fields));
    for (size_t s = 0; s < 8; s++) {
        uint64_t entries = 0;
        UNROLL
        for (size_t l = 0; l < 4; l++)
            entries |= (uint64_t)iq1s_grid[b->qs[4 * s + l] | ((unsigned)packed[s] >> 3 * l & 7) << 8]
                       << 16 * l;
        decode_iq1(entries, packed[s] >> 15 ? 15 : 0, out->w + 2 * s);
    }
    out->d = load1_f16(b->d) * 0.125f;
}

void unpack_iq1_m_neon(const uint8_t *block, struct super_row *out) {
    const struct block_iq1_m *b = (const void *)block;
    uint16_t packed[4], d = 0;
    int16_t scale[16];
    memcpy(packed, b->scales, sizeof packed);
    for (size_t k = 0; k < 4; k++) {
        d = (uint16_t)(d | packed[k] >> 12 << 4 * k);
        for (size_t j = 0; j < 4; j++)
            scale[4 * k + j] = (int16_t)(2 * (packed[k] >> 3 * j & 7) + 1);
    }
    out->scale[0] = vld1q_s16(scale);
    out->scale[1] = vld1q_s16(scale + 8);
    for (size_t s = 0; s < 8; s++) {
        uint64_t entries = 0;
        uint32_t negative = 0;
        UNROLL
        for (size_t l = 0; l < 4; l++) {
            const unsigned high = (unsigned)b->qh[2 * s + l / 2] >> 4 * (l % 2) & 15;
            entries |= (uint64_t)iq1s_grid[b->qs[4 * s + l] | (high & 7) << 8] << 16 * l;
            negative |= (high >> 3) << l;
        }
        decode_iq1(entries, negative, out->w + 2 * s);
    }
    out->d = load1_f16(&d) * 0.125f;
}

/* ---- The types ---- */

INLINE_ALL void matmul_iq4_xs_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                   float *y, size_t y_stride) {
    matmul_super_neon(&iq4_xs_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_iq3_s_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                  float *y, size_t y_stride) {
    matmul_super_neon(&iq3_s_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_iq3_xxs_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                    float *y, size_t y_stride) {
    matmul_super_neon(&iq3_xxs_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_iq2_s_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                  float *y, size_t y_stride) {
    matmul_super_neon(&iq2_s_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_iq2_xs_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                   float *y, size_t y_stride) {
    matmul_super_neon(&iq2_xs_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_iq2_xxs_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                    float *y, size_t y_stride) {
    matmul_super_neon(&iq2_xxs_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_iq1_s_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                  float *y, size_t y_stride) {
    matmul_super_neon(&iq1_s_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_iq1_m_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                  float *y, size_t y_stride) {
    matmul_super_neon(&iq1_m_type, w, row_bytes, n_rows, x, y, y_stride);
}
