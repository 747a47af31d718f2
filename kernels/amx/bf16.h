/* bf16.h - 16 rows of weights of any type as bf16, tile by tile.
 * SPDX-License-Identifier: MIT
 * Private to kernels/amx. */
#ifndef QUERN_KERNELS_AMX_BF16_H
#define QUERN_KERNELS_AMX_BF16_H

#include "kernels/amx/block32.h"
#include "kernels/amx/super.h"

enum {
    BF16_VALUES = ACTS_BF16_VALUES, /* of a row at once: two super-blocks */
    BF16_TILE_VALUES = 32,          /* of a row in a tile */
    BF16_TILES = BF16_VALUES / BF16_TILE_VALUES,
};

struct bf16_type;

/* 16 rows of at most BF16_VALUES values on their way to bf16. */
struct bf16_rows {
    const struct bf16_type *type;
    size_t n;               /* values of a row */
    const uint8_t *row[16]; /* where they begin */
    union {
        struct {
            struct columns columns[2];
            struct panel_half header[2]; /* only d and minima */
        } super;
        struct block_rows blocks[2];
        float values[16][BF16_VALUES];
    } u;
};

struct bf16_type {
    void (*unpack)(struct bf16_rows *rows); /* into u; NULL: nothing to do */
    void (*tile)(const struct bf16_rows *rows, size_t j,
                 struct tile *out); /* values 32 j.., [pair][row][2] */
    const struct super_type *super_type;
    const struct type32 *type32;
    uint32_t type;
};

/* How a type becomes bf16: one for every type that can be multiplied. */
struct bf16_type AMX(bf16_type)(uint32_t type);

#endif
