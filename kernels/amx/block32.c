/* block32.c - y = W x for the types in blocks of 32 and A32 activations.
 * SPDX-License-Identifier: MIT
 * Each block has its own float scale, so a tile product sums 32 values, half of what it could, and is taken
 * from the tile unit at once: convert, multiply, fma, for 16 rows in the lanes of a vector. The tile unit
 * goes on with the next 16 x 16 outputs meanwhile. Weights become signed bytes: no offsets are left for
 * later. */
#include "kernels/amx/lanes.h"
#include "kernels/amx/level.h"
#include "kernels/amx/split.h"
#include "kernels/amx/tiles.h"

#include "formats/blocks.h"
#include "formats/iq_grids.h"
#include "formats/status.h"

enum {
    PANEL_BLOCKS = 8,    /* of a row at once: 256 values */
    MOST_TOKENS = 256,   /* at once */
    MOST_SUMS = 1 << 15, /* tokens times rows at once: 128 KB of float */
    LEAST_TOKENS = 64,   /* split.h */
    LEAST_REST = 4,
};

enum quants { NIBBLES, BYTES };

struct type32 {
    size_t block_bytes;
    enum quants quants;
    size_t qs;           /* offset of the quants in a block */
    size_t qh;           /* of the fifth bits, 0: none */
    size_t min;          /* of the f16 minimum, 0: none */
    int offset;          /* what is subtracted from a quant */
    const int8_t *table; /* what a nibble stands for instead, or NULL */
    bool is_e8m0;        /* the scale is a power of two of 8 bits, not an f16 */
    kernel_matmul *below;
};

/* 16 rows of some blocks. */
struct panel_half {
    struct tile w[PANEL_BLOCKS / 2]; /* [value / 4][row][4 values]: 8 rows of a tile are a block */
    alignas(64) float d[PANEL_BLOCKS][16], min[PANEL_BLOCKS][16];
};

/* 16 tokens of these blocks. */
struct tokens {
    struct tile x[PANEL_BLOCKS / 2]; /* a row is two blocks of a token */
    alignas(64) float d[16][PANEL_BLOCKS], sum[16][PANEL_BLOCKS];
};

/* 16 tokens times 16 rows, by block. */
struct products {
    struct tile block[PANEL_BLOCKS];
};

struct work {
    struct tokens x[MOST_TOKENS / 16];
    struct panel_half panel[2];
    struct products products[2];       /* of these 16 x 16 outputs and of the ones before */
    alignas(64) float sums[MOST_SUMS]; /* [16 rows][token][16] */
};

/* ---- Weights ---- */

/* Bits 4 j..4 j + 3 of each dword as bit 4 of its bytes. */
static inline vector spread_bits(vector v, int j) {
    const vector bits = and64(srl_dwords(v, 4 * j), set_dwords(15));
    const vector pairs = or64(bits, sll_dwords(bits, 7));
    return sll_dwords(and64(or64(pairs, sll_dwords(pairs, 14)), set_bytes(1)), 4);
}

static void store_quants(const struct type32 *type, vector q, uint8_t *out) {
    if (type->table)
        q = lookup(type->table, q);
    else
        q = sub_bytes(q, set_bytes(type->offset));
    store64(out, q);
}

/* Blocks of 16 bytes, values 0..15 in the low nibbles. packed: [row][block][16]. */
static void fill_nibbles(const struct type32 *type, const uint8_t *const packed[16],
                         const uint8_t *const high[16], size_t n_blocks, struct panel_half *out) {
    vector qh[16], qs[16];
    transpose(high, 0, PANEL_BLOCKS, qh);
    for (size_t b = 0; b < n_blocks; b++) {
        if (b % 4 == 0)
            transpose(packed, 16 * b, 16, qs);
        uint8_t(*rows)[TILE_BYTES] = &out->w[b / 2].row[b % 2 * 8];
        for (int j = 0; j < 4; j++) {
            const vector v = qs[4 * (b % 4) + (size_t)j];
            vector low = and64(v, set_bytes(15)), upper = and64(srl_words(v, 4), set_bytes(15));
            if (type->qh) {
                low = or64(low, spread_bits(qh[b], j));
                upper = or64(upper, spread_bits(srl_dwords(qh[b], 16), j));
            }
            store_quants(type, low, rows[j]);
            store_quants(type, upper, rows[4 + j]);
        }
    }
}

static void fill_bytes(const uint8_t *const packed[16], size_t n_blocks, struct panel_half *out) {
    for (size_t b = 0; b < n_blocks; b++) {
        vector q[16];
        transpose(packed, 32 * b, 8, q);
        for (size_t j = 0; j < 8; j++)
            store64(out->w[b / 2].row[b % 2 * 8 + j], q[j]);
    }
}

