/* k.c - y = W x for the K types.
 * SPDX-License-Identifier: MIT */
#include "kernels/neon/bytes.h"
#include "kernels/neon/level.h"
#include "kernels/neon/super.h"
#include "kernels/neon/types.h"

#include "formats/blocks.h"

/* ---- Unpack: as kernels/c/k.c, 16 values at a time ---- */

void unpack_q2_K_neon(const uint8_t *block, struct super_row *out) {
    const struct block_q2_K *b = (const void *)block;
    UNROLL
    for (int i = 0; i < 4; i++) {
        const uint8x16_t q = load_u8(b->qs + 16 * i);
        UNROLL
        for (int c = 0; c < 4; c++)
            out->w[8 * (i / 2) + 2 * c + i % 2] = as_signed(move_bits(q, 2 * c, 2, 0));
    }
    const uint8x16_t packed = load_u8(b->scales);
    widen_u8(low_nibbles(packed), out->scale);
    widen_u8(high_nibbles(packed), out->min);
    out->d = load1_f16(b->d);
    out->dmin = load1_f16(b->dmin);
}

/* 16 scales of 6 bits, less 32. */
static inline int8x16_t unpack_scales_q3_K(const uint8_t k[12]) {
    static const int32_t shifts[4] = { 0, -2, -4, -6 };
    const uint8x8_t low = vld1_u8(k);
    const uint8x16_t nibbles = vcombine_u8(vand_u8(low, vdup_n_u8(15)), vshr_n_u8(low, 4));
    const uint32x4_t pairs = vshlq_u32(vdupq_n_u32(load_u32(k + 8)), vld1q_s32(shifts));
    const uint8x16_t high = move_bits(vreinterpretq_u8_u32(pairs), 0, 2, 4);
    return vsubq_s8(as_signed(vorrq_u8(nibbles, high)), vdupq_n_s8(32));
}

void unpack_q3_K_neon(const uint8_t *block, struct super_row *out) {
    const struct block_q3_K *b = (const void *)block;
    const uint8x16_t hmask[2] = { load_u8(b->hmask), load_u8(b->hmask + 16) };
    UNROLL
    for (int i = 0; i < 4; i++) {
        const uint8x16_t q = load_u8(b->qs + 16 * i);
        UNROLL
        for (int c = 0; c < 4; c++) {
            const uint8x16_t v =
                vorrq_u8(move_bits(q, 2 * c, 2, 0), move_bits(hmask[i % 2], 4 * (i / 2) + c, 1, 2));
            out->w[8 * (i / 2) + 2 * c + i % 2] = vsubq_s8(as_signed(v), vdupq_n_s8(4));
        }
    }
    widen_s8(unpack_scales_q3_K(b->scales), out->scale);
    out->d = load1_f16(b->d);
}

/* The 8 scales and 8 minima of 6 bits of Q4_K and Q5_K. Dwords 0 and 1 hold the first four of either and, in
 * their upper bits, bits 5 4 of the last four; dword 2 the low nibbles of those. */
static inline void unpack_scales_q4_K(const uint8_t k[12], struct super_row *out) {
    uint32_t w[3];
    memcpy(w, k, sizeof w);
    const uint32_t low = 0x3f3f3f3f, nibbles = 0x0f0f0f0f, top = 0x30303030;
    const uint32_t scale_high = (w[2] & nibbles) | (w[0] >> 2 & top);
    const uint32_t min_high = (w[2] >> 4 & nibbles) | (w[1] >> 2 & top);
    const uint8x8_t scale = vcreate_u8((uint64_t)scale_high << 32 | (w[0] & low));
    const uint8x8_t min = vcreate_u8((uint64_t)min_high << 32 | (w[1] & low));
    out->scale[0] = vreinterpretq_s16_u16(vmovl_u8(scale));
    out->min[0] = vreinterpretq_s16_u16(vmovl_u8(min));
}

void unpack_q4_K_neon(const uint8_t *block, struct super_row *out) {
    const struct block_q4_K *b = (const void *)block;
    UNROLL
    for (int i = 0; i < 8; i++) {
        const uint8x16_t q = load_u8(b->qs + 16 * i);
        out->w[4 * (i / 2) + i % 2] = as_signed(low_nibbles(q));
        out->w[4 * (i / 2) + 2 + i % 2] = as_signed(high_nibbles(q));
    }
    unpack_scales_q4_K(b->scales, out);
    out->d = load1_f16(b->d);
    out->dmin = load1_f16(b->dmin);
}

void unpack_q5_K_neon(const uint8_t *block, struct super_row *out) {
    const struct block_q5_K *b = (const void *)block;
    const uint8x16_t qh[2] = { load_u8(b->qh), load_u8(b->qh + 16) };
    UNROLL
    for (int i = 0; i < 8; i++) {
        const uint8x16_t q = load_u8(b->qs + 16 * i), low = move_bits(qh[i % 2], i / 2 * 2, 1, 4),
                         high = move_bits(qh[i % 2], i / 2 * 2 + 1, 1, 4);
        out->w[4 * (i / 2) + i % 2] = as_signed(vorrq_u8(low_nibbles(q), low));
        out->w[4 * (i / 2) + 2 + i % 2] = as_signed(vorrq_u8(high_nibbles(q), high));
    }
    unpack_scales_q4_K(b->scales, out);
    out->d = load1_f16(b->d);
    out->dmin = load1_f16(b->dmin);
}

void unpack_q6_K_neon(const uint8_t *block, struct super_row *out) {
    const struct block_q6_K *b = (const void *)block;
    UNROLL
    for (int i = 0; i < 8; i++) { /* 16 bytes of ql: half i / 4 of the values, column c and c + 2 of 32 */
        const int half = i / 4, c = i % 4 / 2, part = i % 2;
        const uint8x16_t ql = load_u8(b->ql + 16 * i), qh = load_u8(b->qh + 32 * half + 16 * part);
        const uint8x16_t low = vorrq_u8(low_nibbles(ql), move_bits(qh, 2 * c, 2, 4)),
                         high = vorrq_u8(high_nibbles(ql), move_bits(qh, 2 * c + 4, 2, 4));
        out->w[8 * half + 2 * c + part] = vsubq_s8(as_signed(low), vdupq_n_s8(32));
        out->w[8 * half + 2 * c + 4 + part] = vsubq_s8(as_signed(high), vdupq_n_s8(32));
    }
    widen_s8(load_s8(b->scales), out->scale);
    out->d = load1_f16(b->d);
}

/* ---- The types ---- */

INLINE_ALL void matmul_q2_K_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                 float *y, size_t y_stride) {
    matmul_super_neon(&q2_K_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_q3_K_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                 float *y, size_t y_stride) {
    matmul_super_neon(&q3_K_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_q4_K_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                 float *y, size_t y_stride) {
    matmul_super_neon(&q4_K_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_q5_K_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                 float *y, size_t y_stride) {
    matmul_super_neon(&q5_K_type, w, row_bytes, n_rows, x, y, y_stride);
}

INLINE_ALL void matmul_q6_K_neon(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x,
                                 float *y, size_t y_stride) {
    matmul_super_neon(&q6_K_type, w, row_bytes, n_rows, x, y, y_stride);
}
