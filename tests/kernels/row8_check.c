/* row8_check.c - Q8_0 times activations with one scale per token: the same bits from every level.
 * SPDX-License-Identifier: MIT */
#include "tests/kernels/cases.h"
#include "tests/kernels/check.h"

#include "formats/blocks.h"
#include "tests/support.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Thresholds: no outliers; some, with values in [-1, 1) and one in 50 a hundred times larger; three in four;
 * nearly all. */
static const float thresholds[] = { 0, 6, 0.25f, FLT_MIN };
enum { N_THRESHOLDS = sizeof thresholds / sizeof *thresholds };

/* ---- Activations in guarded memory ---- */

struct row8_acts {
    struct acts acts;
    struct guarded q, d, sum, mask, x;
};

static struct row8_acts allocate_acts(size_t n, size_t n_tokens, enum guard guard) {
    const size_t values = n * n_tokens;
    struct row8_acts g = {
        .q = guarded_alloc(values, guard),
        .d = guarded_alloc(values / 32 * sizeof(float), guard),
        .sum = guarded_alloc(values / 32 * sizeof(int32_t), guard),
        .mask = guarded_alloc(values / 32 * sizeof(uint32_t), guard),
        .x = guarded_alloc(values * sizeof(float), guard),
    };
    g.acts = (struct acts){ .form = ACT_ROW8,
                            .n = n,
                            .n_tokens = n_tokens,
                            .x = g.x.data,
                            .q = g.q.data,
                            .d = g.d.data,
                            .sum = g.sum.data,
                            .mask = g.mask.data };
    return g;
}

static void free_acts(struct row8_acts *g) {
    guarded_free(&g->q);
    guarded_free(&g->d);
    guarded_free(&g->sum);
    guarded_free(&g->mask);
    guarded_free(&g->x);
}

/* ---- Quantize ---- */

/* Row 1 of 3 by both levels: the same bytes, and the others untouched. */
static void check_row(struct check *c, size_t n, enum values style, float threshold, enum guard guard) {
    struct row8_acts want = allocate_acts(n, 3, guard), got = allocate_acts(n, 3, guard);
    const size_t blocks = 3 * n / 32;
    struct row8_acts *both[] = { &want, &got };
    for (size_t i = 0; i < 2; i++) {
        both[i]->acts.outlier = threshold;
        memset(both[i]->q.data, 0xa5, 3 * n);
        memset(both[i]->d.data, 0xa5, blocks * sizeof(float));
        memset(both[i]->sum.data, 0xa5, blocks * sizeof(int32_t));
        memset(both[i]->mask.data, 0xa5, blocks * sizeof(uint32_t));
    }
    float *x = want.x.data;
    fill_values(x + 2 * n, n, style, &c->random);
    c->want.quantize[ACT_ROW8](x + 2 * n, &want.acts, 1);
    c->got.quantize[ACT_ROW8](x + 2 * n, &got.acts, 1);
    check_floats(c, "d", got.d.data, want.d.data, blocks);
    check_bytes(c, "q", got.q.data, want.q.data, 3 * n);
    check_bytes(c, "sum", got.sum.data, want.sum.data, blocks * sizeof(int32_t));
    check_bytes(c, "mask", got.mask.data, want.mask.data, blocks * sizeof(uint32_t));
    free_acts(&want);
    free_acts(&got);
}

static void check_quantize_row8(struct check *c) {
    static const size_t blocks[] = { 1, 2, 3, 57 };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        for (enum values v = 0; v < VALUES_STYLES; v++)
            for (size_t j = 0; j < GUARD_SIDES * N_THRESHOLDS; j++) {
                const float threshold = thresholds[j % N_THRESHOLDS];
                check_case(c, "%zu values, %s, outliers beyond %g", blocks[i] * 32, values_name(v),
                           (double)threshold);
                check_row(c, blocks[i] * 32, v, threshold, (enum guard)(j / N_THRESHOLDS));
            }
}

