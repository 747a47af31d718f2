/* row8.c - W8A8: Q8_0 rows of one scale times activations with one scale per token.
 * SPDX-License-Identifier: MIT
 * Nothing but products: sums stay in tiles through a slab of values, 32 tokens times 32 rows at a time, so
 * that each loaded tile is multiplied twice, and are kept in memory between slabs. */
#include "kernels/amx/lanes.h"
#include "kernels/amx/level.h"
#include "kernels/amx/split.h"
#include "kernels/amx/tiles.h"

#include "formats/blocks.h"
#include "formats/status.h"

enum {
    SLAB = 1024, /* values of a row at once */
    SLAB_TILES = SLAB / 64,
    MOST_TOKENS = 128, /* at once, a multiple of 32 */
    MOST_ROWS = 256,   /* at once, likewise */
    LEAST_TOKENS = 32, /* split.h */
    LEAST_REST = 8,
};

struct work {
    struct tile x[MOST_TOKENS / 16][SLAB_TILES];        /* a row is 64 values of a token */
    struct tile w[2][SLAB_TILES];                       /* [value / 4][row][4 values] */
    struct tile sums[MOST_ROWS / 16][MOST_TOKENS / 16]; /* [token][row], int32 */
};

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Values [k, k + n) of tokens [t0, t0 + padded); what is past the end is zero. */
static void fill_tokens(const struct acts *x, size_t t0, size_t padded, size_t k, size_t n,
                        struct work *work) {
    for (size_t t = 0; t < padded; t++)
        for (size_t i = 0; i < n; i += 64) {
            uint8_t *to = work->x[t / 16][i / 64].row[t % 16];
            const int8_t *q = x->q + (t0 + t) * x->n + k + i;
            if (t0 + t < x->n_tokens && n - i >= 64) {
                store64(to, load64(q));
                continue;
            }
            store64(to, set_bytes(0));
            if (t0 + t < x->n_tokens)
                memcpy(to, q, n - i);
        }
}

/* Values [k, k + n) of 16 of n_out rows, the last one several times. */
static void fill_rows(const uint8_t *w, size_t row_bytes, size_t n_out, size_t k, size_t n,
                      struct tile out[SLAB_TILES]) {
    const uint8_t *row[16];
    for (size_t r = 0; r < 16; r++)
        row[r] = w + (r < n_out ? r : n_out - 1) * row_bytes;
    for (size_t i = 0; i < n; i += 32) {
        const size_t at = (k + i) / 32 * sizeof(struct block_q8_0) + offsetof(struct block_q8_0, qs);
        vector q[16];
        transpose(row, at, 8, q);
        for (size_t j = 0; j < 8; j++)
            store64(out[i / 64].row[i % 64 / 4 + j], q[j]);
    }
    for (size_t j = 8; j < 16 && n % 64; j++)
        store64(out[n / 64].row[j], set_bytes(0));
}

/* 32 tokens times 32 rows, n_tiles tiles of values. a, b: their tiles; c: their sums. */
TEMPLATE void multiply(struct tiles *tiles, struct tile (*a)[SLAB_TILES], struct tile (*b)[SLAB_TILES],
                       size_t n_tiles, struct tile *const c[4]) {
    TILE_LOAD(tiles, 0, c[0]);
    TILE_LOAD(tiles, 1, c[1]);
    TILE_LOAD(tiles, 2, c[2]);
    TILE_LOAD(tiles, 3, c[3]);
    for (size_t i = 0; i < n_tiles; i++) {
        TILE_LOAD(tiles, 6, &b[0][i]);
        TILE_LOAD(tiles, 4, &a[0][i]);
        TILE_DOT(tiles, 0, 4, 6);
        TILE_LOAD(tiles, 5, &a[1][i]);
        TILE_DOT(tiles, 1, 5, 6);
        TILE_LOAD(tiles, 7, &b[1][i]);
        TILE_DOT(tiles, 2, 4, 7);
        TILE_DOT(tiles, 3, 5, 7);
    }
    TILE_STORE(tiles, 0, c[0]);
    TILE_STORE(tiles, 1, c[1]);
    TILE_STORE(tiles, 2, c[2]);
    TILE_STORE(tiles, 3, c[3]);
}

