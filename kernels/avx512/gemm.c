/* gemm.c - panels of 64 rows times many tokens.
 * SPDX-License-Identifier: MIT
 * The same integers and the same float chain as one token at a time, so the same bits. */
#include "kernels/avx512/gemm.h"

#include "kernels/avx512/avx512.h"
#include "kernels/avx512/gemm_inner.h"

enum { TILE_TOKENS = 384 }; /* whose outputs of a panel are kept at hand: 96 KB of stack */

/* Three tokens and the panel's part of each. Arrays of a token follow those of the one before: q_stride
 * values, d_stride blocks (or super-blocks) later. */
struct group {
    const int8_t *q;
    size_t q_stride, d_stride;
    const float *d;
    const int32_t *sum; /* A32 */
    const uint8_t *a;   /* A256 */
    size_t a_values;    /* that share one */
    const int16_t *g16, *g32;
    float *acc;      /* [TOKENS][PANEL_ROWS] */
    size_t n_blocks; /* of 32 in the panel */
    int offset;      /* what the weights of the panel are too large by */
    int centre;      /* what sums are made smaller by, times the sum of x */
    bool has_min;
};

/* Whether the scales of a kind are per 16 values. */
TEMPLATE bool is_by_16(enum gemm_super_kind kind) { return kind == GEMM_WORDS_16 || kind == GEMM_DWORDS_16; }

/* ---- Fill ---- */

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

void panel_fill_weights_avx512(struct panel *p, size_t quarter, size_t c, const uint8_t *rows,
                               size_t stride) {
    __m512i column[16];
    transpose16(rows, stride, column);
    UNROLL
    for (size_t i = 0; i < 16; i++)
        _mm512_store_si512(p->w[16 * c + i][quarter], column[i]);
}

/* ---- Blocks of 32 ---- */

static void multiply_blocks(const struct panel *p, const struct group *g) {
    struct inner in;
    const __mmask8 blocks = (__mmask8)first_lanes(g->n_blocks);
    const __m256i offset = _mm256_set1_epi32(-g->offset);
    in.q = g->q;
    in.q_stride = g->q_stride;
    in.n_blocks = g->n_blocks;
    for (size_t t = 0; t < TOKENS; t++) {
        const __m256i sum = _mm256_maskz_loadu_epi32(blocks, g->sum + t * g->d_stride);
        store256(in.start[t], _mm256_mullo_epi32(sum, offset));
        _mm256_store_ps(in.x_sum[t], _mm256_cvtepi32_ps(sum));
        _mm256_store_ps(in.dx[t], _mm256_maskz_loadu_ps(blocks, g->d + t * g->d_stride));
    }
    memcpy(in.sum, g->acc, sizeof in.sum);
    if (g->has_min)
        inner_blocks_min_avx512(p, &in);
    else
        inner_blocks_avx512(p, &in);
    memcpy(g->acc, in.sum, sizeof in.sum);
}

/* ---- Super-blocks ---- */

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

/* Where sums begin and which line of the scale table they take, for one token. */
TEMPLATE void prepare_token(enum gemm_super_kind kind, const struct group *g, size_t t, struct inner *in) {
    const size_t at = t * g->d_stride;
    __m128i a;
    __m256i sum;
    if (g->a_values == 16)
        a = load128(g->a + at * 16);
    else
        a = _mm_loadl_epi64((const __m128i *)(const void *)(g->a + at * 8));
    if (is_by_16(kind)) {
        if (g->a_values == 32)
            a = _mm_unpacklo_epi8(a, a);
        sum = load256(g->g16 + at * 16);
    } else {
        sum = _mm256_zextsi128_si256(load128(g->g32 + at * 8));
    }
    const __m512i index = _mm512_sub_epi32(_mm512_cvtepu8_epi32(a), _mm512_set1_epi32(1));
    const __m512i sums = _mm512_cvtepi16_epi32(unscale(sum, _mm256_cvtepu8_epi16(a)));
    store512(in->line[t], _mm512_slli_epi32(index, 8)); /* a line of the table is 256 bytes */
    store512(in->start[t], _mm512_mullo_epi32(sums, _mm512_set1_epi32(-g->centre)));
}

