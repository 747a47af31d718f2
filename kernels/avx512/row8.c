/* row8.c - Q8_0 weights times activations with one scale per token: LLM.int8() and W8A8.
 * SPDX-License-Identifier: MIT
 * vpdpbusd multiplies unsigned by signed bytes: weights get 128 added, and sums begin at -128 times the sum
 * of x. They may wrap on the way; what they end with fits. */
#include "kernels/avx512/row8.h"
#include "kernels/avx512/avx512.h"
#include "kernels/avx512/level.h"
#include "kernels/row8.h"
#include "kernels/tile.h"

#include "formats/blocks.h"

enum { BLOCK = sizeof(struct block_q8_0), QS = offsetof(struct block_q8_0, qs) };

/* Two blocks of weights, or one and zeros, with 128 added. */
TEMPLATE __m512i load_weights(const uint8_t *p, size_t n_blocks) {
    __m512i w = _mm512_zextsi256_si512(load256(p + QS));
    if (n_blocks == 2)
        w = _mm512_inserti64x4(w, load256(p + BLOCK + QS), 1);
    return _mm512_xor_si512(w, _mm512_set1_epi8((char)0x80));
}

/* -128 times the sum of the x of token t. */
static int32_t first_sum(const struct acts *x, size_t t) {
    const size_t n = x->n / 32;
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 16)
        sum = _mm512_add_epi32(sum, _mm512_maskz_loadu_epi32(lanes_left(n - i), x->sum + t * n + i));
    return -128 * _mm512_reduce_add_epi32(sum);
}

/* ---- Few tokens: eight rows at once ---- */

TEMPLATE void add_products(const uint8_t *const row[8], size_t i, size_t n_blocks, const int8_t *q, size_t n,
                           size_t n_tokens, __m512i u[2][8]) {
    __m512i x[2];
    UNROLL
    for (size_t t = 0; t < n_tokens; t++)
        x[t] =
            n_blocks == 2 ? load512(q + t * n + 32 * i) : _mm512_zextsi256_si512(load256(q + t * n + 32 * i));
    UNROLL
    for (size_t r = 0; r < 8; r++) {
        const __m512i w = load_weights(row[r] + i * BLOCK, n_blocks);
        UNROLL
        for (size_t t = 0; t < n_tokens; t++)
            u[t][r] = dot_bytes(u[t][r], w, x[t]);
    }
}

/* A tile times tokens [t0, t0 + n_tokens), 1 or 2; the first of them prefetches. first: first_sum() of each
 * token. */
TEMPLATE void tile_tokens(const struct tile *tile, const struct acts *x, const int32_t *first, size_t t0,
                          size_t n_tokens, float *y, size_t y_stride) {
    const size_t n_blocks = x->n / 32;
    const int8_t *q = x->q + t0 * x->n;
    __m512i u[2][8];
    size_t i = 0;
    UNROLL
    for (size_t t = 0; t < n_tokens; t++) {
        UNROLL
        for (size_t r = 0; r < 8; r++)
            u[t][r] = _mm512_setzero_si512();
    }
    for (; i + 2 <= n_blocks; i += 2) {
        add_products(tile->row, i, 2, q, x->n, n_tokens, u);
        if (t0 == 0)
            tile_prefetch(tile, i * BLOCK, 2 * BLOCK);
    }
    if (i < n_blocks)
        add_products(tile->row, i, 1, q, x->n, n_tokens, u);
    const __m256 d = gather_f16(tile->row, offsetof(struct block_q8_0, d));
    UNROLL
    for (size_t t = 0; t < n_tokens; t++) {
        const __m256i dots = _mm256_add_epi32(add_halves(sum_halves(u[t])), _mm256_set1_epi32(first[t0 + t]));
        const __m256 dx = _mm256_set1_ps(x->d[(t0 + t) * n_blocks]);
        float out[8];
        _mm256_storeu_ps(out, _mm256_mul_ps(_mm256_mul_ps(d, dx), _mm256_cvtepi32_ps(dots)));
        tile_store(tile, y + (t0 + t) * y_stride, out);
    }
}

/* ---- Many tokens ---- */

enum {
    MANY_TOKENS = 8,
    TILE_TOKENS = 192
}; /* of a tile: their sums of a panel, 48 KB, and their q stay in L2 */