/* ---- Products ---- */

/* Everything that a product needs, and the scalar level's result [tokens][rows]. */
struct product {
    kernel_matmul *got;
    size_t n, row_bytes, n_rows, n_tokens;
    struct guarded w;
    enum guard guard;
    struct row8_acts acts;
    float *before, *want; /* y before and after */
};

/* What is in a product. */
struct contents {
    enum quants quants;
    enum scales scales;
    enum values values;
    float threshold;
};

/* Give all blocks of a row the scale of its first. */
static void make_uniform(uint8_t *w, size_t n_rows, size_t n_blocks) {
    struct block_q8_0 *b = (void *)w;
    for (size_t i = 0; i < n_rows * n_blocks; i++)
        memcpy(b[i].d, b[i / n_blocks * n_blocks].d, sizeof b[i].d);
}

/* W8A8, or with w8a8 false what outliers add to random outputs. */
static struct product make_product(struct check *c, bool w8a8, size_t n, size_t n_rows, size_t n_tokens,
                                   const struct contents *in, enum guard guard) {
    struct product p = { .got = w8a8 ? c->got.matmul_w8a8 : c->got.add_outliers,
                         .n = n,
                         .row_bytes = n / 32 * sizeof(struct block_q8_0),
                         .n_rows = n_rows,
                         .n_tokens = n_tokens,
                         .guard = guard };
    p.w = guarded_alloc(n_rows * p.row_bytes, guard);
    fill_weights(TYPE_Q8_0, p.w.data, n_rows * n / 32, in->quants, in->scales, &c->random);
    if (w8a8)
        make_uniform(p.w.data, n_rows, n / 32);
    p.acts = allocate_acts(n, n_tokens, guard);
    p.acts.acts.outlier = in->threshold;
    for (size_t t = 0; t < n_tokens; t++) {
        float *x = (float *)p.acts.x.data + t * n;
        fill_values(x, n, in->values, &c->random);
        c->want.quantize[ACT_ROW8](x, &p.acts.acts, t);
    }
    const size_t n_y = n_tokens * n_rows;
    p.before = allocate(n_y * sizeof *p.before);
    p.want = allocate(n_y * sizeof *p.want);
    fill_values(p.before, n_y, VALUES_RANDOM, &c->random);
    memcpy(p.want, p.before, n_y * sizeof *p.want);
    (w8a8 ? c->want.matmul_w8a8 : c->want.add_outliers)(p.w.data, p.row_bytes, n_rows, &p.acts.acts, p.want,
                                                        n_rows);
    return p;
}

static void free_product(struct product *p) {
    free_acts(&p->acts);
    guarded_free(&p->w);
    free(p->before);
    free(p->want);
}

/* rows x tokens of p by the level, at the guarded end of all arrays, into a buffer with gaps. */
static void check_part(struct check *c, const struct product *p, size_t rows, size_t tokens) {
    const size_t gap = 3, stride = rows + gap, n_y = (tokens - 1) * stride + rows;
    const size_t row = p->guard == GUARD_AFTER ? p->n_rows - rows : 0;
    const size_t token = p->guard == GUARD_AFTER ? p->n_tokens - tokens : 0;
    struct guarded memory = guarded_alloc(n_y * sizeof(float), p->guard);
    float *y = memory.data, pattern[3];
    memset(y, 0xa5, n_y * sizeof *y);
    memset(pattern, 0xa5, sizeof pattern);
    for (size_t t = 0; t < tokens; t++)
        memcpy(y + t * stride, p->before + (token + t) * p->n_rows + row, rows * sizeof *y);
    const struct acts acts = acts_of_tokens(&p->acts.acts, token, tokens);
    p->got((const uint8_t *)p->w.data + row * p->row_bytes, p->row_bytes, rows, &acts, y, stride);
    for (size_t t = 0; t < tokens; t++) {
        check_floats(c, "y", y + t * stride, p->want + (token + t) * p->n_rows + row, rows);
        if (t + 1 < tokens)
            check_bytes(c, "between two tokens of y", y + t * stride + rows, pattern, sizeof pattern);
    }
    guarded_free(&memory);
}

