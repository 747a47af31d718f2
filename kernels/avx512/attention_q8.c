/* attention_q8.c - scores and values from a cache in Q8_0.
 * SPDX-License-Identifier: MIT
 * Storing is left to kernels/c: it happens once a token. */
#include "kernels/avx2/level.h"
#include "kernels/avx512/avx512.h"
#include "kernels/avx512/level.h"

#include "formats/blocks.h"

/* ---- Scores ---- */

/* The 16 positions of a tile. vpdpbusd multiplies unsigned by signed bytes, so keys get 128 added, and what
 * that contributes is subtracted by the sum of the query. */
static inline __m512 score_tile(const struct acts *x, const uint8_t *k) {
    const uint8_t *scales = k + x->n * ATTN_TILE;
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    __m512 sum = _mm512_setzero_ps();
    for (size_t b = 0; b < x->n / 32; b++, k += 32 * ATTN_TILE, scales += ATTN_TILE * 2) {
        __m512i even = _mm512_set1_epi32(-128 * x->sum[b]), odd = _mm512_setzero_si512();
        UNROLL
        for (size_t i = 0; i < 8; i += 2) {
            const int8_t *q = x->q + b * 32 + i * 4;
            even = _mm512_dpbusd_epi32(even, _mm512_xor_si512(load512(k + i * 64), flip), broadcast32(q));
            odd = _mm512_dpbusd_epi32(odd, _mm512_xor_si512(load512(k + i * 64 + 64), flip),
                                      broadcast32(q + 4));
        }
        const __m512 dot = _mm512_cvtepi32_ps(_mm512_add_epi32(even, odd));
        const __m512 t = _mm512_mul_ps(_mm512_cvtph_ps(load256(scales)), dot);
        sum = _mm512_fmadd_ps(_mm512_set1_ps(x->d[b]), t, sum);
    }
    return sum;
}

void attn_scores_q8_0_avx512(const float *q, size_t head_dim, const void *tiles, size_t n_tiles, float *s) {
    int8_t xq[ATTN_MAX_HEAD_DIM];
    float d[ATTN_MAX_HEAD_DIM / 32];
    int32_t sum[ATTN_MAX_HEAD_DIM / 32];
    const struct acts x = { .form = ACT_A32, .n = head_dim, .n_tokens = 1, .q = xq, .d = d, .sum = sum };
    const size_t tile_bytes = cache_bytes(CACHE_Q8_0, head_dim * ATTN_TILE);
    quantize_a32_avx2(q, &x, 0);
    for (size_t i = 0; i < n_tiles; i++)
        _mm512_storeu_ps(s + i * ATTN_TILE, score_tile(&x, (const uint8_t *)tiles + i * tile_bytes));
}

/* ---- Values ---- */

enum { MAX_BLOCKS = 4 }; /* of 32 columns at once: 8 registers of lanes hide the latency of fma */

/* n_blocks blocks of 32 columns stay in registers over all rows. */
TEMPLATE void add_values(const float *p, size_t n, const uint8_t *rows, size_t row_bytes, size_t n_blocks,
                         float *o) {
    __m512 sum[MAX_BLOCKS][2];
    UNROLL
    for (size_t b = 0; b < n_blocks; b++) {
        sum[b][0] = _mm512_loadu_ps(o + 32 * b);
        sum[b][1] = _mm512_loadu_ps(o + 32 * b + 16);
    }
    for (size_t j = 0; j < n; j++, rows += row_bytes) {
        UNROLL
        for (size_t b = 0; b < n_blocks; b++) {
            const uint8_t *block = rows + b * sizeof(struct block_q8_0), *v = block + 2;
            const __m512 scaled = _mm512_set1_ps(p[j] * _cvtsh_ss((uint16_t)load_word(block)));
            const __m512 low = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load128(v)));
            const __m512 high = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load128(v + 16)));
            sum[b][0] = _mm512_fmadd_ps(scaled, low, sum[b][0]);
            sum[b][1] = _mm512_fmadd_ps(scaled, high, sum[b][1]);
        }
    }
    UNROLL
    for (size_t b = 0; b < n_blocks; b++) {
        _mm512_storeu_ps(o + 32 * b, sum[b][0]);
        _mm512_storeu_ps(o + 32 * b + 16, sum[b][1]);
    }
}

void attn_values_q8_0_avx512(const float *p, size_t n, const void *rows, size_t stride, size_t head_dim,
                             float *o) {
    const size_t row_bytes = cache_bytes(CACHE_Q8_0, stride), n_blocks = head_dim / 32;
    size_t b = 0;
    for (; b + MAX_BLOCKS <= n_blocks; b += MAX_BLOCKS)
        add_values(p, n, (const uint8_t *)rows + b * sizeof(struct block_q8_0), row_bytes, MAX_BLOCKS,
                   o + 32 * b);
    for (; b < n_blocks; b++)
        add_values(p, n, (const uint8_t *)rows + b * sizeof(struct block_q8_0), row_bytes, 1, o + 32 * b);
}
