/* super.h - y = W x for super-blocks of 256 and A256 activations: the template that k.c, iq.c and ternary.c
 * fill. SPDX-License-Identifier: MIT Private to kernels/avx512. For each super-block of eight rows: unpack
 * the rows to unsigned bytes and 16-bit scales in L1, then for every token add a row's products to 16 lanes,
 * bring eight rows to one vector with a row in each lane, and take the float step. So a row is unpacked once
 * for any number of tokens. */
#ifndef QUERN_KERNELS_AVX512_SUPER_H
#define QUERN_KERNELS_AVX512_SUPER_H

#include "kernels/avx512/avx512.h"
#include "kernels/avx512/gemm.h"
#include "kernels/avx512/gemv.h"
#include "kernels/kernels.h"
#include "kernels/tile.h"

/* The sub-scales of super-block `at` for each 16 values. */
TEMPLATE __m256i sub_scales(const struct acts *x, size_t at) {
    if (x->form == ACT_A256_16)
        return _mm256_cvtepu8_epi16(load128(x->a + at * 16));
    const __m128i a = _mm_loadl_epi64((const __m128i *)(const void *)(x->a + at * 8));
    return _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, a));
}

/* Word 4 c + i / 8 for each i of 32: the scales of values 64 c.. in pairs. */
TEMPLATE __m512i spread_words(__m256i scales, int c) {
    const __m512i eighths =
        _mm512_setr_epi64(0x0000000000000000, 0x0000000000000000, 0x0001000100010001, 0x0001000100010001,
                          0x0002000200020002, 0x0002000200020002, 0x0003000300030003, 0x0003000300030003);
    const __m512i index = _mm512_add_epi16(eighths, _mm512_set1_epi16((short)(4 * c)));
    return _mm512_permutexvar_epi16(index, _mm512_castsi256_si512(scales));
}

/* Dword 4 c + i / 4 for each i of 16: the scales of values 64 c.. in fours. */
TEMPLATE __m512i spread_dwords(__m512i scales, int c) {
    const __m512i fourths = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    return _mm512_permutexvar_epi32(_mm512_add_epi32(fourths, _mm512_set1_epi32(4 * c)), scales);
}

/* A row times 256 values q: 16 lanes whose sum is I. offset: what w is too large by. Up to w = 128 the sums
 * of two products fit 16 bits, 2 * 128 * 127 = 32512. */
TEMPLATE __m512i dot_super(int offset, const struct super_row *row, const int8_t *q, __m256i a, __m256i g16) {
    const __m256i plain = load256(row->scale);
    const __m256i scales = _mm256_mullo_epi16(plain, a); /* |scale * a| <= 128 * 8 */
    __m512i u = _mm512_setzero_si512();
    if (offset) {
        const __m256i sums = _mm256_madd_epi16(plain, g16);
        u = _mm512_zextsi256_si512(_mm256_mullo_epi32(sums, _mm256_set1_epi32(-offset)));
    }
    const __m512i wide = _mm512_cvtepi16_epi32(scales);
    UNROLL
    for (int c = 0; c < 4; c++) {
        const __m512i w = load512(row->w + 64 * c), x = load512(q + 64 * c);
        if (offset < 128) {
            u = _mm512_dpwssd_epi32(u, _mm512_maddubs_epi16(w, x), spread_words(scales, c));
        } else {
            const __m512i fours = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w, x);
            u = _mm512_add_epi32(u, _mm512_mullo_epi32(fours, spread_dwords(wide, c)));
        }
    }
    return u;
}

/* Super-block `at` of x times 8 rows of weights, added to acc. */
TEMPLATE __m256 add_super(int offset, bool has_min, const struct super_row row[8], __m256 d, __m256 dmin,
                          const struct acts *x, size_t at, __m256 acc) {
    const __m256i a = sub_scales(x, at), g16 = load256(x->g16 + at * 16);
    __m512i u[8];
    UNROLL
    for (size_t r = 0; r < 8; r++)
        u[r] = dot_super(offset, &row[r], x->q + at * 256, a, g16);
    __m256 sum = _mm256_mul_ps(d, _mm256_cvtepi32_ps(add_halves(sum_halves(u))));
    if (has_min) {
        __m256i m[8];
        UNROLL
        for (size_t r = 0; r < 8; r++)
            m[r] = _mm256_madd_epi16(load256(row[r].min), g16);
        sum = _mm256_fnmadd_ps(dmin, _mm256_cvtepi32_ps(sum_rows8(m)), sum);
    }
    return _mm256_fmadd_ps(_mm256_set1_ps(x->d[at]), sum, acc);
}

/* A tile times all tokens. */
TEMPLATE void tile_super(struct gemm_super_type type, const struct tile *tile, const struct acts *x, float *y,
                         size_t y_stride) {
    const size_t n_blocks = x->n / 256;
    float sums[GEMM_TOKENS][8];
    const uint8_t *block[8];
    memcpy(block, tile->row, sizeof block);
    for (size_t i = 0; i < n_blocks; i++) {
        struct super_row row[8];
        UNROLL
        for (size_t r = 0; r < 8; r++)
            type.unpack(block[r], &row[r]);
        const __m256 d = type.scales(block, type.d_offset);
        const __m256 dmin = type.has_min ? gather_f16(block, type.dmin_offset) : _mm256_setzero_ps();
        tile_prefetch(tile, i * type.block_bytes, type.block_bytes);
        for (size_t t = 0; t < x->n_tokens; t++) {
            const __m256 before = i ? _mm256_loadu_ps(sums[t]) : _mm256_setzero_ps();
            _mm256_storeu_ps(sums[t],
                             add_super(type.offset, type.has_min, row, d, dmin, x, t * n_blocks + i, before));
        }
        UNROLL
        for (size_t r = 0; r < 8; r++)
            block[r] += type.block_bytes;
    }
    for (size_t t = 0; t < x->n_tokens; t++)
        tile_store(tile, y + t * y_stride, sums[t]);
}

TEMPLATE void matmul_super_avx512(struct gemm_super_type type, const uint8_t *w, size_t row_bytes,
                                  size_t n_rows, const struct acts *x, float *y, size_t y_stride) {
    if (x->n_tokens >= GEMM_TOKENS) {
        /* A copy: what has its address taken is no constant to the templates below. */
        const struct gemm_super_type gemm = type;
        gemm_super_avx512(&gemm, w, row_bytes, n_rows, x, y, y_stride);
        return;
    }
    if (x->n_tokens == 1 && type.gemv) {
        const size_t n_done = type.gemv(w, row_bytes, n_rows, x, y);
        w += n_done * row_bytes;
        y += n_done;
        n_rows -= n_done;
    }
    for (size_t j = 0; j < tile_count(n_rows); j++) {
        const struct tile tile = tile_at(w, row_bytes, n_rows, j);
        tile_super(type, &tile, x, y, y_stride);
    }
}

#endif
