/* row8.h - which columns the outliers of some tokens are in, for all levels.
 * SPDX-License-Identifier: MIT
 * The columns of all tokens are gathered and decoded once, a slab of the row at a time; then each token takes
 * those of its own, of which there are few. */
#ifndef QUERN_KERNELS_ROW8_H
#define QUERN_KERNELS_ROW8_H

#include "kernels/kernels.h"

enum { ROW8_WORDS = 32, ROW8_COLUMNS = 32 * ROW8_WORDS };

/* Columns with an outlier of any token in words [word, next) of the masks, at most ROW8_WORDS. Begin with
 * next = 0. */
struct row8_slab {
    size_t word, next; /* of the masks: this slab's first, the next one's */
    uint32_t any[ROW8_WORDS];
    size_t before[ROW8_WORDS]; /* columns in earlier words */
    size_t n;
    uint32_t columns[ROW8_COLUMNS]; /* [n], in order */
};

static inline size_t row8_slab_words(const struct acts *x, const struct row8_slab *s) {
    const size_t left = x->n / 32 - s->word;
    return left < ROW8_WORDS ? left : ROW8_WORDS;
}

/* Find the next slab that has such columns. False at the end. */
static inline bool row8_next(const struct acts *x, struct row8_slab *s) {
    const size_t n_words = x->n / 32;
    for (s->n = 0; s->next < n_words && !s->n; s->next += ROW8_WORDS) {
        s->word = s->next;
        const size_t words = row8_slab_words(x, s);
        for (size_t j = 0; j < words; j++)
            s->any[j] = 0;
        for (size_t t = 0; t < x->n_tokens; t++)
            for (size_t j = 0; j < words; j++)
                s->any[j] |= x->mask[t * n_words + s->word + j];
        for (size_t j = 0; j < words; j++) {
            s->before[j] = s->n;
            for (uint32_t bits = s->any[j]; bits; bits &= bits - 1)
                s->columns[s->n++] = (uint32_t)((s->word + j) * 32) + (uint32_t)__builtin_ctz(bits);
        }
    }
    return s->n > 0;
}

/* Which of columns [begin, end) are outliers of token t: their places in the slab's list, in order. */
static inline size_t row8_own(const struct acts *x, const struct row8_slab *s, size_t t, size_t begin,
                              size_t end, uint16_t own[ROW8_COLUMNS]) {
    const uint32_t *mask = x->mask + t * (x->n / 32) + s->word;
    const size_t words = row8_slab_words(x, s);
    size_t n = 0;
    for (size_t j = 0; j < words; j++)
        for (uint32_t bits = mask[j]; bits; bits &= bits - 1) {
            const uint32_t lower = s->any[j] & ((bits & -bits) - 1);
            const size_t at = s->before[j] + (size_t)__builtin_popcount(lower);
            if (at >= begin && at < end)
                own[n++] = (uint16_t)at;
        }
    return n;
}

#endif
