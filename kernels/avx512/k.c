/* k.c - y = W x for the K types.
 * SPDX-License-Identifier: MIT
 * Quants are multiplied unsigned; Q3_K and Q6_K subtract their offset of 4 and 32 with the scaled sums of x.
 */
#include "kernels/avx512/level.h"
#include "kernels/avx512/super.h"

#include "formats/blocks.h"

/* ---- Unpack: as kernels/c/k.c, 64 values at a time ---- */

static inline void unpack_q2_K_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_q2_K *b = (const void *)block;
    const __m512i low = broadcast256(b->qs), high = broadcast256(b->qs + 32);
    store512(out->w, move_bits(low, 0, 2, 2, 0));
    store512(out->w + 64, move_bits(low, 4, 6, 2, 0));
    store512(out->w + 128, move_bits(high, 0, 2, 2, 0));
    store512(out->w + 192, move_bits(high, 4, 6, 2, 0));
    const __m256i packed = _mm256_cvtepu8_epi16(load128(b->scales));
    store256(out->scale, _mm256_and_si256(packed, _mm256_set1_epi16(15)));
    store256(out->min, _mm256_srli_epi16(packed, 4));
}

/* 16 scales of 6 bits, less 32. */
static inline __m256i unpack_scales_q3_K(const uint8_t k[12]) {
    const __m128i low = _mm_loadl_epi64((const __m128i *)(const void *)k);
    int32_t upper;
    memcpy(&upper, k + 8, sizeof upper);
    const __m128i nibbles = _mm_and_si128(_mm_unpacklo_epi64(low, _mm_srli_epi16(low, 4)), _mm_set1_epi8(15));
    const __m128i pairs = _mm_srlv_epi32(_mm_set1_epi32(upper), _mm_setr_epi32(0, 2, 4, 6));
    const __m128i high = _mm_slli_epi16(_mm_and_si128(pairs, _mm_set1_epi8(3)), 4);
    return _mm256_cvtepi8_epi16(_mm_sub_epi8(_mm_or_si128(nibbles, high), _mm_set1_epi8(32)));
}

static inline void unpack_q3_K_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_q3_K *b = (const void *)block;
    const __m512i hmask = broadcast256(b->hmask), low = broadcast256(b->qs), high = broadcast256(b->qs + 32);
    store512(out->w, _mm512_or_si512(move_bits(low, 0, 2, 2, 0), move_bits(hmask, 0, 1, 1, 2)));
    store512(out->w + 64, _mm512_or_si512(move_bits(low, 4, 6, 2, 0), move_bits(hmask, 2, 3, 1, 2)));
    store512(out->w + 128, _mm512_or_si512(move_bits(high, 0, 2, 2, 0), move_bits(hmask, 4, 5, 1, 2)));
    store512(out->w + 192, _mm512_or_si512(move_bits(high, 4, 6, 2, 0), move_bits(hmask, 6, 7, 1, 2)));
    store256(out->scale, unpack_scales_q3_K(b->scales));
}

/* The 8 scales and 8 minima of 6 bits of Q4_K and Q5_K, each twice. Dwords 0 and 1 hold the first four of
 * either and, in their upper bits, bits 5 4 of the last four; dword 2 the low nibbles of those. */