/* The f16 at offset of a block in 16 rows. */
static void fill_halves(const uint8_t *const row[16], size_t offset, float out[16]) {
    alignas(64) uint32_t halves[16];
    for (size_t r = 0; r < 16; r++)
        halves[r] = load_le16(row[r] + offset);
    store_floats(out, floats_of_halves(load64(halves)));
}

/* 2^(e - 128): exponent e - 1 of a float, or the subnormals for e = 0 and 1. */
static void fill_powers(const uint8_t *const row[16], size_t offset, float out[16]) {
    alignas(64) uint32_t bits[16];
    for (size_t r = 0; r < 16; r++) {
        const uint32_t e = row[r][offset];
        bits[r] = e >= 2 ? (e - 1) << 23 : 0x00200000u << e;
    }
    memcpy(out, bits, sizeof bits);
}

/* Blocks [i, i + n_blocks) of 16 rows. */
static void fill_half(const struct type32 *type, const uint8_t *const row[16], size_t i, size_t n_blocks,
                      struct panel_half *out) {
    const size_t bytes = type->quants == NIBBLES ? 16 : 32;
    alignas(64) uint8_t packed[16][PANEL_BLOCKS * 32], high[16][PANEL_BLOCKS * 4];
    const uint8_t *packed_row[16], *high_row[16];
    for (size_t r = 0; r < 16; r++) {
        const uint8_t *block = row[r] + i * type->block_bytes;
        prefetch(block + PANEL_BLOCKS * type->block_bytes, PANEL_BLOCKS * type->block_bytes);
        packed_row[r] = packed[r];
        high_row[r] = high[r];
        for (size_t b = 0; b < n_blocks; b++, block += type->block_bytes) {
            memcpy(packed[r] + 16 * b * (bytes / 16), block + type->qs, 16);
            if (bytes == 32)
                memcpy(packed[r] + 32 * b + 16, block + type->qs + 16, 16);
            if (type->qh)
                memcpy(high[r] + 4 * b, block + type->qh, 4);
        }
    }
    if (type->quants == NIBBLES)
        fill_nibbles(type, packed_row, high_row, n_blocks, out);
    else
        fill_bytes(packed_row, n_blocks, out);
    for (size_t b = 0; b < n_blocks; b++) {
        const size_t at = (i + b) * type->block_bytes;
        if (type->is_e8m0)
            fill_powers(row, at, out->d[b]);
        else
            fill_halves(row, at, out->d[b]);
        if (type->min)
            fill_halves(row, at + type->min, out->min[b]);
    }
}

static void fill_panel(const struct type32 *type, const uint8_t *w, size_t row_bytes, size_t n_out, size_t i,
                       size_t n_blocks, struct panel_half panel[2]) {
    for (size_t h = 0; h < 2; h++) {
        const uint8_t *row[16];
        for (size_t r = 0; r < 16; r++) /* a last panel has its last row several times */
            row[r] = w + (16 * h + r < n_out ? 16 * h + r : n_out - 1) * row_bytes;
        fill_half(type, row, i, n_blocks, &panel[h]);
    }
}

/* ---- Tokens ---- */

/* Blocks [i, i + n_blocks) of tokens [t0, t0 + n_tokens); those past the end are zero. */
static void fill_tokens(const struct acts *x, size_t t0, size_t n_tokens, size_t i, size_t n_blocks,
                        struct tokens *out) {
    for (size_t t = 0; t < n_tokens; t++) {
        struct tokens *to = &out[t / 16];
        const size_t row = t % 16, at = (t0 + t) * (x->n / 32) + i;
        if (t0 + t >= x->n_tokens) {
            for (size_t k = 0; k < PANEL_BLOCKS / 2; k++)
                store64(to->x[k].row[row], set_bytes(0));
            memset(to->d[row], 0, sizeof to->d[row]);
            memset(to->sum[row], 0, sizeof to->sum[row]);
            continue;
        }
        if (n_blocks == PANEL_BLOCKS) {
            for (size_t k = 0; k < PANEL_BLOCKS / 2; k++)
                store64(to->x[k].row[row], load64(x->q + at * 32 + 64 * k));
        } else {
            for (size_t b = 0; b < n_blocks; b++)
                memcpy(to->x[b / 2].row[row] + b % 2 * 32, x->q + (at + b) * 32, 32);
        }
        prefetch(x->q + (at + PANEL_BLOCKS) * 32, PANEL_BLOCKS * 32);
        memcpy(to->d[row], x->d + at, n_blocks * sizeof x->d[0]);
        for (size_t b = 0; b < n_blocks; b++)
            to->sum[row][b] = (float)x->sum[at + b];
    }
}

