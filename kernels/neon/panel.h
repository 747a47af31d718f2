/* panel.h - products with many tokens: the template that gemm.c fills here, for sdot, and in
 * kernels/neon_i8mm, for smmla.
 * SPDX-License-Identifier: MIT
 * A panel is 256 values of 64 rows, unpacked once and multiplied with all tokens, four at a time; what these
 * bring is laid out once for the panel. A tile of 8 rows and 4 tokens is 8 registers of 4 outputs: register i
 * stands for rows `i / TOKEN_VECTORS` and tokens `i % TOKEN_VECTORS`, and a vector that belongs to rows or to
 * tokens has in each lane what that output wants. 8 sums, 8 totals and operands stay in registers.
 *
 * The includer has defined ROW_VECTORS, TOKEN_VECTORS (their product is 8) and, static inline:
 *   spread_rows(v, out)    ROW_VECTORS vectors of a value for each of 8 rows
 *   spread_tokens(v, out)  TOKEN_VECTORS vectors of a value for each of 4 tokens
 *   pack_rows(v, out)      16 values of 8 rows as multiply16() wants them, 128 bytes
 *   pack_tokens(v, out)    16 values of 4 tokens likewise, 64 bytes
 *   multiply16(w, x, sum)  sum[i] += their products
 *   join_tile, split_tile  8 outputs of each of 4 tokens to and from the registers of a tile */
#ifndef QUERN_KERNELS_NEON_PANEL_H
#define QUERN_KERNELS_NEON_PANEL_H

#include "kernels/neon/gemm.h"
#include "kernels/neon/neon.h"

#include <stdalign.h>

enum {
    PANEL_ROWS = 64,
    PANEL_VALUES = 256, /* of each row: 8 blocks of 32, or a super-block */
    GROUP_ROWS = 8,
    TILE_TOKENS = 4,
    TILE = ROW_VECTORS * TOKEN_VECTORS, /* registers */
};

/* A value that belongs to each of 8 rows or 4 tokens. */
typedef float row_floats[ROW_VECTORS][4];
typedef int32_t row_ints[ROW_VECTORS][4];
typedef float token_floats[TOKEN_VECTORS][4];
typedef int32_t token_ints[TOKEN_VECTORS][4];

/* 8 rows of a panel. */
struct group {
    alignas(16) int8_t w[PANEL_VALUES / 16][16 * GROUP_ROWS];
    row_floats d[8], m[8];       /* of each block; super-blocks use the first */
    row_floats base[8];          /* blocks of 32: -d * SUM_BASE */
    row_ints scale[16];          /* super-blocks: of each sub-block */
    int8_t min[16 * GROUP_ROWS]; /* super-blocks: of each 16 values */
};

/* 4 tokens, the last one several times if there are fewer. */
struct token_pack {
    alignas(16) int8_t q[PANEL_VALUES / 16][16 * TILE_TOKENS];
    token_floats d[8], sum[8];     /* of each block; super-blocks use the first */
    token_ints a[16];              /* super-blocks: of each sub-block of x */
    int8_t g[2][16 * TILE_TOKENS]; /* super-blocks: the sums of 16 values as 256 g[0] + g[1] */
};

/* A panel times all tokens of x. Outputs are y [t * y_stride + row], row < n_rows; with i = 0 they start at
 * zero, otherwise at what y holds. */
struct panel_job {
    const struct group *groups;
    const struct acts *x;
    float *y;
    size_t y_stride, n_rows;
    size_t i, n_blocks; /* which blocks of a row the panel holds; a super-block counts as one */
};

/* ---- Vectors of rows and of tokens ---- */

TEMPLATE void set_row_floats(const float v[GROUP_ROWS], row_floats out) {
    float32x4_t spread[ROW_VECTORS];
    spread_rows(vld1q_f32(v), vld1q_f32(v + 4), spread);
    UNROLL
    for (size_t i = 0; i < ROW_VECTORS; i++)
        vst1q_f32(out[i], spread[i]);
}

TEMPLATE void set_token_floats(const float v[TILE_TOKENS], token_floats out) {
    float32x4_t spread[TOKEN_VECTORS];
    spread_tokens(vld1q_f32(v), spread);
    UNROLL
    for (size_t i = 0; i < TOKEN_VECTORS; i++)
        vst1q_f32(out[i], spread[i]);
}

