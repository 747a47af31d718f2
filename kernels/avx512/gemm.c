/* gemm.c - panels of 32 rows times many tokens.
 * SPDX-License-Identifier: MIT
 * The same integers and the same float chain as one token at a time, so the same bits. For each 256 values of
 * k, the tokens' part is laid out once, in groups of seven, and stays in L2 while the panels of 128 rows are
 * filled and multiplied one after the other; so do the outputs. */
#include "kernels/avx512/gemm.h"

#include "kernels/avx512/avx512.h"
#include "kernels/avx512/gemm_inner.h"

enum {
    MOST_GROUPS = 37, /* of tokens at a time: 259 */
    MOST_PANELS = 8,  /* of rows at a time: 256 */
};

/* What one call works in: 360 KB of stack; with 66 KB of x less than an L2 that two threads share. */
struct work {
    struct panel panel;
    struct group groups[MOST_GROUPS];
    alignas(64) float acc[MOST_PANELS][MOST_GROUPS][TOKENS][PANEL_ROWS];
};

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* ---- Tiles of tokens and rows ---- */

/* Tokens [t0, t0 + n_tokens), at least one group of them. */
struct tile {
    const struct acts *x;
    size_t t0, n_tokens, n_groups;
};

/* The tile of what begins at *t; *t moves to the next. False at the end. A last tile of less than a group
 * begins earlier: what it computes again has sums of its own and gives the same outputs. */
static bool next_tile(const struct acts *x, size_t *t, struct tile *tile) {
    const size_t rest = x->n_tokens - *t, n = smaller(rest, MOST_GROUPS * TOKENS);
    assert(x->n_tokens >= TOKENS);
    if (!rest)
        return false;
    *tile = (struct tile){ .x = x, .t0 = *t, .n_tokens = n };
    if (n < TOKENS) {
        tile->t0 = x->n_tokens - TOKENS;
        tile->n_tokens = TOKENS;
    }
    tile->n_groups = (tile->n_tokens + TOKENS - 1) / TOKENS;
    *t += n;
    return true;
}

/* The first token of a group: the last group begins early enough to be full, likewise. */
static size_t group_begin(const struct tile *tile, size_t group) {
    return tile->t0 + smaller(group * TOKENS, tile->n_tokens - TOKENS);
}

/* Sums of panels to rows [0, n_rows) of y, a token after the other, so that a row of y is written in one go.
 */
static void store_panels(const struct tile *tile, const struct work *work, size_t n_rows, float *y,
                         size_t y_stride) {
    for (size_t i = 0; i < tile->n_groups; i++)
        for (size_t t = 0; t < TOKENS; t++) {
            float *to = y + (group_begin(tile, i) + t) * y_stride;
            for (size_t r = 0; r < n_rows; r += 16) {
                const float *from = work->acc[r / PANEL_ROWS][i][t] + r % PANEL_ROWS;
                _mm512_mask_storeu_ps(to + r, lanes_left(n_rows - r), _mm512_load_ps(from));
            }
        }
}

/* ---- Fill ---- */

void panel_fill_weights_avx512(struct panel *p, size_t half, size_t c, const uint8_t *rows, size_t stride) {
    __m512i column[16];
    transpose16(rows, stride, column);
    UNROLL
    for (size_t i = 0; i < 16; i++)
        _mm512_store_si512(p->w[16 * c + i][half], column[i]);
}

/* ---- Blocks of 32 ---- */

/* The part of a group: n_blocks blocks from block i of each token on. */
static void fill_group_blocks(const struct acts *x, size_t t0, size_t i, size_t n_blocks, int offset,
                              struct group *g) {
    const __mmask8 blocks = (__mmask8)first_lanes(n_blocks);
    for (size_t t = 0; t < TOKENS; t++) {
        const size_t at = (t0 + t) * (x->n / 32) + i;
        g->q[t] = x->q + at * 32;
        const __m256i sum = _mm256_maskz_loadu_epi32(blocks, x->sum + at);
        const __m256i correction = _mm256_mullo_epi32(sum, _mm256_set1_epi32(offset));
        store256(g->start[t], _mm256_sub_epi32(_mm256_set1_epi32(BLOCK_BIAS_BITS), correction));
        _mm256_storeu_ps(g->blocks.sum[t], _mm256_cvtepi32_ps(sum));
        _mm256_storeu_ps(g->blocks.d[t], _mm256_maskz_loadu_ps(blocks, x->d + at));
    }
}

