/* arranged.h - activations in the order in which tiles take them.
 * SPDX-License-Identifier: MIT
 * Private to kernels/amx. acts.tiles is [panels of 256 values][groups of 16 tokens] of one of these, with an
 * even number of groups: made once for an input, read for every 32 rows of every matrix that takes it. Tokens
 * past the last are zero. */
#ifndef QUERN_KERNELS_AMX_ARRANGED_H
#define QUERN_KERNELS_AMX_ARRANGED_H

#include "kernels/amx/tiles.h"
#include "kernels/kernels.h"

#include <assert.h>

enum {
    PANEL_VALUES = 256,
    PANEL_BLOCKS = 8, /* of 32 values */
    PLANES = 3,       /* digits: high, low, their sum (super.h) */
};

/* A32: a row of a tile is two blocks of a token. */
struct blocks_32 {
    struct tile x[PANEL_BLOCKS / 2];
    alignas(64) float d[16][PANEL_BLOCKS], sum[16][PANEL_BLOCKS];
};

/* 256 values of 16 rows or tokens: by digit, by 64 values. */
struct operand {
    struct tile plane[PLANES][4];
};

/* A256 */
struct super_blocks {
    struct operand x;
    alignas(64) float d[16];
    int32_t g16[16][8],
        g32[16][4]; /* pairs of int16 of a token: scaled sums 2 i and 2 i + 1 of 16 or 32 values */
};

/* What kernels.c makes room for. */
static_assert(sizeof(struct blocks_32) == 5120, "acts_tile_bytes()");
static_assert(sizeof(struct super_blocks) == 13120, "acts_tile_bytes()");

/* Groups of 16 tokens that n tokens take: pairs of them are multiplied together. */
static inline size_t n_groups(size_t n_tokens) { return (n_tokens + 31) / 32 * 2; }

#endif
