/* iq.c - y = W x for the table types: super-blocks whose values are looked up in codebooks.
 * SPDX-License-Identifier: MIT
 * Formulas: kernels/c/iq.c. Entries of a codebook are fetched one by one, and what follows is done for eight
 * entries at once: vpmultishiftqb lays the codes of an entry into the bytes of a qword, vpshufb turns codes
 * into magnitudes, and signs are the bits of a mask. Values get 64 (IQ4_XS: 128) added to be unsigned. */
#include "kernels/avx512/level.h"
#include "kernels/avx512/super.h"

#include "formats/blocks.h"
#include "formats/iq_grids.h"

enum { OFFSET = 64 }; /* magnitudes are at most 62 */

/* ---- Codebooks ---- */

/* Entries of 8 groups, a group of two entries of 4 values, or of one entry of 8: codes to magnitudes. */
TEMPLATE __m512i expand(__m512i entries, long long shifts, char code_mask, __m128i levels) {
    const __m512i codes = _mm512_and_si512(_mm512_multishift_epi64_epi8(_mm512_set1_epi64(shifts), entries),
                                           _mm512_set1_epi8(code_mask));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(levels), codes);
}

/* Four entries. Joined in a general register: a load of stored single ones would wait for all of them. */
TEMPLATE uint64_t fetch4(const uint16_t *grid, size_t i0, size_t i1, size_t i2, size_t i3) {
    return grid[i0] | (uint64_t)grid[i1] << 16 | (uint64_t)grid[i2] << 32 | (uint64_t)grid[i3] << 48;
}

/* Two-bit codes of 8 values in the low 16 bits of each qword, from 8 entries. */
TEMPLATE __m512i expand8(const uint64_t entries[2], __m128i levels) {
    const __m128i e = _mm_set_epi64x((long long)entries[1], (long long)entries[0]);
    return expand(_mm512_cvtepu16_epi64(e), 0x0e0c0a0806040200, 3, levels);
}

/* Three-bit codes of 4 values in the low 12 bits of each dword, from 16 entries. */
TEMPLATE __m512i expand4(const uint64_t entries[4], __m128i levels) {
    const __m256i e = _mm256_set_epi64x((long long)entries[3], (long long)entries[2], (long long)entries[1],
                                        (long long)entries[0]);
    return expand(_mm512_cvtepu16_epi32(e), 0x2926232009060300, 7, levels);
}

TEMPLATE __m512i with_signs(__m512i magnitudes, __mmask64 negative) {
    const __m512i offset = _mm512_set1_epi8(OFFSET);
    return _mm512_mask_sub_epi8(_mm512_add_epi8(magnitudes, offset), negative, offset, magnitudes);
}

static inline __mmask64 load_mask(const uint8_t signs[8]) {
    uint64_t mask;
    memcpy(&mask, signs, sizeof mask);
    return mask;
}

/* 8 signs from 7 bits each: bit 7 becomes their parity, whatever it was (iq_signs()). */
TEMPLATE __m256i complete_signs(__m256i seven_bits) {
    const long long keep_and_parity = 0x010204081020407f; /* row of bit 0 first, in the highest byte */
    return _mm256_gf2p8affine_epi64_epi8(seven_bits, _mm256_set1_epi64x(keep_and_parity), 0);
}

/* The signs of 8 sub-blocks from the dwords of IQ2_XXS and IQ3_XXS, seven bits for each group. */
TEMPLATE void unpack_signs(__m256i packed, uint8_t signs[32]) {
    const __m256i shifts = _mm256_set1_epi64x(0x352e2720150e0700);
    store256(signs, complete_signs(_mm256_multishift_epi64_epi8(shifts, packed)));
}

static const uint8_t iq2_levels[16] = { 8, 25, 43 };
static const uint8_t iq3xxs_levels[16] = { 4, 12, 20, 28, 36, 44, 52, 62 };
static const uint8_t iq3s_levels[16] = { 1, 3, 5, 7, 9, 11, 13, 15 };

/* ---- Scales ---- */

/* 2 v + 1 of each dword, twice as words. */
TEMPLATE void store_odd_scales(__m256i v, int16_t scale[16]) {
    const __m256i odd = _mm256_add_epi32(_mm256_add_epi32(v, v), _mm256_set1_epi32(1));
    store256(scale, _mm256_or_si256(odd, _mm256_slli_epi32(odd, 16)));
}

