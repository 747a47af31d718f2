/* elementwise_check.c - norm, activation functions, softmax and rotation: the same bits from every level.
 * SPDX-License-Identifier: MIT */
#include "tests/kernels/cases.h"
#include "tests/kernels/check.h"

#include <stdio.h>
#include <string.h>

/* One way to call one function: a, b and y are [n]; what is written is in y or a. */
typedef void run_op(const struct kernels *k, float *a, float *b, float *y, size_t n);

static void run_rms_norm(const struct kernels *k, float *a, float *b, float *y, size_t n) {
    k->rms_norm(a, b, 1e-5f, y, n);
}

static void run_rms_norm_in_place(const struct kernels *k, float *a, float *b, float *y, size_t n) {
    (void)y;
    k->rms_norm(a, b, 1e-5f, a, n);
}

static void run_add(const struct kernels *k, float *a, float *b, float *y, size_t n) {
    (void)y;
    k->add(a, b, n);
}

static void run_add_scaled(const struct kernels *k, float *a, float *b, float *y, size_t n) {
    (void)y;
    k->add_scaled(a, b, 0.37f, n);
}

static void run_silu_mul(const struct kernels *k, float *a, float *b, float *y, size_t n) {
    k->silu_mul(a, b, y, n);
}

static void run_silu_mul_into_gate(const struct kernels *k, float *a, float *b, float *y, size_t n) {
    (void)y;
    k->silu_mul(a, b, a, n);
}

static void run_silu_mul_into_up(const struct kernels *k, float *a, float *b, float *y, size_t n) {
    (void)y;
    k->silu_mul(a, b, b, n);
}

static void run_softmax(const struct kernels *k, float *a, float *b, float *y, size_t n) {
    (void)b, (void)y;
    k->softmax(a, n);
}

static void run_rope_pairs(const struct kernels *k, float *a, float *b, float *y, size_t n) {
    (void)y;
    k->rope_pairs(a, b, n);
}

struct op {
    const char *name;
    size_t entry; /* offset in struct kernels */
    run_op *run;
    size_t step; /* n is a multiple of it */
};

static const struct op ops[] = {
    { "rms_norm", offsetof(struct kernels, rms_norm), run_rms_norm, 1 },
    { "rms_norm in place", offsetof(struct kernels, rms_norm), run_rms_norm_in_place, 1 },
    { "add", offsetof(struct kernels, add), run_add, 1 },
    { "add_scaled", offsetof(struct kernels, add_scaled), run_add_scaled, 1 },
    { "silu_mul", offsetof(struct kernels, silu_mul), run_silu_mul, 1 },
    { "silu_mul into gate", offsetof(struct kernels, silu_mul), run_silu_mul_into_gate, 1 },
    { "silu_mul into up", offsetof(struct kernels, silu_mul), run_silu_mul_into_up, 1 },
    { "softmax", offsetof(struct kernels, softmax), run_softmax, 1 },
    { "rope_pairs", offsetof(struct kernels, rope_pairs), run_rope_pairs, 2 },
};

static bool differs(const struct check *c, const struct op *op) {
    return memcmp((const char *)&c->got + op->entry, (const char *)&c->want + op->entry,
                  sizeof(void (*)(void)));
}

/* All three arrays after a call by both levels; a guard on either side shows reads and writes outside. */
static void check_call(struct check *c, const struct op *op, size_t n, enum values style, enum guard guard) {
    struct guarded got[3], want[3];
    for (size_t i = 0; i < 3; i++) {
        got[i] = guarded_alloc(n * sizeof(float), guard);
        want[i] = guarded_alloc(n * sizeof(float), guard);
        fill_values(got[i].data, n, i == 1 ? VALUES_OUTLIERS : style, &c->random);
        memcpy(want[i].data, got[i].data, n * sizeof(float));
    }
    op->run(&c->got, got[0].data, got[1].data, got[2].data, n);
    op->run(&c->want, want[0].data, want[1].data, want[2].data, n);
    for (size_t i = 0; i < 3; i++) {
        static const char *const names[3] = { "a", "b", "y" };
        check_floats(c, names[i], got[i].data, want[i].data, n);
        guarded_free(&got[i]);
        guarded_free(&want[i]);
    }
}

static void check_op(struct check *c, const struct op *op) {
    for (size_t n = op->step; n < 1200; n += n < 70 ? op->step : 151 * op->step)
        for (enum values v = 0; v < VALUES_STYLES; v++)
            for (enum guard guard = 0; guard < GUARD_SIDES; guard++) {
                check_case(c, "%zu values, %s", n, values_name(v));
                check_call(c, op, n, v, guard);
            }
}

struct timing {
    const struct op *op;
    float *a, *b, *y;
    size_t n;
};

static void run_once(const struct check *c, void *arg) {
    const struct timing *t = arg;
    t->op->run(&c->got, t->a, t->b, t->y, t->n);
}

static void time_op(struct check *c, const struct op *op) {
    enum { N = 4096 };
    static float arrays[3][N];
    for (size_t i = 0; i < 3; i++)
        fill_values(arrays[i], N, i == 1 ? VALUES_ZERO : VALUES_RANDOM, &c->random); /* sums must not grow */
    struct timing t = { op, arrays[0], arrays[1], arrays[2], N };
    check_time(c, "4096 values", run_once, &t, N * sizeof(float), 0);
}

void check_elementwise(struct check *c) {
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (check_begin(c, differs(c, &ops[i]), "%s", ops[i].name)) {
            if (c->bench)
                time_op(c, &ops[i]);
            else
                check_op(c, &ops[i]);
            check_end(c);
        }
}
