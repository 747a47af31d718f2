/* super.h - y = W x for super-blocks of 256 and A256 activations: the template that k.c, iq.c and ternary.c
 * fill.
 * SPDX-License-Identifier: MIT
 * Private to kernels/neon. One to three tokens (panel.h takes more). For each super-block of eight rows:
 * unpack a row to bytes and 16-bit scales, bring the sums of its sub-blocks to lanes (sdot, addp), multiply
 * by the scales, bring eight rows to two vectors with a row in each lane, and take the float step. A row
 * takes 16 sdot, 6 or 12 addp, 2 or 4 mla, 2 or 4 smull besides its unpacking. */
#ifndef QUERN_KERNELS_NEON_SUPER_H
#define QUERN_KERNELS_NEON_SUPER_H

#include "kernels/neon/gemm.h"
#include "kernels/neon/neon.h"
#include "kernels/tile.h"

/* What a super-block of x brings to every row, for each sub-block of the weights. */
struct super_acts {
    const int8_t *q;
    int16x8_t a[2], g[2];
};

TEMPLATE struct super_acts load_super_acts(enum super_kind kind, const struct acts *x, size_t at) {
    struct super_acts out = { .q = x->q + at * 256 };
    if (kind == SUPER_16_A16) {
        const uint8x16_t a = vld1q_u8(x->a + at * 16);
        out.a[0] = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(a)));
        out.a[1] = vreinterpretq_s16_u16(vmovl_high_u8(a));
        return out;
    }
    const int16x8_t a = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(x->a + at * 8)));
    if (has_sub_blocks_of_16(kind)) {
        out.a[0] = vzip1q_s16(a, a);
        out.a[1] = vzip2q_s16(a, a);
        out.g[0] = vld1q_s16(x->g16 + at * 16);
        out.g[1] = vld1q_s16(x->g16 + at * 16 + 8);
    } else {
        out.a[0] = a;
        out.g[0] = vld1q_s16(x->g32 + at * 8);
    }
    return out;
}

/* The products of a row in 4 lanes, scaled; |scale a| <= 1024, the sums of four sub-blocks in the lanes of a
 * vector. */
TEMPLATE int32x4_t dot_row(enum super_kind kind, const struct super_row *row, const struct super_acts *x) {
    const size_t n = has_sub_blocks_of_16(kind) ? 1 : 2; /* registers of a sub-block */
    int32x4_t total = vdupq_n_s32(0);
    UNROLL
    for (size_t half = 0; half < 2 / n; half++) {
        const int32x4_t scale[2] = { vmull_s16(vget_low_s16(row->scale[half]), vget_low_s16(x->a[half])),
                                     vmull_high_s16(row->scale[half], x->a[half]) };
        UNROLL
        for (size_t quarter = 0; quarter < 2; quarter++) {
            int32x4_t s[4];
            UNROLL
            for (size_t j = 0; j < 4; j++) {
                const size_t k = (8 * half + 4 * quarter + j) * n;
                s[j] = vdotq_s32(vdupq_n_s32(0), row->w[k], load_s8(x->q + 16 * k));
                if (n == 2)
                    s[j] = vdotq_s32(s[j], row->w[k + 1], load_s8(x->q + 16 * k + 16));
            }
            total = vmlaq_s32(total, sum_each(s[0], s[1], s[2], s[3]), scale[quarter]);
        }
    }
    return total;
}

/* The minima of a row times the sums of x, in 4 lanes. */
TEMPLATE int32x4_t dot_min(enum super_kind kind, const struct super_row *row, const struct super_acts *x) {
    int32x4_t total = vmull_s16(vget_low_s16(row->min[0]), vget_low_s16(x->g[0]));
    total = vmlal_high_s16(total, row->min[0], x->g[0]);
    if (has_sub_blocks_of_16(kind)) {
        total = vmlal_s16(total, vget_low_s16(row->min[1]), vget_low_s16(x->g[1]));
        total = vmlal_high_s16(total, row->min[1], x->g[1]);
    }
    return total;
}

/* acc after super-block i of 8 rows, whose scale in x is d. */
TEMPLATE void add_super_blocks(struct super_type type, const uint8_t *const row[8], size_t i,
                               const struct super_acts *x, float d, float32x4_t acc[2]) {
    int32x4_t dot[8], min[8];
    float row_d[8], row_dmin[8];
    for (size_t r = 0; r < 8; r++) { /* not unrolled: 8 copies of all would not fit the decoder's caches */
        struct super_row unpacked;
        type.unpack(row[r] + i * type.block_bytes, &unpacked);
        dot[r] = dot_row(type.kind, &unpacked, x);
        row_d[r] = unpacked.d;
        if (has_minima(type.kind)) {
            min[r] = dot_min(type.kind, &unpacked, x);
            row_dmin[r] = unpacked.dmin;
        }
    }
    UNROLL
    for (size_t h = 0; h < 2; h++) {
        const int32x4_t *u = dot + 4 * h, *v = min + 4 * h;
        float32x4_t r = vmulq_f32(vld1q_f32(row_d + 4 * h), vcvtq_f32_s32(sum_each(u[0], u[1], u[2], u[3])));
        if (has_minima(type.kind))
            r = vfmsq_f32(r, vld1q_f32(row_dmin + 4 * h), vcvtq_f32_s32(sum_each(v[0], v[1], v[2], v[3])));
        acc[h] = vfmaq_n_f32(acc[h], r, d);
    }
}

/* Outputs of a tile and token t; the first pass over a tile prefetches. */
TEMPLATE void tile_super(struct super_type type, const struct tile *tile, const struct acts *x, size_t t,
                         float *y) {
    const size_t n_blocks = x->n / 256;
    float32x4_t acc[2] = { vdupq_n_f32(0), vdupq_n_f32(0) };
    for (size_t i = 0; i < n_blocks; i++) {
        const size_t at = t * n_blocks + i;
        const struct super_acts xi = load_super_acts(type.kind, x, at);
        add_super_blocks(type, tile->row, i, &xi, x->d[at], acc);
        if (t == 0)
            tile_prefetch(tile, i * type.block_bytes, type.block_bytes);
    }
    float out[8];
    vst1q_f32(out, acc[0]);
    vst1q_f32(out + 4, acc[1]);
    tile_store(tile, y, out);
}

TEMPLATE void matmul_super_neon(const struct super_type *type, const uint8_t *w, size_t row_bytes,
                                size_t n_rows, const struct acts *x, float *y, size_t y_stride) {
    if (x->n_tokens >= GEMM_TOKENS) {
        gemm_super_neon(type, w, row_bytes, n_rows, x, y, y_stride);
        return;
    }
    for (size_t j = 0; j < tile_count(n_rows); j++) {
        const struct tile tile = tile_at(w, row_bytes, n_rows, j);
        for (size_t t = 0; t < x->n_tokens; t++)
            tile_super(*type, &tile, x, t, y + t * y_stride);
    }
}

#endif
