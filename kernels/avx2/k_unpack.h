/* k_unpack.h - the K types, a super-block to bytes and 16-bit scales.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx2 and kernels/avxvnni. As kernels/c/k.c, 32 values at a time.
 */
#ifndef QUERN_KERNELS_AVX2_K_UNPACK_H
#define QUERN_KERNELS_AVX2_K_UNPACK_H

#include "kernels/avx2/bytes.h"
#include "kernels/c/unpack.h"

#include "formats/blocks.h"

static inline void unpack_q2_K_avx2(const uint8_t *block, struct super_block *out) {
    const struct block_q2_K *b = (const void *)block;
    const __m128i packed = load128(b->scales), nibble = _mm_set1_epi8(15);
    UNROLL
    for (int half = 0; half < 2; half++) {
        const __m256i q = load256(b->qs + 32 * half);
        UNROLL
        for (int c = 0; c < 4; c++)
            store256(out->w + 128 * half + 32 * c, bits_of_bytes(q, 2 * c, 2));
    }
    store256(out->scale, _mm256_cvtepu8_epi16(_mm_and_si128(packed, nibble)));
    store256(out->min, _mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16(packed, 4), nibble)));
    out->d = load1_f16(b->d);
    out->dmin = load1_f16(b->dmin);
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

static inline void unpack_q3_K_avx2(const uint8_t *block, struct super_block *out) {
    const struct block_q3_K *b = (const void *)block;
    const __m256i hmask = load256(b->hmask);
    UNROLL
    for (int half = 0; half < 2; half++) {
        const __m256i q = load256(b->qs + 32 * half);
        UNROLL
        for (int c = 0; c < 4; c++)
            store256(out->w + 128 * half + 32 * c,
                     _mm256_or_si256(bits_of_bytes(q, 2 * c, 2), move_bits(hmask, 4 * half + c, 1, 2)));
    }
    store256(out->scale, unpack_scales_q3_K(b->scales));
    out->d = load1_f16(b->d);
}

/* The 8 scales and 8 minima of 6 bits of Q4_K and Q5_K, each twice. Dwords 0 and 1 hold the first four of
 * either and, in their upper bits, bits 5 4 of the last four; dword 2 the low nibbles of those. */
static inline void unpack_scales_q4_K(const uint8_t k[12], struct super_block *out) {
    const uint32_t w[3] = { load_u32(k), load_u32(k + 4), load_u32(k + 8) };
    const uint32_t low = 0x3f3f3f3f, nibbles = 0x0f0f0f0f, top = 0x30303030;
    const uint32_t scale_high = (w[2] & nibbles) | (w[0] >> 2 & top);
    const uint32_t min_high = (w[2] >> 4 & nibbles) | (w[1] >> 2 & top);
    const __m128i scale = _mm_cvtsi64_si128((long long)((uint64_t)scale_high << 32 | (w[0] & low)));
    const __m128i min = _mm_cvtsi64_si128((long long)((uint64_t)min_high << 32 | (w[1] & low)));
    store256(out->scale, _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(scale, scale)));
    store256(out->min, _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(min, min)));
}

static inline void unpack_q4_K_avx2(const uint8_t *block, struct super_block *out) {
    const struct block_q4_K *b = (const void *)block;
    UNROLL
    for (int g = 0; g < 4; g++) {
        const __m256i q = load256(b->qs + 32 * g);
        store256(out->w + 64 * g, bits_of_bytes(q, 0, 4));
        store256(out->w + 64 * g + 32, bits_of_bytes(q, 4, 4));
    }
    unpack_scales_q4_K(b->scales, out);
    out->d = load1_f16(b->d);
    out->dmin = load1_f16(b->dmin);
}

static inline void unpack_q5_K_avx2(const uint8_t *block, struct super_block *out) {
    const struct block_q5_K *b = (const void *)block;
    const __m256i qh = load256(b->qh);
    UNROLL
    for (int g = 0; g < 4; g++) {
        const __m256i q = load256(b->qs + 32 * g);
        store256(out->w + 64 * g, _mm256_or_si256(bits_of_bytes(q, 0, 4), move_bits(qh, 2 * g, 1, 4)));
        store256(out->w + 64 * g + 32,
                 _mm256_or_si256(bits_of_bytes(q, 4, 4), move_bits(qh, 2 * g + 1, 1, 4)));
    }
    unpack_scales_q4_K(b->scales, out);
    out->d = load1_f16(b->d);
    out->dmin = load1_f16(b->dmin);
}

static inline void unpack_q6_K_avx2(const uint8_t *block, struct super_block *out) {
    const struct block_q6_K *b = (const void *)block;
    UNROLL
    for (int half = 0; half < 2; half++) {
        const __m256i qh = load256(b->qh + 32 * half);
        UNROLL
        for (int c = 0; c < 4; c++) {
            const __m256i ql = load256(b->ql + 64 * half + 32 * (c % 2));
            store256(out->w + 128 * half + 32 * c,
                     _mm256_or_si256(bits_of_bytes(ql, c < 2 ? 0 : 4, 4), move_bits(qh, 2 * c, 2, 4)));
        }
    }
    store256(out->scale, _mm256_cvtepi8_epi16(load128(b->scales)));
    out->d = load1_f16(b->d);
}

#endif