/* sum[t] += pairs of words times pairs of sums of x. */
TEMPLATE void add_pairs(const int16_t (*pairs)[4][32], size_t n_pairs, const int16_t *g, size_t stride,
                        __m512i sum[TOKENS][4]) {
    for (size_t j = 0; j < n_pairs; j++) {
        __m512i x[TOKENS];
        UNROLL
        for (size_t t = 0; t < TOKENS; t++)
            x[t] = broadcast32(g + t * stride + 2 * j);
        UNROLL
        for (size_t r = 0; r < 4; r++) {
            const __m512i p = load512(pairs[j][r]);
            UNROLL
            for (size_t t = 0; t < TOKENS; t++)
                sum[t][r] = dot_words(sum[t][r], p, x[t]);
        }
    }
}

TEMPLATE void set_zero(__m512i sum[TOKENS][4]) {
    UNROLL
    for (size_t t = 0; t < TOKENS; t++) {
        UNROLL
        for (size_t r = 0; r < 4; r++)
            sum[t][r] = zero512();
    }
}

TEMPLATE void multiply_super(enum gemm_super_kind kind, inner_loop *loop, const struct panel *p,
                             const struct group *g) {
    const size_t n_pairs = is_by_16(kind) ? 8 : 4, stride = g->d_stride * n_pairs * 2;
    const int16_t *sums = is_by_16(kind) ? g->g16 : g->g32;
    struct inner in;
    __m512i pairs[TOKENS][4];
    UNROLL
    for (size_t t = 0; t < TOKENS; t++)
        prepare_token(kind, g, t, &in);
    set_zero(pairs);
    if (g->centre != g->offset)
        add_pairs(p->centre, n_pairs, sums, stride, pairs);
    memcpy(in.sum, pairs, sizeof in.sum);
    in.q = g->q;
    in.q_stride = g->q_stride;
    loop(p, &in);
    set_zero(pairs);
    if (g->has_min)
        add_pairs(p->min, n_pairs, sums, stride, pairs);
    UNROLL
    for (size_t r = 0; r < 4; r++) {
        const __m512 d = _mm512_load_ps(p->d[0] + 16 * r), dmin = _mm512_load_ps(p->m[0] + 16 * r);
        UNROLL
        for (size_t t = 0; t < TOKENS; t++) {
            float *acc = g->acc + t * PANEL_ROWS + 16 * r;
            __m512 y = _mm512_mul_ps(d, _mm512_cvtepi32_ps(in.sum[t][r]));
            if (g->has_min)
                y = _mm512_fnmadd_ps(dmin, _mm512_cvtepi32_ps(pairs[t][r]), y);
            y = _mm512_fmadd_ps(_mm512_set1_ps(g->d[t * g->d_stride]), y, _mm512_load_ps(acc));
            _mm512_store_ps(acc, y);
        }
    }
}

typedef void multiply_function(const struct panel *p, const struct group *g);

static void words_16(const struct panel *p, const struct group *g) {
    multiply_super(GEMM_WORDS_16, inner_words_16_avx512, p, g);
}
static void words_32(const struct panel *p, const struct group *g) {
    multiply_super(GEMM_WORDS_32, inner_words_32_avx512, p, g);
}
static void dwords_16(const struct panel *p, const struct group *g) {
    multiply_super(GEMM_DWORDS_16, inner_dwords_16_avx512, p, g);
}
static void dwords_32(const struct panel *p, const struct group *g) {
    multiply_super(GEMM_DWORDS_32, inner_dwords_32_avx512, p, g);
}

/* ---- Tiles of tokens ---- */

/* Panel i of a row, and the tokens [t0, t0 + n_tokens) that it is multiplied with. */
struct tile {
    const struct acts *x;
    const struct panel *panel;
    float *acc;
    size_t i, t0, n_tokens, n_blocks;
    int offset, centre;
    bool has_min;
};

static struct group make_group(const struct tile *tile, size_t t, float *acc) {
    const struct acts *x = tile->x;
    struct group g = { .q = x->q + t * x->n + tile->i * PANEL_VALUES,
                       .q_stride = x->n,
                       .acc = acc,
                       .n_blocks = tile->n_blocks,
                       .offset = tile->offset,
                       .centre = tile->centre,
                       .has_min = tile->has_min };
    if (x->form == ACT_A32) {
        const size_t at = t * (x->n / 32) + tile->i * (PANEL_VALUES / 32);
        g.d_stride = x->n / 32;
        g.d = x->d + at;
        g.sum = x->sum + at;
    } else {
        const size_t at = t * (x->n / 256) + tile->i;
        g.d_stride = x->n / 256;
        g.d = x->d + at;
        g.a = x->a + at * (x->form == ACT_A256_16 ? 16 : 8);
        g.a_values = x->form == ACT_A256_16 ? 16 : 32;
        g.g16 = x->g16 + at * 16;
        g.g32 = x->g32 ? x->g32 + at * 8 : NULL;
    }
    return g;
}

