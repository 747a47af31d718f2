/* block32.c - y = W x for the types in blocks of 32 and A32 activations.
 * SPDX-License-Identifier: MIT
 * Each block has its own float scale, so a tile product sums 32 values, half of what it could, and is taken
 * from the tile unit at once: convert, multiply, fma, for 16 rows in the lanes of a vector. The tile unit
 * goes on with the next blocks meanwhile. Weights become signed bytes: no offsets are left for
 * later. */
#include "kernels/amx/block32.h"
#include "kernels/amx/lanes.h"
#include "kernels/amx/level.h"
#include "kernels/amx/split.h"
#include "kernels/amx/sums.h"
#include "kernels/amx/tiles.h"

#include <assert.h>

enum {
    STEP = 2,          /* blocks whose products are in memory at once */
    LEAST_TOKENS = 64, /* split.h */
    LEAST_WITH_MIN = 128,
    LEAST_REST = 16,
};

/* 32 tokens times 32 rows, by block: [16 rows][16 tokens]. */
struct products {
    struct tile block[STEP][2][2];
};

struct work {
    struct block_rows panel[2];
    struct products products[2];       /* of this step and of the one before */
    alignas(64) float sums[MOST_SUMS]; /* sums.h */
};

/* ---- Weights ---- */

static void fill_panel(const struct type32 *type, const uint8_t *w, size_t row_bytes, size_t n_out, size_t i,
                       size_t n_blocks, struct block_rows panel[2]) {
    for (size_t h = 0; h < 2; h++) {
        const uint8_t *row[16];
        for (size_t r = 0; r < 16; r++) /* a last panel has its last row several times */
            row[r] = w + (16 * h + r < n_out ? 16 * h + r : n_out - 1) * row_bytes;
        AMX(fill_block_rows)(type, row, i, n_blocks, &panel[h]);
    }
}

/* ---- Multiply ---- */

/* n blocks from `block` on of 32 tokens and 32 rows. */
struct step {
    const struct block_rows *w; /* two */
    const struct blocks_32 *x;  /* two groups */
    struct products *products;
    size_t block, n;
    float *sums[2]; /* of 16 rows: [token][16] */
};

/* Steps are finished in pieces of 16 rows and some tokens, one piece for each product of the next step. */
enum { PIECE_TOKENS = 16 / STEP };

/* Add the blocks of a step to the sums of a piece. */
TEMPLATE void finish(bool has_min, const struct step *step, size_t piece) {
    const size_t half = piece % 2, group = piece / (2 * STEP), first = piece / 2 % STEP * PIECE_TOKENS;
    const struct block_rows *w = &step->w[half];
    const struct blocks_32 *x = &step->x[group];
    float *sums = step->sums[half] + (group * 16 + first) * 16;
    floats sum[PIECE_TOKENS];
    UNROLL
    for (size_t t = 0; t < PIECE_TOKENS; t++)
        sum[t] = load_floats(sums + 16 * t);
    for (size_t i = 0; i < step->n; i++) {
        const struct tile *products = &step->products->block[i][half][group];
        const size_t b = step->block + i;
        const floats d = load_floats(w->d[b]), min = load_floats(w->min[b]);
        UNROLL
        for (size_t t = 0; t < PIECE_TOKENS; t++) {
            floats r = mul_floats(d, floats_of_dwords(load64(products->row[first + t])));
            if (has_min)
                r = fma_floats(min, set_floats(x->sum[first + t][b]), r);
            sum[t] = fma_floats(set_floats(x->d[first + t][b]), r, sum[t]);
        }
    }
    UNROLL
    for (size_t t = 0; t < PIECE_TOKENS; t++)
        store_floats(sums + 16 * t, sum[t]);
}

/* Multiply block i of a step and finish four pieces of the last one meanwhile: the tile unit works on its own
 * and leaves the vector units to that, as far as the core looks ahead, so a piece follows each product and a
 * product is stored after the next piece. Half a tile is a block: 32 bytes of its rows for tokens, 8 of its
 * rows for weights. */
TEMPLATE void multiply_block(bool has_min, struct tiles *tiles, const struct step *step, size_t i,
                             const struct step *last) {
    const size_t b = step->block + i, tile = b / 2, x_at = b % 2 * 32, w_at = b % 2 * 8 * TILE_BYTES;
    struct tile(*out)[2] = step->products->block[i];
    TILE_LOAD_AT(tiles, 4, &step->x[0].x[tile], x_at);
    TILE_LOAD_AT(tiles, 6, &step->w[0].w[tile], w_at);
    TILE_ZERO(tiles, 0);
    TILE_DOT(tiles, 0, 4, 6);
    if (last)
        finish(has_min, last, 4 * i);
    TILE_LOAD_AT(tiles, 7, &step->w[1].w[tile], w_at);
    TILE_ZERO(tiles, 1);
    TILE_DOT(tiles, 1, 4, 7);
    TILE_STORE(tiles, 0, &out[0][0]);
    if (last)
        finish(has_min, last, 4 * i + 1);
    TILE_LOAD_AT(tiles, 5, &step->x[1].x[tile], x_at);
    TILE_ZERO(tiles, 2);
    TILE_DOT(tiles, 2, 5, 6);
    TILE_STORE(tiles, 1, &out[1][0]);
    if (last)
        finish(has_min, last, 4 * i + 2);
    TILE_ZERO(tiles, 3);
    TILE_DOT(tiles, 3, 5, 7);
    TILE_STORE(tiles, 2, &out[0][1]);
    if (last)
        finish(has_min, last, 4 * i + 3);
    TILE_STORE(tiles, 3, &out[1][1]);
}