/* 2 v + 1 of 16 nibbles, low ones first. */
TEMPLATE void store_odd_nibbles(const uint8_t nibbles[8], int16_t scale[16]) {
    const __m128i bytes = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)nibbles));
    const __m128i split =
        _mm_and_si128(_mm_or_si128(bytes, _mm_slli_epi16(bytes, 4)), _mm_set1_epi16(0x0f0f));
    const __m256i v = _mm256_cvtepu8_epi16(split);
    store256(scale, _mm256_add_epi16(_mm256_add_epi16(v, v), _mm256_set1_epi16(1)));
}

TEMPLATE __m256 scales_quarter(const uint8_t *const row[8], size_t offset) {
    return _mm256_mul_ps(gather_f16(row, offset), _mm256_set1_ps(0.25f));
}

TEMPLATE __m256 scales_eighth(const uint8_t *const row[8], size_t offset) {
    return _mm256_mul_ps(gather_f16(row, offset), _mm256_set1_ps(0.125f));
}

/* The f16 that is spread over the top nibbles of four words. */
static __m256 scales_iq1_m(const uint8_t *const row[8], size_t offset) {
    uint16_t d[8];
    for (size_t r = 0; r < 8; r++) {
        const uint8_t *p = row[r] + offset;
        d[r] = (uint16_t)(p[1] >> 4 | (p[3] & 0xf0) | (p[5] >> 4) << 8 | (p[7] >> 4) << 12);
    }
    return _mm256_mul_ps(_mm256_cvtph_ps(load128(d)), _mm256_set1_ps(0.125f));
}

/* ---- Unpack ---- */

static inline void unpack_iq4_xs_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_iq4_xs *b = (const void *)block;
    const __m512i levels =
        _mm512_xor_si512(_mm512_broadcast_i32x4(load128(iq4_levels)), _mm512_set1_epi8((char)0x80));
    const __m512i twice = _mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3);
    const long long low = (long long)move_bits_matrix(0, 4, 0), high = (long long)move_bits_matrix(4, 4, 0);
    const __m512i split = _mm512_setr_epi64(low, low, high, high, low, low, high, high);
    UNROLL
    for (size_t c = 0; c < 4; c++) {
        const __m512i packed = _mm512_castsi256_si512(load256(b->qs + 32 * c));
        const __m512i codes =
            _mm512_gf2p8affine_epi64_epi8(_mm512_permutexvar_epi64(twice, packed), split, 0);
        store512(out->w + 64 * c, _mm512_shuffle_epi8(levels, codes));
    }
    uint32_t scales_low;
    memcpy(&scales_low, b->scales_l, sizeof scales_low);
    const __m256i nibbles = _mm256_srlv_epi32(_mm256_set1_epi32((int32_t)scales_low),
                                              _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
    const __m256i pairs = _mm256_srlv_epi32(_mm256_set1_epi32((int32_t)load_word(b->scales_h)),
                                            _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14));
    __m256i scale = _mm256_and_si256(nibbles, _mm256_set1_epi32(15));
    scale = _mm256_or_si256(scale, _mm256_slli_epi32(_mm256_and_si256(pairs, _mm256_set1_epi32(3)), 4));
    scale = _mm256_sub_epi16(_mm256_or_si256(scale, _mm256_slli_epi32(scale, 16)), _mm256_set1_epi16(32));
    store256(out->scale, scale);
}

static void unpack_iq3_s_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_iq3_s *b = (const void *)block;
    UNROLL
    for (size_t c = 0; c < 4; c++) {
        uint64_t entry[4];
        UNROLL
        for (size_t i = 0; i < 4; i++) {
            const uint8_t *q = b->qs + 16 * c + 4 * i;
            const unsigned high = (unsigned)b->qh[2 * c + i / 2] >> 4 * (i % 2);
            entry[i] = fetch4(iq3s_grid, q[0] | (high & 1) << 8, q[1] | (high & 2) << 7,
                              q[2] | (high & 4) << 6, q[3] | (high & 8) << 5);
        }
        store512(out->w + 64 * c,
                 with_signs(expand4(entry, load128(iq3s_levels)), load_mask(b->signs + 8 * c)));
    }
    uint32_t scales;
    memcpy(&scales, b->scales, sizeof scales);
    const __m256i nibbles =
        _mm256_srlv_epi32(_mm256_set1_epi32((int32_t)scales), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
    store_odd_scales(_mm256_and_si256(nibbles, _mm256_set1_epi32(15)), out->scale);
}

