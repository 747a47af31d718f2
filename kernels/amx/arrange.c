/* arrange.c - activations in the order in which tiles take them.
 * SPDX-License-Identifier: MIT */
#include "kernels/amx/arranged.h"
#include "kernels/amx/digits.h"
#include "kernels/amx/lanes.h"
#include "kernels/amx/level.h"

/* Rows of the padded groups that stand behind token t, if t is the last one. */
static size_t rows_behind(const struct acts *x, size_t t) {
    return t + 1 == x->n_tokens ? n_groups(x->n_tokens) * 16 : 0;
}

/* ---- A32 ---- */

/* Blocks [i, i + n_blocks) of token t. */
static void arrange_blocks(const struct acts *x, size_t t, size_t i, size_t n_blocks, struct blocks_32 *out) {
    const size_t row = t % 16, at = t * (x->n / 32) + i;
    for (size_t b = 0; b < n_blocks; b++) {
        memcpy(out->x[b / 2].row[row] + b % 2 * 32, x->q + (at + b) * 32, 32);
        out->sum[row][b] = (float)x->sum[at + b];
    }
    memcpy(out->d[row], x->d + at, n_blocks * sizeof x->d[0]);
}

static void clear_blocks(size_t row, struct blocks_32 *out) {
    for (size_t k = 0; k < PANEL_BLOCKS / 2; k++)
        store64(out->x[k].row[row], set_bytes(0));
    memset(out->d[row], 0, sizeof out->d[row]);
    memset(out->sum[row], 0, sizeof out->sum[row]);
}

void AMX(arrange_a32)(const struct acts *x, size_t t) {
    struct blocks_32 *tiles = (struct blocks_32 *)(void *)x->tiles;
    const size_t n_blocks = x->n / 32, groups = n_groups(x->n_tokens);
    for (size_t i = 0; i < n_blocks; i += PANEL_BLOCKS, tiles += groups) {
        arrange_blocks(x, t, i, n_blocks - i < PANEL_BLOCKS ? n_blocks - i : PANEL_BLOCKS, &tiles[t / 16]);
        for (size_t r = t + 1; r < rows_behind(x, t); r++)
            clear_blocks(r % 16, &tiles[r / 16]);
    }
}

/* ---- A256 ---- */

/* Super-block i of token t, n_a sub-scales in each. */
TEMPLATE void arrange_super_block(size_t n_a, const struct acts *x, size_t t, size_t i,
                                  struct super_blocks *out) {
    const size_t at = t * (x->n / 256) + i;
    const int8_t *q = x->q + at * 256;
    const uint8_t *a = x->a + at * n_a;
    UNROLL
    for (size_t k = 0; k < 4; k++) {
        const vector v = load64(q + 64 * k), scale = spread_bytes(a + k * n_a / 4, n_a / 4);
        const vector even = mul_words(sra_words(sll_words(v, 8), 8), scale);
        const vector odd = mul_words(sra_words(v, 8), scale);
        store_digits(true, even, odd, &out->x, k, t % 16);
    }
    out->d[t % 16] = x->d[at];
}

static void clear_super_block(size_t row, struct super_blocks *out) {
    for (size_t p = 0; p < PLANES; p++)
        for (size_t k = 0; k < 4; k++)
            store64(out->x.plane[p][k].row[row], set_bytes(0));
    out->d[row] = 0;
    memset(out->g16[row], 0, sizeof out->g16[row]);
    memset(out->g32[row], 0, sizeof out->g32[row]);
}

enum { AHEAD = 1 }; /* super-blocks */

TEMPLATE void arrange_a256(size_t n_a, const struct acts *x, size_t t) {
    struct super_blocks *tiles = (struct super_blocks *)(void *)x->tiles;
    const size_t n_blocks = x->n / 256, groups = n_groups(x->n_tokens);
    for (size_t i = 0; i < n_blocks; i++, tiles += groups) {
        struct super_blocks *out = &tiles[t / 16];
        if (i + AHEAD < n_blocks) /* far apart, so that the hardware does not foresee them */
            for (size_t p = 0; p < PLANES; p++)
                for (size_t k = 0; k < 4; k++)
                    prefetch_line_to_write(out[AHEAD * groups].x.plane[p][k].row[t % 16]);
        arrange_super_block(n_a, x, t, i, out);
        memcpy(out->g16[t % 16], x->g16 + (t * n_blocks + i) * 16, sizeof out->g16[0]);
        if (x->g32)
            memcpy(out->g32[t % 16], x->g32 + (t * n_blocks + i) * 8, sizeof out->g32[0]);
        for (size_t r = t + 1; r < rows_behind(x, t); r++)
            clear_super_block(r % 16, &tiles[r / 16]);
    }
}

void AMX(arrange_a256_16)(const struct acts *x, size_t t) { arrange_a256(16, x, t); }
void AMX(arrange_a256_32)(const struct acts *x, size_t t) { arrange_a256(8, x, t); }