/* Spreading moves bits, whatever they mean. */
TEMPLATE void set_row_ints(const int32_t v[GROUP_ROWS], row_ints out) {
    float32x4_t spread[ROW_VECTORS];
    spread_rows(vreinterpretq_f32_s32(vld1q_s32(v)), vreinterpretq_f32_s32(vld1q_s32(v + 4)), spread);
    UNROLL
    for (size_t i = 0; i < ROW_VECTORS; i++)
        vst1q_s32(out[i], vreinterpretq_s32_f32(spread[i]));
}

TEMPLATE void set_token_ints(const int32_t v[TILE_TOKENS], token_ints out) {
    float32x4_t spread[TOKEN_VECTORS];
    spread_tokens(vreinterpretq_f32_s32(vld1q_s32(v)), spread);
    UNROLL
    for (size_t i = 0; i < TOKEN_VECTORS; i++)
        vst1q_s32(out[i], vreinterpretq_s32_f32(spread[i]));
}

/* ---- Tiles ---- */

/* Outputs of 8 rows from `row` on, of which n count, and of the tokens [t0, t0 + n_tokens). */
TEMPLATE void load_tile(const struct panel_job *job, size_t row, size_t t0, size_t n_tokens,
                        float32x4_t acc[TILE]) {
    float out[TILE_TOKENS][GROUP_ROWS] = { 0 };
    const size_t left = job->n_rows - row;
    for (size_t t = 0; t < n_tokens && job->i; t++) {
        const float *y = job->y + (t0 + t) * job->y_stride + row;
        if (left >= GROUP_ROWS)
            memcpy(out[t], y, sizeof out[t]);
        else
            memcpy(out[t], y, left * sizeof *y);
    }
    join_tile((const float(*)[GROUP_ROWS])out, acc);
}

TEMPLATE void store_tile(const struct panel_job *job, size_t row, size_t t0, size_t n_tokens,
                         const float32x4_t acc[TILE]) {
    float out[TILE_TOKENS][GROUP_ROWS];
    const size_t left = job->n_rows - row;
    split_tile(acc, out);
    for (size_t t = 0; t < n_tokens; t++) {
        float *y = job->y + (t0 + t) * job->y_stride + row;
        if (left >= GROUP_ROWS)
            memcpy(y, out[t], sizeof out[t]);
        else
            memcpy(y, out[t], left * sizeof *y);
    }
}

TEMPLATE void clear_tile(int32x4_t sum[TILE]) {
    UNROLL
    for (size_t i = 0; i < TILE; i++)
        sum[i] = vdupq_n_s32(0);
}

/* Token j of the four from t0 on. */
static inline size_t token_at(const struct acts *x, size_t t0, size_t j) {
    return t0 + j < x->n_tokens ? t0 + j : x->n_tokens - 1;
}

/* The values of n super-blocks or blocks, q [TILE_TOKENS] their first ones. */
TEMPLATE void pack_values(const int8_t *const q[TILE_TOKENS], size_t n_values, struct token_pack *out) {
    for (size_t k = 0; k < n_values; k += 16) {
        int8x16_t v[TILE_TOKENS];
        UNROLL
        for (size_t j = 0; j < TILE_TOKENS; j++)
            v[j] = load_s8(q[j] + k);
        pack_tokens(v, out->q[k / 16]);
    }
}

/* ---- Blocks of 32 ---- */

static void pack_blocks(const struct panel_job *job, size_t t0, struct token_pack *out) {
    const struct acts *x = job->x;
    const int8_t *q[TILE_TOKENS];
    size_t at[TILE_TOKENS];
    for (size_t j = 0; j < TILE_TOKENS; j++) {
        at[j] = token_at(x, t0, j) * (x->n / 32) + job->i;
        q[j] = x->q + at[j] * 32;
    }
    pack_values(q, job->n_blocks * 32, out);
    for (size_t b = 0; b < job->n_blocks; b++) {
        float d[TILE_TOKENS], sum[TILE_TOKENS];
        for (size_t j = 0; j < TILE_TOKENS; j++) {
            d[j] = x->d[at[j] + b];
            sum[j] = (float)x->sum[at[j] + b];
        }
        set_token_floats(d, out->d[b]);
        set_token_floats(sum, out->sum[b]);
    }
}

