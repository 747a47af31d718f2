/* block32.h - y = W x for the types in blocks of 32 and A32 activations: the template that block32.c fills.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx2 and kernels/avxvnni, whose dot.h multiplies. One to three tokens (gemm.h takes
 * more): eight rows at once, the 32 products of a row's block are added to 8 lanes, eight such vectors to one
 * with a row in each lane, and that takes the one float step of the block. */
#ifndef QUERN_KERNELS_AVX2_BLOCK32_H
#define QUERN_KERNELS_AVX2_BLOCK32_H

#include "kernels/avx2/bytes.h"
#include "kernels/avx2/gemm.h"
#include "kernels/tile.h"

#include "formats/blocks.h"
#include "formats/iq_grids.h"

/* ---- Unpack: 32 bytes of one block ---- */

/* 16 where bit i is set, byte i of 32. */
static inline __m256i unpack_fifth_bits(const uint8_t *qh) {
    return _mm256_and_si256(mask_of_bits(load_u32(qh)), _mm256_set1_epi8(16));
}

typedef __m256i unpack32_function(const uint8_t *block);

static inline __m256i unpack_q4_0_avx2(const uint8_t *block) {
    return unpack_nibbles(block + offsetof(struct block_q4_0, qs));
}

static inline __m256i unpack_q4_1_avx2(const uint8_t *block) {
    return unpack_nibbles(block + offsetof(struct block_q4_1, qs));
}

static inline __m256i unpack_q5_0_avx2(const uint8_t *block) {
    return _mm256_or_si256(unpack_nibbles(block + offsetof(struct block_q5_0, qs)),
                           unpack_fifth_bits(block + offsetof(struct block_q5_0, qh)));
}

static inline __m256i unpack_q5_1_avx2(const uint8_t *block) {
    return _mm256_or_si256(unpack_nibbles(block + offsetof(struct block_q5_1, qs)),
                           unpack_fifth_bits(block + offsetof(struct block_q5_1, qh)));
}

static inline __m256i unpack_q8_0_avx2(const uint8_t *block) {
    return load256(block + offsetof(struct block_q8_0, qs));
}

static inline __m256i unpack_iq4_nl_avx2(const uint8_t *block) {
    return lookup(unpack_nibbles(block + offsetof(struct block_iq4_nl, qs)), iq4_levels);
}

/* 12 more than the doubled values. */
static inline __m256i unpack_mxfp4_avx2(const uint8_t *block) {
    static const int8_t levels[16] = { 12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0 };
    return lookup(unpack_nibbles(block + offsetof(struct block_mxfp4, qs)), levels);
}

/* ---- Scales of 8 rows ---- */

typedef __m256 scales_function(const uint8_t *const row[8], size_t offset);

/* 2^(e - 128): exponent e - 1 of a float, or the subnormals 2^21 and 2^22 units for e = 0 and 1. */
static inline __m256 scales_e8m0(const uint8_t *const row[8], size_t offset) {
    const __m256i e = _mm256_setr_epi32(row[0][offset], row[1][offset], row[2][offset], row[3][offset],
                                        row[4][offset], row[5][offset], row[6][offset], row[7][offset]);
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(1 << 21), e);
    const __m256i is_normal = _mm256_cmpgt_epi32(e, _mm256_set1_epi32(1));
    return _mm256_castsi256_ps(_mm256_blendv_epi8(subnormal, normal, is_normal));
}

/* ---- Multiply ---- */

struct type32 {
    size_t block_bytes;
    unpack32_function *unpack;
    scales_function *scales; /* at offset 0 of a block */
    bool is_signed;          /* unpack gives signed weights; otherwise quants, */
    int offset;              /* from which this is subtracted */
    size_t min_offset;       /* of the f16 minimum in a block; 0: there is none */
    fill_function *fill;     /* fill_panel() of this type */
    inner_loop *loop;        /* for many tokens, */
    bool is_words;           /* which takes words */
};

enum { MAX_TOKENS = 2 }; /* at once: with 3 the sums no longer fit the registers */

/* Block i of 8 rows times n_tokens tokens: a row's exact integer in each lane of sums[]. */
TEMPLATE void dot_blocks(struct type32 type, const uint8_t *const row[8], size_t at, const int8_t *q,
                         size_t n, size_t n_tokens, __m256i sums[MAX_TOKENS]) {
    __m256i halves[2][MAX_TOKENS];
    UNROLL
    for (size_t half = 0; half < 2; half++) {
        __m256i u[MAX_TOKENS][4];
        UNROLL
        for (size_t r = 0; r < 4; r++) {
            const __m256i w = type.unpack(row[4 * half + r] + at);
            UNROLL
            for (size_t t = 0; t < n_tokens; t++)
                u[t][r] = dot32(type.is_signed, w, q + t * n);
        }
        UNROLL
        for (size_t t = 0; t < n_tokens; t++)
            halves[half][t] = sum_halves(u[t][0], u[t][1], u[t][2], u[t][3]);
    }
    UNROLL
    for (size_t t = 0; t < n_tokens; t++)
        sums[t] = join_halves(halves[0][t], halves[1][t]);
}

