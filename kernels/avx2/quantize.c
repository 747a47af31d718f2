/* quantize.c - activations to 8-bit blocks: A32 and A256.
 * SPDX-License-Identifier: MIT
 * Magnitudes are compared as integers (kernels/c/quantize.c says why). Products stay within +-127.016, so
 * conversion to integers needs no clamp. */
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/level.h"

#include <math.h>

enum {
    BITS_INF = 0x7f800000,
    BITS_TINY = 0x0d800000, /* 2^-100 */
};

static inline __m256i magnitude8(const float *x) {
    return _mm256_and_si256(load256(x), _mm256_set1_epi32(0x7fffffff));
}

static inline __m256i magnitude16(const float *x) {
    return _mm256_max_epi32(magnitude8(x), magnitude8(x + 8));
}

static inline int32_t max_of_lanes(__m256i v) {
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1)));
}

static inline float float_of_bits(int32_t bits) {
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits)));
}

static inline __m256i round8(const float *x, float r) {
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), _mm256_set1_ps(r)));
}

/* q = round(x * r): 32 values, the second half with a factor of its own. Returns sums of 16 in lanes 0 and
 * 4 of 8 x int32. */
static inline __m256i quantize32(const float *x, float r0, float r1, int8_t *q) {
    const __m256i a = _mm256_packs_epi32(round8(x, r0), round8(x + 8, r0));
    const __m256i b = _mm256_packs_epi32(round8(x + 16, r1), round8(x + 24, r1));
    /* Packing works on 128-bit halves: dwords come out as x 0, 8, 16, 24, 4, 12, 20, 28. */
    const __m256i packed =
        _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(void *)q, packed);
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), packed);
    __m256i sums = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0x4e));
    return _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0xb1));
}

static inline int32_t low_sum(__m256i sums) { return _mm_cvtsi128_si32(_mm256_castsi256_si128(sums)); }
static inline int32_t high_sum(__m256i sums) { return _mm_cvtsi128_si32(_mm256_extracti128_si256(sums, 1)); }

void quantize_a32_avx2(const float *x, const struct acts *acts, size_t t) {
    const size_t n_blocks = acts->n / 32;
    for (size_t i = 0; i < n_blocks; i++, x += 32) {
        const size_t at = t * n_blocks + i;
        const int32_t max = max_of_lanes(_mm256_max_epi32(magnitude16(x), magnitude16(x + 16)));
        if (max >= BITS_INF || max < BITS_TINY) {
            acts->d[at] = max >= BITS_INF ? NAN : 0;
            acts->sum[at] = 0;
            memset(acts->q + at * 32, 0, 32);
            continue;
        }
        const float m = float_of_bits(max), r = 127 / m;
        const __m256i sums = quantize32(x, r, r, acts->q + at * 32);
        acts->d[at] = m / 127;
        acts->sum[at] = low_sum(sums) + high_sum(sums);
    }
}

/* A super-block that is all zero or holds Inf or NaN. */
static void set_flat(const struct acts *acts, size_t at, size_t n_sub, float d) {
    acts->d[at] = d;
    memset(acts->q + at * 256, 0, 256);
    memset(acts->a + at * n_sub, 1, n_sub);
    memset(acts->g16 + at * 16, 0, 16 * sizeof *acts->g16);
    if (acts->g32)
        memset(acts->g32 + at * 8, 0, 8 * sizeof *acts->g32);
}

/* Super-block `at` of acts from x [256], with sub-scales per sub_block (16 or 32) values. */
static inline void quantize_a256(const float *x, const struct acts *acts, size_t at, size_t sub_block) {
    const size_t n_sub = 256 / sub_block;
    int32_t max[16], top = 0;
    for (size_t j = 0; j < n_sub; j++) {
        const float *xj = x + j * sub_block;
        __m256i m = magnitude16(xj);
        if (sub_block == 32)
            m = _mm256_max_epi32(m, magnitude16(xj + 16));
        max[j] = max_of_lanes(m);
        top = max[j] > top ? max[j] : top;
    }
    if (top >= BITS_INF || top < BITS_TINY) {
        set_flat(acts, at, n_sub, top >= BITS_INF ? NAN : 0);
        return;
    }
    const float m = float_of_bits(top);
    int32_t a[16];
    float r[16];
    for (size_t j = 0; j < n_sub; j += 8) {
        const __m256 steps = _mm256_mul_ps(_mm256_castsi256_ps(load256(max + j)), _mm256_set1_ps(7.999f / m));
        const __m256i a8 = _mm256_add_epi32(_mm256_cvttps_epi32(steps), _mm256_set1_epi32(1));
        _mm256_storeu_si256((__m256i *)(void *)(a + j), a8);
        _mm256_storeu_ps(r + j, _mm256_div_ps(_mm256_set1_ps(1016 / m), _mm256_cvtepi32_ps(a8)));
    }
    acts->d[at] = m / 1016;
    for (size_t h = 0; h < 8; h++) {
        const size_t j0 = h * 32 / sub_block, j1 = (h * 32 + 16) / sub_block;
        const __m256i sums = quantize32(x + h * 32, r[j0], r[j1], acts->q + at * 256 + h * 32);
        const int32_t g0 = a[j0] * low_sum(sums), g1 = a[j1] * high_sum(sums);
        acts->a[at * n_sub + j0] = (uint8_t)a[j0];
        acts->a[at * n_sub + j1] = (uint8_t)a[j1];
        acts->g16[at * 16 + 2 * h] = (int16_t)g0;
        acts->g16[at * 16 + 2 * h + 1] = (int16_t)g1;
        if (sub_block == 32)
            acts->g32[at * 8 + h] = (int16_t)(g0 + g1);
    }
}

void quantize_a256_16_avx2(const float *x, const struct acts *acts, size_t t) {
    for (size_t i = 0; i < acts->n / 256; i++)
        quantize_a256(x + i * 256, acts, t * (acts->n / 256) + i, 16);
}

void quantize_a256_32_avx2(const float *x, const struct acts *acts, size_t t) {
    for (size_t i = 0; i < acts->n / 256; i++)
        quantize_a256(x + i * 256, acts, t * (acts->n / 256) + i, 32);
}
