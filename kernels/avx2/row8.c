/* row8.c - Q8_0 weights times activations with one scale per token: LLM.int8() and W8A8.
 * SPDX-License-Identifier: MIT
 * Without scales inside a row, sums of products stay in lanes to its end. */
#include "kernels/row8.h"
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/level.h"
#include "kernels/tile.h"

#include "formats/blocks.h"

#include <math.h>
#include <stdalign.h>

enum {
    BITS_INF = 0x7f800000,
    BITS_LARGEST = 0x7f7fffff,
    BITS_TINY = 0x0d800000, /* 2^-100 */
};

/* ---- Quantize ---- */

static inline __m256i magnitude8(const float *x) {
    return _mm256_and_si256(load256(x), _mm256_set1_epi32(0x7fffffff));
}

/* The largest magnitude up to limit; Inf or NaN if there is one. */
static int32_t largest(const float *x, size_t n, int32_t limit) {
    __m256i max = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 8) {
        const __m256i m = magnitude8(x + i);
        const __m256i is_outlier = _mm256_cmpgt_epi32(m, _mm256_set1_epi32(limit));
        const __m256i is_bad = _mm256_cmpgt_epi32(m, _mm256_set1_epi32(BITS_LARGEST));
        max = _mm256_max_epi32(max, _mm256_andnot_si256(_mm256_andnot_si256(is_bad, is_outlier), m));
    }
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1)));
}

/* q = round(x * r), 0 for outliers, of 8 values; their bits of the mask. */
static inline __m256i round8(const float *x, float r, int32_t limit, uint32_t *mask, int at) {
    const __m256i is_outlier = _mm256_cmpgt_epi32(magnitude8(x), _mm256_set1_epi32(limit));
    *mask |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(is_outlier)) << at;
    const __m256i q = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), _mm256_set1_ps(r)));
    return _mm256_andnot_si256(is_outlier, q);
}

/* 32 values of which the largest is 127 / r; the sum of q. */
static int32_t quantize32(const float *x, float r, int32_t limit, int8_t *q, uint32_t *mask) {
    *mask = 0;
    const __m256i a = _mm256_packs_epi32(round8(x, r, limit, mask, 0), round8(x + 8, r, limit, mask, 8));
    const __m256i b =
        _mm256_packs_epi32(round8(x + 16, r, limit, mask, 16), round8(x + 24, r, limit, mask, 24));
    /* Packing works on 128-bit halves: dwords come out as x 0, 8, 16, 24, 4, 12, 20, 28. */
    const __m256i packed =
        _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(void *)q, packed);
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), packed);
    const __m256i sums = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

void quantize_row8_avx2(const float *x, const struct acts *acts, size_t t) {
    const size_t n_blocks = acts->n / 32;
    int32_t limit = BITS_LARGEST;
    if (acts->outlier > 0)
        memcpy(&limit, &acts->outlier, sizeof limit);
    const int32_t max = largest(x, acts->n, limit);
    const bool is_bad = max >= BITS_INF, is_flat = is_bad || max < BITS_TINY;
    float m;
    memcpy(&m, &max, sizeof m);
    const float d = is_bad ? NAN : is_flat ? 0 : m / 127, r = is_flat ? 0 : 127 / m;
    for (size_t i = 0; i < n_blocks; i++) {
        const size_t at = t * n_blocks + i;
        /* In a flat or bad row r is 0, and Inf and NaN are outliers, as the limit is finite: all become 0. */
        acts->sum[at] = quantize32(x + i * 32, r, limit, acts->q + at * 32, &acts->mask[at]);
        acts->d[at] = d;
        if (is_bad)
            acts->mask[at] = 0;
    }
}

/* ---- W8A8 ---- */