/* ---- Multiply ---- */

/* Add a block to the sums of 16 rows and 16 tokens. */
TEMPLATE void finish(bool has_min, const struct panel_half *w, const struct tokens *x,
                     const struct tile *products, size_t b, floats sum[16]) {
    const floats d = load_floats(w->d[b]), min = load_floats(w->min[b]);
    UNROLL
    for (size_t t = 0; t < 16; t++) {
        floats r = mul_floats(d, floats_of_dwords(load64(products->row[t])));
        if (has_min)
            r = fma_floats(min, set_floats(x->sum[t][b]), r);
        sum[t] = fma_floats(set_floats(x->d[t][b]), r, sum[t]);
    }
}

/* 16 tokens and 16 rows. */
struct square {
    const struct panel_half *w;
    const struct tokens *x;
    struct products *products;
    float *sums; /* [token][16] */
};

/* Multiply the next square, block by block, and finish the last one meanwhile. Either may be NULL. */
TEMPLATE void multiply_square(bool has_min, struct tiles *tiles, size_t n_blocks, const struct square *next,
                              const struct square *last) {
    floats sum[16];
    if (last) {
        UNROLL
        for (size_t t = 0; t < 16; t++)
            sum[t] = load_floats(last->sums + 16 * t);
    }
    for (size_t b = 0; b < n_blocks; b += 2) {
        if (next) {
            TILE_LOAD_AT(tiles, 2, &next->x->x[b / 2], 0);
            TILE_LOAD_AT(tiles, 4, &next->w->w[b / 2], 0);
            TILE_ZERO(tiles, 0);
            TILE_DOT(tiles, 0, 2, 4);
        }
        if (last)
            finish(has_min, last->w, last->x, &last->products->block[b], b, sum);
        if (next) {
            TILE_STORE(tiles, 0, &next->products->block[b]);
            if (b + 1 == n_blocks)
                break;
            TILE_LOAD_AT(tiles, 3, &next->x->x[b / 2], 32);
            TILE_LOAD_AT(tiles, 5, &next->w->w[b / 2], 8 * TILE_BYTES);
            TILE_ZERO(tiles, 1);
            TILE_DOT(tiles, 1, 3, 5);
        }
        if (last && b + 1 < n_blocks)
            finish(has_min, last->w, last->x, &last->products->block[b + 1], b + 1, sum);
        if (next)
            TILE_STORE(tiles, 1, &next->products->block[b + 1]);
    }
    if (last) {
        UNROLL
        for (size_t t = 0; t < 16; t++)
            store_floats(last->sums + 16 * t, sum[t]);
    }
}

TEMPLATE void multiply(bool has_min, struct tiles *tiles, struct work *work, size_t n_blocks, size_t n_tokens,
                       float *sums) {
    struct square last = { 0 };
    for (size_t i = 0; i < n_tokens / 8; i++) {
        const size_t t = i / 2 * 16, half = i % 2;
        const struct square next = { &work->panel[half], &work->x[t / 16], &work->products[i % 2],
                                     sums + half * 16 * n_tokens + 16 * t };
        if (i)
            multiply_square(has_min, tiles, n_blocks, &next, &last);
        else
            multiply_square(has_min, tiles, n_blocks, &next, NULL);
        last = next;
    }
    multiply_square(has_min, tiles, n_blocks, NULL, &last);
}

static void multiply_plain(struct tiles *tiles, struct work *work, size_t n_blocks, size_t n_tokens,
                           float *sums) {
    multiply(false, tiles, work, n_blocks, n_tokens, sums);
}

static void multiply_min(struct tiles *tiles, struct work *work, size_t n_blocks, size_t n_tokens,
                         float *sums) {
    multiply(true, tiles, work, n_blocks, n_tokens, sums);
}

/* ---- All ---- */

/* Copy the sums of n_rows rows and n_tokens tokens to y. padded: tokens of a panel in sums. */
static void store_sums(const float *sums, size_t n_rows, size_t n_tokens, size_t padded, float *y,
                       size_t y_stride) {
    for (size_t r = 0; r < n_rows; r += 16) {
        const size_t n = n_rows - r < 16 ? n_rows - r : 16;
        for (size_t t = 0; t < n_tokens; t++)
            store_first_floats(y + t * y_stride + r, n, load_floats(sums + r * padded + t * 16));
    }
}

