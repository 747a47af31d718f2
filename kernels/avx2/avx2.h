/* avx2.h - what the files of this folder share: lanes, sums, tails, e^x.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx2 and kernels/avxvnni. A group of 16 lanes, the unit of sums, is two registers: lanes
 * 0..7 and 8..15. */
#ifndef QUERN_KERNELS_AVX2_AVX2_H
#define QUERN_KERNELS_AVX2_AVX2_H

#include "kernels/exp.h"

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Templates: functions that are inlined into callers which fix their function pointers and counts. A
 * register array must have its loops unrolled entirely, or it lives in memory. */
#define TEMPLATE static inline __attribute__((always_inline))
#if defined(__clang__)
#    pragma clang diagnostic ignored "-Wpass-failed" /* sanitizers prevent it, at the cost of speed only */
#    define UNROLL _Pragma("clang loop unroll(full)")
#else
#    define UNROLL _Pragma("GCC unroll 16")
#endif

/* All ones in lanes 0..n-1, for masked loads and stores of a tail. n <= 8. */
static inline __m256i first_lanes(size_t n) {
    static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    return _mm256_loadu_si256((const __m256i *)(const void *)(ones + 8 - n));
}

static inline __m256i load256(const void *p) { return _mm256_loadu_si256(p); }
static inline __m128i load128(const void *p) { return _mm_loadu_si128(p); }

/* Lanes l + 4, l + 2, l + 1 of 8. */
static inline float sum8(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* The tree over 16 lanes: l + 8, l + 4, l + 2, l + 1. */
static inline float sum16(__m256 low, __m256 high) { return sum8(_mm256_add_ps(low, high)); }

/* Of lanes that are not NaN. */
static inline float max8(__m256 v) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/* e^x: kernels/exp.h. The operands of max and min stand so that NaN passes. */
static inline __m256 exp8(__m256 x) {
    x = _mm256_max_ps(_mm256_set1_ps(EXP_MIN), x);
    x = _mm256_min_ps(_mm256_set1_ps(EXP_MAX), x);
    const __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(LOG2E_HIGH), _mm256_set1_ps(EXP_ROUND));
    const __m256 n = _mm256_sub_ps(shifted, _mm256_set1_ps(EXP_ROUND));
    const __m256 f =
        _mm256_fmadd_ps(x, _mm256_set1_ps(LOG2E_LOW), _mm256_fmsub_ps(x, _mm256_set1_ps(LOG2E_HIGH), n));
    __m256 p = _mm256_set1_ps(EXP_P6);
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(EXP_P5));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(EXP_P4));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(EXP_P3));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(EXP_P2));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(EXP_P1));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1));
    const __m256i biased = _mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127));
    return _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23)));
}

/* 8 consecutive weights or cache values of a type as floats. */
typedef __m256 load8_function(const void *p);

static inline __m256 load8_f32(const void *p) { return _mm256_loadu_ps(p); }
static inline __m256 load8_f16(const void *p) { return _mm256_cvtph_ps(load128(p)); }
static inline __m256 load8_bf16(const void *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load128(p)), 16));
}

/* One value, for tails. */
typedef float load1_function(const void *p);

static inline float load1_f32(const void *p) {
    float f;
    memcpy(&f, p, sizeof f);
    return f;
}

static inline float load1_f16(const void *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _cvtsh_ss(h);
}

static inline float load1_bf16(const void *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128((int)((uint32_t)h << 16))));
}

/* Sums of the 8 lanes of four vectors each: {a, b, c, d} over lanes 0..3 of the low halves, and of the high
 * halves in the high half. Unpack and add: horizontal adds are twice as slow. */
static inline __m256i sum_halves(__m256i a, __m256i b, __m256i c, __m256i d) {
    const __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    const __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
}

/* {sums of rows 0..3, of rows 4..7} from the two results of sum_halves(). */
static inline __m256i join_halves(__m256i rows03, __m256i rows47) {
    return _mm256_add_epi32(_mm256_permute2x128_si256(rows03, rows47, 0x20),
                            _mm256_permute2x128_si256(rows03, rows47, 0x31));
}

/* Eight f16 from eight addresses as floats. */
static inline __m256 gather8_f16(const uint8_t *const p[8], size_t offset) {
    uint16_t h[8];
    UNROLL
    for (size_t r = 0; r < 8; r++)
        memcpy(&h[r], p[r] + offset, sizeof h[r]);
    return load8_f16(h); /* by memory: to put words into a register takes a port that multiplications need */
}

#endif