/* The first token of a group: the last group begins early enough to be full. What it computes again has sums
 * of its own and gives the same outputs. */
static size_t group_begin(const struct tile *tile, size_t group) {
    const size_t begin = group * TOKENS, last = tile->n_tokens - TOKENS;
    return tile->t0 + (begin < last ? begin : last);
}

static size_t n_groups(const struct tile *tile) { return (tile->n_tokens + TOKENS - 1) / TOKENS; }

static void multiply_tile(const struct tile *tile, multiply_function *multiply) {
    for (size_t i = 0; i < n_groups(tile); i++) {
        const struct group g = make_group(tile, group_begin(tile, i), tile->acc + i * TOKENS * PANEL_ROWS);
        multiply(tile->panel, &g);
    }
}

static void clear_tile(const struct tile *tile) {
    memset(tile->acc, 0, n_groups(tile) * TOKENS * PANEL_ROWS * sizeof *tile->acc);
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* acc to rows [r, r + n_out) of y. */
static void store_tile(const struct tile *tile, size_t r, size_t n_out, float *y, size_t y_stride) {
    const float *acc = tile->acc;
    for (size_t i = 0; i < n_groups(tile); i++)
        for (size_t t = group_begin(tile, i), end = t + TOKENS; t < end; t++, acc += PANEL_ROWS)
            for (size_t k = 0; k < n_out; k += 16)
                _mm512_mask_storeu_ps(y + t * y_stride + r + k, first_lanes(smaller(n_out - k, 16)),
                                      _mm512_load_ps(acc + k));
}

/* The tokens of the tile that begins at *t, of which a group must fit; *t moves to the next. False at the
 * end. */
static bool next_tile(struct tile *tile, size_t *t) {
    const size_t n = tile->x->n_tokens, rest = n - *t;
    if (!rest)
        return false;
    tile->n_tokens = rest < TOKENS ? TOKENS : smaller(rest, TILE_TOKENS);
    tile->t0 = rest < TOKENS ? n - TOKENS : *t;
    *t += smaller(rest, TILE_TOKENS);
    return true;
}

/* ---- Blocks of 32 ---- */

void gemm_blocks_avx512(const struct gemm_block_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                        const struct acts *x, float *y, size_t y_stride) {
    enum { PANEL_BLOCKS = PANEL_VALUES / 32 };
    const size_t n_blocks = x->n / 32;
    struct panel p;
    alignas(64) float acc[(TILE_TOKENS + TOKENS) * PANEL_ROWS];
    struct tile tile = { .x = x, .panel = &p, .acc = acc, .offset = type->offset, .has_min = type->has_min };
    for (size_t t = 0; next_tile(&tile, &t);)
        for (size_t r = 0; r < n_rows; r += PANEL_ROWS) {
            const size_t n_out = smaller(n_rows - r, PANEL_ROWS);
            clear_tile(&tile);
            for (size_t b = 0; b < n_blocks; b += PANEL_BLOCKS) {
                tile.i = b / PANEL_BLOCKS;
                tile.n_blocks = smaller(n_blocks - b, PANEL_BLOCKS);
                type->fill(w + r * row_bytes, row_bytes, n_out, b, tile.n_blocks, &p);
                multiply_tile(&tile, multiply_blocks);
            }
            store_tile(&tile, r, n_out, y, y_stride);
        }
}

/* ---- Super-blocks ---- */

/* scale * a for every a, by repeated addition: of words if the register kernel wants words, whose upper
 * neighbours stay zero, else of dwords. */
static void fill_scale_table(int32_t (*line)[PANEL_ROWS], size_t quarter, __m512i scale, bool words) {
    __m512i c = words ? _mm512_and_si512(scale, _mm512_set1_epi32(0xffff))
                      : _mm512_srai_epi32(_mm512_slli_epi32(scale, 16), 16);
    const __m512i once = c;
    for (size_t a = 0; a < 8; a++) {
        _mm512_store_si512(line[a] + 16 * quarter, c);
        c = words ? _mm512_add_epi16(c, once) : _mm512_add_epi32(c, once);
    }
}

/* Scales and what the sums of x are multiplied with, of the 16 rows of a quarter. */
static void fill_scales(struct panel *p, size_t quarter, const struct gemm_super_type *type,
                        const struct super_row row[16]) {
    const bool words = type->kind < GEMM_DWORDS_16;
    const bool by_32 = !is_by_16(type->kind);
    const __m512i factor = _mm512_set1_epi16((short)(type->centre - type->offset));
    __m512i column[16]; /* words 2 j and 2 j + 1 of the scales, and from 8 on of the minima */
    transpose16((const uint8_t *)row[0].scale, sizeof row[0], column);
    UNROLL
    for (size_t j = 0; j < 8; j++) {
        if (by_32) {
            fill_scale_table(p->scale[j], quarter, column[j], words);
        } else {
            fill_scale_table(p->scale[2 * j], quarter, column[j], words);
            fill_scale_table(p->scale[2 * j + 1], quarter, _mm512_srli_epi32(column[j], 16), words);
        }
    }
    if (by_32) { /* each stands twice: join neighbours */
        UNROLL
        for (size_t j = 0; j < 8; j++)
            column[j] = _mm512_mask_blend_epi16(0xaaaaaaaa, column[2 * j], column[2 * j + 1]);
    }
    for (size_t j = 0; j < (by_32 ? 4 : 8); j++) {
        _mm512_store_si512(p->centre[j][quarter], _mm512_mullo_epi16(column[j], factor));
        _mm512_store_si512(p->min[j][quarter], column[by_32 ? 4 + j : 8 + j]);
    }
}

/* Super-block i of n_out rows, the last row several times. */
static void fill_super(const struct gemm_super_type *type, const uint8_t *w, size_t row_bytes, size_t n_out,
                       size_t i, struct panel *p) {
    struct super_row row[16];
    for (size_t quarter = 0; quarter < PANEL_ROWS / 16; quarter++) {
        const uint8_t *block[16];
        for (size_t r = 0; r < 16; r++) {
            block[r] = w + smaller(16 * quarter + r, n_out - 1) * row_bytes + i * type->block_bytes;
            type->unpack(block[r], &row[r]);
            prefetch(block[r] + type->block_bytes, type->block_bytes);
        }
        for (size_t c = 0; c < 4; c++)
            panel_fill_weights_avx512(p, quarter, c, row[0].w + 64 * c, sizeof row[0]);
        fill_scales(p, quarter, type, row);
        for (size_t r = 0; r < 16; r += 8) {
            _mm256_store_ps(p->d[0] + 16 * quarter + r, type->scales(block + r, type->d_offset));
            if (type->has_min)
                _mm256_store_ps(p->m[0] + 16 * quarter + r, gather_f16(block + r, type->dmin_offset));
        }
    }
}

void gemm_super_avx512(const struct gemm_super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                       const struct acts *x, float *y, size_t y_stride) {
    static multiply_function *const multiply[GEMM_SUPER_KINDS] = {
        [GEMM_WORDS_16] = words_16,
        [GEMM_WORDS_32] = words_32,
        [GEMM_DWORDS_16] = dwords_16,
        [GEMM_DWORDS_32] = dwords_32,
    };
    struct panel p;
    alignas(64) float acc[(TILE_TOKENS + TOKENS) * PANEL_ROWS];
    struct tile tile = { .x = x,
                         .panel = &p,
                         .acc = acc,
                         .offset = type->offset,
                         .centre = type->centre,
                         .has_min = type->has_min };
    for (size_t t = 0; next_tile(&tile, &t);)
        for (size_t r = 0; r < n_rows; r += PANEL_ROWS) {
            const size_t n_out = smaller(n_rows - r, PANEL_ROWS);
            clear_tile(&tile);
            for (tile.i = 0; tile.i < x->n / 256; tile.i++) {
                fill_super(type, w + r * row_bytes, row_bytes, n_out, tile.i, &p);
                multiply_tile(&tile, multiply[type->kind]);
            }
            store_tile(&tile, r, n_out, y, y_stride);
        }
}