/* The way of few tokens, for n_out rows and all tokens of a tile. */
static void multiply_few(const struct gemm_block_type *type, const struct tile *tile, const uint8_t *w,
                         size_t row_bytes, size_t n_out, float *y, size_t y_stride) {
    for (size_t t = tile->t0, end = t + tile->n_tokens; t < end; t += TOKENS) {
        const struct acts part = acts_of_tokens(tile->x, t, smaller(end - t, TOKENS));
        type->few(w, row_bytes, n_out, &part, y + t * y_stride, y_stride);
    }
}

/* Up to MOST_PANELS panels of rows times a tile of tokens. */
static void multiply_blocks(const struct gemm_block_type *type, const struct tile *tile, const uint8_t *w,
                            size_t row_bytes, size_t n_rows, float *y, size_t y_stride, struct work *work) {
    const size_t n_blocks = tile->x->n / 32, n_panels = (n_rows + PANEL_ROWS - 1) / PANEL_ROWS;
    bool is_exact[MOST_PANELS];
    for (size_t p = 0; p < n_panels; p++) {
        memset(work->acc[p], 0, tile->n_groups * sizeof work->acc[p][0]);
        is_exact[p] = true;
    }
    for (size_t b = 0; b < n_blocks; b += PANEL_VALUES / 32) {
        const size_t n = smaller(n_blocks - b, PANEL_VALUES / 32);
        for (size_t i = 0; i < tile->n_groups; i++)
            fill_group_blocks(tile->x, group_begin(tile, i), b, n, type->offset, &work->groups[i]);
        for (size_t p = 0; p < n_panels; p++) {
            const size_t r = p * PANEL_ROWS;
            type->fill(w + r * row_bytes, row_bytes, smaller(n_rows - r, PANEL_ROWS), b, n, &work->panel);
            is_exact[p] = is_exact[p] && work->panel.is_exact;
            inner_blocks *multiply = type->has_min ? inner_blocks_min_avx512 : inner_blocks_avx512;
            for (size_t i = 0; i < tile->n_groups; i++)
                multiply(&work->panel, &work->groups[i], n, work->acc[p][i]);
        }
    }
    store_panels(tile, work, n_rows, y, y_stride);
    for (size_t r = 0; r < n_rows; r += PANEL_ROWS)
        if (!is_exact[r / PANEL_ROWS])
            multiply_few(type, tile, w + r * row_bytes, row_bytes, smaller(n_rows - r, PANEL_ROWS), y + r,
                         y_stride);
}

void gemm_blocks_avx512(const struct gemm_block_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                        const struct acts *x, float *y, size_t y_stride) {
    enum { MOST_ROWS = MOST_PANELS * PANEL_ROWS };
    struct work work;
    struct tile tile;
    for (size_t t = 0; next_tile(x, &t, &tile);)
        for (size_t r = 0; r < n_rows; r += MOST_ROWS)
            multiply_blocks(type, &tile, w + r * row_bytes, row_bytes, smaller(n_rows - r, MOST_ROWS), y + r,
                            y_stride, &work);
}

/* ---- Super-blocks: tokens ---- */

/* The sum of 16 or 32 x from g = a * sum and a. g / a is exact: a word times 2^15 / a, whose rounding error
 * is below 1/2 and |g| <= a * 4064, rounded to the nearest integer of g / a by vpmulhrsw with an error below
 * 1/2. */
TEMPLATE __m256i unscale(__m256i g, __m256i a) {
    /* 2^15 / a for a = 8, 1 .. 7: vpermw takes the low bits of a. 2^15 itself is not a word; 2^15 - 1 does.
     */
    const __m256i inverse =
        _mm256_broadcastsi128_si256(_mm_setr_epi16(4096, 32767, 16384, 10923, 8192, 6554, 5461, 4681));
    const __m256i index = _mm256_and_si256(a, _mm256_set1_epi16(7));
    return _mm256_mulhrs_epi16(g, _mm256_permutexvar_epi16(index, inverse));
}