/* The sums of n_rows rows and tokens [t0, t0 + padded) to y. */
static void store_sums(const struct work *work, const uint8_t *w, size_t row_bytes, size_t n_rows,
                       const struct acts *x, size_t t0, size_t padded, float *y, size_t y_stride) {
    for (size_t r = 0; r < n_rows; r += 16) {
        const size_t n = smaller(n_rows - r, 16);
        alignas(64) uint32_t halves[16] = { 0 };
        for (size_t i = 0; i < n; i++)
            halves[i] = load_le16(w + (r + i) * row_bytes + offsetof(struct block_q8_0, d));
        const floats d = floats_of_halves(load64(halves));
        for (size_t i = 0; i < padded && t0 + i < x->n_tokens; i++) {
            const size_t t = t0 + i;
            const floats scale = mul_floats(d, set_floats(x->d[t * (x->n / 32)]));
            const floats sum = floats_of_dwords(load64(work->sums[r / 16][i / 16].row[i % 16]));
            store_first_floats(y + t * y_stride + r, n, mul_floats(scale, sum));
        }
    }
}

/* Rows [0, n_rows) of w, at most MOST_ROWS, times tokens [t0, t0 + padded). */
static void multiply_rows(struct tiles *tiles, struct work *work, const uint8_t *w, size_t row_bytes,
                          size_t n_rows, const struct acts *x, size_t t0, size_t padded) {
    for (size_t r = 0; r < (n_rows + 31) / 32 * 2; r++)
        memset(work->sums[r], 0, padded / 16 * sizeof(struct tile));
    for (size_t k = 0; k < x->n; k += SLAB) {
        const size_t n = smaller(x->n - k, SLAB), n_tiles = (n + 63) / 64;
        fill_tokens(x, t0, padded, k, n, work);
        for (size_t r = 0; r < n_rows; r += 32) {
            for (size_t h = 0; h < 2; h++) {
                const size_t first = smaller(r + 16 * h, n_rows - 1);
                fill_rows(w + first * row_bytes, row_bytes, n_rows - first, k, n, work->w[h]);
            }
            for (size_t t = 0; t < padded / 16; t += 2) {
                struct tile *low = &work->sums[r / 16][t], *high = &work->sums[r / 16 + 1][t];
                multiply(tiles, &work->x[t], work->w, n_tiles,
                         (struct tile *const[4]){ low, low + 1, high, high + 1 });
            }
        }
    }
}

void AMX(matmul_w8a8)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    static const struct tile_config config = { .palette = 1,
                                               .bytes = { 64, 64, 64, 64, 64, 64, 64, 64 },
                                               .rows = { 16, 16, 16, 16, 16, 16, 16, 16 } };
    const struct split split = { BELOW(matmul_w8a8), LEAST_TOKENS, LEAST_REST };
    const size_t n_tokens = tokens_for_tiles(&split, x->n_tokens);
    struct work work;
    struct tiles tiles;
    struct acts first = *x;
    first.n_tokens = n_tokens;
    if (n_tokens)
        tiles_begin(&tiles, &config);
    for (size_t t = 0; t < n_tokens; t += MOST_TOKENS) {
        const size_t padded = (smaller(n_tokens - t, MOST_TOKENS) + 31) / 32 * 32;
        for (size_t r = 0; r < n_rows; r += MOST_ROWS) {
            const size_t n = smaller(n_rows - r, MOST_ROWS);
            multiply_rows(&tiles, &work, w + r * row_bytes, row_bytes, n, &first, t, padded);
            store_sums(&work, w + r * row_bytes, row_bytes, n, &first, t, padded, y + r, y_stride);
        }
    }
    if (n_tokens)
        tiles_end(&tiles);
    multiply_rest(&split, n_tokens, w, row_bytes, n_rows, x, y, y_stride);
}