/* A sum that starts at the bits of SUM_BASE ends, |I| being below 2^22, at those of SUM_BASE + I: a float, so
 * that fl(d * I) = fma(d, SUM_BASE + I, -d * SUM_BASE) needs no conversion. The last term is exact, d having
 * 11 bits at most and SUM_BASE two, if only |d| is at most LARGEST_D: an Inf or NaN wants the plain way. And
 * a zero may come out with another sign, which acc, never -0, does not see: it starts at +0 and no product
 * vanishes, as d and m are multiples of 2^-24, or d is positive (MXFP4), and dx is 0 or above 2^-107. */
#define SUM_BASE  0x1.8p23f
#define LARGEST_D 0x1p100f

/* How the blocks of a panel are multiplied. */
enum blocks_kind { BLOCKS, BLOCKS_MIN, BLOCKS_LARGE_D, BLOCKS_MIN_LARGE_D, BLOCKS_KINDS };

TEMPLATE void tile_blocks(enum blocks_kind kind, const struct group *g, const struct token_pack *x,
                          size_t n_blocks, float32x4_t acc[TILE]) {
    const bool has_min = kind == BLOCKS_MIN || kind == BLOCKS_MIN_LARGE_D, is_large = kind >= BLOCKS_LARGE_D;
    const int32x4_t start = is_large ? vdupq_n_s32(0) : vreinterpretq_s32_f32(vdupq_n_f32(SUM_BASE));
    for (size_t b = 0; b < n_blocks; b++) {
        int32x4_t sum[TILE];
        UNROLL
        for (size_t i = 0; i < TILE; i++)
            sum[i] = start;
        multiply16(g->w[2 * b], x->q[2 * b], sum);
        multiply16(g->w[2 * b + 1], x->q[2 * b + 1], sum);
        UNROLL
        for (size_t i = 0; i < TILE; i++) {
            const size_t rows = i / TOKEN_VECTORS, tokens = i % TOKEN_VECTORS;
            const float32x4_t d = vld1q_f32(g->d[b][rows]);
            float32x4_t r = is_large
                                ? vmulq_f32(d, vcvtq_f32_s32(sum[i]))
                                : vfmaq_f32(vld1q_f32(g->base[b][rows]), d, vreinterpretq_f32_s32(sum[i]));
            if (has_min)
                r = vfmaq_f32(r, vld1q_f32(g->m[b][rows]), vld1q_f32(x->sum[b][tokens]));
            acc[i] = vfmaq_f32(acc[i], vld1q_f32(x->d[b][tokens]), r);
        }
    }
}

TEMPLATE void multiply_blocks(enum blocks_kind kind, const struct panel_job *job) {
    for (size_t t = 0; t < job->x->n_tokens; t += TILE_TOKENS) {
        const size_t left = job->x->n_tokens - t, n_tokens = left < TILE_TOKENS ? left : TILE_TOKENS;
        struct token_pack x;
        pack_blocks(job, t, &x);
        for (size_t row = 0; row < job->n_rows; row += GROUP_ROWS) {
            float32x4_t acc[TILE];
            load_tile(job, row, t, n_tokens, acc);
            tile_blocks(kind, &job->groups[row / GROUP_ROWS], &x, job->n_blocks, acc);
            store_tile(job, row, t, n_tokens, acc);
        }
    }
}

static void blocks_plain(const struct panel_job *job) { multiply_blocks(BLOCKS, job); }
static void blocks_min(const struct panel_job *job) { multiply_blocks(BLOCKS_MIN, job); }
static void blocks_large_d(const struct panel_job *job) { multiply_blocks(BLOCKS_LARGE_D, job); }
static void blocks_min_large_d(const struct panel_job *job) { multiply_blocks(BLOCKS_MIN_LARGE_D, job); }

