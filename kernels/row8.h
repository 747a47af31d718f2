/* row8.h - which columns the outliers of some tokens are in, for all levels.
 * SPDX-License-Identifier: MIT
 * The columns of all tokens are gathered and decoded once; then each token takes those of its own. */
#ifndef QUERN_KERNELS_ROW8_H
#define QUERN_KERNELS_ROW8_H

#include "kernels/kernels.h"

#include <string.h>

/* Whether value k of row t is an outlier. */
static inline bool row8_is_outlier(const struct acts *x, size_t t, size_t k) {
    return x->mask[t * (x->n / 32) + k / 32] >> k % 32 & 1;
}

/* The next at most `most` (64 or more) columns with an outlier of any token, in order. *k is where the search
 * begins, a multiple of 32, and where it ended. 0 at the end. */
static inline size_t row8_columns(const struct acts *x, size_t *k, uint32_t *columns, size_t most) {
    const size_t n_words = x->n / 32;
    size_t n = 0, i = *k / 32;
    for (; i < n_words && n + 64 <= most; i += 2) {
        const size_t bytes = i + 1 < n_words ? 8 : 4; /* two words at once where there are two */
        uint64_t any = 0;
        for (size_t t = 0; t < x->n_tokens; t++) {
            uint64_t words = 0;
            memcpy(&words, x->mask + t * n_words + i, bytes);
            any |= words; /* little-endian, as all of quern's machines */
        }
        for (; any; any &= any - 1)
            columns[n++] = (uint32_t)(i * 32 + (size_t)__builtin_ctzll(any));
    }
    *k = i < n_words ? i * 32 : x->n;
    return n;
}

#endif
