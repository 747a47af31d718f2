/* ternary.c - y = W x for the ternary types: super-blocks of values -1, 0, 1 and one scale.
 * SPDX-License-Identifier: MIT
 * Multiplied as digits 0, 1, 2 (TQ2_0 can hold a 3) with all scales 1; the offset of 1 goes by the sums of x.
 */
#include "kernels/avx512/level.h"
#include "kernels/avx512/super.h"

#include "formats/blocks.h"

/* ---- Unpack ---- */

/* A byte is a fraction of 256 in base 3: the next digit is the integer part of three times it, 1 from 86 and
 * 2 from 171 on, and the rest is three times it modulo 256. */
TEMPLATE __m512i first_digit(__m512i bytes) {
    const __m512i one = _mm512_set1_epi8(1);
    const __mmask64 is_1 = _mm512_cmpge_epu8_mask(bytes, _mm512_set1_epi8(86));
    const __mmask64 is_2 = _mm512_cmpge_epu8_mask(bytes, _mm512_set1_epi8((char)171));
    const __m512i digit = _mm512_maskz_mov_epi8(is_1, one);
    return _mm512_mask_add_epi8(digit, is_2, digit, one);
}

static inline void unpack_tq1_0_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_tq1_0 *b = (const void *)block;
    /* 32 and 16 bytes of qs, 4 of qh behind them: five digits, or four, of each part in turn. */
    __m512i bytes = _mm512_maskz_loadu_epi8(first_bytes(sizeof b->qs + sizeof b->qh), b->qs);
    UNROLL
    for (size_t n = 0; n < 5; n++) {
        const __m512i digit = first_digit(bytes);
        store256(out->w + 32 * n, _mm512_castsi512_si256(digit));
        _mm_storeu_si128((__m128i *)(void *)(out->w + 160 + 16 * n), _mm512_extracti32x4_epi32(digit, 2));
        if (n < 4) {
            const int32_t last = _mm_cvtsi128_si32(_mm512_extracti32x4_epi32(digit, 3));
            memcpy(out->w + 240 + 4 * n, &last, sizeof last);
        }
        bytes = _mm512_add_epi8(_mm512_add_epi8(bytes, bytes), bytes);
    }
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
        .scale_values = 32,
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
        .scale_values = 32,
        .offset = 1,
        .centre = 1,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}