/* The scales and minima of block `at` of 8 rows, the b-th of the panel. Whether all scales are small. */
static bool fill_block_scales(const struct type32 *type, const uint8_t *const row[GROUP_ROWS], size_t at,
                              size_t b, struct group *out) {
    float d[GROUP_ROWS], m[GROUP_ROWS], base[GROUP_ROWS];
    uint32x4_t is_small = vdupq_n_u32(UINT32_MAX);
    for (size_t r = 0; r < GROUP_ROWS; r += 4) {
        const float32x4_t d4 = type->scales(row + r, at);
        is_small = vandq_u32(is_small, vcaleq_f32(d4, vdupq_n_f32(LARGEST_D)));
        vst1q_f32(d + r, d4);
        vst1q_f32(base + r, vmulq_n_f32(d4, -SUM_BASE));
        if (type->min_offset)
            vst1q_f32(m + r, gather4_f16(row + r, at + type->min_offset));
    }
    set_row_floats(d, out->d[b]);
    set_row_floats(base, out->base[b]);
    if (type->min_offset)
        set_row_floats(m, out->m[b]);
    return vminvq_u32(is_small) != 0;
}

/* Blocks [i, i + n_blocks) of 8 rows, the last row several times if n_rows < 8. Whether their scales are
 * small. */
static bool fill_blocks(const struct type32 *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                        size_t i, size_t n_blocks, struct group *out) {
    const int8x16_t offset = vdupq_n_s8((int8_t)type->offset);
    const uint8_t *row[GROUP_ROWS];
    bool all_small = true;
    for (size_t r = 0; r < GROUP_ROWS; r++)
        row[r] = w + (r < n_rows ? r : n_rows - 1) * row_bytes;
    for (size_t b = 0; b < n_blocks; b++) {
        const size_t at = (i + b) * type->block_bytes;
        int8x16_t low[GROUP_ROWS], high[GROUP_ROWS];
        for (size_t r = 0; r < GROUP_ROWS; r++) {
            const int8x16x2_t v = type->unpack(row[r] + at);
            low[r] = vsubq_s8(v.val[0], offset);
            high[r] = vsubq_s8(v.val[1], offset);
        }
        pack_rows(low, out->w[2 * b]);
        pack_rows(high, out->w[2 * b + 1]);
        all_small &= fill_block_scales(type, row, at, b, out);
    }
    return all_small;
}

TEMPLATE void gemm32(const struct type32 *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                     const struct acts *x, float *y, size_t y_stride) {
    enum { PANEL_BLOCKS = PANEL_VALUES / 32 };
    static void (*const multiply[BLOCKS_KINDS])(
        const struct panel_job *job) = { blocks_plain, blocks_min, blocks_large_d, blocks_min_large_d };
    const size_t n_blocks = x->n / 32;
    struct group groups[PANEL_ROWS / GROUP_ROWS];
    for (size_t r = 0; r < n_rows; r += PANEL_ROWS) {
        struct panel_job job = { .groups = groups, .x = x, .y = y + r, .y_stride = y_stride };
        job.n_rows = n_rows - r < PANEL_ROWS ? n_rows - r : PANEL_ROWS;
        for (; job.i < n_blocks; job.i += PANEL_BLOCKS) {
            job.n_blocks = n_blocks - job.i < PANEL_BLOCKS ? n_blocks - job.i : PANEL_BLOCKS;
            bool all_small = true;
            for (size_t g = 0; g < job.n_rows; g += GROUP_ROWS)
                all_small &= fill_blocks(type, w + (r + g) * row_bytes, row_bytes, job.n_rows - g, job.i,
                                         job.n_blocks, &groups[g / GROUP_ROWS]);
            multiply[(type->min_offset ? BLOCKS_MIN : BLOCKS) + (all_small ? 0 : BLOCKS_LARGE_D)](&job);
        }
    }
}

/* ---- Super-blocks ---- */

