/* iq_unpack.h - the table types, a super-block to bytes and 16-bit scales.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx2 and kernels/avxvnni. Codebook entries are found one at a time, then 32 values are
 * made of their bits at once. Scales and the eightfold weights of IQ1: kernels/c/iq.c.
 */
#ifndef QUERN_KERNELS_AVX2_IQ_UNPACK_H
#define QUERN_KERNELS_AVX2_IQ_UNPACK_H

#include "kernels/avx2/bytes.h"
#include "kernels/c/unpack.h"

#include "formats/blocks.h"
#include "formats/iq_grids.h"

/* Scales in 8 dwords, one for each 32 values, to 16 words. */
static inline void store_scales32(struct super_block *out, __m256i scales) {
    store256(out->scale, _mm256_or_si256(_mm256_and_si256(scales, _mm256_set1_epi32(0xffff)),
                                         _mm256_slli_epi32(scales, 16)));
}

/* 2 v + 1 of each dword. */
static inline __m256i odd_scale(__m256i v) {
    return _mm256_add_epi32(_mm256_add_epi32(v, v), _mm256_set1_epi32(1));
}

/* The 16 nibbles of 8 bytes, low ones first, as odd scales for each 16 values. */
static inline void store_nibble_scales(struct super_block *out, const uint8_t scales[8]) {
    const __m128i packed = _mm_loadl_epi64((const __m128i *)(const void *)scales), nibble = _mm_set1_epi8(15);
    const __m128i even = _mm_and_si128(packed, nibble),
                  odd = _mm_and_si128(_mm_srli_epi16(packed, 4), nibble);
    const __m128i v = _mm_unpacklo_epi8(even, odd);
    store256(out->scale, _mm256_cvtepu8_epi16(_mm_add_epi8(_mm_add_epi8(v, v), _mm_set1_epi8(1))));
}

/* 8 dwords of which byte l holds 7 signs: bit 7 of each makes their number even. Shifts bring bits of the
 * next byte only where they are masked in the end. */
static inline void complete_signs(__m256i seven, uint32_t signs[8]) {
    __m256i parity = _mm256_xor_si256(seven, _mm256_srli_epi32(seven, 4));
    parity = _mm256_xor_si256(parity, _mm256_srli_epi32(parity, 2));
    parity = _mm256_xor_si256(parity, _mm256_srli_epi32(parity, 1));
    const __m256i eighth = _mm256_slli_epi32(_mm256_and_si256(parity, _mm256_set1_epi8(1)), 7);
    store256(signs, _mm256_or_si256(seven, eighth));
}

/* Four fields of 7 bits from bit 0 on, each to a byte. */
static inline __m256i spread_sevens(__m256i packed) {
    const __m256i seven = _mm256_set1_epi32(127);
    __m256i v = _mm256_and_si256(packed, seven);
    UNROLL
    for (int l = 1; l < 4; l++)
        v = _mm256_or_si256(
            v, _mm256_slli_epi32(_mm256_and_si256(_mm256_srli_epi32(packed, 7 * l), seven), 8 * l));
    return v;
}

/* 32 values from four entries of 8 codes of 2 bits, the first in the lowest bits. They come in a register
 * because stores of parts would delay a load of the whole. A nibble holds two codes: even and odd list the
 * values of its lower and its upper one. */
static inline __m256i decode_pairs(uint64_t entries, const int8_t even[16], const int8_t odd[16]) {
    const __m128i nibble = _mm_set1_epi8(15), packed = _mm_cvtsi64_si128((long long)entries);
    const __m128i low = _mm_and_si128(packed, nibble),
                  high = _mm_and_si128(_mm_srli_epi16(packed, 4), nibble);
    const __m128i nibbles = _mm_unpacklo_epi8(low, high);
    const __m128i a = _mm_shuffle_epi8(load128(even), nibbles), b = _mm_shuffle_epi8(load128(odd), nibbles);
    return _mm256_setr_m128i(_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b));
}

static inline __m256i decode_iq2(uint64_t entries) {
    static const int8_t even[16] = { 8, 25, 43, 0, 8, 25, 43, 0, 8, 25, 43, 0, 8, 25, 43, 0 };
    static const int8_t odd[16] = { 8, 8, 8, 8, 25, 25, 25, 25, 43, 43, 43, 43, 0, 0, 0, 0 };
    return decode_pairs(entries, even, odd);
}

/* Eightfold, without the +-1. */
static inline __m256i decode_iq1(uint64_t entries) {
    static const int8_t even[16] = { -8, 0, 8, 0, -8, 0, 8, 0, -8, 0, 8, 0, -8, 0, 8, 0 };
    static const int8_t odd[16] = { -8, -8, -8, -8, 0, 0, 0, 0, 8, 8, 8, 8, 0, 0, 0, 0 };
    return decode_pairs(entries, even, odd);
}