static void unpack_iq3_xxs_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_iq3_xxs *b = (const void *)block;
    const __m256i packed = load256(b->scales);
    uint8_t signs[32];
    unpack_signs(packed, signs);
    UNROLL
    for (size_t c = 0; c < 4; c++) {
        uint64_t entry[4];
        UNROLL
        for (size_t i = 0; i < 4; i++) {
            const uint8_t *q = b->qs + 16 * c + 4 * i;
            entry[i] = fetch4(iq3xxs_grid, q[0], q[1], q[2], q[3]);
        }
        store512(out->w + 64 * c,
                 with_signs(expand4(entry, load128(iq3xxs_levels)), load_mask(signs + 8 * c)));
    }
    store_odd_scales(_mm256_srli_epi32(packed, 28), out->scale);
}

/* 32 entries, four each, and 32 bytes of signs. */
TEMPLATE void store_iq2(const uint64_t entry[8], const uint8_t signs[32], struct super_row *out) {
    UNROLL
    for (size_t c = 0; c < 4; c++)
        store512(out->w + 64 * c,
                 with_signs(expand8(entry + 2 * c, load128(iq2_levels)), load_mask(signs + 8 * c)));
}

static void unpack_iq2_s_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_iq2_s *b = (const void *)block;
    uint64_t entry[8];
    UNROLL
    for (size_t s = 0; s < 8; s++) {
        const uint8_t *q = b->qs + 4 * s;
        const unsigned high = b->qh[s];
        entry[s] = fetch4(iq2s_grid, q[0] | (high & 3) << 8, q[1] | (high & 12) << 6, q[2] | (high & 48) << 4,
                          q[3] | (high & 192) << 2);
    }
    store_iq2(entry, b->signs, out);
    store_odd_nibbles(b->scales, out->scale);
}

static void unpack_iq2_xs_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_iq2_xs *b = (const void *)block;
    uint64_t entry[8];
    uint8_t signs[32];
    store256(signs, complete_signs(_mm512_cvtepi16_epi8(_mm512_srli_epi16(load512(b->qs), 9))));
    UNROLL
    for (size_t s = 0; s < 8; s++) {
        const uint8_t *q = b->qs + 8 * s;
        entry[s] = fetch4(iq2xs_grid, load_word(q) & 511, load_word(q + 2) & 511, load_word(q + 4) & 511,
                          load_word(q + 6) & 511);
    }
    store_iq2(entry, signs, out);
    store_odd_nibbles(b->scales, out->scale);
}

static void unpack_iq2_xxs_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_iq2_xxs *b = (const void *)block;
    const __m256i packed = _mm512_cvtepi64_epi32(_mm512_srli_epi64(load512(b->qs), 32));
    uint64_t entry[8];
    uint8_t signs[32];
    unpack_signs(packed, signs);
    UNROLL
    for (size_t s = 0; s < 8; s++) {
        const uint8_t *q = b->qs + 8 * s;
        entry[s] = fetch4(iq2xxs_grid, q[0], q[1], q[2], q[3]);
    }
    store_iq2(entry, signs, out);
    store_odd_scales(_mm256_srli_epi32(packed, 28), out->scale);
}

/* Groups of 8 * (-1, 0, 1) + delta, delta -1 where the bit of the group is set and 1 elsewhere. */
TEMPLATE void store_iq1(const uint64_t entry[8], uint32_t negative, struct super_row *out) {
    const __m128i levels =
        _mm_setr_epi8(OFFSET - 8, OFFSET, OFFSET + 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    UNROLL
    for (size_t c = 0; c < 4; c++) {
        const __m512i delta =
            _mm512_mask_blend_epi64((__mmask8)(negative >> 8 * c), _mm512_set1_epi8(1), _mm512_set1_epi8(-1));
        store512(out->w + 64 * c, _mm512_add_epi8(expand8(entry + 2 * c, levels), delta));
    }
}

static void unpack_iq1_s_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_iq1_s *b = (const void *)block;
    const __m256i packed = _mm256_cvtepu16_epi32(load128(b->qh));
    uint64_t entry[8];
    uint32_t negative = 0;
    UNROLL
    for (size_t s = 0; s < 8; s++) {
        const uint8_t *q = b->qs + 4 * s;
        const uint32_t bits = (uint32_t)load_word(b->qh + 2 * s);
        negative |= (bits >> 15) * 15 << 4 * s;
        entry[s] = fetch4(iq1s_grid, q[0] | (bits & 7) << 8, q[1] | (bits >> 3 & 7) << 8,
                          q[2] | (bits >> 6 & 7) << 8, q[3] | (bits >> 9 & 7) << 8);
    }
    store_iq1(entry, negative, out);
    store_odd_scales(_mm256_and_si256(_mm256_srli_epi32(packed, 12), _mm256_set1_epi32(7)), out->scale);
}

