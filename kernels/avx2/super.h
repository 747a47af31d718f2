/* super.h - y = W x for super-blocks of 256 and A256 activations: the template that k.c, iq.c and ternary.c
 * fill. SPDX-License-Identifier: MIT Private to kernels/avx2 and kernels/avxvnni, whose dot.h multiplies. One
 * to three tokens (gemm.h takes more). For each super-block of eight rows: unpack a row to bytes and 16-bit
 * scales, which the compiler keeps in registers, add its products to 8 lanes (vpmaddubsw, vpmaddwd by the
 * sub-block's scale, vpaddd), bring eight rows to one vector with a row in each lane, and take the float
 * step. */
#ifndef QUERN_KERNELS_AVX2_SUPER_H
#define QUERN_KERNELS_AVX2_SUPER_H

#include "kernels/avx2/bytes.h"
#include "kernels/avx2/gemm.h"
#include "kernels/c/unpack.h"
#include "kernels/kernels.h"
#include "kernels/tile.h"

/* The sub-scales of super-block `at` for each 16 values. */
TEMPLATE __m256i sub_scales(const struct acts *x, size_t at) {
    if (x->form == ACT_A256_16)
        return _mm256_cvtepu8_epi16(load128(x->a + at * 16));
    const __m128i a = _mm_loadl_epi64((const __m128i *)(const void *)(x->a + at * 8));
    return _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, a));
}

/* Word 2 pair of each half in its low half, word 2 pair + 1 in its high half: the scales of 32 products. */
TEMPLATE __m256i spread_pair(__m256i scales, int pair) {
    const __m256i low = _mm256_set1_epi16((short)(0x0100 + 0x0404 * pair));
    const __m256i high = _mm256_set1_epi16((short)(0x0302 + 0x0404 * pair));
    return _mm256_shuffle_epi8(scales, _mm256_blend_epi32(low, high, 0xf0));
}

/* What a super-block of x brings to every row. */
struct super_acts {
    const int8_t *q;
    __m256i a, g; /* for each 16 values */
};

/* Dword i of memory to all lanes. Assembly: a load alone takes none of the ports that multiply, but GCC would
 * take the dword out of the register that was stored. */
TEMPLATE __m256i broadcast_stored(const int32_t *p) {
    __m256i v;
    __asm__("vpbroadcastd %1, %0" : "=x"(v) : "m"(*p));
    return v;
}

/* The products of one row in 8 lanes, scaled. */
TEMPLATE __m256i dot_row(struct gemm_super_type type, const struct super_block *row,
                         const struct super_acts *x) {
    const __m256i plain = load256(row->scale),
                  scales = _mm256_mullo_epi16(plain, x->a); /* |scale a| <= 1024 */
    const __m256i halves[2] = { _mm256_permute2x128_si256(scales, scales, 0x00),
                                _mm256_permute2x128_si256(scales, scales, 0x11) };
    alignas(32) int32_t twice[8];
    if (type.scale_values == 32)
        store256(twice, scales);
    __m256i sum = _mm256_setzero_si256();
    if (type.offset)
        sum = _mm256_mullo_epi32(_mm256_madd_epi16(plain, x->g), _mm256_set1_epi32(-type.offset));
    UNROLL
    for (int i = 0; i < 8; i++)
        sum = add_products(type.is_signed, sum, load256(row->w + 32 * i), x->q + 32 * i,
                           type.scale_values == 32 ? broadcast_stored(&twice[i])
                                                   : spread_pair(halves[i / 4], i % 4));
    return sum;
}

/* The integers and scales of super-block i of 8 rows. */
struct super_sums {
    __m256i dot, min;
    __m256 d, dmin;
};

/* d, and dmin behind it, of 8 rows. Each row's are moved as they are: converting them one at a time would
 * take ten operations a row. */