/* Outputs of a tile and n_tokens tokens from t0 on; the first pass over a tile prefetches. */
TEMPLATE void tile32(struct type32 type, const struct tile *tile, const struct acts *x, size_t t0,
                     size_t n_tokens, float *y, size_t y_stride) {
    const size_t n_blocks = x->n / 32;
    __m256 acc[MAX_TOKENS];
    UNROLL
    for (size_t t = 0; t < n_tokens; t++)
        acc[t] = _mm256_setzero_ps();
    for (size_t i = 0; i < n_blocks; i++) {
        const size_t at = i * type.block_bytes;
        __m256i sums[MAX_TOKENS];
        dot_blocks(type, tile->row, at, x->q + t0 * x->n + i * 32, x->n, n_tokens, sums);
        const __m256 d = type.scales(tile->row, at);
        UNROLL
        for (size_t t = 0; t < n_tokens; t++) {
            const size_t block = (t0 + t) * n_blocks + i;
            if (type.offset)
                sums[t] = _mm256_sub_epi32(sums[t], _mm256_set1_epi32(type.offset * x->sum[block]));
            __m256 r = _mm256_mul_ps(d, _mm256_cvtepi32_ps(sums[t]));
            if (type.min_offset)
                r = _mm256_fmadd_ps(gather8_f16(tile->row, at + type.min_offset),
                                    _mm256_set1_ps((float)x->sum[block]), r);
            acc[t] = _mm256_fmadd_ps(_mm256_set1_ps(x->d[block]), r, acc[t]);
        }
        if (t0 == 0 && i % 2 == 0) /* two blocks make a cache line or less */
            tile_prefetch(tile, at, 2 * type.block_bytes);
    }
    UNROLL
    for (size_t t = 0; t < n_tokens; t++) {
        float out[8];
        _mm256_storeu_ps(out, acc[t]);
        tile_store(tile, y + t * y_stride, out);
    }
}

/* A fill_function. */
TEMPLATE void fill_panel(struct type32 type, const uint8_t *const row[8], size_t i, size_t n_blocks,
                         size_t half, struct panel *p) {
    /* Signed bytes become unsigned by adding 128. */
    const __m256i flip = _mm256_set1_epi8(type.is_signed && !type.is_words ? (char)128 : 0);
    int8_t bytes[8][PANEL_VALUES] = { 0 };
    for (size_t r = 0; r < 8; r++)
        for (size_t b = 0; b < n_blocks; b++)
            store256(bytes[r] + 32 * b,
                     _mm256_xor_si256(type.unpack(row[r] + (i + b) * type.block_bytes), flip));
    if (type.is_words) {
        int16_t words[8][PANEL_VALUES];
        for (size_t r = 0; r < 8; r++)
            for (size_t k = 0; k < PANEL_VALUES; k += 16)
                store256(words[r] + k, _mm256_cvtepi8_epi16(load128(bytes[r] + k)));
        panel_fill_words_avx2(p, half, words[0], sizeof words[0]);
    } else {
        panel_fill_weights_avx2(p, half, bytes[0], sizeof bytes[0]);
    }
    for (size_t b = 0; b < n_blocks; b++) {
        const size_t at = (i + b) * type.block_bytes;
        _mm256_store_ps(p->d[b] + 8 * half, type.scales(row, at));
        if (type.min_offset)
            _mm256_store_ps(p->m[b] + 8 * half, gather8_f16(row, at + type.min_offset));
    }
}

TEMPLATE void matmul32(struct type32 type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                       const struct acts *x, float *y, size_t y_stride) {
    if (x->n_tokens >= GEMM_TOKENS) {
        const int offset = type.offset + (type.is_signed && !type.is_words ? 128 : 0);
        const struct gemm_block_type gemm = { type.fill, type.loop, type.is_words, offset };
        gemm_blocks_avx2(&gemm, w, row_bytes, n_rows, x, y, y_stride);
        return;
    }
    for (size_t j = 0; j < tile_count(n_rows); j++) {
        const struct tile tile = tile_at(w, row_bytes, n_rows, j);
        size_t t = 0;
        for (; t + 2 <= x->n_tokens; t += 2)
            tile32(type, &tile, x, t, 2, y + t * y_stride, y_stride);
        if (t < x->n_tokens)
            tile32(type, &tile, x, t, 1, y + t * y_stride, y_stride);
    }
}

#endif
