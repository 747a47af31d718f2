/* attention_q8.c - scores and values from a cache in Q8_0.
 * SPDX-License-Identifier: MIT
 * Storing is left to kernels/c: it happens once a token. */
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/level.h"

#include "formats/blocks.h"

/* Eight positions: products of their 4 keys with 4 of the query. |k| is unsigned, q takes its sign; neither
 * is -128, so a pair of products is at most 2 * 127 * 127 < 2^15. */
static inline __m256i dot4(const int8_t *k, __m256i q) {
    const __m256i keys = load256(k);
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(keys), _mm256_sign_epi8(q, keys));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

static inline __m256 chain(float d, const uint8_t *scales, __m256i dot, __m256 sum) {
    const __m256 t = _mm256_mul_ps(_mm256_cvtph_ps(load128(scales)), _mm256_cvtepi32_ps(dot));
    return _mm256_fmadd_ps(_mm256_set1_ps(d), t, sum);
}

/* The 16 positions of a tile. */
static inline void score_tile(const struct acts *x, const int8_t *k, float *s) {
    const uint8_t *scales = (const uint8_t *)k + x->n * ATTN_TILE;
    __m256 low = _mm256_setzero_ps(), high = low;
    for (size_t b = 0; b < x->n / 32; b++, scales += ATTN_TILE * 2) {
        __m256i dot_low = _mm256_setzero_si256(), dot_high = dot_low;
        for (size_t d = b * 32; d < b * 32 + 32; d += 4, k += 64) {
            int32_t four;
            memcpy(&four, x->q + d, sizeof four);
            const __m256i q = _mm256_set1_epi32(four);
            dot_low = _mm256_add_epi32(dot_low, dot4(k, q));
            dot_high = _mm256_add_epi32(dot_high, dot4(k + 32, q));
        }
        low = chain(x->d[b], scales, dot_low, low);
        high = chain(x->d[b], scales + 16, dot_high, high);
    }
    _mm256_storeu_ps(s, low);
    _mm256_storeu_ps(s + 8, high);
}

void attn_scores_q8_0_avx2(const float *q, size_t head_dim, const void *tiles, size_t n_tiles, float *s) {
    int8_t xq[ATTN_MAX_HEAD_DIM];
    float d[ATTN_MAX_HEAD_DIM / 32];
    int32_t sum[ATTN_MAX_HEAD_DIM / 32];
    const struct acts x = { .form = ACT_A32, .n = head_dim, .n_tokens = 1, .q = xq, .d = d, .sum = sum };
    quantize_a32_avx2(q, &x, 0);
    for (size_t i = 0; i < n_tiles; i++)
        score_tile(&x, (const int8_t *)tiles + i * cache_bytes(CACHE_Q8_0, head_dim * ATTN_TILE),
                   s + i * ATTN_TILE);
}

static inline __m256 eight(const int8_t *q) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)q)));
}

/* 32 columns at a time stay in registers over all rows. */
void attn_values_q8_0_avx2(const float *p, size_t n, const void *rows, size_t stride, size_t head_dim,
                           float *o) {
    const size_t row_bytes = cache_bytes(CACHE_Q8_0, stride);
    for (size_t b = 0; b < head_dim / 32; b++) {
        const uint8_t *block = (const uint8_t *)rows + b * sizeof(struct block_q8_0);
        __m256 sum[4];
        UNROLL for (size_t i = 0; i < 4; i++) sum[i] = _mm256_loadu_ps(o + b * 32 + i * 8);
        for (size_t j = 0; j < n; j++, block += row_bytes) {
            uint16_t d;
            memcpy(&d, block, sizeof d);
            const __m256 scaled = _mm256_set1_ps(p[j] * _cvtsh_ss(d));
            const int8_t *q = (const int8_t *)block + sizeof d;
            UNROLL for (size_t i = 0; i < 4; i++) sum[i] = _mm256_fmadd_ps(scaled, eight(q + i * 8), sum[i]);
        }
        UNROLL for (size_t i = 0; i < 4; i++) _mm256_storeu_ps(o + b * 32 + i * 8, sum[i]);
    }
}