static void matmul32(const struct type32 *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                     const struct acts *x, float *y, size_t y_stride) {
    /* 0, 1: products, 2, 3: tokens, 4, 5: rows */
    static const struct tile_config config = { .palette = 1,
                                               .bytes = { 64, 64, 32, 32, 64, 64 },
                                               .rows = { 16, 16, 16, 16, 8, 8 } };
    const size_t n_blocks = x->n / 32;
    const struct split split = { type->below, 16, LEAST_TOKENS, LEAST_REST };
    const size_t n_tokens = tokens_for_tiles(&split, x->n_tokens);
    struct work work;
    struct tiles tiles;
    tiles_begin(&tiles, &config);
    for (size_t t = 0; t < n_tokens; t += MOST_TOKENS) {
        const size_t n = n_tokens - t < MOST_TOKENS ? n_tokens - t : MOST_TOKENS;
        const size_t padded = (n + 15) / 16 * 16, most_rows = MOST_SUMS / padded / 32 * 32;
        for (size_t r = 0; r < n_rows; r += most_rows) {
            const size_t rows = n_rows - r < most_rows ? n_rows - r : most_rows;
            memset(work.sums, 0, (rows + 31) / 32 * 32 * padded * sizeof work.sums[0]);
            for (size_t i = 0; i < n_blocks; i += PANEL_BLOCKS) {
                const size_t blocks = n_blocks - i < PANEL_BLOCKS ? n_blocks - i : PANEL_BLOCKS;
                fill_tokens(x, t, padded, i, blocks, work.x);
                for (size_t p = 0; p < rows; p += 32) {
                    fill_panel(type, w + (r + p) * row_bytes, row_bytes, rows - p, i, blocks, work.panel);
                    (type->min ? multiply_min : multiply_plain)(&tiles, &work, blocks, padded,
                                                                work.sums + p * padded);
                }
            }
            store_sums(work.sums, rows, n, padded, y + t * y_stride + r, y_stride);
        }
    }
    tiles_end(&tiles);
    multiply_rest(&split, n_tokens, w, row_bytes, n_rows, x, y, y_stride);
}

/* ---- The types ---- */

void AMX(matmul_q4_0)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    static const struct type32 type = { .block_bytes = sizeof(struct block_q4_0),
                                        .qs = offsetof(struct block_q4_0, qs),
                                        .offset = 8,
                                        .below = BELOW(matmul_q4_0) };
    matmul32(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void AMX(matmul_q4_1)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    static const struct type32 type = { .block_bytes = sizeof(struct block_q4_1),
                                        .qs = offsetof(struct block_q4_1, qs),
                                        .min = offsetof(struct block_q4_1, m),
                                        .below = BELOW(matmul_q4_1) };
    matmul32(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void AMX(matmul_q5_0)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    static const struct type32 type = { .block_bytes = sizeof(struct block_q5_0),
                                        .qs = offsetof(struct block_q5_0, qs),
                                        .qh = offsetof(struct block_q5_0, qh),
                                        .offset = 16,
                                        .below = BELOW(matmul_q5_0) };
    matmul32(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void AMX(matmul_q5_1)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    static const struct type32 type = { .block_bytes = sizeof(struct block_q5_1),
                                        .qs = offsetof(struct block_q5_1, qs),
                                        .qh = offsetof(struct block_q5_1, qh),
                                        .min = offsetof(struct block_q5_1, m),
                                        .below = BELOW(matmul_q5_1) };
    matmul32(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void AMX(matmul_q8_0)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    static const struct type32 type = { .block_bytes = sizeof(struct block_q8_0),
                                        .quants = BYTES,
                                        .qs = offsetof(struct block_q8_0, qs),
                                        .below = BELOW(matmul_q8_0) };
    matmul32(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void AMX(matmul_iq4_nl)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    static const struct type32 type = { .block_bytes = sizeof(struct block_iq4_nl),
                                        .qs = offsetof(struct block_iq4_nl, qs),
                                        .table = iq4_levels,
                                        .below = BELOW(matmul_iq4_nl) };
    matmul32(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void AMX(matmul_mxfp4)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    /* E2M1 magnitudes, doubled; the scale is halved in turn. */
    static const int8_t levels[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
    static const struct type32 type = { .block_bytes = sizeof(struct block_mxfp4),
                                        .qs = offsetof(struct block_mxfp4, qs),
                                        .table = levels,
                                        .is_e8m0 = true,
                                        .below = BELOW(matmul_mxfp4) };
    matmul32(&type, w, row_bytes, n_rows, x, y, y_stride);
}