enum { MOST_ROWS = 67, MANY_ROWS = 261, MANY_TOKENS = 400 }; /* many: past the largest groups of both */

/* Around what kernels take at once. */
static bool is_edge(size_t i) { return i < 4 || i % 16 <= 1 || i == 7 || i == 45; }

static void check_shapes(struct check *c, bool w8a8) {
    static const size_t blocks[] = { 1, 2, 9, 33 };
    const struct contents contents = { QUANTS_RANDOM, SCALES_USUAL, VALUES_OUTLIERS, 6 };
    const size_t most_tokens = c->is_emulated ? 33 : 49;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        for (enum guard guard = 0; guard < GUARD_SIDES; guard++) {
            struct product p =
                make_product(c, w8a8, blocks[i] * 32, MOST_ROWS, most_tokens, &contents, guard);
            for (size_t rows = 1; rows <= MOST_ROWS; rows++)
                for (size_t tokens = 1; tokens <= most_tokens; tokens++) {
                    if (!is_edge(rows) || !is_edge(tokens))
                        continue;
                    check_case(c, "%zu values, %zu rows, %zu tokens", p.n, rows, tokens);
                    check_part(c, &p, rows, tokens);
                }
            free_product(&p);
        }
    static const size_t many[] = { 383, 384, 385, 389, 390, MANY_TOKENS };
    struct product p = make_product(c, w8a8, 96, MANY_ROWS, MANY_TOKENS, &contents, GUARD_AFTER);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        check_case(c, "96 values, %d rows, %zu tokens", MANY_ROWS, many[i]);
        check_part(c, &p, MANY_ROWS, many[i]);
    }
    free_product(&p);
}

static void check_contents(struct check *c, bool w8a8) {
    enum { ROWS = 9 };
    const size_t n = c->is_emulated ? 96 : 192, tokens = c->is_emulated ? 17 : 67;
    for (enum quants q = 0; q < QUANTS_STYLES; q++)
        for (enum scales s = 0; s < SCALES_STYLES; s++)
            for (enum values v = 0; v < VALUES_STYLES; v++) {
                const struct contents contents = {
                    q, s, v, thresholds[((size_t)q + (size_t)s + (size_t)v) % N_THRESHOLDS]
                };
                check_case(c, "quants %s, scales %s, activations %s, outliers beyond %g", quants_name(q),
                           scales_name(s), values_name(v), (double)contents.threshold);
                struct product p = make_product(c, w8a8, n, ROWS, tokens, &contents, GUARD_AFTER);
                check_part(c, &p, ROWS, tokens);
                check_part(c, &p, ROWS, 1);
                check_part(c, &p, ROWS, 2);
                free_product(&p);
            }
}

/* The longest row: sums at their bound, which wrap on the way where weights are made unsigned. */
static void check_longest(struct check *c) {
    const struct contents contents = { QUANTS_80, SCALES_USUAL, VALUES_EQUAL, 0 };
    struct product p = make_product(c, true, ROW8_MAX, 3, 17, &contents, GUARD_AFTER);
    check_case(c, "%d values", ROW8_MAX);
    check_part(c, &p, 3, 17);
    check_part(c, &p, 3, 1);
    free_product(&p);
}

/* ---- Time ---- */

struct timing {
    kernel_matmul *function;
    const uint8_t *w;
    size_t row_bytes, n_rows, n_matrices, i;
    struct acts acts;
    float *y;
};

static void multiply_next(const struct check *c, void *arg) {
    struct timing *t = arg;
    (void)c;
    const uint8_t *w = t->w + t->i++ % t->n_matrices * t->n_rows * t->row_bytes;
    t->function(w, t->row_bytes, t->n_rows, &t->acts, t->y, t->n_rows);
}

