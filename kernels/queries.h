/* queries.h - groups of queries and the positions they see, for the attention of avx2 and avx512.
 * SPDX-License-Identifier: MIT
 * Templates: inlined into callers that fix the function, so that a group of each size becomes a loop of its
 * own with its sums in registers. */
#ifndef QUERN_KERNELS_QUERIES_H
#define QUERN_KERNELS_QUERIES_H

#include "kernels/kernels.h"

enum {
    /* Queries whose sums are in registers together: of 32 registers 6 x 4 sums, 4 keys or values and one
     * factor fill 29; of 16, 6 x 2, 2 and one fill 15. */
    GROUP = 6,
    FEW = 12,    /* queries convert keys and values as they go; more have a slice of a block converted once */
    SLICE = 128, /* dimensions of such a panel: 32 KiB of floats */
};

/* Groups of at most GROUP, as equal as can be: eight queries are four and four, not six and two. */
static inline size_t group_size(size_t n) {
    const size_t n_groups = (n + GROUP - 1) / GROUP;
    return (n + n_groups - 1) / n_groups;
}

/* Bring [p, p + bytes) closer, which may be memory that does not exist: the place in the next block of what
 * is being read. A few queries do so, since memory is what they wait for. Assembly, because GCC 12 drops
 * calls of a function that only prefetches. */
static inline __attribute__((always_inline)) void prefetch_ahead(const uint8_t *p, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) {
        __asm__ volatile("prefetcht0 %0" : : "m"(p[i]));
    }
}

/* Calls f for groups of n queries, with a constant n_q. */
typedef void group_function(const void *context, size_t first, size_t n_q);

static inline __attribute__((always_inline)) void for_groups(group_function *f, const void *context,
                                                             size_t n) {
    const size_t group = group_size(n);
    for (size_t i = 0; i < n; i += group)
        switch (n - i < group ? n - i : group) {
        case 1: f(context, i, 1); break;
        case 2: f(context, i, 2); break;
        case 3: f(context, i, 3); break;
        case 4: f(context, i, 4); break;
        case 5: f(context, i, 5); break;
        case 6: f(context, i, 6); break;
        }
}

/* The positions that all of n queries see; empty, at the end of the block, if there are none. */
static inline struct attn_span common_span(const struct attn_span *spans, size_t n) {
    struct attn_span c = spans[0];
    for (size_t i = 1; i < n; i++) {
        c.begin = spans[i].begin > c.begin ? spans[i].begin : c.begin;
        c.end = spans[i].end < c.end ? spans[i].end : c.end;
    }
    return c.begin < c.end ? c : (struct attn_span){ ATTN_BLOCK, ATTN_BLOCK };
}

/* Calls f for groups of n queries with the positions that all of a group see, and for single queries with
 * those before and after. */
typedef void span_function(const void *context, size_t first, size_t n_q, size_t begin, size_t end);

static inline __attribute__((always_inline)) void for_spans(span_function *f, const void *context,
                                                            const struct attn_span *spans, size_t n) {
    const size_t group = group_size(n);
    for (size_t i = 0; i < n; i += group) {
        const size_t n_q = n - i < group ? n - i : group;
        const struct attn_span c = common_span(spans + i, n_q);
        for (size_t j = i; j < i + n_q; j++)
            if (spans[j].begin < c.begin)
                f(context, j, 1, spans[j].begin, spans[j].end < c.begin ? spans[j].end : c.begin);
        switch (n_q) {
        case 1: f(context, i, 1, c.begin, c.end); break;
        case 2: f(context, i, 2, c.begin, c.end); break;
        case 3: f(context, i, 3, c.begin, c.end); break;
        case 4: f(context, i, 4, c.begin, c.end); break;
        case 5: f(context, i, 5, c.begin, c.end); break;
        case 6: f(context, i, 6, c.begin, c.end); break;
        }
        for (size_t j = i; j < i + n_q; j++)
            if (spans[j].end > c.end)
                f(context, j, 1, c.end, spans[j].end);
    }
}

/* The smallest span with the positions that any of n queries sees. */
static inline struct attn_span union_of_spans(const struct attn_span *spans, size_t n) {
    struct attn_span u = spans[0];
    for (size_t i = 1; i < n; i++) {
        u.begin = spans[i].begin < u.begin ? spans[i].begin : u.begin;
        u.end = spans[i].end > u.end ? spans[i].end : u.end;
    }
    return u;
}

#endif