/* The sums of squares of each 16 of 256 bytes, |byte| <= 127. */
TEMPLATE __m512i squares(const int8_t *q) {
    __m512i s[4];
    UNROLL
    for (size_t c = 0; c < 4; c++) {
        const __m512i v = _mm512_abs_epi8(load512(q + 64 * c));
        s[c] = dot_bytes(_mm512_setzero_si512(), v, v);
    }
    /* Dword c of quarter i is that of the 16 values 64 c + 16 i. */
    const __m512i sums = add_unpacked64(add_unpacked32(s[0], s[1]), add_unpacked32(s[2], s[3]));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, sums);
}

/* Neighbours added: 8 dwords. */
TEMPLATE __m512i add_pairs_of(__m512i v) {
    return _mm512_zextsi256_si512(_mm512_cvtepi64_epi32(_mm512_add_epi32(v, _mm512_srli_epi64(v, 32))));
}

/* Super-block i of TOKENS tokens from t0 on; lines are those of `panel`. */
TEMPLATE void fill_group_super(size_t scale_values, const struct acts *x, size_t t0, size_t i, int centre,
                               const struct panel *panel, struct group *g) {
    const bool by_16 = scale_values == 16;
    __m512i norm = _mm512_setzero_si512();
    for (size_t t = 0; t < TOKENS; t++) {
        const size_t at = (t0 + t) * (x->n / 256) + i;
        __m128i a;
        __m256i sum;
        g->q[t] = x->q + at * 256;
        if (x->form == ACT_A256_16)
            a = load128(x->a + at * 16);
        else
            a = _mm_loadl_epi64((const __m128i *)(const void *)(x->a + at * 8));
        if (by_16) {
            if (x->form == ACT_A256_32)
                a = _mm_unpacklo_epi8(a, a);
            sum = load256(x->g16 + at * 16);
        } else {
            sum = _mm256_zextsi128_si256(load128(x->g32 + at * 8));
        }
        store256(g->super.g[t], sum);
        const __m512i sums = _mm512_cvtepi16_epi32(unscale(sum, _mm256_cvtepu8_epi16(a)));
        store512(g->start[t], _mm512_mullo_epi32(sums, _mm512_set1_epi32(-centre)));
        for (size_t half = 0; half < (by_16 ? 2 : 1); half++) {
            const __m512i first = _mm512_set1_epi64((long long)(uintptr_t)panel->scale[8 * half][0]);
            const __m512i step = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
            const __m512i index =
                _mm512_sub_epi64(_mm512_cvtepu8_epi64(half ? _mm_srli_si128(a, 8) : a), _mm512_set1_epi64(1));
            const __m512i line = _mm512_add_epi64(index, _mm512_slli_epi64(step, 3));
            store512(&g->super.line[t][8 * half], _mm512_add_epi64(first, _mm512_slli_epi64(line, 7)));
        }
        const __m512i n = squares(g->q[t]);
        norm = _mm512_max_epu32(norm, by_16 ? n : add_pairs_of(n));
        g->super.d[t] = x->d[at];
    }
    static_assert(sizeof panel->scale[0][0] == 1 << 7, "a line of the table");
    store512(g->super.norm, norm);
}

/* ---- Super-blocks: rows ---- */

/* scale * a for every a, by repeated addition, as words whose upper neighbours are zero. */
static void fill_scale_table(int32_t (*line)[PANEL_ROWS], size_t half, __m512i scale) {
    const __m512i once = _mm512_and_si512(scale, _mm512_set1_epi32(0xffff));
    __m512i c = once;
    for (size_t a = 0; a < 8; a++) {
        _mm512_store_si512(line[a] + 16 * half, c);
        c = _mm512_add_epi16(c, once);
    }
}

