/* block32.h - the types in blocks of 32: what they look like, and 16 rows of them as bytes in lanes.
 * SPDX-License-Identifier: MIT
 * Private to kernels/amx. */
#ifndef QUERN_KERNELS_AMX_BLOCK32_H
#define QUERN_KERNELS_AMX_BLOCK32_H

#include "kernels/amx/arranged.h"
#include "kernels/amx/level.h"

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
};

/* 16 rows of some blocks. */
struct block_rows {
    struct tile w[PANEL_BLOCKS / 2]; /* [value / 4][row][4 values]: 8 rows of a tile are a block */
    alignas(64) float d[PANEL_BLOCKS][16], min[PANEL_BLOCKS][16];
};

extern const struct type32 AMX(q4_0_type), AMX(q4_1_type), AMX(q5_0_type), AMX(q5_1_type), AMX(q8_0_type),
    AMX(iq4_nl_type), AMX(mxfp4_type);

/* Blocks [i, i + n_blocks) of 16 rows; n_blocks <= PANEL_BLOCKS. */
void AMX(fill_block_rows)(const struct type32 *type, const uint8_t *const row[16], size_t i, size_t n_blocks,
                          struct block_rows *out);

#endif
