/* lanes.h - vectors of 64 bytes for what happens around the tiles: AVX-512, or the same in plain C.
 * SPDX-License-Identifier: MIT
 * Private to kernels/amx. With AMX_EMULATED nothing here needs more than the C compiler, so that kernels can
 * be tested on any machine. Words are 16 bits, dwords 32; shifts and sums are within a lane. */
#ifndef QUERN_KERNELS_AMX_LANES_H
#define QUERN_KERNELS_AMX_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Functions that are inlined into callers which fix their function pointers and counts. */
#define TEMPLATE static inline __attribute__((always_inline))
#if defined(AMX_EMULATED) /* no registers to keep things in, and minutes to compile under sanitizers */
#    define UNROLL
#elif defined(__clang__)
#    pragma clang diagnostic ignored "-Wpass-failed" /* sanitizers prevent it, at the cost of speed only */
#    define UNROLL _Pragma("clang loop unroll(full)")
#else
#    define UNROLL _Pragma("GCC unroll 16")
#endif

#ifndef AMX_EMULATED

#    include <immintrin.h>

/* Bring the lines of [p, p + bytes) to L2. Assembly, because GCC 12 drops calls of a function that only
 * prefetches. */
TEMPLATE void prefetch(const void *p, size_t bytes) {
    const uint8_t *line = p;
    for (size_t i = 0; i < bytes; i += 64)
        __asm__ volatile("prefetcht1 %0" : : "m"(line[i]));
}

/* Make ready to write the line of p. */
TEMPLATE void prefetch_line_to_write(void *p) { __asm__ volatile("prefetchw %0" : : "m"(*(uint8_t *)p)); }

typedef __m512i vector;
typedef __m512 floats;

TEMPLATE vector load64(const void *p) { return _mm512_loadu_si512(p); }
TEMPLATE void store64(void *p, vector v) { _mm512_storeu_si512(p, v); }
TEMPLATE vector set_bytes(int v) { return _mm512_set1_epi8((char)v); }
TEMPLATE vector set_words(int v) { return _mm512_set1_epi16((short)v); }
TEMPLATE vector set_dwords(int v) { return _mm512_set1_epi32(v); }
TEMPLATE vector and64(vector a, vector b) { return _mm512_and_si512(a, b); }
TEMPLATE vector or64(vector a, vector b) { return _mm512_or_si512(a, b); }
TEMPLATE vector add_bytes(vector a, vector b) { return _mm512_add_epi8(a, b); }
TEMPLATE vector sub_bytes(vector a, vector b) { return _mm512_sub_epi8(a, b); }
TEMPLATE vector add_words(vector a, vector b) { return _mm512_add_epi16(a, b); }
TEMPLATE vector mul_words(vector a, vector b) { return _mm512_mullo_epi16(a, b); }
TEMPLATE vector sll_words(vector a, int n) { return _mm512_slli_epi16(a, (uint8_t)n); }
TEMPLATE vector srl_words(vector a, int n) { return _mm512_srli_epi16(a, (uint8_t)n); }
TEMPLATE vector sra_words(vector a, int n) { return _mm512_srai_epi16(a, (uint8_t)n); }
TEMPLATE vector add_dwords(vector a, vector b) { return _mm512_add_epi32(a, b); }
TEMPLATE vector sub_dwords(vector a, vector b) { return _mm512_sub_epi32(a, b); }
TEMPLATE vector sll_dwords(vector a, int n) { return _mm512_slli_epi32(a, (unsigned)n); }
TEMPLATE vector srl_dwords(vector a, int n) { return _mm512_srli_epi32(a, (unsigned)n); }
TEMPLATE vector sra_dwords(vector a, int n) { return _mm512_srai_epi32(a, (unsigned)n); }

/* Bytes 1, 3, 5.. of odd, bytes 0, 2, 4.. of even. */
TEMPLATE vector mix_bytes(vector odd, vector even) {
    return _mm512_ternarylogic_epi32(_mm512_set1_epi16((short)0xff00), odd, even, 0xca);
}

/* Each byte, at most 15, becomes that entry of the table. */
TEMPLATE vector lookup(const int8_t table[16], vector v) {
    const __m128i t = _mm_loadu_si128((const __m128i *)(const void *)table);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(t), v);
}