/* Words to dwords of the same value, for groups whose sums are no words. */
static void widen_scale_table(struct panel *p) {
    for (size_t j = 0; j < 16; j++)
        for (size_t a = 0; a < 8; a++)
            for (size_t r = 0; r < PANEL_ROWS; r += 16) {
                const __m512i c = _mm512_load_si512(p->scale[j][a] + r);
                _mm512_store_si512(p->scale[j][a] + r, _mm512_srai_epi32(_mm512_slli_epi32(c, 16), 16));
            }
}

/* Scales and what the sums of x are multiplied with, of the 16 rows of a half. */
static void fill_scales(struct panel *p, size_t half, const struct gemm_super_type *type,
                        const struct super_row row[16]) {
    const bool by_32 = type->scale_values == 32;
    const __m512i factor = _mm512_set1_epi16((short)(type->centre - type->offset));
    __m512i column[16]; /* words 2 j and 2 j + 1 of the scales, and from 8 on of the minima */
    transpose16((const uint8_t *)row[0].scale, sizeof row[0], column);
    UNROLL
    for (size_t j = 0; j < 8; j++) {
        if (by_32) {
            fill_scale_table(p->scale[j], half, column[j]);
        } else {
            fill_scale_table(p->scale[2 * j], half, column[j]);
            fill_scale_table(p->scale[2 * j + 1], half, _mm512_srli_epi32(column[j], 16));
        }
    }
    if (by_32) { /* each stands twice: join neighbours */
        UNROLL
        for (size_t j = 0; j < 8; j++)
            column[j] = _mm512_mask_blend_epi16(0xaaaaaaaa, column[2 * j], column[2 * j + 1]);
    }
    for (size_t j = 0; j < (by_32 ? 4 : 8); j++) {
        _mm512_store_si512(p->centre[j][half], _mm512_mullo_epi16(column[j], factor));
        _mm512_store_si512(p->min[j][half], column[by_32 ? 4 + j : 8 + j]);
    }
}

/* p->norm. w - centre lies in -127..127. */
static void fill_norms(struct panel *p, size_t scale_values, int centre) {
    const __m512i middle = _mm512_set1_epi8((char)centre);
    const size_t n = scale_values / 4;
    for (size_t j = 0; j < PANEL_VALUES / scale_values; j++) {
        __m512i sum[2] = { _mm512_setzero_si512(), _mm512_setzero_si512() };
        for (size_t k = j * n; k < j * n + n; k++) {
            UNROLL
            for (size_t half = 0; half < 2; half++) {
                const __m512i v = _mm512_abs_epi8(_mm512_sub_epi8(load512(p->w[k][half]), middle));
                sum[half] = dot_bytes(sum[half], v, v);
            }
        }
        p->norm[j] = _mm512_reduce_max_epu32(_mm512_max_epu32(sum[0], sum[1]));
    }
}

/* Super-block i of n_out rows, the last row several times. */
static void fill_super(const struct gemm_super_type *type, const uint8_t *w, size_t row_bytes, size_t n_out,
                       size_t i, struct panel *p) {
    struct super_row row[16];
    for (size_t half = 0; half < 2; half++) {
        const uint8_t *block[16];
        for (size_t r = 0; r < 16; r++) {
            block[r] = w + smaller(16 * half + r, n_out - 1) * row_bytes + i * type->block_bytes;
            type->unpack(block[r], &row[r]);
            prefetch(block[r] + type->block_bytes, type->block_bytes);
        }
        for (size_t c = 0; c < 4; c++)
            panel_fill_weights_avx512(p, half, c, row[0].w + 64 * c, sizeof row[0]);
        fill_scales(p, half, type, row);
        for (size_t r = 0; r < 16; r += 8) {
            _mm256_store_ps(p->d[0] + 16 * half + r, type->scales(block + r, type->d_offset));
            if (type->has_min)
                _mm256_store_ps(p->m[0] + 16 * half + r, gather_f16(block + r, type->dmin_offset));
        }
    }
    fill_norms(p, type->scale_values, type->centre);
}

/* ---- Super-blocks: multiply ---- */

/* Whether all inner sums are signed words. The product of norms is at most 2^39, and its rounding below 2^-22
 * of it. */