static inline void unpack_scales_q4_K(const uint8_t k[12], struct super_row *out) {
    const __m128i packed = load128(k - 4);                                  /* after d and dmin */
    const __m128i low = _mm_shuffle_epi32(packed, _MM_SHUFFLE(3, 2, 3, 1)); /* scales, minima: first, last */
    const __m128i top = _mm_shuffle_epi32(packed, _MM_SHUFFLE(2, 2, 1, 1));
    const __m128i shifted = _mm_srlv_epi32(low, _mm_setr_epi32(0, 0, 0, 4));
    const __m128i low_bits = _mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f);
    const __m128i top_bits = _mm_setr_epi32(0, 0x30303030, 0, 0x30303030);
    const __m128i both =
        _mm_or_si128(_mm_and_si128(shifted, low_bits), _mm_and_si128(_mm_srli_epi32(top, 2), top_bits));
    /* Byte i / 2 to word i: all scales, and min behind them. */
    const __m512i twice =
        _mm512_set_epi64(0x000f000f000e000e, 0x000d000d000c000c, 0x000b000b000a000a, 0x0009000900080008,
                         0x0007000700060006, 0x0005000500040004, 0x0003000300020002, 0x0001000100000000);
    store512(out->scale,
             _mm512_maskz_permutexvar_epi8(0x5555555555555555, twice, _mm512_castsi128_si512(both)));
}

static inline void unpack_q4_K_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_q4_K *b = (const void *)block;
    UNROLL
    for (int g = 0; g < 4; g++)
        store512(out->w + 64 * g, move_bits(broadcast256(b->qs + 32 * g), 0, 4, 4, 0));
    unpack_scales_q4_K(b->scales, out);
}

static inline void unpack_q5_K_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_q5_K *b = (const void *)block;
    const __m512i qh = broadcast256(b->qh);
    UNROLL
    for (unsigned g = 0; g < 4; g++)
        store512(out->w + 64 * g, _mm512_or_si512(move_bits(broadcast256(b->qs + 32 * g), 0, 4, 4, 0),
                                                  move_bits(qh, 2 * g, 2 * g + 1, 1, 4)));
    unpack_scales_q4_K(b->scales, out);
}

static inline void unpack_q6_K_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_q6_K *b = (const void *)block;
    UNROLL
    for (int half = 0; half < 2; half++) {
        const __m512i ql = load512(b->ql + 64 * half), qh = broadcast256(b->qh + 32 * half);
        store512(out->w + 128 * half, _mm512_or_si512(move_bits(ql, 0, 0, 4, 0), move_bits(qh, 0, 2, 2, 4)));
        store512(out->w + 128 * half + 64,
                 _mm512_or_si512(move_bits(ql, 4, 4, 4, 0), move_bits(qh, 4, 6, 2, 4)));
    }
    store256(out->scale, _mm256_cvtepi8_epi16(load128(b->scales)));
}

/* ---- The types ---- */

void matmul_q2_K_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_q2_K),
        .unpack = unpack_q2_K_avx512,
        .gemv = gemv_q2_K_avx512,
        .scales = gather_f16,
        .d_offset = offsetof(struct block_q2_K, d),
        .dmin_offset = offsetof(struct block_q2_K, dmin),
        .scale_values = 16,
        .has_min = true,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q3_K_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_q3_K),
        .unpack = unpack_q3_K_avx512,
        .gemv = gemv_q3_K_avx512,
        .scales = gather_f16,
        .d_offset = offsetof(struct block_q3_K, d),
        .scale_values = 16,
        .offset = 4,
        .centre = 4,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q4_K_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_q4_K),
        .unpack = unpack_q4_K_avx512,
        .gemv = gemv_q4_K_avx512,
        .scales = gather_f16,
        .d_offset = offsetof(struct block_q4_K, d),
        .dmin_offset = offsetof(struct block_q4_K, dmin),
        .scale_values = 32,
        .has_min = true,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q5_K_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_q5_K),
        .unpack = unpack_q5_K_avx512,
        .gemv = gemv_q5_K_avx512,
        .scales = gather_f16,
        .d_offset = offsetof(struct block_q5_K, d),
        .dmin_offset = offsetof(struct block_q5_K, dmin),
        .scale_values = 32,
        .centre = 16,
        .has_min = true,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q6_K_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_q6_K),
        .unpack = unpack_q6_K_avx512,
        .gemv = gemv_q6_K_avx512,
        .scales = gather_f16,
        .d_offset = offsetof(struct block_q6_K, d),
        .scale_values = 16,
        .offset = 32,
        .centre = 32,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}