/* 32 products of signed bytes, by |w| times x with the sign of w: added in 16 bits at most 128 * 127 * 2. */
TEMPLATE __m256i dot32(__m256i acc, __m256i w, __m256i w_abs, __m256i x) {
    const __m256i pairs = _mm256_maddubs_epi16(w_abs, _mm256_sign_epi8(x, w));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* n_rows (4 or 8) rows times n_tokens (1 or 2) tokens; sums[token] has a row in each lane. */
TEMPLATE void dot_rows(const uint8_t *const *row, size_t n_rows, const int8_t *q, size_t n, size_t n_tokens,
                       const struct tile *prefetched, __m256i sums[2]) {
    __m256i u[2][8];
    UNROLL
    for (size_t t = 0; t < 2; t++) {
        UNROLL
        for (size_t r = 0; r < 8; r++)
            u[t][r] = _mm256_setzero_si256();
    }
    for (size_t i = 0; i < n / 32; i++) {
        const size_t at = i * sizeof(struct block_q8_0) + offsetof(struct block_q8_0, qs);
        UNROLL
        for (size_t r = 0; r < n_rows; r++) {
            const __m256i w = load256(row[r] + at), w_abs = _mm256_abs_epi8(w);
            UNROLL
            for (size_t t = 0; t < n_tokens; t++)
                u[t][r] = dot32(u[t][r], w, w_abs, load256(q + t * n + 32 * i));
        }
        if (prefetched && i % 2 == 0) /* two blocks make a cache line or less */
            tile_prefetch(prefetched, at, 2 * sizeof(struct block_q8_0));
    }
    UNROLL
    for (size_t t = 0; t < n_tokens; t++)
        sums[t] = join_halves(sum_halves(u[t][0], u[t][1], u[t][2], u[t][3]),
                              sum_halves(u[t][4], u[t][5], u[t][6], u[t][7]));
}

/* Outputs of a tile for token t. */
static void finish(const struct tile *tile, __m256 d, __m256i sums, const struct acts *x, size_t t,
                   float *y) {
    const __m256 dx = _mm256_set1_ps(x->d[t * (x->n / 32)]);
    float out[8];
    _mm256_storeu_ps(out, _mm256_mul_ps(_mm256_mul_ps(d, dx), _mm256_cvtepi32_ps(sums)));
    tile_store(tile, y, out);
}

/* A tile times tokens t and t + 1. */
static void two_tokens(const struct tile *tile, __m256 d, const struct acts *x, size_t t, float *y,
                       size_t y_stride) {
    const int8_t *q = x->q + t * x->n;
    __m256i low[2], high[2];
    dot_rows(tile->row, 4, q, x->n, 2, NULL, low);
    dot_rows(tile->row + 4, 4, q, x->n, 2, NULL, high);
    for (size_t i = 0; i < 2; i++) {
        const __m256i sums = _mm256_permute2x128_si256(low[i], high[i], 0x20);
        finish(tile, d, sums, x, t + i, y + (t + i) * y_stride);
    }
}

void matmul_w8a8_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    enum { TILE_TOKENS = 64 }; /* of which the q of 4096 values stay in L2 while all rows pass */
    for (size_t t0 = 0; t0 < x->n_tokens; t0 += TILE_TOKENS) {
        const size_t end = x->n_tokens - t0 < TILE_TOKENS ? x->n_tokens : t0 + TILE_TOKENS;
        for (size_t j = 0; j < tile_count(n_rows); j++) {
            const struct tile tile = tile_at(w, row_bytes, n_rows, j);
            const __m256 d = gather8_f16(tile.row, offsetof(struct block_q8_0, d));
            size_t t = t0;
            for (; t + 2 <= end; t += 2)
                two_tokens(&tile, d, x, t, y, y_stride);
            if (t < end) {
                __m256i sums[2];
                dot_rows(tile.row, 8, x->q + t * x->n, x->n, 1, x->n_tokens == 1 ? &tile : NULL, sums);
                finish(&tile, d, sums[0], x, t, y + t * y_stride);
            }
        }
    }
}

/* ---- Outliers ---- */