/* 32 codes of 3 bits from eight entries of 4, two in each quadword, each code to a byte. */
static inline __m256i spread_threes(const uint64_t entries[4]) {
    const __m256i v = _mm256_setr_epi64x((long long)entries[0], (long long)entries[1], (long long)entries[2],
                                         (long long)entries[3]);
    __m256i codes = _mm256_and_si256(v, _mm256_set1_epi32(7));
    UNROLL
    for (int j = 1; j < 4; j++)
        codes = _mm256_or_si256(codes,
                                _mm256_and_si256(_mm256_slli_epi32(v, 5 * j), _mm256_set1_epi32(7 << 8 * j)));
    return codes;
}

static inline void unpack_iq4_xs_avx2(const uint8_t *block, struct super_block *out) {
    const struct block_iq4_xs *b = (const void *)block;
    uint16_t high;
    memcpy(&high, b->scales_h, sizeof high);
    const __m256i four = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28), two = _mm256_srli_epi32(four, 1);
    const __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32((int)load_u32(b->scales_l)), four);
    const __m256i upper = _mm256_srlv_epi32(_mm256_set1_epi32(high), two);
    const __m256i scales =
        _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(15)),
                        _mm256_slli_epi32(_mm256_and_si256(upper, _mm256_set1_epi32(3)), 4));
    store_scales32(out, _mm256_sub_epi32(scales, _mm256_set1_epi32(32)));
    UNROLL
    for (size_t s = 0; s < 8; s++)
        store256(out->w + 32 * s, lookup(unpack_nibbles(b->qs + 16 * s), iq4_levels));
    out->d = load1_f16(b->d);
}

static inline void unpack_iq3_s_avx2(const uint8_t *block, struct super_block *out) {
    const struct block_iq3_s *b = (const void *)block;
    const __m256i four = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    const __m256i nibbles = _mm256_srlv_epi32(_mm256_set1_epi32((int)load_u32(b->scales)), four);
    store_scales32(out, odd_scale(_mm256_and_si256(nibbles, _mm256_set1_epi32(15))));
    for (size_t s = 0; s < 8; s++) {
        const uint8_t *qs = b->qs + 8 * s;
        const unsigned high = b->qh[s];
        uint64_t entries[4];
        UNROLL
        for (size_t k = 0; k < 4; k++)
            entries[k] = iq3s_grid[qs[2 * k] | (high >> 2 * k & 1) << 8] |
                         (uint64_t)iq3s_grid[qs[2 * k + 1] | (high >> (2 * k + 1) & 1) << 8] << 32;
        const __m256i codes = spread_threes(entries); /* levels 1, 3, .., 15 */
        const __m256i w = _mm256_add_epi8(_mm256_add_epi8(codes, codes), _mm256_set1_epi8(1));
        store256(out->w + 32 * s, negate(w, mask_of_bits(load_u32(b->signs + 4 * s))));
    }
    out->d = load1_f16(b->d);
}

static inline void unpack_iq3_xxs_avx2(const uint8_t *block, struct super_block *out) {
    static const int8_t levels[16] = { 4, 12, 20, 28, 36, 44, 52, 62 };
    const struct block_iq3_xxs *b = (const void *)block;
    const __m256i packed = load256(b->scales);
    uint32_t signs[8];
    store_scales32(out, odd_scale(_mm256_srli_epi32(packed, 28)));
    complete_signs(spread_sevens(packed), signs);
    for (size_t s = 0; s < 8; s++) {
        const uint8_t *qs = b->qs + 8 * s;
        uint64_t entries[4];
        UNROLL
        for (size_t k = 0; k < 4; k++)
            entries[k] = iq3xxs_grid[qs[2 * k]] | (uint64_t)iq3xxs_grid[qs[2 * k + 1]] << 32;
        store256(out->w + 32 * s, negate(lookup(spread_threes(entries), levels), mask_of_bits(signs[s])));
    }
    out->d = load1_f16(b->d) * 0.25f;
}

static inline void unpack_iq2_s_avx2(const uint8_t *block, struct super_block *out) {
    const struct block_iq2_s *b = (const void *)block;
    store_nibble_scales(out, b->scales);
    for (size_t s = 0; s < 8; s++) {
        uint64_t entries = 0;
        UNROLL
        for (size_t l = 0; l < 4; l++)
            entries |= (uint64_t)iq2s_grid[b->qs[4 * s + l] | ((unsigned)b->qh[s] >> 2 * l & 3) << 8]
                       << 16 * l;
        store256(out->w + 32 * s, negate(decode_iq2(entries), mask_of_bits(load_u32(b->signs + 4 * s))));
    }
    out->d = load1_f16(b->d) * 0.125f;
}

