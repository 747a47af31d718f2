/* avx512.h - what the files of this folder share: lanes, sums, tails, prefetch, products, e^x.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx512. A group of 16 lanes, the unit of sums, is one register. */
#ifndef QUERN_KERNELS_AVX512_AVX512_H
#define QUERN_KERNELS_AVX512_AVX512_H

#include "kernels/exp.h"

#include <immintrin.h>
#include <stdalign.h>
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

/* Bring the lines of [p, p + bytes) to L2: what is needed soon comes on from there by itself, and L1 is full
 * of what is needed now. Assembly, because GCC 12 drops calls of a function that only prefetches. May name
 * memory that does not exist. */
TEMPLATE void prefetch(const uint8_t *p, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64)
        __asm__ volatile("prefetcht1 %0" : : "m"(p[i]));
}

/* Lanes of the next 16 of an array of which `left` are left. */
static inline __mmask16 lanes_left(size_t left) { return left < 16 ? (__mmask16)((1u << left) - 1) : 0xffff; }

/* Lanes 0..n-1, n <= 16; bytes 0..n-1, n <= 64. */
static inline __mmask16 first_lanes(size_t n) { return (__mmask16)((1u << n) - 1); }
static inline __mmask64 first_bytes(size_t n) { return n < 64 ? ((__mmask64)1 << n) - 1 : ~(__mmask64)0; }

static inline __m512i load512(const void *p) { return _mm512_loadu_si512(p); }
static inline __m256i load256(const void *p) { return _mm256_loadu_si256(p); }
static inline __m128i load128(const void *p) { return _mm_loadu_si128(p); }
static inline void store512(void *p, __m512i v) { _mm512_storeu_si512(p, v); }
static inline void store256(void *p, __m256i v) { _mm256_storeu_si256(p, v); }

/* 32 bytes in both halves; 4 bytes in all lanes. Loads that use no arithmetic unit. */
static inline __m512i broadcast256(const void *p) { return _mm512_broadcast_i64x4(load256(p)); }
static inline __m512i broadcast32(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm512_set1_epi32(v);
}

/* ---- Products ----
 * One line of assembly each, because GCC 12 copies and spills the accumulators of the intrinsics. */

/* acc + 4 products of unsigned w and signed x in each lane. */
static inline __m512i dot_bytes(__m512i acc, __m512i w, __m512i x) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(w), "vm"(x));
    return acc;
}

/* acc + 2 products of signed words in each lane. */
static inline __m512i dot_words(__m512i acc, __m512i a, __m512i b) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(a), "vm"(b));
    return acc;
}

/* ---- Sums ---- */