static bool fits_words(const struct panel *p, const struct group *g, size_t scale_values) {
    const __m512 most = _mm512_set1_ps(32767.0f * 32767.0f * (1 - 0x1p-22f));
    const __m512 product =
        _mm512_mul_ps(_mm512_cvtepu32_ps(load512(p->norm)), _mm512_cvtepu32_ps(load512(g->super.norm)));
    return !_mm512_mask_cmp_ps_mask(first_lanes(PANEL_VALUES / scale_values), product, most, _CMP_GT_OQ);
}

static void multiply_group(const struct gemm_super_type *type, inner_super *multiply, const struct panel *p,
                           const struct group *g, float acc[TOKENS][PANEL_ROWS]) {
    const struct super_step step = {
        .panel = p,
        .group = g,
        .acc = acc,
        .centre = type->centre != type->offset ? p->centre : NULL,
        .min = type->has_min ? p->min : NULL,
        .pairs = PANEL_VALUES / type->scale_values / 2,
        .g = g->super.g[0],
        .d = p->d[0],
        .dmin = p->m[0],
        .dx = g->super.d,
    };
    multiply(&step);
}

/* A filled panel times all groups: those whose sums are words first, because the others need another table.
 */
static void multiply_panel(const struct gemm_super_type *type, const struct tile *tile, struct work *work,
                           float acc[][TOKENS][PANEL_ROWS]) {
    const bool by_16 = type->scale_values == 16;
    inner_super *words = by_16 ? inner_words_16_avx512 : inner_words_32_avx512;
    inner_super *dwords = by_16 ? inner_dwords_16_avx512 : inner_dwords_32_avx512;
    size_t rest[MOST_GROUPS], n_rest = 0;
    for (size_t i = 0; i < tile->n_groups; i++)
        if (fits_words(&work->panel, &work->groups[i], type->scale_values))
            multiply_group(type, words, &work->panel, &work->groups[i], acc[i]);
        else
            rest[n_rest++] = i;
    if (n_rest)
        widen_scale_table(&work->panel);
    for (size_t i = 0; i < n_rest; i++)
        multiply_group(type, dwords, &work->panel, &work->groups[rest[i]], acc[rest[i]]);
}

/* Up to MOST_PANELS panels of rows times a tile of tokens. */
static void multiply_super(const struct gemm_super_type *type, const struct tile *tile, const uint8_t *w,
                           size_t row_bytes, size_t n_rows, float *y, size_t y_stride, struct work *work) {
    const size_t n_panels = (n_rows + PANEL_ROWS - 1) / PANEL_ROWS;
    for (size_t p = 0; p < n_panels; p++)
        memset(work->acc[p], 0, tile->n_groups * sizeof work->acc[p][0]);
    for (size_t b = 0; b < tile->x->n / 256; b++) {
        for (size_t i = 0; i < tile->n_groups; i++)
            if (type->scale_values == 16)
                fill_group_super(16, tile->x, group_begin(tile, i), b, type->centre, &work->panel,
                                 &work->groups[i]);
            else
                fill_group_super(32, tile->x, group_begin(tile, i), b, type->centre, &work->panel,
                                 &work->groups[i]);
        for (size_t p = 0; p < n_panels; p++) {
            const size_t r = p * PANEL_ROWS;
            fill_super(type, w + r * row_bytes, row_bytes, smaller(n_rows - r, PANEL_ROWS), b, &work->panel);
            multiply_panel(type, tile, work, work->acc[p]);
        }
    }
    store_panels(tile, work, n_rows, y, y_stride);
}

void gemm_super_avx512(const struct gemm_super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                       const struct acts *x, float *y, size_t y_stride) {
    enum { MOST_ROWS = MOST_PANELS * PANEL_ROWS };
    struct work work;
    struct tile tile;
    for (size_t t = 0; next_tile(x, &t, &tile);)
        for (size_t r = 0; r < n_rows; r += MOST_ROWS)
            multiply_super(type, &tile, w + r * row_bytes, row_bytes, smaller(n_rows - r, MOST_ROWS), y + r,
                           y_stride, &work);
}