/* Multiply a step and finish the last one. Either may be NULL. */
TEMPLATE void multiply_step(bool has_min, struct tiles *tiles, const struct step *next,
                            const struct step *last) {
    const size_t n = next ? next->n : 0;
    for (size_t i = 0; i < n; i++)
        multiply_block(has_min, tiles, next, i, last);
    for (size_t piece = 4 * n; last && piece < 4 * STEP; piece++)
        finish(has_min, last, piece);
}

/* The panel times n_tokens tokens, a multiple of 32. */
TEMPLATE void multiply(bool has_min, struct tiles *tiles, struct work *work, const struct blocks_32 *x,
                       size_t n_blocks, size_t n_tokens, float *sums) {
    struct step steps[2], *last = NULL;
    size_t i = 0;
    for (size_t t = 0; t < n_tokens; t += 32)
        for (size_t b = 0; b < n_blocks; b += STEP, i++) {
            struct step *next = &steps[i % 2];
            *next = (struct step){ work->panel,
                                   x + t / 16,
                                   &work->products[i % 2],
                                   b,
                                   n_blocks - b < STEP ? n_blocks - b : STEP,
                                   { sums + 16 * t, sums + 16 * (n_tokens + t) } };
            multiply_step(has_min, tiles, next, last);
            last = next;
        }
    multiply_step(has_min, tiles, NULL, last);
}

static void multiply_plain(struct tiles *tiles, struct work *work, const struct blocks_32 *x, size_t n_blocks,
                           size_t n_tokens, float *sums) {
    multiply(false, tiles, work, x, n_blocks, n_tokens, sums);
}

static void multiply_min(struct tiles *tiles, struct work *work, const struct blocks_32 *x, size_t n_blocks,
                         size_t n_tokens, float *sums) {
    multiply(true, tiles, work, x, n_blocks, n_tokens, sums);
}

/* ---- All ---- */

static void matmul32(const struct type32 *type, kernel_matmul *below, const uint8_t *w, size_t row_bytes,
                     size_t n_rows, const struct acts *x, float *y, size_t y_stride) {
    /* 0..3: products, 4, 5: tokens, 6, 7: rows */
    static const struct tile_config config = { .palette = 1,
                                               .bytes = { 64, 64, 64, 64, 32, 32, 64, 64 },
                                               .rows = { 16, 16, 16, 16, 16, 16, 8, 8 } };
    const struct blocks_32 *tokens = (const struct blocks_32 *)(const void *)x->tiles;
    const size_t n_blocks = x->n / 32;
    const struct split split = { below, type->min ? LEAST_WITH_MIN : LEAST_TOKENS, LEAST_REST };
    const size_t n_tokens = tokens_for_tiles(&split, x->n_tokens);
    struct work work;
    struct tiles tiles;
    assert(!n_tokens || x->tiles);
    if (n_tokens)
        tiles_begin(&tiles, &config);
    for (size_t t = 0; t < n_tokens; t += MOST_TOKENS) {
        const size_t n = n_tokens - t < MOST_TOKENS ? n_tokens - t : MOST_TOKENS;
        const size_t padded = (n + 31) / 32 * 32, most_rows = MOST_SUMS / padded / 32 * 32;
        for (size_t r = 0; r < n_rows; r += most_rows) {
            const size_t rows = n_rows - r < most_rows ? n_rows - r : most_rows;
            memset(work.sums, 0, (rows + 31) / 32 * 32 * padded * sizeof work.sums[0]);
            for (size_t i = 0; i < n_blocks; i += PANEL_BLOCKS) {
                const size_t blocks = n_blocks - i < PANEL_BLOCKS ? n_blocks - i : PANEL_BLOCKS;
                for (size_t p = 0; p < rows; p += 32) {
                    fill_panel(type, w + (r + p) * row_bytes, row_bytes, rows - p, i, blocks, work.panel);
                    (type->min ? multiply_min : multiply_plain)(
                        &tiles, &work, tokens + i / PANEL_BLOCKS * n_groups(x->n_tokens) + t / 16, blocks,
                        padded, work.sums + p * padded);
                }
            }
            store_sums(work.sums, rows, n, padded, y + t * y_stride + r, y_stride);
        }
    }
    if (n_tokens)
        tiles_end(&tiles);
    multiply_rest(&split, n_tokens, w, row_bytes, n_rows, x, y, y_stride);
}

/* ---- The types ---- */

void AMX(matmul_q4_0)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    matmul32(&AMX(q4_0_type), BELOW(matmul_q4_0), w, row_bytes, n_rows, x, y, y_stride);
}

void AMX(matmul_q4_1)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    matmul32(&AMX(q4_1_type), BELOW(matmul_q4_1), w, row_bytes, n_rows, x, y, y_stride);
}

void AMX(matmul_q5_0)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    matmul32(&AMX(q5_0_type), BELOW(matmul_q5_0), w, row_bytes, n_rows, x, y, y_stride);
}

void AMX(matmul_q5_1)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    matmul32(&AMX(q5_1_type), BELOW(matmul_q5_1), w, row_bytes, n_rows, x, y, y_stride);
}

void AMX(matmul_q8_0)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    matmul32(&AMX(q8_0_type), BELOW(matmul_q8_0), w, row_bytes, n_rows, x, y, y_stride);
}

void AMX(matmul_iq4_nl)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    matmul32(&AMX(iq4_nl_type), BELOW(matmul_iq4_nl), w, row_bytes, n_rows, x, y, y_stride);
}

void AMX(matmul_mxfp4)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    matmul32(&AMX(mxfp4_type), BELOW(matmul_mxfp4), w, row_bytes, n_rows, x, y, y_stride);
}