static void pack_super(const struct panel_job *job, size_t t0, struct token_pack *out) {
    const struct acts *x = job->x;
    const size_t n_a = x->form == ACT_A256_16 ? 16 : 8;
    const int8_t *q[TILE_TOKENS];
    size_t at[TILE_TOKENS];
    float d[TILE_TOKENS];
    int8x16_t high[TILE_TOKENS], low[TILE_TOKENS];
    for (size_t j = 0; j < TILE_TOKENS; j++) {
        at[j] = token_at(x, t0, j) * (x->n / 256) + job->i;
        q[j] = x->q + at[j] * 256;
        d[j] = x->d[at[j]];
        const int16x8_t g0 = vld1q_s16(x->g16 + at[j] * 16), g1 = vld1q_s16(x->g16 + at[j] * 16 + 8);
        /* g = 256 high + low, low a signed byte: |high| <= 64. */
        high[j] = vcombine_s8(vrshrn_n_s16(g0, 8), vrshrn_n_s16(g1, 8));
        low[j] = vcombine_s8(vmovn_s16(g0), vmovn_s16(g1));
    }
    pack_values(q, 256, out);
    pack_tokens(high, out->g[0]);
    pack_tokens(low, out->g[1]);
    set_token_floats(d, out->d[0]);
    for (size_t s = 0; s < n_a; s++) {
        int32_t a[TILE_TOKENS];
        for (size_t j = 0; j < TILE_TOKENS; j++)
            a[j] = x->a[at[j] * n_a + s];
        set_token_ints(a, out->a[s]);
    }
}

/* total += the scaled products of 32 values, those of sub-block j of 32. Scales come first: they belong to a
 * row and a sub-block of the weights, a to a token and a sub-block of x, of which there are fewer or as many.
 */
TEMPLATE void add_sub_block(enum super_kind kind, const struct group *g, const struct token_pack *x, size_t j,
                            int32x4_t total[TILE]) {
    int32x4_t sum[TILE], scaled[TILE];
    clear_tile(sum);
    multiply16(g->w[2 * j], x->q[2 * j], sum);
    if (has_sub_blocks_of_16(kind)) {
        UNROLL
        for (size_t i = 0; i < TILE; i++) {
            scaled[i] = vmulq_s32(sum[i], vld1q_s32(g->scale[2 * j][i / TOKEN_VECTORS]));
            if (kind == SUPER_16_A16)
                total[i] = vmlaq_s32(total[i], scaled[i], vld1q_s32(x->a[2 * j][i % TOKEN_VECTORS]));
        }
        clear_tile(sum);
    }
    multiply16(g->w[2 * j + 1], x->q[2 * j + 1], sum);
    UNROLL
    for (size_t i = 0; i < TILE; i++) {
        const size_t rows = i / TOKEN_VECTORS, tokens = i % TOKEN_VECTORS;
        if (kind == SUPER_16 || kind == SUPER_16_MIN)
            scaled[i] = vmlaq_s32(scaled[i], sum[i], vld1q_s32(g->scale[2 * j + 1][rows]));
        else if (kind == SUPER_16_A16)
            scaled[i] = vmulq_s32(sum[i], vld1q_s32(g->scale[2 * j + 1][rows]));
        else
            scaled[i] = vmulq_s32(sum[i], vld1q_s32(g->scale[j][rows]));
        const size_t a = kind == SUPER_16_A16 ? 2 * j + 1 : j;
        total[i] = vmlaq_s32(total[i], scaled[i], vld1q_s32(x->a[a][tokens]));
    }
}

TEMPLATE void tile_super(enum super_kind kind, const struct group *g, const struct token_pack *x,
                         float32x4_t acc[TILE]) {
    int32x4_t total[TILE], min[TILE];
    clear_tile(total);
    for (size_t j = 0; j < 8; j++)
        add_sub_block(kind, g, x, j, total);
    if (has_minima(kind)) {
        clear_tile(min);
        multiply16(g->min, x->g[0], min);
        UNROLL
        for (size_t i = 0; i < TILE; i++)
            min[i] = vshlq_n_s32(min[i], 8);
        multiply16(g->min, x->g[1], min);
    }
    UNROLL
    for (size_t i = 0; i < TILE; i++) {
        const size_t rows = i / TOKEN_VECTORS, tokens = i % TOKEN_VECTORS;
        float32x4_t r = vmulq_f32(vld1q_f32(g->d[0][rows]), vcvtq_f32_s32(total[i]));
        if (has_minima(kind))
            r = vfmsq_f32(r, vld1q_f32(g->m[0][rows]), vcvtq_f32_s32(min[i]));
        acc[i] = vfmaq_f32(acc[i], vld1q_f32(x->d[0][tokens]), r);
    }
}

