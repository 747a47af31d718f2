/* ternary_unpack.h - the ternary types, a super-block to digits 0, 1, 2.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx2 and kernels/avxvnni.
 */
#ifndef QUERN_KERNELS_AVX2_TERNARY_UNPACK_H
#define QUERN_KERNELS_AVX2_TERNARY_UNPACK_H

#include "kernels/avx2/bytes.h"
#include "kernels/c/unpack.h"

#include "formats/blocks.h"

/* (t * 3) >> 8: 0 below 86, 1 below 171, 2 from there on. */
static inline __m256i leading_digit(__m256i t) {
    const __m256i one = _mm256_set1_epi8(86), two = _mm256_set1_epi8((char)171);
    const __m256i at_least_one = _mm256_cmpeq_epi8(_mm256_max_epu8(t, one), t);
    const __m256i at_least_two = _mm256_cmpeq_epi8(_mm256_max_epu8(t, two), t);
    return _mm256_sub_epi8(_mm256_setzero_si256(), _mm256_add_epi8(at_least_one, at_least_two));
}

/* What is left of each fraction of 256 behind its leading digit: 3 t modulo 256. */
static inline __m256i next_digits(__m256i t) { return _mm256_add_epi8(t, _mm256_add_epi8(t, t)); }

static inline void unpack_tq1_0_avx2(const uint8_t *block, struct super_block *out) {
    const struct block_tq1_0 *b = (const void *)block;
    __m256i wide = load256(b->qs);
    /* 16 bytes of qs and 4 of qh; these have one digit less. */
    __m256i rest = _mm256_setr_m128i(load128(b->qs + 32), _mm_cvtsi32_si128((int)load_u32(b->qh)));
    UNROLL
    for (int n = 0; n < 5; n++) {
        const __m256i digits = leading_digit(rest);
        store256(out->w + 32 * n, leading_digit(wide));
        _mm_storeu_si128((__m128i *)(void *)(out->w + 160 + 16 * n), _mm256_castsi256_si128(digits));
        if (n < 4) {
            const int32_t last = _mm_cvtsi128_si32(_mm256_extracti128_si256(digits, 1));
            memcpy(out->w + 240 + 4 * n, &last, sizeof last);
        }
        wide = next_digits(wide);
        rest = next_digits(rest);
    }
    store256(out->scale, _mm256_set1_epi16(1));
    out->d = load1_f16(b->d);
}

static inline void unpack_tq2_0_avx2(const uint8_t *block, struct super_block *out) {
    const struct block_tq2_0 *b = (const void *)block;
    UNROLL
    for (int half = 0; half < 2; half++) {
        const __m256i q = load256(b->qs + 32 * half);
        UNROLL
        for (int c = 0; c < 4; c++)
            store256(out->w + 128 * half + 32 * c, bits_of_bytes(q, 2 * c, 2));
    }
    store256(out->scale, _mm256_set1_epi16(1));
    out->d = load1_f16(b->d);
}

#endif
