/* cases.h - inputs for the tests of kernels: guarded memory, blocks of every type, activations.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_TESTS_KERNELS_CASES_H
#define QUERN_TESTS_KERNELS_CASES_H

#include <stddef.h>
#include <stdint.h>

/* ---- Memory that faults when left ---- */

enum guard { GUARD_AFTER, GUARD_BEFORE, GUARD_SIDES }; /* which end of data touches an unreadable page */

struct guarded {
    void *data; /* of the bytes asked for; aligned only as the guard happens to leave it */
    void *map;
    size_t map_bytes;
};

/* Ends the program if the system has no memory. */
struct guarded guarded_alloc(size_t bytes, enum guard guard);
void guarded_free(struct guarded *g);

/* ---- Weights ---- */

enum quants { QUANTS_RANDOM, QUANTS_ZEROS, QUANTS_ONES, QUANTS_80, QUANTS_7F, QUANTS_AA, QUANTS_STYLES };

enum scales {
    SCALES_USUAL,
    SCALES_NEGATIVE,
    SCALES_ZERO,
    SCALES_SUBNORMAL,
    SCALES_LARGEST,
    SCALES_INF,
    SCALES_NAN,
    SCALES_STYLES
};

/* Fill n_blocks blocks of a type: all bytes by `quants`, then the f16 fields (for plain floats: the values
 * themselves) by `scales`. The styles INF and NAN poison one block in eight. */
void fill_weights(uint32_t type, uint8_t *dst, size_t n_blocks, enum quants quants, enum scales scales,
                  uint64_t *random);

/* ---- Activations ---- */

enum values {
    VALUES_RANDOM,   /* uniform */
    VALUES_OUTLIERS, /* one in 50 a hundred times larger */
    VALUES_ZERO,
    VALUES_EQUAL,       /* every q is 127 */
    VALUES_EQUAL_MINUS, /* every q is -127 */
    VALUES_ALTERNATING, /* 127, -127 */
    VALUES_TIES,        /* multiples of 0.5 with 127 as the largest: halves are rounded to even */
    VALUES_EIGHTHS,     /* each 16 have k/8 of the largest as their maximum */
    VALUES_GAPS,        /* sub-blocks that are all zero */
    VALUES_TINY,        /* around 2^-100, below which a block counts as zero */
    VALUES_SUBNORMAL,
    VALUES_LARGEST, /* FLT_MAX and fractions of it */
    VALUES_ONE_NAN,
    VALUES_ONE_INF,
    VALUES_BITS, /* random bit patterns */
    VALUES_STYLES
};

void fill_values(float *x, size_t n, enum values style, uint64_t *random);

/* malloc() that ends the program where memory is short. */
void *allocate(size_t bytes);

/* "random bytes, scales subnormal": for messages. */
const char *quants_name(enum quants style);
const char *scales_name(enum scales style);
const char *values_name(enum values style);

#endif