TEMPLATE void multiply_super(enum super_kind kind, const struct panel_job *job) {
    for (size_t t = 0; t < job->x->n_tokens; t += TILE_TOKENS) {
        const size_t left = job->x->n_tokens - t, n_tokens = left < TILE_TOKENS ? left : TILE_TOKENS;
        struct token_pack x;
        pack_super(job, t, &x);
        for (size_t row = 0; row < job->n_rows; row += GROUP_ROWS) {
            float32x4_t acc[TILE];
            load_tile(job, row, t, n_tokens, acc);
            tile_super(kind, &job->groups[row / GROUP_ROWS], &x, acc);
            store_tile(job, row, t, n_tokens, acc);
        }
    }
}

/* Super-block i of 8 rows, the last row several times if n_rows < 8. */
static void fill_super(const struct super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                       size_t i, struct group *out) {
    const bool by_16 = has_sub_blocks_of_16(type->kind);
    struct super_row row[GROUP_ROWS];
    int16_t scale[GROUP_ROWS][16];
    int8x16_t v[GROUP_ROWS];
    float d[GROUP_ROWS], m[GROUP_ROWS] = { 0 };
    for (size_t r = 0; r < GROUP_ROWS; r++) {
        type->unpack(w + (r < n_rows ? r : n_rows - 1) * row_bytes + i * type->block_bytes, &row[r]);
        d[r] = row[r].d;
        vst1q_s16(scale[r], row[r].scale[0]);
        if (by_16)
            vst1q_s16(scale[r] + 8, row[r].scale[1]);
        if (has_minima(type->kind)) {
            m[r] = row[r].dmin;
            const int8x8_t low = vmovn_s16(row[r].min[0]), high = by_16 ? vmovn_s16(row[r].min[1]) : low;
            v[r] = by_16 ? vcombine_s8(low, high) : vcombine_s8(vzip1_s8(low, low), vzip2_s8(low, low));
        }
    }
    if (has_minima(type->kind))
        pack_rows(v, out->min);
    set_row_floats(d, out->d[0]);
    set_row_floats(m, out->m[0]);
    for (size_t k = 0; k < 16; k++) {
        for (size_t r = 0; r < GROUP_ROWS; r++)
            v[r] = row[r].w[k];
        pack_rows(v, out->w[k]);
    }
    for (size_t j = 0; j < (by_16 ? 16 : 8); j++) {
        int32_t s[GROUP_ROWS];
        for (size_t r = 0; r < GROUP_ROWS; r++)
            s[r] = scale[r][j];
        set_row_ints(s, out->scale[j]);
    }
}

static void super_32(const struct panel_job *job) { multiply_super(SUPER_32, job); }
static void super_32_min(const struct panel_job *job) { multiply_super(SUPER_32_MIN, job); }
static void super_16(const struct panel_job *job) { multiply_super(SUPER_16, job); }
static void super_16_min(const struct panel_job *job) { multiply_super(SUPER_16_MIN, job); }
static void super_16_a16(const struct panel_job *job) { multiply_super(SUPER_16_A16, job); }

TEMPLATE void gemm_super(const struct super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                         const struct acts *x, float *y, size_t y_stride) {
    static void (*const multiply[SUPER_KINDS])(
        const struct panel_job *job) = { super_32, super_32_min, super_16, super_16_min, super_16_a16 };
    struct group groups[PANEL_ROWS / GROUP_ROWS];
    for (size_t r = 0; r < n_rows; r += PANEL_ROWS) {
        struct panel_job job = { .groups = groups, .x = x, .y = y + r, .y_stride = y_stride, .n_blocks = 1 };
        job.n_rows = n_rows - r < PANEL_ROWS ? n_rows - r : PANEL_ROWS;
        for (; job.i < x->n / 256; job.i++) {
            for (size_t g = 0; g < job.n_rows; g += GROUP_ROWS)
                fill_super(type, w + (r + g) * row_bytes, row_bytes, job.n_rows - g, job.i,
                           &groups[g / GROUP_ROWS]);
            multiply[type->kind](&job);
        }
    }
}

#endif