/* Blocks [i, i + n_blocks) of n_out rows, the last row several times. */
static void fill_panel(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                       struct row8_panel *p) {
    alignas(64) uint8_t bytes[16][64];
    for (size_t quarter = 0; quarter < ROW8_ROWS / 16; quarter++) {
        const uint8_t *row[16];
        for (size_t r = 0; r < 16; r++) {
            const size_t real = 16 * quarter + r < n_out ? 16 * quarter + r : n_out - 1;
            row[r] = w + real * row_bytes + i * BLOCK;
            prefetch(row[r] + n_blocks * BLOCK, n_blocks * BLOCK);
        }
        for (size_t b = 0; b < n_blocks; b += 2) {
            for (size_t r = 0; r < 16; r++)
                store512(bytes[r], b + 1 < n_blocks ? load_weights(row[r] + b * BLOCK, 2)
                                                    : load_weights(row[r] + b * BLOCK, 1));
            __m512i column[16];
            transpose16(bytes[0], sizeof bytes[0], column);
            UNROLL
            for (size_t c = 0; c < 16; c++)
                _mm512_store_si512(p->w[8 * b + c][quarter], column[c]);
        }
    }
}

/* Scales of ROW8_ROWS rows, of which n_out exist. */
static void load_scales(const uint8_t *w, size_t row_bytes, size_t n_out, float d[ROW8_ROWS]) {
    for (size_t r = 0; r < ROW8_ROWS; r += 8) {
        const uint8_t *row[8];
        for (size_t i = 0; i < 8; i++)
            row[i] = w + (r + i < n_out ? r + i : n_out - 1) * row_bytes;
        _mm256_store_ps(d + r, gather_f16(row, offsetof(struct block_q8_0, d)));
    }
}

static_assert((int)MANY_TOKENS >= (int)ROW8_TOKENS && (int)TILE_TOKENS % (int)ROW8_TOKENS == 0,
              "groups are full");

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Tokens [t0, t0 + n) in groups of ROW8_TOKENS, n at least as many. The last group begins early enough to be
 * full: what it computes again has sums of its own and gives the same outputs. */
static size_t n_groups(size_t n) { return (n + ROW8_TOKENS - 1) / ROW8_TOKENS; }
static size_t group_begin(size_t n, size_t group) { return smaller(group * ROW8_TOKENS, n - ROW8_TOKENS); }

struct sums {
    alignas(64) int32_t of[TILE_TOKENS / ROW8_TOKENS][ROW8_TOKENS][ROW8_ROWS]; /* [group][token][row] */
};

static void start_sums(const struct acts *x, size_t t0, size_t n, struct sums *sums) {
    for (size_t g = 0; g < n_groups(n); g++)
        for (size_t t = 0; t < ROW8_TOKENS; t++) {
            const __m512i first = _mm512_set1_epi32(first_sum(x, t0 + group_begin(n, g) + t));
            for (size_t r = 0; r < ROW8_ROWS; r += 16)
                _mm512_store_si512(sums->of[g][t] + r, first);
        }
}

static void store_sums(const struct sums *sums, const float d[ROW8_ROWS], const struct acts *x, size_t t0,
                       size_t n, size_t n_out, float *y, size_t y_stride) {
    for (size_t g = 0; g < n_groups(n); g++)
        for (size_t i = 0; i < ROW8_TOKENS; i++) {
            const size_t t = t0 + group_begin(n, g) + i;
            const __m512 dx = _mm512_set1_ps(x->d[t * (x->n / 32)]);
            for (size_t r = 0; r < n_out; r += 16) {
                const __m512 scale = _mm512_mul_ps(_mm512_load_ps(d + r), dx);
                const __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(sums->of[g][i] + r));
                _mm512_mask_storeu_ps(y + t * y_stride + r, lanes_left(n_out - r), _mm512_mul_ps(scale, sum));
            }
        }
}

/* Bring the q of a group from block b on, and its sums, to L1: rows of q are far apart, which the hardware
 * does not foresee. */
TEMPLATE void prefetch_group(const struct acts *x, size_t t, size_t b, int32_t sum[ROW8_TOKENS][ROW8_ROWS]) {
    for (size_t i = 0; i < ROW8_TOKENS; i++)
        for (size_t at = 0; at < 256; at += 64) {
            __asm__ volatile("prefetcht0 %0" : : "m"(x->q[(t + i) * x->n + 32 * b + at]));
            __asm__ volatile("prefetcht0 %0" : : "m"(sum[i][at / 4]));
        }
}

