/* split.h - which tokens go to the tiles, and which to the level below.
 * SPDX-License-Identifier: MIT
 * Private to kernels/amx. A tile takes 16 tokens whether they are there or not, so a few are better off with
 * the kernels of AVX-512. The emulation has no level below it: it takes all. */
#ifndef QUERN_KERNELS_AMX_SPLIT_H
#define QUERN_KERNELS_AMX_SPLIT_H

#include "kernels/kernels.h"

#ifdef AMX_EMULATED
#    define BELOW(name) NULL
#else
#    include "kernels/avx512/level.h"
#    define BELOW(name) name##_avx512
#endif

/* Where the tiles win, as measured: from how many tokens on, and how many more than a multiple of
 * TILE_GROUP make it worth to fill up another group. */
enum { TILE_GROUP = 32 }; /* tokens that a kernel takes at once */

struct split {
    kernel_matmul *below; /* for the others; NULL: there are none */
    size_t least, least_rest;
};

/* The first tokens of n, which the tiles take. */
static inline size_t tokens_for_tiles(const struct split *s, size_t n) {
    const size_t rest = n % TILE_GROUP;
    if (!s->below)
        return n;
    if (n < s->least)
        return 0;
    return rest < s->least_rest ? n - rest : n;
}

/* Multiply the tokens from `begin` on by the level below. */
static inline void multiply_rest(const struct split *s, size_t begin, const uint8_t *w, size_t row_bytes,
                                 size_t n_rows, const struct acts *x, float *y, size_t y_stride) {
    if (begin == x->n_tokens)
        return;
    const struct acts rest = acts_of_tokens(x, begin, x->n_tokens - begin);
    s->below(w, row_bytes, n_rows, &rest, y + begin * y_stride, y_stride);
}

#endif
