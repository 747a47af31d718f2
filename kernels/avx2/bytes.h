/* bytes.h - taking packed quants apart, 32 bytes at a time.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx2 and kernels/avxvnni. */
#ifndef QUERN_KERNELS_AVX2_BYTES_H
#define QUERN_KERNELS_AVX2_BYTES_H

#include "kernels/avx2/avx2.h"

static inline void store256(void *p, __m256i v) { _mm256_storeu_si256(p, v); }

/* Bits [shift, shift + n) of each byte. Words are shifted: what comes from the neighbour is masked. */
TEMPLATE __m256i bits_of_bytes(__m256i v, int shift, int n) {
    return _mm256_and_si256(_mm256_srli_epi16(v, shift), _mm256_set1_epi8((char)((1 << n) - 1)));
}

/* The same, moved up to bit `to`. */
TEMPLATE __m256i move_bits(__m256i v, int shift, int n, int to) {
    return _mm256_slli_epi16(bits_of_bytes(v, shift, n), to);
}

/* 16 bytes of nibbles: the low ones, then the high ones. */
static inline __m256i unpack_nibbles(const uint8_t *qs) {
    const __m128i packed = load128(qs);
    const __m256i both =
        _mm256_inserti128_si256(_mm256_castsi128_si256(packed), _mm_srli_epi16(packed, 4), 1);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

/* Entries of a table of 16 bytes. */
static inline __m256i lookup(__m256i indices, const int8_t table[16]) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load128(table)), indices);
}

/* Byte i is all ones where bit i is set. */
static inline __m256i mask_of_bits(uint32_t bits) {
    const __m256i spread =
        _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i each = _mm256_set1_epi64x((long long)0x8040201008040201);
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), spread);
    return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, each), each);
}

/* -v where the mask is set. */
static inline __m256i negate(__m256i v, __m256i mask) {
    return _mm256_sub_epi8(_mm256_xor_si256(v, mask), mask);
}

static inline uint32_t load_u32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

#endif