/* Rows that a worker takes of a layer, and as many tokens as a batch has. */
static void time_product(struct check *c, kernel_matmul *function, float threshold) {
    enum { N = 4096, ROWS = 256, TOKENS = 512 };
    static const size_t tokens[] = { 1, 64, TOKENS };
    struct timing t = { .function = function,
                        .row_bytes = N / 32 * sizeof(struct block_q8_0),
                        .n_rows = ROWS,
                        .n_matrices = 240 };
    uint8_t *w = allocate(t.n_matrices * ROWS * t.row_bytes);
    fill_weights(TYPE_Q8_0, w, t.n_matrices * ROWS * (N / 32), QUANTS_AA, SCALES_USUAL, &c->random);
    make_uniform(w, t.n_matrices * ROWS, N / 32);
    struct row8_acts acts = allocate_acts(N, TOKENS, GUARD_BEFORE);
    acts.acts.outlier = threshold;
    fill_values(acts.x.data, N, VALUES_RANDOM, &c->random);
    for (size_t i = 0; threshold > 0 && i < 20; i++) /* columns of outliers */
        ((float *)acts.x.data)[i * 201] = 10;
    for (size_t i = 0; i < TOKENS; i++) {
        memcpy((float *)acts.x.data + i * N, acts.x.data, N * sizeof(float));
        c->want.quantize[ACT_ROW8](acts.x.data, &acts.acts, i);
    }
    t.w = w;
    t.y = allocate((size_t)ROWS * TOKENS * sizeof *t.y);
    memset(t.y, 0, (size_t)ROWS * TOKENS * sizeof *t.y);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        char shape[64];
        snprintf(shape, sizeof shape, "%dx%d, %zu token%s", ROWS, N, tokens[i], tokens[i] > 1 ? "s" : "");
        t.acts = acts_of_tokens(&acts.acts, 0, tokens[i]);
        check_time(c, shape, multiply_next, &t, threshold > 0 ? 0 : (double)(ROWS * t.row_bytes),
                   threshold > 0 ? 20. * ROWS * (double)tokens[i] : (double)N * ROWS * (double)tokens[i]);
    }
    free_acts(&acts);
    free(t.y);
    free(w);
}

struct quantizing {
    const float *x;
    struct acts acts;
};

static void quantize_row(const struct check *c, void *arg) {
    const struct quantizing *q = arg;
    c->got.quantize[ACT_ROW8](q->x, &q->acts, 0);
}

static void time_quantize(struct check *c) {
    enum { N = 4096 };
    struct row8_acts acts = allocate_acts(N, 1, GUARD_BEFORE);
    acts.acts.outlier = 6;
    fill_values(acts.x.data, N, VALUES_OUTLIERS, &c->random);
    struct quantizing q = { acts.x.data, acts.acts };
    check_time(c, "4096 values", quantize_row, &q, N * sizeof(float), 0);
    free_acts(&acts);
}

void check_row8(struct check *c) {
    if (check_begin(c, c->got.quantize[ACT_ROW8] != c->want.quantize[ACT_ROW8], "quantize ROW8")) {
        if (c->bench)
            time_quantize(c);
        else
            check_quantize_row8(c);
        check_end(c);
    }
    if (check_begin(c, c->got.matmul_w8a8 != c->want.matmul_w8a8, "matmul W8A8")) {
        if (c->bench) {
            time_product(c, c->got.matmul_w8a8, 0);
        } else {
            check_shapes(c, true);
            check_contents(c, true);
            if (!c->is_emulated)
                check_longest(c);
        }
        check_end(c);
    }
    if (check_begin(c, c->got.add_outliers != c->want.add_outliers, "outliers Q8_0")) {
        if (c->bench) {
            time_product(c, c->got.add_outliers, 6);
        } else {
            check_shapes(c, false);
            check_contents(c, false);
        }
        check_end(c);
    }
}
