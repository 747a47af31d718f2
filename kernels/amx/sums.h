/* sums.h - the outputs of a block of rows and tokens while their products are added up.
 * SPDX-License-Identifier: MIT
 * Private to kernels/amx: [panel of 32 rows][16 rows][token][16], so that 16 tokens of 16 rows are a tile. */
#ifndef QUERN_KERNELS_AMX_SUMS_H
#define QUERN_KERNELS_AMX_SUMS_H

#include "kernels/amx/lanes.h"

enum {
    MOST_TOKENS = 512,   /* at once: they share an unpacked panel */
    MOST_SUMS = 1 << 16, /* tokens times rows at once: 256 KB of float */
};

/* Copy the sums of n_rows rows and n_tokens tokens to y. padded: tokens of a panel in sums. */
static inline void store_sums(const float *sums, size_t n_rows, size_t n_tokens, size_t padded, float *y,
                              size_t y_stride) {
    for (size_t r = 0; r < n_rows; r += 16) {
        const float *from = sums + r * padded;
        const size_t n = n_rows - r < 16 ? n_rows - r : 16;
        for (size_t t = 0; t < n_tokens; t++)
            store_first_floats(y + t * y_stride + r, n, load_floats(from + t * 16));
    }
}

#endif