TEMPLATE void load_scales(struct gemm_super_type type, const uint8_t *const row[8], size_t i,
                          struct super_sums *out) {
    const size_t at = i * type.block_bytes + type.d_offset;
    uint32_t both[8];
    UNROLL
    for (size_t r = 0; r < 8; r++) {
        uint16_t d;
        memcpy(&d, row[r] + at, sizeof d);
        both[r] = d;
        if (type.has_min)
            memcpy(&both[r], row[r] + at, sizeof both[r]);
    }
    const __m256i v = load256(both), low = _mm256_and_si256(v, _mm256_set1_epi32(0xffff));
    const __m256i packed =
        _mm256_packus_epi32(low, _mm256_srli_epi32(v, 16)); /* d 0..3, dmin 0..3, d 4..7 .. */
    const __m256i sorted = _mm256_permute4x64_epi64(packed, 0xd8);
    out->d = _mm256_cvtph_ps(_mm256_castsi256_si128(sorted));
    if (type.has_min)
        out->dmin = _mm256_cvtph_ps(_mm256_extracti128_si256(sorted, 1));
}

TEMPLATE void dot_rows(struct gemm_super_type type, const uint8_t *const row[8], size_t i,
                       const struct super_acts *x, struct super_sums *out) {
    __m256i dot[2], min[2];
    float d[8];
    UNROLL
    for (size_t half = 0; half < 2; half++) {
        __m256i u[4], v[4];
        UNROLL
        for (size_t r = 0; r < 4; r++) {
            struct super_block block;
            type.unpack(row[4 * half + r] + i * type.block_bytes, &block);
            u[r] = dot_row(type, &block, x);
            if (type.d_offset == NO_D_OFFSET)
                d[4 * half + r] = block.d;
            if (type.has_min)
                v[r] = _mm256_madd_epi16(load256(block.min), x->g);
        }
        dot[half] = sum_halves(u[0], u[1], u[2], u[3]);
        if (type.has_min)
            min[half] = sum_halves(v[0], v[1], v[2], v[3]);
    }
    out->dot = join_halves(dot[0], dot[1]);
    if (type.has_min)
        out->min = join_halves(min[0], min[1]);
    if (type.d_offset == NO_D_OFFSET)
        out->d = _mm256_loadu_ps(d);
    else
        load_scales(type, row, i, out);
}

/* Outputs of a tile and token t; the first pass over a tile prefetches. */
TEMPLATE void tile_super(struct gemm_super_type type, const struct tile *tile, const struct acts *x, size_t t,
                         float *y) {
    const size_t n_blocks = x->n / 256;
    __m256 acc = _mm256_setzero_ps();
    for (size_t i = 0; i < n_blocks; i++) {
        const size_t at = t * n_blocks + i;
        const struct super_acts xi = { x->q + at * 256, sub_scales(x, at), load256(x->g16 + at * 16) };
        struct super_sums sums;
        dot_rows(type, tile->row, i, &xi, &sums);
        __m256 r = _mm256_mul_ps(sums.d, _mm256_cvtepi32_ps(sums.dot));
        if (type.has_min)
            r = _mm256_fnmadd_ps(sums.dmin, _mm256_cvtepi32_ps(sums.min), r);
        acc = _mm256_fmadd_ps(_mm256_set1_ps(x->d[at]), r, acc);
        if (t == 0)
            tile_prefetch(tile, i * type.block_bytes, type.block_bytes);
    }
    float out[8];
    _mm256_storeu_ps(out, acc);
    tile_store(tile, y, out);
}

TEMPLATE void matmul_super(struct gemm_super_type type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                           const struct acts *x, float *y, size_t y_stride) {
    if (x->n_tokens >= GEMM_TOKENS) {
        const struct gemm_super_type copy = type; /* one whose address is taken is no constant any more */
        gemm_super_avx2(&copy, w, row_bytes, n_rows, x, y, y_stride);
        return;
    }
    for (size_t j = 0; j < tile_count(n_rows); j++) {
        const struct tile tile = tile_at(w, row_bytes, n_rows, j);
        for (size_t t = 0; t < x->n_tokens; t++)
            tile_super(type, &tile, x, t, y + t * y_stride);
    }
}

#endif
