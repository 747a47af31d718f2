/* row8.h - which columns the outliers of some tokens are in, for all levels.
 * SPDX-License-Identifier: MIT
 * The columns of all tokens are gathered and decoded once; then each token takes those of its own. */
#ifndef QUERN_KERNELS_ROW8_H
#define QUERN_KERNELS_ROW8_H

#include "kernels/kernels.h"

/* Whether value k of row t is an outlier. */
static inline bool row8_is_outlier(const struct acts *x, size_t t, size_t k) {
    return x->mask[t * (x->n / 32) + k / 32] >> k % 32 & 1;
}

enum { ROW8_WORDS = 32, ROW8_COLUMNS = 32 * ROW8_WORDS };

/* The columns of the next ROW8_COLUMNS from *k on in which any token has an outlier, in order; stretches
 * without are skipped. *k begins at 0 and moves on. Returns their number, 0 at the end. */
static inline size_t row8_columns(const struct acts *x, size_t *k, uint32_t columns[ROW8_COLUMNS]) {
    const size_t n_words = x->n / 32;
    size_t n = 0, i = *k / 32;
    for (; i < n_words && !n; i += ROW8_WORDS) {
        uint32_t any[ROW8_WORDS] = { 0 };
        const size_t words = n_words - i < ROW8_WORDS ? n_words - i : ROW8_WORDS;
        for (size_t t = 0; t < x->n_tokens; t++)
            for (size_t j = 0; j < words; j++)
                any[j] |= x->mask[t * n_words + i + j];
        for (size_t j = 0; j < words; j++)
            for (uint32_t bits = any[j]; bits; bits &= bits - 1)
                columns[n++] = (uint32_t)((i + j) * 32) + (uint32_t)__builtin_ctz(bits);
    }
    *k = i * 32;
    return n;
}

#endif
