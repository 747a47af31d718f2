/* super.h - y = W x for super-blocks of 256 and A256 activations: the template that k.c and iq.c fill.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx2. For each super-block of eight rows: unpack the rows to bytes and 16-bit scales
 * in L1, then for every token add a row's products to 8 lanes (vpmaddubsw, vpmaddwd by the sub-block's scale,
 * vpaddd), bring eight rows to one vector with a row in each lane, and take the float step. So a row is
 * unpacked once for any number of tokens, and the sums of all tokens are kept in y. */
#ifndef QUERN_KERNELS_AVX2_SUPER_H
#define QUERN_KERNELS_AVX2_SUPER_H

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/gemm.h"
#include "kernels/c/unpack.h"
#include "kernels/kernels.h"

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

/* Sums over 16 pairs of products: |w| <= 128 and x >= -127, or w <= 63, do not saturate 16 bits. */
TEMPLATE __m256i dot_pairs(bool is_signed, __m256i w, __m256i x) {
    return is_signed ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
                     : _mm256_maddubs_epi16(w, x);
}

enum { ROWS_AT_ONCE = 4 };

/* The integers of 4 rows with super-block `at` of x, as sum_halves() leaves them. */
TEMPLATE __m256i dot_super(struct gemm_super_type type, const struct super_block *row, const struct acts *x,
                           size_t at) {
    const __m256i a = sub_scales(x, at), g = load256(x->g16 + at * 16);
    __m256i u[ROWS_AT_ONCE], scales[ROWS_AT_ONCE];
    UNROLL
    for (size_t r = 0; r < ROWS_AT_ONCE; r++) {
        const __m256i plain = load256(row[r].scale);
        scales[r] = _mm256_mullo_epi16(plain, a); /* |scale * a| <= 128 * 8 */
        u[r] = _mm256_setzero_si256();
        if (type.offset)
            u[r] = _mm256_mullo_epi32(_mm256_madd_epi16(plain, g), _mm256_set1_epi32(-type.offset));
    }
    UNROLL
    for (int half = 0; half < 2; half++) {
        __m256i c[ROWS_AT_ONCE];
        UNROLL
        for (size_t r = 0; r < ROWS_AT_ONCE; r++)
            c[r] = half ? _mm256_permute2x128_si256(scales[r], scales[r], 0x11)
                        : _mm256_permute2x128_si256(scales[r], scales[r], 0x00);
        UNROLL
        for (int pair = 0; pair < 4; pair++) {
            const int k = 128 * half + 32 * pair;
            const __m256i q = load256(x->q + at * 256 + k);
            UNROLL
            for (size_t r = 0; r < ROWS_AT_ONCE; r++) {
                const __m256i products = dot_pairs(type.kind == PANEL_SIGNED, load256(row[r].w + k), q);
                u[r] = _mm256_add_epi32(u[r], _mm256_madd_epi16(products, spread_pair(c[r], pair)));
            }
        }
    }
    return sum_halves(u[0], u[1], u[2], u[3]);
}

/* The sums of the minima of 4 rows. */
TEMPLATE __m256i dot_minima(const struct super_block *row, const struct acts *x, size_t at) {
    const __m256i g = load256(x->g16 + at * 16);
    return sum_halves(_mm256_madd_epi16(load256(row[0].min), g), _mm256_madd_epi16(load256(row[1].min), g),
                      _mm256_madd_epi16(load256(row[2].min), g), _mm256_madd_epi16(load256(row[3].min), g));
}

/* Super-block `at` of x times 8 rows of weights, added to acc. */
TEMPLATE __m256 add_super(struct gemm_super_type type, const struct super_block row[8], __m256 d, __m256 dmin,
                          const struct acts *x, size_t at, __m256 acc) {
    const __m256i dot = join_halves(dot_super(type, row, x, at), dot_super(type, row + 4, x, at));
    __m256 r = _mm256_mul_ps(d, _mm256_cvtepi32_ps(dot));
    if (type.has_min) {
        const __m256i min = join_halves(dot_minima(row, x, at), dot_minima(row + 4, x, at));
        r = _mm256_fnmadd_ps(dmin, _mm256_cvtepi32_ps(min), r);
    }
    return _mm256_fmadd_ps(_mm256_set1_ps(x->d[at]), r, acc);
}

/* Rows [r, r + n_out), n_out <= 8, of all tokens. next: the tile that is prefetched meanwhile, or NULL. */
TEMPLATE void tile_super(struct gemm_super_type type, const uint8_t *w, size_t row_bytes, size_t n_out,
                         const struct acts *x, float *y, size_t y_stride, const uint8_t *next) {
    const size_t n_blocks = x->n / 256;
    const __m256i lanes = first_lanes(n_out);
    for (size_t i = 0; i < n_blocks; i++) {
        struct super_block row[8];
        float d[8], dmin[8] = { 0 };
        for (size_t r = 0; r < 8; r++) { /* a last tile computes its last row several times */
            type.unpack(w + (r < n_out ? r : n_out - 1) * row_bytes + i * type.block_bytes, &row[r]);
            d[r] = row[r].d;
            if (type.has_min)
                dmin[r] = row[r].dmin;
        }
        if (next)
            prefetch(next + i * 8 * type.block_bytes, 8 * type.block_bytes);
        for (size_t t = 0; t < x->n_tokens; t++) {
            /* Keeps GCC from loading all of row before the loop, where only the stack has room for it. */
            __asm__ volatile("" : : "r"(row) : "memory");
            __m256 acc = i ? _mm256_maskload_ps(y + t * y_stride, lanes) : _mm256_setzero_ps();
            acc = add_super(type, row, _mm256_loadu_ps(d), _mm256_loadu_ps(dmin), x, t * n_blocks + i, acc);
            _mm256_maskstore_ps(y + t * y_stride, lanes, acc);
        }
    }
}

TEMPLATE void matmul_super_avx2(struct gemm_super_type type, const uint8_t *w, size_t row_bytes,
                                size_t n_rows, const struct acts *x, float *y, size_t y_stride) {
    if (x->n_tokens >= GEMM_TOKENS) {
        gemm_super(&type, w, row_bytes, n_rows, x, y, y_stride);
        return;
    }
    for (size_t r = 0; r < n_rows; r += 8) {
        const size_t n_out = n_rows - r < 8 ? n_rows - r : 8;
        const uint8_t *tile = w + r * row_bytes, *next = n_rows - r >= 16 ? tile + 8 * row_bytes : NULL;
        tile_super(type, tile, row_bytes, n_out, x, y + r, y_stride, next);
    }
}

#endif