/* A panel of n_out rows times tokens [t0, t0 + n). */
static void multiply_panel(const uint8_t *w, size_t row_bytes, size_t n_out, const struct acts *x, size_t t0,
                           size_t n, float *y, size_t y_stride) {
    const size_t n_blocks = x->n / 32;
    struct row8_panel p;
    struct sums sums;
    alignas(64) float d[ROW8_ROWS];
    start_sums(x, t0, n, &sums);
    for (size_t b = 0; b < n_blocks; b += ROW8_BLOCKS) {
        const size_t blocks = smaller(n_blocks - b, ROW8_BLOCKS);
        fill_panel(w, row_bytes, n_out, b, blocks, &p);
        for (size_t g = 0; g < n_groups(n); g++) {
            if (g + 1 < n_groups(n))
                prefetch_group(x, t0 + group_begin(n, g + 1), b, sums.of[g + 1]);
            row8_inner_avx512(&p, blocks, x->q + (t0 + group_begin(n, g)) * x->n + 32 * b, x->n, sums.of[g]);
        }
    }
    load_scales(w, row_bytes, n_out, d);
    store_sums(&sums, d, x, t0, n, n_out, y, y_stride);
}

void matmul_w8a8_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    if (x->n_tokens >= MANY_TOKENS) {
        for (size_t t = 0, n; t < x->n_tokens; t += n) {
            n = smaller(x->n_tokens - t, TILE_TOKENS);
            if (n < ROW8_TOKENS) { /* too few are left: again some before */
                n = ROW8_TOKENS;
                t = x->n_tokens - n;
            }
            for (size_t r = 0; r < n_rows; r += ROW8_ROWS)
                multiply_panel(w + r * row_bytes, row_bytes, smaller(n_rows - r, ROW8_ROWS), x, t, n, y + r,
                               y_stride);
        }
        return;
    }
    int32_t first[MANY_TOKENS];
    for (size_t t = 0; t < x->n_tokens; t++)
        first[t] = first_sum(x, t);
    for (size_t j = 0; j < tile_count(n_rows); j++) {
        const struct tile tile = tile_at(w, row_bytes, n_rows, j);
        size_t t = 0;
        for (; t + 2 <= x->n_tokens; t += 2)
            tile_tokens(&tile, x, first, t, 2, y, y_stride);
        if (t < x->n_tokens)
            tile_tokens(&tile, x, first, t, 1, y, y_stride);
    }
}

/* ---- Outliers ---- */

enum {
    ROWS = 256,
    COLUMNS = 32,
    PART = 64
}; /* at once: columns in L1, a part of a token's outputs in registers */

/* Column k of n_rows rows as floats; up to a multiple of 8 the last row again. */
static void decode_column(const uint8_t *w, size_t row_bytes, size_t n_rows, size_t k, float out[ROWS]) {
    const size_t at = k / 32 * BLOCK;
    for (size_t r = 0; r < n_rows; r += 8) {
        const uint8_t *block[8];
        int8_t q[8];
        for (size_t i = 0; i < 8; i++) {
            block[i] = w + (r + i < n_rows ? r + i : n_rows - 1) * row_bytes + at;
            q[i] = (int8_t)block[i][QS + k % 32];
        }
        const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)q);
        _mm256_store_ps(out + r, _mm256_mul_ps(gather_f16(block, offsetof(struct block_q8_0, d)),
                                               _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))));
    }
}

/* Columns w of a part of the rows times values v [n], added to outputs y [n_rows], at most PART of which are
 * written. at: where the columns are in w. */
static void add_columns(const float (*w)[ROWS], const uint16_t *at, const float *v, size_t n, float *y,
                        size_t n_rows) {
    __m512 acc[PART / 16];
    UNROLL
    for (size_t r = 0; r < PART; r += 16)
        acc[r / 16] = _mm512_maskz_loadu_ps(n_rows > r ? lanes_left(n_rows - r) : 0, y + r);
    for (size_t i = 0; i < n; i++) {
        const __m512 value = _mm512_set1_ps(v[i]);
        UNROLL
        for (size_t r = 0; r < PART; r += 16)
            acc[r / 16] = _mm512_fmadd_ps(value, _mm512_load_ps(w[at[i]] + r), acc[r / 16]);
    }
    UNROLL
    for (size_t r = 0; r < PART; r += 16)
        _mm512_mask_storeu_ps(y + r, n_rows > r ? lanes_left(n_rows - r) : 0, acc[r / 16]);
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

void add_outliers_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    alignas(64) float decoded[COLUMNS][ROWS];
    struct row8_slab slab = { .next = 0 };
    while (row8_next(x, &slab))
        for (size_t r = 0; r < n_rows; r += ROWS) {
            const size_t n_out = smaller(n_rows - r, ROWS);
            for (size_t c = 0; c < slab.n; c += COLUMNS) {
                const size_t c_end = smaller(slab.n, c + COLUMNS);
                for (size_t i = c; i < c_end; i++)
                    decode_column(w + r * row_bytes, row_bytes, n_out, slab.columns[i], decoded[i - c]);
                add_batch((const float(*)[ROWS])decoded, &slab, c, c_end, x, y + r, y_stride, n_out);
            }
        }
}
