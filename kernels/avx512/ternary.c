/* ternary.c - y = W x for the ternary types: super-blocks of values -1, 0, 1 and one scale.
 * SPDX-License-Identifier: MIT
 * Multiplied as digits 0, 1, 2 (TQ2_0 can hold a 3) with all scales 1; the offset of 1 goes by the sums of x.
 */
#include "kernels/avx512/level.h"
#include "kernels/avx512/super.h"

#include "formats/blocks.h"

/* ---- Unpack ---- */

/* The digits of 32 bytes that were multiplied by a power of 3: a byte is a fraction of 256 in base 3, and the
 * next digit the integer part of three times it. */
TEMPLATE __m256i digits(__m512i bytes, __m512i power) {
    const __m512i rest = _mm512_and_si512(_mm512_mullo_epi16(bytes, power), _mm512_set1_epi16(255));
    const __m512i tripled = _mm512_mullo_epi16(rest, _mm512_set1_epi16(3));
    return _mm512_cvtepi16_epi8(_mm512_srli_epi16(tripled, 8));
}

static inline void unpack_tq1_0_avx512(const uint8_t *block, struct super_row *out) {
    static const int16_t powers[5] = { 1, 3, 9, 27, 81 };
    const struct block_tq1_0 *b = (const void *)block;
    const __m512i first = _mm512_cvtepu8_epi16(load256(b->qs));
    const __m512i second = _mm512_castsi256_si512(_mm256_cvtepu8_epi16(load128(b->qs + 32)));
    int32_t last;
    memcpy(&last, b->qh, sizeof last);
    const __m512i third = _mm512_castsi256_si512(_mm256_cvtepu8_epi16(_mm_set1_epi32(last)));
    for (size_t n = 0; n < 5; n++) {
        const __m512i power = _mm512_set1_epi16(powers[n]);
        store256(out->w + 32 * n, digits(first, power));
        _mm_storeu_si128((__m128i *)(void *)(out->w + 160 + 16 * n),
                         _mm256_castsi256_si128(digits(second, power)));
    }
    const __m512i power =
        _mm512_castsi256_si512(_mm256_setr_epi16(1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27));
    _mm_storeu_si128((__m128i *)(void *)(out->w + 240), _mm256_castsi256_si128(digits(third, power)));
    store256(out->scale, _mm256_set1_epi16(1));
}

static inline void unpack_tq2_0_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_tq2_0 *b = (const void *)block;
    const __m512i low = broadcast256(b->qs), high = broadcast256(b->qs + 32);
    store512(out->w, move_bits(low, 0, 2, 2, 0));
    store512(out->w + 64, move_bits(low, 4, 6, 2, 0));
    store512(out->w + 128, move_bits(high, 0, 2, 2, 0));
    store512(out->w + 192, move_bits(high, 4, 6, 2, 0));
    store256(out->scale, _mm256_set1_epi16(1));
}

/* ---- The types ---- */

void matmul_tq1_0_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_tq1_0),
        .unpack = unpack_tq1_0_avx512,
        .scales = gather_f16,
        .d_offset = offsetof(struct block_tq1_0, d),
        .kind = GEMM_WORDS_32,
        .offset = 1,
        .centre = 1,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_tq2_0_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_tq2_0),
        .unpack = unpack_tq2_0_avx512,
        .scales = gather_f16,
        .d_offset = offsetof(struct block_tq2_0, d),
        .kind = GEMM_WORDS_32,
        .offset = 1,
        .centre = 1,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}
