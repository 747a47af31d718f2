/* quantize_check.c - activations to 8-bit blocks: the same bytes from every level.
 * SPDX-License-Identifier: MIT */
#include "tests/kernels/cases.h"
#include "tests/kernels/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const form_names[ACT_FORMS] = {
    [ACT_A32] = "A32", [ACT_A256_16] = "A256_16", [ACT_A256_32] = "A256_32"
};

/* Row 1 of 3 by both levels into memory of a pattern: the same bytes, and rows 0 and 2 untouched. */
static void check_row(struct check *c, enum act_form form, const float *x, size_t n) {
    const size_t bytes = acts_bytes(form, n, 3);
    struct guarded want_memory = guarded_alloc(bytes, GUARD_BEFORE),
                   got_memory = guarded_alloc(bytes, GUARD_BEFORE);
    struct acts want, got;
    memset(want_memory.data, 0xa5, bytes);
    memset(got_memory.data, 0xa5, bytes);
    acts_place(&want, form, n, 3, want_memory.data);
    acts_place(&got, form, n, 3, got_memory.data);
    c->want.quantize[form](x, &want, 1);
    c->got.quantize[form](x, &got, 1);
    const size_t n_d = n / (form == ACT_A32 ? 32 : 256);
    check_floats(c, "d", got.d, want.d, 3 * n_d);
    memcpy(got.d, want.d, 3 * n_d * sizeof *got.d); /* payloads of NaN may differ */
    check_bytes(c, "the arrays", got_memory.data, want_memory.data, bytes);
    guarded_free(&want_memory);
    guarded_free(&got_memory);
}

static void check_form(struct check *c, enum act_form form) {
    static const size_t blocks[] = { 1, 2, 3, 57 };
    const size_t block = form == ACT_A32 ? 32 : 256;
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        for (enum values v = 0; v < VALUES_STYLES; v++)
            for (size_t round = 0; round < 20; round++) {
                const size_t n = blocks[i] * block;
                struct guarded x = guarded_alloc(n * sizeof(float), round % 2 ? GUARD_AFTER : GUARD_BEFORE);
                check_case(c, "%zu values, %s", n, values_name(v));
                fill_values(x.data, n, v, &c->random);
                check_row(c, form, x.data, n);
                guarded_free(&x);
            }
}

struct timing {
    enum act_form form;
    const float *x;
    struct acts acts;
};

static void quantize_row(const struct check *c, void *arg) {
    const struct timing *t = arg;
    c->got.quantize[t->form](t->x, &t->acts, 0);
}

static void time_form(struct check *c, enum act_form form) {
    enum { N = 4096 };
    struct guarded x = guarded_alloc(N * sizeof(float), GUARD_BEFORE);
    struct guarded memory = guarded_alloc(acts_bytes(form, N, 1), GUARD_BEFORE);
    struct timing t = { .form = form, .x = x.data };
    fill_values(x.data, N, VALUES_RANDOM, &c->random);
    acts_place(&t.acts, form, N, 1, memory.data);
    check_time(c, "4096 values", quantize_row, &t, N * sizeof(float), 0);
    guarded_free(&x);
    guarded_free(&memory);
}

void check_quantize(struct check *c) {
    for (enum act_form form = ACT_A32; form <= ACT_A256_32; form++) /* ROW8: row8_check.c */
        if (check_begin(c, c->got.quantize[form] != c->want.quantize[form], "quantize %s",
                        form_names[form])) {
            if (c->bench)
                time_form(c, form);
            else
                check_form(c, form);
            check_end(c);
        }
}
