/* gemm.c - panels of 16 rows times many tokens.
 * SPDX-License-Identifier: MIT
 * The same integers and the same float chain as one token at a time, so the same bits. */
#include "kernels/avx2/gemm.h"

#include "kernels/avx2/avx2.h"

enum { TOKENS = 4 }; /* at once: 2 x 4 sums of 16 bits, 2 weights, x and a product fit 16 registers */

/* ---- Fill ---- */

/* 8 rows of 8 dwords to 8 columns: unpack pairs of rows, pairs of pairs, then the halves. */
static inline void transpose8(const uint8_t *rows, size_t stride, __m256i out[8]) {
    __m256i a[8], b[8];
    UNROLL
    for (size_t i = 0; i < 8; i += 2) {
        const __m256i even = load256(rows + i * stride), odd = load256(rows + (i + 1) * stride);
        a[i] = _mm256_unpacklo_epi32(even, odd);
        a[i + 1] = _mm256_unpackhi_epi32(even, odd);
    }
    UNROLL
    for (size_t i = 0; i < 8; i += 4) {
        b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        out[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
        out[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
}

static inline void store_aligned(void *p, __m256i v) { _mm256_store_si256(p, v); }

void panel_fill_weights(struct panel *p, const int8_t *rows, size_t stride) {
    for (size_t half = 0; half < 2; half++)
        for (size_t k = 0; k < PANEL_VALUES; k += 32) {
            __m256i column[8];
            transpose8((const uint8_t *)rows + half * 8 * stride + k, stride, column);
            UNROLL
            for (size_t i = 0; i < 8; i++)
                store_aligned(p->w[k / 4 + i][half], column[i]);
        }
}

void panel_fill_scales(struct panel *p, const int16_t *scales, const int16_t *pairs, size_t stride) {
    const __m256i low_word = _mm256_set1_epi32(0xffff);
    for (size_t half = 0; half < 2; half++) {
        __m256i column[8];
        transpose8((const uint8_t *)scales + half * 8 * stride, stride, column);
        UNROLL
        for (size_t j = 0; j < 8; j++) { /* a column is pairs of scales 2 j and 2 j + 1: each twice */
            const __m256i even = _mm256_and_si256(column[j], low_word),
                          odd = _mm256_andnot_si256(low_word, column[j]);
            store_aligned(p->scale[2 * j][half], _mm256_or_si256(even, _mm256_slli_epi32(even, 16)));
            store_aligned(p->scale[2 * j + 1][half], _mm256_or_si256(odd, _mm256_srli_epi32(odd, 16)));
        }
        transpose8((const uint8_t *)pairs + half * 8 * stride, stride, column);
        UNROLL
        for (size_t j = 0; j < 8; j++)
            store_aligned(p->pairs[j][half], column[j]);
    }
}

/* ---- Integer sums ---- */

/* Four consecutive values of x to all rows; two sums of x likewise. */
TEMPLATE __m256i broadcast32(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm256_set1_epi32(v);
}

/* s += w * q, products of unsigned and signed bytes added in pairs to words. Assembly, because GCC rearranges
 * a chain of additions into a tree, for which it keeps every product, on the stack. */
static inline __m256i add_words(__m256i s, __m256i w, __m256i q) {
    __m256i p;
    __asm__("vpmaddubsw %[q], %[w], %[p]\n\t"
            "vpaddw %[p], %[s], %[s]"
            : [s] "+x"(s), [p] "=&x"(p)
            : [w] "x"(w), [q] "x"(q));
    return s;
}

/* s += (w * q) * c with signed w, pairs of words added to dwords. Assembly, to hold 8 sums in 16 registers.
 */
static inline __m256i add_signed(__m256i s, __m256i w, __m256i w_abs, __m256i q, __m256i c) {
    __m256i p;
    __asm__("vpsignb %[w], %[q], %[p]\n\t"
            "vpmaddubsw %[p], %[w_abs], %[p]\n\t"
            "vpmaddwd %[c], %[p], %[p]\n\t"
            "vpaddd %[p], %[s], %[s]"
            : [s] "+x"(s), [p] "=&x"(p)
            : [w] "x"(w), [w_abs] "x"(w_abs), [q] "x"(q), [c] "xm"(c));
    return s;
}

/* sum[half][t] += the n_dwords * 4 products of each row, times the words of c. w: the panel from the first
 * dword on; x: token 0 there, tokens n apart. */
TEMPLATE void add_signed_products(const uint8_t (*w)[2][32], const int8_t *x, size_t n, size_t n_dwords,
                                  size_t n_tokens, const __m256i c[2][TOKENS], __m256i sum[2][TOKENS]) {
    for (size_t i = 0; i < n_dwords; i++) {
        const __m256i w0 = load256(w[i][0]), w1 = load256(w[i][1]);
        const __m256i abs0 = _mm256_abs_epi8(w0), abs1 = _mm256_abs_epi8(w1);
        UNROLL
        for (size_t t = 0; t < n_tokens; t++) {
            const __m256i q = broadcast32(x + t * n + i * 4);
            sum[0][t] = add_signed(sum[0][t], w0, abs0, q, c[0][t]);
            sum[1][t] = add_signed(sum[1][t], w1, abs1, q, c[1][t]);
        }
    }
}

/* The same for unsigned w, of which `adds` products can be added in 16 bits. */
TEMPLATE void add_unsigned_products(size_t adds, const uint8_t (*w)[2][32], const int8_t *x, size_t n,
                                    size_t n_dwords, size_t n_tokens, const __m256i c[2][TOKENS],
                                    __m256i sum[2][TOKENS]) {
    for (size_t i = 0; i < n_dwords; i += adds) {
        __m256i s[2][TOKENS];
        UNROLL
        for (size_t a = 0; a < adds; a++) {
            const __m256i w0 = load256(w[i + a][0]), w1 = load256(w[i + a][1]);
            UNROLL
            for (size_t t = 0; t < n_tokens; t++) {
                const __m256i q = broadcast32(x + t * n + (i + a) * 4);
                s[0][t] = a ? add_words(s[0][t], w0, q) : _mm256_maddubs_epi16(w0, q);
                s[1][t] = a ? add_words(s[1][t], w1, q) : _mm256_maddubs_epi16(w1, q);
            }
        }
        UNROLL
        for (size_t t = 0; t < n_tokens; t++) {
            sum[0][t] = _mm256_add_epi32(sum[0][t], _mm256_madd_epi16(s[0][t], c[0][t]));
            sum[1][t] = _mm256_add_epi32(sum[1][t], _mm256_madd_epi16(s[1][t], c[1][t]));
        }
    }
}

/* adds: as above for unsigned weights, 0 for signed ones. */
TEMPLATE void add_products(size_t adds, const uint8_t (*w)[2][32], const int8_t *x, size_t n, size_t n_dwords,
                           size_t n_tokens, const __m256i c[2][TOKENS], __m256i sum[2][TOKENS]) {
    if (adds)
        add_unsigned_products(adds, w, x, n, n_dwords, n_tokens, c, sum);
    else
        add_signed_products(w, x, n, n_dwords, n_tokens, c, sum);
}

/* ---- Float sums ---- */

/* Which of 8 lanes of a half are outputs. */
static inline __m256i output_lanes(const struct panel_job *job, size_t half) {
    const size_t begin = 8 * half, n = job->n_out <= begin ? 0 : job->n_out - begin;
    return first_lanes(n < 8 ? n : 8);
}

TEMPLATE __m256 load_sum(const struct panel_job *job, size_t t, size_t half) {
    if (!job->i)
        return _mm256_setzero_ps();
    return _mm256_maskload_ps(job->y + t * job->y_stride + 8 * half, output_lanes(job, half));
}

TEMPLATE void store_sum(const struct panel_job *job, size_t t, size_t half, __m256 acc) {
    _mm256_maskstore_ps(job->y + t * job->y_stride + 8 * half, output_lanes(job, half), acc);
}

/* ---- Blocks of 32 ---- */

/* Block `block` of a token, the b-th of the panel, added to acc. */
TEMPLATE __m256 add_block(const struct panel_job *job, size_t b, size_t half, size_t block, __m256i sum,
                          __m256 acc) {
    __m256 r = _mm256_mul_ps(_mm256_load_ps(job->panel->d[b] + 8 * half), _mm256_cvtepi32_ps(sum));
    if (job->has_min) {
        const __m256 x_sum = _mm256_set1_ps((float)job->x->sum[block]);
        r = _mm256_fmadd_ps(_mm256_load_ps(job->panel->m[b] + 8 * half), x_sum, r);
    }
    return _mm256_fmadd_ps(_mm256_set1_ps(job->x->d[block]), r, acc);
}

/* Tokens [t0, t0 + n_tokens). */
TEMPLATE void multiply_blocks(size_t adds, const struct panel_job *job, size_t t0, size_t n_tokens) {
    const struct acts *x = job->x;
    const size_t row_blocks = x->n / 32;
    const __m256i one = _mm256_set1_epi16(1),
                  ones[2][TOKENS] = { { one, one, one, one }, { one, one, one, one } };
    __m256 acc[2][TOKENS];
    UNROLL
    for (size_t t = 0; t < n_tokens; t++) {
        acc[0][t] = load_sum(job, t0 + t, 0);
        acc[1][t] = load_sum(job, t0 + t, 1);
    }
    for (size_t b = 0; b < job->n_blocks; b++) {
        const size_t at = t0 * row_blocks + job->i + b;
        __m256i sum[2][TOKENS];
        UNROLL
        for (size_t t = 0; t < n_tokens; t++)
            sum[0][t] = sum[1][t] = _mm256_set1_epi32(-job->offset * x->sum[at + t * row_blocks]);
        add_products(adds, job->panel->w + b * 8, x->q + at * 32, x->n, 8, n_tokens, ones, sum);
        UNROLL
        for (size_t t = 0; t < n_tokens; t++) {
            acc[0][t] = add_block(job, b, 0, at + t * row_blocks, sum[0][t], acc[0][t]);
            acc[1][t] = add_block(job, b, 1, at + t * row_blocks, sum[1][t], acc[1][t]);
        }
    }
    UNROLL
    for (size_t t = 0; t < n_tokens; t++) {
        store_sum(job, t0 + t, 0, acc[0][t]);
        store_sum(job, t0 + t, 1, acc[1][t]);
    }
}

TEMPLATE void multiply_blocks_by_all(size_t adds, const struct panel_job *job) {
    size_t t = 0;
    for (; t + TOKENS <= job->x->n_tokens; t += TOKENS)
        multiply_blocks(adds, job, t, TOKENS);
    for (; t < job->x->n_tokens; t++)
        multiply_blocks(adds, job, t, 1);
}

typedef void multiply_function(const struct panel_job *job);

static void blocks_15(const struct panel_job *job) { multiply_blocks_by_all(8, job); }
static void blocks_31(const struct panel_job *job) { multiply_blocks_by_all(4, job); }
static void blocks_63(const struct panel_job *job) { multiply_blocks_by_all(2, job); }
static void blocks_signed(const struct panel_job *job) { multiply_blocks_by_all(0, job); }

void panel_multiply_blocks(enum panel_kind kind, const struct panel_job *job) {
    static multiply_function *const multiply[PANEL_KINDS] = { blocks_15, blocks_31, blocks_63,
                                                              blocks_signed };
    multiply[kind](job);
}

/* ---- Super-blocks ---- */

/* sum[half][t]: the panel's pairs times the sums of x, n_blocks super-blocks from token to token: minima, or
 * what an offset contributed. */
TEMPLATE void dot_pairs(const struct panel *p, size_t n_pairs, const int16_t *g16, size_t n_blocks,
                        size_t n_tokens, __m256i sum[2][TOKENS]) {
    UNROLL
    for (size_t t = 0; t < n_tokens; t++)
        sum[0][t] = sum[1][t] = _mm256_setzero_si256();
    for (size_t j = 0; j < n_pairs; j++) {
        const __m256i p0 = load256(p->pairs[j][0]), p1 = load256(p->pairs[j][1]);
        UNROLL
        for (size_t t = 0; t < n_tokens; t++) {
            const __m256i g = broadcast32(g16 + t * n_blocks * 16 + 2 * j);
            sum[0][t] = _mm256_add_epi32(sum[0][t], _mm256_madd_epi16(p0, g));
            sum[1][t] = _mm256_add_epi32(sum[1][t], _mm256_madd_epi16(p1, g));
        }
    }
}

/* The float step of a token: dot and min are the exact sums of a half. */
TEMPLATE void finish_super(const struct panel_job *job, size_t t, size_t half, float d, __m256i dot,
                           __m256i min) {
    const struct panel *p = job->panel;
    __m256 r = _mm256_mul_ps(_mm256_load_ps(p->d[0] + 8 * half), _mm256_cvtepi32_ps(dot));
    if (job->has_min)
        r = _mm256_fnmadd_ps(_mm256_load_ps(p->m[0] + 8 * half), _mm256_cvtepi32_ps(min), r);
    store_sum(job, t, half, _mm256_fmadd_ps(_mm256_set1_ps(d), r, load_sum(job, t, half)));
}

/* Tokens [t0, t0 + n_tokens). Kinds that add 8 products have sub-blocks of 32, whose scale stands twice; the
 * others go by 16, and so does each a of x that serves 32. */
TEMPLATE void multiply_super(size_t adds, const struct panel_job *job, size_t t0, size_t n_tokens) {
    const struct acts *x = job->x;
    const struct panel *p = job->panel;
    const size_t n_blocks = x->n / 256, at = t0 * n_blocks + job->i;
    const size_t n_a = x->form == ACT_A256_16 ? 16 : 8, step = adds == 8 ? 2 : 1;
    const int16_t *g16 = x->g16 + at * 16;
    __m256i sum[2][TOKENS], min[2][TOKENS];
    dot_pairs(p, job->offset || job->has_min ? 8 : 0, g16, n_blocks, n_tokens, min);
    UNROLL
    for (size_t t = 0; t < n_tokens; t++) {
        UNROLL
        for (size_t half = 0; half < 2; half++)
            sum[half][t] = job->offset ? _mm256_mullo_epi32(min[half][t], _mm256_set1_epi32(-job->offset))
                                       : _mm256_setzero_si256();
    }
    for (size_t j = 0; j < 16; j += step) {
        __m256i c[2][TOKENS];
        UNROLL
        for (size_t t = 0; t < n_tokens; t++) {
            const __m256i a = _mm256_set1_epi16(x->a[(at + t * n_blocks) * n_a + j * n_a / 16]);
            c[0][t] = _mm256_mullo_epi16(load256(p->scale[j][0]), a);
            c[1][t] = _mm256_mullo_epi16(load256(p->scale[j][1]), a);
        }
        add_products(adds, p->w + j * 4, x->q + at * 256 + j * 16, x->n, 4 * step, n_tokens, c, sum);
    }
    UNROLL
    for (size_t t = 0; t < n_tokens; t++) {
        finish_super(job, t0 + t, 0, x->d[at + t * n_blocks], sum[0][t], min[0][t]);
        finish_super(job, t0 + t, 1, x->d[at + t * n_blocks], sum[1][t], min[1][t]);
    }
}

TEMPLATE void multiply_super_by_all(size_t adds, const struct panel_job *job) {
    size_t t = 0;
    for (; t + TOKENS <= job->x->n_tokens; t += TOKENS)
        multiply_super(adds, job, t, TOKENS);
    for (; t < job->x->n_tokens; t++)
        multiply_super(adds, job, t, 1);
}

static void super_15(const struct panel_job *job) { multiply_super_by_all(8, job); }
static void super_31(const struct panel_job *job) { multiply_super_by_all(4, job); }
static void super_63(const struct panel_job *job) { multiply_super_by_all(2, job); }
static void super_signed(const struct panel_job *job) { multiply_super_by_all(0, job); }

/* Super-block i of rows [r, r + n_out), the last row several times if there are fewer than a panel has. */
static void fill_super(const struct gemm_super_type *type, const uint8_t *w, size_t row_bytes, size_t n_out,
                       size_t i, struct panel *p) {
    struct super_block row[PANEL_ROWS];
    for (size_t r = 0; r < PANEL_ROWS; r++) {
        type->unpack(w + (r < n_out ? r : n_out - 1) * row_bytes + i * type->block_bytes, &row[r]);
        p->d[0][r] = row[r].d;
        p->m[0][r] = type->has_min ? row[r].dmin : 0;
    }
    panel_fill_weights(p, row[0].w, sizeof row[0]);
    panel_fill_scales(p, row[0].scale, type->has_min ? row[0].min : row[0].scale, sizeof row[0]);
}

void gemm_super(const struct gemm_super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                const struct acts *x, float *y, size_t y_stride) {
    static multiply_function *const multiply[PANEL_KINDS] = { super_15, super_31, super_63, super_signed };
    struct panel p;
    for (size_t r = 0; r < n_rows; r += PANEL_ROWS) {
        struct panel_job job = { .panel = &p,
                                 .x = x,
                                 .y = y + r,
                                 .y_stride = y_stride,
                                 .n_out = n_rows - r < PANEL_ROWS ? n_rows - r : PANEL_ROWS,
                                 .n_blocks = 1,
                                 .offset = type->offset,
                                 .has_min = type->has_min };
        for (; job.i < x->n / 256; job.i++) {
            fill_super(type, w + r * row_bytes, row_bytes, job.n_out, job.i, &p);
            multiply[type->kind](&job);
        }
    }
}