enum {
    ROWS = 256,
    COLUMNS = 32,
    PART = 32
}; /* at once: columns in L1, a part of a token's outputs in registers */

/* Column k of n_rows rows as floats; up to a multiple of 8 the last row again. */
static void decode_column(const uint8_t *w, size_t row_bytes, size_t n_rows, size_t k, float out[ROWS]) {
    const size_t at = k / 32 * sizeof(struct block_q8_0);
    for (size_t r = 0; r < n_rows; r += 8) {
        const uint8_t *block[8];
        int8_t q[8];
        for (size_t i = 0; i < 8; i++) {
            block[i] = w + (r + i < n_rows ? r + i : n_rows - 1) * row_bytes + at;
            q[i] = (int8_t)block[i][offsetof(struct block_q8_0, qs) + k % 32];
        }
        const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)q);
        _mm256_store_ps(out + r, _mm256_mul_ps(gather8_f16(block, offsetof(struct block_q8_0, d)),
                                               _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))));
    }
}

/* Rows of the 8 from r on that exist. */
static inline size_t lanes_of(size_t n_rows, size_t r) {
    return n_rows <= r ? 0 : n_rows - r < 8 ? n_rows - r : 8;
}

/* Columns w of a part of the rows times values v [n], added to outputs y [n_rows], at most PART of which are
 * written. at: where the columns are in w. */
static void add_columns(const float (*w)[ROWS], const uint16_t *at, const float *v, size_t n, float *y,
                        size_t n_rows) {
    __m256 acc[PART / 8];
    UNROLL
    for (size_t r = 0; r < PART; r += 8)
        acc[r / 8] = _mm256_maskload_ps(y + r, first_lanes(lanes_of(n_rows, r)));
    for (size_t i = 0; i < n; i++) {
        const __m256 value = _mm256_set1_ps(v[i]);
        UNROLL
        for (size_t r = 0; r < PART; r += 8)
            acc[r / 8] = _mm256_fmadd_ps(value, _mm256_load_ps(w[at[i]] + r), acc[r / 8]);
    }
    UNROLL
    for (size_t r = 0; r < PART; r += 8)
        _mm256_maskstore_ps(y + r, first_lanes(lanes_of(n_rows, r)), acc[r / 8]);
}

/* Columns [c, c_end) of the slab, decoded for n_rows rows, added for all tokens. */
static void add_batch(const float (*decoded)[ROWS], const struct row8_slab *slab, size_t c, size_t c_end,
                      const struct acts *x, float *y, size_t y_stride, size_t n_rows) {
    uint16_t own[ROW8_COLUMNS];
    float v[COLUMNS];
    for (size_t t = 0; t < x->n_tokens; t++) {
        const size_t n = row8_own(x, slab, t, c, c_end, own);
        for (size_t i = 0; i < n; i++) {
            v[i] = x->x[t * x->n + slab->columns[own[i]]];
            own[i] = (uint16_t)(own[i] - c);
        }
        for (size_t part = 0; part < n_rows && n; part += PART)
            add_columns((const float(*)[ROWS])(const void *)&decoded[0][part], own, v, n,
                        y + t * y_stride + part, n_rows - part);
    }
}

void add_outliers_avx2(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    alignas(64) float decoded[COLUMNS][ROWS];
    struct row8_slab slab = { .next = 0 };
    while (row8_next(x, &slab))
        for (size_t r = 0; r < n_rows; r += ROWS) {
            const size_t n_out = n_rows - r < ROWS ? n_rows - r : ROWS;
            for (size_t c = 0; c < slab.n; c += COLUMNS) {
                const size_t c_end = slab.n - c < COLUMNS ? slab.n : c + COLUMNS;
                for (size_t i = c; i < c_end; i++)
                    decode_column(w + r * row_bytes, row_bytes, n_out, slab.columns[i], decoded[i - c]);
                add_batch((const float(*)[ROWS])decoded, &slab, c, c_end, x, y + r, y_stride, n_out);
            }
        }
}