static void unpack_iq1_m_avx512(const uint8_t *block, struct super_row *out) {
    const struct block_iq1_m *b = (const void *)block;
    uint64_t entry[8];
    uint32_t negative = 0;
    UNROLL
    for (size_t s = 0; s < 8; s++) {
        const uint8_t *q = b->qs + 4 * s;
        const uint32_t high = (uint32_t)load_word(b->qh + 2 * s);
        entry[s] = fetch4(iq1s_grid, q[0] | (high & 7) << 8, q[1] | (high >> 4 & 7) << 8,
                          q[2] | (high >> 8 & 7) << 8, q[3] | (high >> 12 & 7) << 8);
        negative |= ((high >> 3 & 1) | (high >> 6 & 2) | (high >> 9 & 4) | (high >> 12 & 8)) << 4 * s;
    }
    store_iq1(entry, negative, out);
    for (size_t j = 0; j < 16; j++)
        out->scale[j] = (int16_t)(2 * (load_word(b->scales + 2 * (j / 4)) >> 3 * (j % 4) & 7) + 1);
}

/* ---- The types ---- */

void matmul_iq4_xs_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                          size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_iq4_xs),
        .unpack = unpack_iq4_xs_avx512,
        .gemv = gemv_iq4_xs_avx512,
        .scales = gather_f16,
        .d_offset = offsetof(struct block_iq4_xs, d),
        .scale_values = 32,
        .offset = 128,
        .centre = 128,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq3_s_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_iq3_s),
        .unpack = unpack_iq3_s_avx512,
        .scales = gather_f16,
        .d_offset = offsetof(struct block_iq3_s, d),
        .scale_values = 32,
        .offset = OFFSET,
        .centre = OFFSET,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq3_xxs_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                           size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_iq3_xxs),
        .unpack = unpack_iq3_xxs_avx512,
        .scales = scales_quarter,
        .d_offset = offsetof(struct block_iq3_xxs, d),
        .scale_values = 32,
        .offset = OFFSET,
        .centre = OFFSET,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_s_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_iq2_s),
        .unpack = unpack_iq2_s_avx512,
        .scales = scales_eighth,
        .d_offset = offsetof(struct block_iq2_s, d),
        .scale_values = 16,
        .offset = OFFSET,
        .centre = OFFSET,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_xs_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                          size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_iq2_xs),
        .unpack = unpack_iq2_xs_avx512,
        .scales = scales_eighth,
        .d_offset = offsetof(struct block_iq2_xs, d),
        .scale_values = 16,
        .offset = OFFSET,
        .centre = OFFSET,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_xxs_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                           size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_iq2_xxs),
        .unpack = unpack_iq2_xxs_avx512,
        .scales = scales_eighth,
        .d_offset = offsetof(struct block_iq2_xxs, d),
        .scale_values = 32,
        .offset = OFFSET,
        .centre = OFFSET,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq1_s_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_iq1_s),
        .unpack = unpack_iq1_s_avx512,
        .scales = scales_eighth,
        .d_offset = offsetof(struct block_iq1_s, d),
        .scale_values = 32,
        .offset = OFFSET,
        .centre = OFFSET,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq1_m_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    const struct gemm_super_type type = {
        .block_bytes = sizeof(struct block_iq1_m),
        .unpack = unpack_iq1_m_avx512,
        .scales = scales_iq1_m,
        .d_offset = offsetof(struct block_iq1_m, scales),
        .scale_values = 16,
        .offset = OFFSET,
        .centre = OFFSET,
    };
    matmul_super_avx512(type, w, row_bytes, n_rows, x, y, y_stride);
}
