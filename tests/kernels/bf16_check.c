/* bf16_check.c - products in bf16, which have no bits to compare: every type against sums in double.
 * SPDX-License-Identifier: MIT
 * The bound is the one that kernels.h promises; how rows and tokens are dealt must not change a bit. */
#include "tests/kernels/cases.h"
#include "tests/kernels/check.h"

#include "formats/types.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 37, TOKENS = 45 };

struct product {
    uint32_t type;
    size_t n, row_bytes;
    struct guarded w, x;
};

static struct product make_product(struct check *c, uint32_t type, size_t n, enum guard guard) {
    struct product p = { .type = type, .n = n };
    const size_t block = type_info(type)->block_values;
    p.row_bytes = n / block * type_info(type)->block_bytes;
    p.w = guarded_alloc(ROWS * p.row_bytes, guard);
    p.x = guarded_alloc(TOKENS * n * sizeof(float), guard);
    fill_weights(type, p.w.data, ROWS * n / block, QUANTS_RANDOM, SCALES_USUAL, &c->random);
    for (size_t t = 0; t < TOKENS; t++)
        fill_values((float *)p.x.data + t * n, n, VALUES_OUTLIERS, &c->random);
    return p;
}

static void free_product(struct product *p) {
    guarded_free(&p->w);
    guarded_free(&p->x);
}

/* rows x tokens of p by the level into y [tokens][ROWS], from memory that ends where the arrays do. */
static void multiply(const struct check *c, const struct product *p, size_t row, size_t rows, size_t tokens,
                     enum guard guard, float *y) {
    struct guarded memory = guarded_alloc(acts_bf16_bytes(p->n, tokens), guard);
    memset(memory.data, 0xff, acts_bf16_bytes(p->n, tokens)); /* NaN: padding must be written */
    const struct acts_bf16 acts = { p->n, tokens, memory.data };
    for (size_t t = 0; t < tokens; t++)
        c->got.round_bf16((const float *)p->x.data + t * p->n, &acts, t);
    c->got.matmul_bf16(p->type, (const uint8_t *)p->w.data + row * p->row_bytes, p->row_bytes, rows, &acts,
                       y + row, ROWS);
    guarded_free(&memory);
}

static void check_bound(struct check *c, const struct product *p, const float *y) {
    const struct type_info *info = type_info(p->type);
    float *w = allocate(p->n * sizeof *w);
    for (size_t r = 0; r < ROWS; r++) {
        info->decode((const uint8_t *)p->w.data + r * p->row_bytes, w, p->n / info->block_values);
        for (size_t t = 0; t < TOKENS; t++) {
            const float *x = (const float *)p->x.data + t * p->n;
            double sum = 0, size = 0;
            for (size_t k = 0; k < p->n; k++) {
                sum += (double)w[k] * (double)x[k];
                size += fabs((double)w[k] * (double)x[k]);
            }
            const double bound = size * (0x1p-7 + (double)p->n * 0x1p-24), got = (double)y[t * ROWS + r];
            if (!(fabs(got - sum) <= bound))
                check_fail(c, "row %zu, token %zu: got %g, want %g to within %g", r, t, got, sum, bound);
        }
    }
    free(w);
}

/* In parts as a team of threads would: the same bytes. */
static void check_parts(struct check *c, const struct product *p, const float *want) {
    float *y = allocate(TOKENS * ROWS * sizeof *y);
    for (size_t row = 0, rows = 1; row < ROWS; row += rows, rows = ROWS - row < 9 ? ROWS - row : 9)
        multiply(c, p, row, rows, TOKENS, GUARD_AFTER, y);
    check_bytes(c, "y in parts of the rows", y, want, TOKENS * ROWS * sizeof *y);
    memcpy(y, want, TOKENS * ROWS * sizeof *y);
    memset(y, 0xa5, (size_t)16 * ROWS * sizeof *y);
    multiply(c, p, 0, ROWS, 16, GUARD_AFTER, y);
    check_bytes(c, "y of 16 tokens", y, want, TOKENS * ROWS * sizeof *y);
    free(y);
}

static void check_type(struct check *c, uint32_t type) {
    static const size_t blocks[] = { 1, 2, 5 };
    const size_t block = type_info(type)->block_values;
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        for (enum guard guard = 0; guard < GUARD_SIDES; guard++) {
            const size_t n = block > 1 ? blocks[i] * block : blocks[i] * 211;
            check_case(c, "%zu values", n);
            struct product p = make_product(c, type, n, guard);
            float *y = allocate(TOKENS * ROWS * sizeof *y);
            multiply(c, &p, 0, ROWS, TOKENS, guard, y);
            check_bound(c, &p, y);
            check_parts(c, &p, y);
            free(y);
            free_product(&p);
        }
}

/* ---- Time ---- */

struct timing {
    uint32_t type;
    const uint8_t *w;
    size_t row_bytes, n_rows;
    struct acts_bf16 acts;
    float *y;
};

static void multiply_again(const struct check *c, void *arg) {
    const struct timing *t = arg;
    c->got.matmul_bf16(t->type, t->w, t->row_bytes, t->n_rows, &t->acts, t->y, t->n_rows);
}

static void time_type(struct check *c, uint32_t type) {
    enum { N = 4096, TIMED_ROWS = 512, TIMED_TOKENS = 512 };
    struct timing t = { .type = type, .n_rows = TIMED_ROWS };
    type_bytes(type, N, &t.row_bytes);
    struct guarded w = guarded_alloc(TIMED_ROWS * t.row_bytes, GUARD_BEFORE);
    struct guarded x = guarded_alloc(acts_bf16_bytes(N, TIMED_TOKENS), GUARD_BEFORE);
    float *values = allocate(N * sizeof *values);
    fill_weights(type, w.data, TIMED_ROWS * (N / type_info(type)->block_values), QUANTS_AA, SCALES_USUAL,
                 &c->random);
    fill_values(values, N, VALUES_RANDOM, &c->random);
    t.acts = (struct acts_bf16){ N, TIMED_TOKENS, x.data };
    for (size_t i = 0; i < TIMED_TOKENS; i++)
        c->got.round_bf16(values, &t.acts, i);
    t.w = w.data;
    t.y = allocate((size_t)TIMED_ROWS * TIMED_TOKENS * sizeof *t.y);
    check_time(c, "512x4096, 512 tokens", multiply_again, &t, (double)(TIMED_ROWS * t.row_bytes),
               (double)N * TIMED_ROWS * TIMED_TOKENS);
    free(t.y);
    free(values);
    guarded_free(&x);
    guarded_free(&w);
}

void check_bf16(struct check *c) {
    for (uint32_t type = 0; c->got.matmul_bf16 && type < TYPE_COUNT; type++) {
        if (!c->want.matmul[type] || !check_begin(c, true, "matmul-bf16 %s", type_info(type)->name))
            continue;
        if (c->bench)
            time_type(c, type);
        else
            check_type(c, type);
        check_end(c);
    }
}