/* Word i is byte i * n / 32 of n bytes, 2 or 4. */
TEMPLATE vector spread_bytes(const uint8_t *bytes, size_t n) {
    enum { B0 = 0x8000, B1, B2, B3 }; /* for vpshufb in lanes of 16 bytes: that byte below, zero above */
    static const uint16_t index[2][32] = {
        { B0, B0, B0, B0, B0, B0, B0, B0, B0, B0, B0, B0, B0, B0, B0, B0,
          B1, B1, B1, B1, B1, B1, B1, B1, B1, B1, B1, B1, B1, B1, B1, B1 },
        { B0, B0, B0, B0, B0, B0, B0, B0, B1, B1, B1, B1, B1, B1, B1, B1,
          B2, B2, B2, B2, B2, B2, B2, B2, B3, B3, B3, B3, B3, B3, B3, B3 },
    };
    int32_t v = 0;
    memcpy(&v, bytes, n);
    return _mm512_shuffle_epi8(_mm512_set1_epi32(v), load64(index[n == 4]));
}

/* acc + the two products of words in each dword. */
TEMPLATE vector dot_words(vector acc, vector a, vector b) { return _mm512_dpwssd_epi32(acc, a, b); }

TEMPLATE floats load_floats(const float *p) { return _mm512_loadu_ps(p); }
TEMPLATE void store_floats(float *p, floats v) { _mm512_storeu_ps(p, v); }
TEMPLATE void store_first_floats(float *p, size_t n, floats v) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
}
TEMPLATE floats set_floats(float v) { return _mm512_set1_ps(v); }
TEMPLATE floats floats_of_dwords(vector v) { return _mm512_cvtepi32_ps(v); }
TEMPLATE floats mul_floats(floats a, floats b) { return _mm512_mul_ps(a, b); }
TEMPLATE floats fma_floats(floats a, floats b, floats c) { return _mm512_fmadd_ps(a, b, c); }
TEMPLATE floats fnma_floats(floats a, floats b, floats c) { return _mm512_fnmadd_ps(a, b, c); }

/* The f16 in the low word of each dword. */
TEMPLATE floats floats_of_halves(vector v) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v)); }

TEMPLATE floats floats_of_bits(vector v) { return _mm512_castsi512_ps(v); }

#    ifdef __AVX512BF16__
/* 32 consecutive values rounded to bf16: lanes of low, then of high. */
TEMPLATE vector round_bf16(floats low, floats high) { return (vector)_mm512_cvtne2ps_pbh(high, low); }

/* sum + the two products of bf16 in each dword. */
TEMPLATE floats dot_bf16(floats sum, vector a, vector b) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

/* Lane i of both, rounded to bf16, in dword i. */
TEMPLATE vector pair_bf16(floats even, floats odd) {
    const vector order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                                          22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, round_bf16(even, odd));
}
#    endif

/* Columns of 16 rows of 16 dwords, of which the first n_dwords matter: out[i] has dword i of each row. */
TEMPLATE void transpose_vectors(vector a[16], size_t n_dwords, vector *out) {
    __m512i b[16];
    UNROLL
    for (size_t i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
    UNROLL
    for (size_t i = 0; i < 16; i += 4) { /* a[i + j]: dword 4 lane + j of rows i..i+3 */
        a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
        a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
        a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
        a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
    }
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        const __m512i low0 = _mm512_shuffle_i32x4(a[i], a[i + 4], 0x44);
        const __m512i high0 = _mm512_shuffle_i32x4(a[i], a[i + 4], 0xee);
        const __m512i low1 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0x44);
        const __m512i high1 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0xee);
        out[i] = _mm512_shuffle_i32x4(low0, low1, 0x88);
        if (i + 4 < n_dwords)
            out[i + 4] = _mm512_shuffle_i32x4(low0, low1, 0xdd);
        if (i + 8 < n_dwords)
            out[i + 8] = _mm512_shuffle_i32x4(high0, high1, 0x88);
        if (i + 12 < n_dwords)
            out[i + 12] = _mm512_shuffle_i32x4(high0, high1, 0xdd);
    }
}

/* Dwords 0..n_dwords-1 at offset in 16 rows as columns. n_dwords <= 16. */
TEMPLATE void transpose(const uint8_t *const row[16], size_t offset, size_t n_dwords, vector *out) {
    const __mmask16 mask = (__mmask16)((1u << n_dwords) - 1);
    vector a[16];
    UNROLL
    for (size_t i = 0; i < 16; i++)
        a[i] = _mm512_maskz_loadu_epi32(mask, row[i] + offset);
    transpose_vectors(a, n_dwords, out);
}

/* Eight dwords at one offset in 16 rows and eight at another as columns. */
TEMPLATE void transpose_two(const uint8_t *const row[16], size_t first, size_t second, vector out[16]) {
    vector a[16];
    UNROLL
    for (size_t i = 0; i < 16; i++) {
        const __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)(row[i] + first));
        const __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(row[i] + second));
        a[i] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    transpose_vectors(a, 16, out);
}

#else
#    include "kernels/amx/lanes_c.h"
#endif

#endif
