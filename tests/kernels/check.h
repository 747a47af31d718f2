/* check.h - comparing a level with the scalar one: what the families of kernels share.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_TESTS_KERNELS_CHECK_H
#define QUERN_TESTS_KERNELS_CHECK_H

#include "kernels/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct check {
    struct kernels want; /* the scalar level */
    struct kernels got;  /* the level that is checked or timed */
    uint64_t seed;       /* of every function: its inputs do not depend on what ran before */
    const char *filter;  /* only functions whose name contains this; NULL: all */
    bool list, bench, best;
    bool is_quick; /* fewer shapes and contents, where a build is slow */
    bool is_tiled; /* the level multiplies many tokens in another way than few: contents are checked with many
                    */
    bool is_emulated;  /* and takes its time: shapes are chosen, not all */
    char function[64]; /* the one being checked, empty between two */
    char what[160];    /* its present case, for messages */
    uint64_t random;
    size_t n_cases, n_failures;             /* of the function */
    size_t total_functions, total_failures; /* of all */
};

/* Whether to check (or time) a function now; if so, check_end() has to follow. differs: the level has its
 * own version. */
bool check_begin(struct check *c, bool differs, const char *name, ...) __attribute__((format(printf, 3, 4)));
void check_end(struct check *c);

/* Name the case that runs next; a fault reports it. */
void check_case(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Report a failure of the present case. */
void check_fail(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Equal to the bit, all NaN being equal. */
void check_floats(struct check *c, const char *name, const float *got, const float *want, size_t n);
void check_bytes(struct check *c, const char *name, const void *got, const void *want, size_t bytes);

/* Time call(c, arg) and print it: bytes read and operations done per call, 0 for those that say nothing. */
void check_time(struct check *c, const char *shape, void (*call)(const struct check *c, void *arg), void *arg,
                double bytes, double operations);

/* The families. */
void check_matmul(struct check *c);
void check_bf16(struct check *c); /* prints nothing for a level without */
void check_quantize(struct check *c);
void check_row8(struct check *c);
void check_elementwise(struct check *c);
void check_attention(struct check *c);

#endif