static inline void unpack_iq2_xs_avx2(const uint8_t *block, struct super_block *out) {
    const struct block_iq2_xs *b = (const void *)block;
    uint16_t packed[32];
    uint32_t signs[8];
    memcpy(packed, b->qs, sizeof packed);
    /* Packing works on 128-bit halves: quadwords come out as 0, 2, 1, 3. */
    const __m256i sevens = _mm256_packus_epi16(_mm256_srli_epi16(load256(packed), 9),
                                               _mm256_srli_epi16(load256(packed + 16), 9));
    complete_signs(_mm256_permute4x64_epi64(sevens, 0xd8), signs);
    store_nibble_scales(out, b->scales);
    for (size_t s = 0; s < 8; s++) {
        uint64_t entries = 0;
        UNROLL
        for (size_t l = 0; l < 4; l++)
            entries |= (uint64_t)iq2xs_grid[packed[4 * s + l] & 511] << 16 * l;
        store256(out->w + 32 * s, negate(decode_iq2(entries), mask_of_bits(signs[s])));
    }
    out->d = load1_f16(b->d) * 0.125f;
}

static inline void unpack_iq2_xxs_avx2(const uint8_t *block, struct super_block *out) {
    const struct block_iq2_xxs *b = (const void *)block;
    /* The odd dwords: shuffling works on 128-bit halves as packing does. */
    const __m256 odd = _mm256_shuffle_ps(_mm256_castsi256_ps(load256(b->qs)),
                                         _mm256_castsi256_ps(load256(b->qs + 32)), 0xdd);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_castps_si256(odd), 0xd8);
    uint32_t signs[8];
    store_scales32(out, odd_scale(_mm256_srli_epi32(packed, 28)));
    complete_signs(spread_sevens(packed), signs);
    for (size_t s = 0; s < 8; s++) {
        uint64_t entries = 0;
        UNROLL
        for (size_t l = 0; l < 4; l++)
            entries |= (uint64_t)iq2xxs_grid[b->qs[8 * s + l]] << 16 * l;
        store256(out->w + 32 * s, negate(decode_iq2(entries), mask_of_bits(signs[s])));
    }
    out->d = load1_f16(b->d) * 0.125f;
}

/* 1, or -1 where a bit of `negative` is set, of 4 groups of 8 values each. */
static inline __m256i deltas(uint32_t negative) {
    const uint32_t bytes = (negative & 1) | (negative & 2) << 7 | (negative & 4) << 14 | (negative & 8) << 21;
    return _mm256_or_si256(mask_of_bits(bytes * 255), _mm256_set1_epi8(1));
}

static inline void unpack_iq1_s_avx2(const uint8_t *block, struct super_block *out) {
    const struct block_iq1_s *b = (const void *)block;
    uint16_t packed[8];
    memcpy(packed, b->qh, sizeof packed);
    const __m256i wide = _mm256_cvtepu16_epi32(load128(packed));
    store_scales32(out, odd_scale(_mm256_and_si256(_mm256_srli_epi32(wide, 12), _mm256_set1_epi32(7))));
    for (size_t s = 0; s < 8; s++) {
        uint64_t entries = 0;
        UNROLL
        for (size_t l = 0; l < 4; l++)
            entries |= (uint64_t)iq1s_grid[b->qs[4 * s + l] | ((unsigned)packed[s] >> 3 * l & 7) << 8]
                       << 16 * l;
        store256(out->w + 32 * s, _mm256_add_epi8(decode_iq1(entries), deltas(packed[s] >> 15 ? 15 : 0)));
    }
    out->d = load1_f16(b->d) * 0.125f;
}

static inline void unpack_iq1_m_avx2(const uint8_t *block, struct super_block *out) {
    const struct block_iq1_m *b = (const void *)block;
    uint16_t packed[4], d = 0;
    memcpy(packed, b->scales, sizeof packed);
    for (size_t k = 0; k < 4; k++) {
        d = (uint16_t)(d | packed[k] >> 12 << 4 * k);
        for (size_t j = 0; j < 4; j++)
            out->scale[4 * k + j] = (int16_t)(2 * (packed[k] >> 3 * j & 7) + 1);
    }
    for (size_t s = 0; s < 8; s++) {
        uint64_t entries = 0;
        uint32_t negative = 0;
        UNROLL
        for (size_t l = 0; l < 4; l++) {
            const unsigned high = (unsigned)b->qh[2 * s + l / 2] >> 4 * (l % 2) & 15;
            entries |= (uint64_t)iq1s_grid[b->qs[4 * s + l] | (high & 7) << 8] << 16 * l;
            negative |= (high >> 3) << l;
        }
        store256(out->w + 32 * s, _mm256_add_epi8(decode_iq1(entries), deltas(negative)));
    }
    out->d = load1_f16(&d) * 0.125f;
}

#endif