/* The tree over 16 lanes: l + 8, l + 4, l + 2, l + 1. */
static inline float sum16(__m512 v) {
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* Sums of neighbours: lanes of each 128 bits become {a0 + a2, b0 + b2, a1 + a3, b1 + b3}, and in the next
 * step, of dwords in pairs, the sums of all four of a, b, c, d. Unpack and add: no horizontal additions. */
TEMPLATE __m512i add_unpacked32(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

TEMPLATE __m512i add_unpacked64(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* Eight vectors: lane r of the low half is the sum of the 8 low lanes of u[r], of the high half of the 8 high
 * lanes. */
TEMPLATE __m512i sum_halves(const __m512i u[8]) {
    const __m512i rows03 = add_unpacked64(add_unpacked32(u[0], u[1]), add_unpacked32(u[2], u[3]));
    const __m512i rows47 = add_unpacked64(add_unpacked32(u[4], u[5]), add_unpacked32(u[6], u[7]));
    const __m512i even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    const __m512i odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    return _mm512_add_epi32(_mm512_permutex2var_epi64(rows03, even, rows47),
                            _mm512_permutex2var_epi64(rows03, odd, rows47));
}

static inline __m256i add_halves(__m512i v) {
    return _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
}

/* Eight vectors of 8 lanes: lane r is the sum of u[r]. */
TEMPLATE __m256i sum_rows8(const __m256i u[8]) {
    __m256i s[4], q[2];
    UNROLL
    for (size_t i = 0; i < 4; i++)
        s[i] = _mm256_add_epi32(_mm256_unpacklo_epi32(u[2 * i], u[2 * i + 1]),
                                _mm256_unpackhi_epi32(u[2 * i], u[2 * i + 1]));
    UNROLL
    for (size_t i = 0; i < 2; i++)
        q[i] = _mm256_add_epi32(_mm256_unpacklo_epi64(s[2 * i], s[2 * i + 1]),
                                _mm256_unpackhi_epi64(s[2 * i], s[2 * i + 1]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(q[0], q[1], 0x20),
                            _mm256_permute2x128_si256(q[0], q[1], 0x31));
}

/* Of lanes that are not NaN. */
static inline float max16(__m512 v) { return _mm512_reduce_max_ps(v); }

/* ---- Transpose ---- */

/* 16 rows of 16 dwords to 16 columns: unpack pairs of rows, pairs of pairs, then the quarters. */
TEMPLATE void transpose16(const uint8_t *rows, size_t stride, __m512i out[16]) {
    __m512i a[16], b[16];
    UNROLL
    for (size_t i = 0; i < 16; i += 2) {
        const __m512i even = load512(rows + i * stride), odd = load512(rows + (i + 1) * stride);
        a[i] = _mm512_unpacklo_epi32(even, odd);
        a[i + 1] = _mm512_unpackhi_epi32(even, odd);
    }
    UNROLL
    for (size_t i = 0; i < 16; i += 4) { /* b[i + c]: column c of each quarter, rows i..i + 3 */
        b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    UNROLL
    for (size_t c = 0; c < 4; c++) {
        const __m512i low02 = _mm512_shuffle_i32x4(b[c], b[c + 4], 0x88);
        const __m512i low13 = _mm512_shuffle_i32x4(b[c], b[c + 4], 0xdd);
        const __m512i high02 = _mm512_shuffle_i32x4(b[c + 8], b[c + 12], 0x88);
        const __m512i high13 = _mm512_shuffle_i32x4(b[c + 8], b[c + 12], 0xdd);
        out[c] = _mm512_shuffle_i32x4(low02, high02, 0x88);
        out[c + 8] = _mm512_shuffle_i32x4(low02, high02, 0xdd);
        out[c + 4] = _mm512_shuffle_i32x4(low13, high13, 0x88);
        out[c + 12] = _mm512_shuffle_i32x4(low13, high13, 0xdd);
    }
}

/* ---- Bits ---- */

/* A bit matrix for vgf2p8affineqb that moves bits [shift, shift + n) of each byte to bit `to`, all others
 * zero: bit i of the result is the parity of the byte and byte 7 - i of the matrix (Intel SDM). */
static inline uint64_t move_bits_matrix(unsigned shift, unsigned n, unsigned to) {
    uint64_t matrix = 0;
    UNROLL
    for (unsigned i = 0; i < 8; i++)
        if (i >= to && i < to + n)
            matrix |= (uint64_t)1 << (shift + i - to) << 8 * (7 - i);
    return matrix;
}

/* Bits [shift, shift + n) of each byte to bit `to`: of the low half from shift0, of the high half from
 * shift1. */
TEMPLATE __m512i move_bits(__m512i v, unsigned shift0, unsigned shift1, unsigned n, unsigned to) {
    const long long low = (long long)move_bits_matrix(shift0, n, to);
    const long long high = (long long)move_bits_matrix(shift1, n, to);
    return _mm512_gf2p8affine_epi64_epi8(v, _mm512_setr_epi64(low, low, low, low, high, high, high, high), 0);
}

/* ---- Conversions ---- */

/* Two bytes at p, as they are. */
static inline uint64_t load_word(const uint8_t *p) {
    uint16_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* Words of 8 addresses. Joined in general registers: vpinsrw would take the port of the shuffles. */
TEMPLATE __m128i gather_words(const uint8_t *const p[8], size_t offset) {
    uint64_t q[2];
    UNROLL
    for (size_t i = 0; i < 2; i++)
        q[i] = load_word(p[4 * i] + offset) | load_word(p[4 * i + 1] + offset) << 16 |
               load_word(p[4 * i + 2] + offset) << 32 | load_word(p[4 * i + 3] + offset) << 48;
    return _mm_set_epi64x((long long)q[1], (long long)q[0]);
}

/* Eight f16 from eight addresses as floats. */
TEMPLATE __m256 gather_f16(const uint8_t *const p[8], size_t offset) {
    return _mm256_cvtph_ps(gather_words(p, offset));
}

/* e^x: kernels/exp.h. The operands of max and min stand so that NaN passes. */
static inline __m512 exp16(__m512 x) {
    x = _mm512_max_ps(_mm512_set1_ps(EXP_MIN), x);
    x = _mm512_min_ps(_mm512_set1_ps(EXP_MAX), x);
    const __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(LOG2E_HIGH), _mm512_set1_ps(EXP_ROUND));
    const __m512 n = _mm512_sub_ps(shifted, _mm512_set1_ps(EXP_ROUND));
    const __m512 f =
        _mm512_fmadd_ps(x, _mm512_set1_ps(LOG2E_LOW), _mm512_fmsub_ps(x, _mm512_set1_ps(LOG2E_HIGH), n));
    __m512 p = _mm512_set1_ps(EXP_P6);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(EXP_P5));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(EXP_P4));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(EXP_P3));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(EXP_P2));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(EXP_P1));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1));
    const __m512i biased = _mm512_add_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(127));
    return _mm512_mul_ps(p, _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23)));
}

#endif
