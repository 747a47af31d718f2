/* matmul_check.c - matrix products of every weight type, in all shapes and with extreme contents.
 * SPDX-License-Identifier: MIT
 * The scalar product of the largest shape is computed once; a kernel must give a part of it whatever the
 * shape it is called with, because no output depends on another. */
#include "tests/kernels/cases.h"
#include "tests/kernels/check.h"

#include "formats/types.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Activations in guarded memory ---- */

struct guarded_acts {
    struct acts acts;
    struct guarded arrays[6];
    size_t n_arrays;
};

/* An array of its own guarded memory, or NULL as in `like`. */
static void *guard_array(struct guarded_acts *g, const void *like, size_t bytes, enum guard guard) {
    if (!like)
        return NULL;
    struct guarded *array = &g->arrays[g->n_arrays++];
    *array = guarded_alloc(bytes, guard);
    return array->data;
}

/* x [n_tokens][n] as the scalar level quantizes it. */
static struct guarded_acts make_acts(const struct check *c, enum act_form form, const float *x, size_t n,
                                     size_t n_tokens, enum guard guard) {
    static uint8_t any[64];
    struct guarded_acts g = { .n_arrays = 0 };
    struct acts *a = &g.acts, like;
    acts_place(&like, form, n, n_tokens, any); /* only for which arrays the form has */
    const size_t values = n * n_tokens;
    *a = (struct acts){ .form = form, .n = n, .n_tokens = n_tokens };
    if (form == ACT_F32) {
        float *copy = guard_array(&g, x, values * sizeof *x, guard);
        memcpy(copy, x, values * sizeof *x);
        a->x = copy;
        return g;
    }
    a->q = guard_array(&g, like.q, values, guard);
    a->d = guard_array(&g, like.d, values / (form == ACT_A32 ? 32 : 256) * sizeof *a->d, guard);
    a->sum = guard_array(&g, like.sum, values / 32 * sizeof *a->sum, guard);
    a->a = guard_array(&g, like.a, values / (form == ACT_A256_16 ? 16 : 32), guard);
    a->g16 = guard_array(&g, like.g16, values / 16 * sizeof *a->g16, guard);
    a->g32 = guard_array(&g, like.g32, values / 32 * sizeof *a->g32, guard);
    for (size_t t = 0; t < n_tokens; t++)
        c->want.quantize[form](x + t * n, a, t);
    return g;
}

static void free_acts(struct guarded_acts *g) {
    for (size_t i = 0; i < g->n_arrays; i++)
        guarded_free(&g->arrays[i]);
}

/* ---- One product ---- */

/* A matrix, tokens, and the scalar product of all of them, [tokens][rows]. */
struct product {
    uint32_t type;
    size_t n, row_bytes, n_rows, n_tokens;
    struct guarded w;
    enum guard guard;
    struct guarded_acts acts;
    float *want;
};

/* n values in n_rows rows and n_tokens tokens of the given styles. */
static struct product make_product(struct check *c, uint32_t type, size_t n, size_t n_rows, size_t n_tokens,
                                   enum quants quants, enum scales scales, enum values values,
                                   enum guard guard) {
    struct product p = { .type = type, .n = n, .n_rows = n_rows, .n_tokens = n_tokens, .guard = guard };
    const struct type_info *info = type_info(type);
    p.row_bytes = n / info->block_values * info->block_bytes;
    p.w = guarded_alloc(n_rows * p.row_bytes, guard);
    fill_weights(type, p.w.data, n_rows * n / info->block_values, quants, scales, &c->random);
    float *x = allocate(n_tokens * n * sizeof *x);
    for (size_t t = 0; t < n_tokens; t++)
        fill_values(x + t * n, n, values, &c->random);
    p.acts = make_acts(c, act_form_of(type), x, n, n_tokens, guard);
    p.want = allocate(n_tokens * n_rows * sizeof *p.want);
    c->want.matmul[type](p.w.data, p.row_bytes, n_rows, &p.acts.acts, p.want, n_rows);
    free(x);
    return p;
}

static void free_product(struct product *p) {
    free_acts(&p->acts);
    guarded_free(&p->w);
    free(p->want);
}

/* Arrange acts as the level wants it, in guarded memory. */
static struct guarded arrange(const struct check *c, struct acts *acts, enum guard guard) {
    struct guarded memory = { .data = NULL };
    acts->tiles = NULL;
    if (!c->got.arrange[acts->form] || (acts->n_tokens < ACTS_TILED && !c->is_emulated))
        return memory;
    memory = guarded_alloc(acts_tile_bytes(acts->form, acts->n, acts->n_tokens), guard);
    acts->tiles = memory.data;
    for (size_t t = 0; t < acts->n_tokens; t++)
        c->got.arrange[acts->form](acts, t);
    return memory;
}

/* rows x tokens of p by the level, at the guarded end of all arrays, into a buffer of a pattern. */
static void check_part(struct check *c, const struct product *p, size_t rows, size_t tokens) {
    const size_t gap = 3, stride = rows + gap, n_y = (tokens - 1) * stride + rows;
    const size_t row = p->guard == GUARD_AFTER ? p->n_rows - rows : 0;
    const size_t token = p->guard == GUARD_AFTER ? p->n_tokens - tokens : 0;
    struct guarded memory = guarded_alloc(n_y * sizeof(float), p->guard);
    float *y = memory.data, pattern[3];
    memset(y, 0xa5, n_y * sizeof *y);
    memset(pattern, 0xa5, sizeof pattern);
    struct acts acts = acts_of_tokens(&p->acts.acts, token, tokens);
    struct guarded tiles = arrange(c, &acts, p->guard);
    c->got.matmul[p->type]((const uint8_t *)p->w.data + row * p->row_bytes, p->row_bytes, rows, &acts, y,
                           stride);
    for (size_t t = 0; t < tokens; t++) {
        check_floats(c, "y", y + t * stride, p->want + (token + t) * p->n_rows + row, rows);
        if (t + 1 < tokens)
            check_bytes(c, "between two tokens of y", y + t * stride + rows, pattern, sizeof pattern);
    }
    guarded_free(&memory);
    if (tiles.data)
        guarded_free(&tiles);
}

/* ---- Checks of a type ---- */

enum { MOST_ROWS = 33, MOST_TOKENS = 64 };

/* Whether a shape is checked: all rows with few tokens; with more only what is around a multiple of 16, which
 * kernels take at once. Quick: no rows either but around a multiple of 8, and of contents one in four. */
static bool is_checked(const struct check *c, size_t rows, size_t tokens) {
    const bool is_edge = tokens % 16 <= 1 || tokens == 45;
    if (c->is_quick && (rows % 8 > 1 || (c->is_emulated && tokens > 33 && tokens != MOST_TOKENS)))
        return false;
    return c->is_emulated ? is_edge && rows % 16 <= 1 : is_edge || tokens < 16;
}

static void check_shapes(struct check *c, uint32_t type) {
    const size_t most = c->is_quick ? 17 : 57, blocks[] = { 1, 2, 3, most };
    const size_t block = type_info(type)->block_values;
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        for (enum guard guard = 0; guard < GUARD_SIDES; guard++) {
            if (c->is_emulated && blocks[i] * block > 57 * 32)
                continue;
            /* Floats have no blocks: lengths of 15, 14, 13 and 1 mod 16. */
            const size_t n = block > 1 ? blocks[i] * block : (blocks[i] == most ? 1057 : blocks[i] * 15);
            struct product p = make_product(c, type, n, MOST_ROWS, MOST_TOKENS, QUANTS_RANDOM, SCALES_USUAL,
                                            VALUES_OUTLIERS, guard);
            for (size_t rows = 1; rows <= MOST_ROWS; rows++)
                for (size_t tokens = 1; tokens <= MOST_TOKENS; tokens++) {
                    if (!is_checked(c, rows, tokens))
                        continue;
                    check_case(c, "%zu values, %zu rows, %zu tokens", n, rows, tokens);
                    check_part(c, &p, rows, tokens);
                }
            free_product(&p);
        }
}

/* More rows and tokens than any kernel takes at once, and tokens around the 259 that avx512 takes, which has
 * the last seven of a few more begin earlier. */
static void check_many(struct check *c, uint32_t type) {
    static const struct {
        size_t rows, tokens;
    } shapes[] = { { 261, 17 }, { 165, 545 }, { 33, 259 }, { 33, 260 }, { 33, 265 } };
    const size_t block = type_info(type)->block_values, n = block > 1 ? block : 33;
    const size_t rows = c->is_quick ? 33 : 261, tokens = c->is_quick ? 265 : 545;
    struct product p =
        make_product(c, type, n, rows, tokens, QUANTS_RANDOM, SCALES_USUAL, VALUES_OUTLIERS, GUARD_AFTER);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (shapes[i].rows > rows || shapes[i].tokens > tokens)
            continue;
        check_case(c, "%zu values, %zu rows, %zu tokens", n, shapes[i].rows, shapes[i].tokens);
        check_part(c, &p, shapes[i].rows, shapes[i].tokens);
    }
    free_product(&p);
}

static void check_contents(struct check *c, uint32_t type) {
    enum { BLOCKS = 3, ROWS = 9 };
    /* As many as the panels and tiles of every level want (avx512 8, amx 128), and some left over. */
    const size_t tokens = c->is_emulated ? 5 : c->is_tiled ? 131 : 12;
    const size_t n = type_info(type)->block_values > 1 ? BLOCKS * type_info(type)->block_values : 83;
    for (enum quants q = 0; q < QUANTS_STYLES; q++)
        for (enum scales s = 0; s < SCALES_STYLES; s++)
            for (enum values v = 0; v < VALUES_STYLES; v++) {
                if (c->is_quick && ((size_t)q + (size_t)s + (size_t)v) % 4)
                    continue;
                check_case(c, "quants %s, scales %s, activations %s", quants_name(q), scales_name(s),
                           values_name(v));
                struct product p = make_product(c, type, n, ROWS, tokens, q, s, v, GUARD_AFTER);
                check_part(c, &p, ROWS, tokens);
                if (!c->is_emulated) {
                    check_part(c, &p, ROWS, 1);
                    check_part(c, &p, ROWS, 2);
                }
                free_product(&p);
            }
}

/* ---- Time ---- */

/* Matrices that follow each other in memory, together larger than caches. */
struct timing {
    uint32_t type;
    const uint8_t *w;
    size_t row_bytes, n_rows, n_matrices, i;
    struct acts acts;
    float *y;
};

static void multiply_next(const struct check *c, void *arg) {
    struct timing *t = arg;
    const uint8_t *w = t->w + t->i++ % t->n_matrices * t->n_rows * t->row_bytes;
    c->got.matmul[t->type](w, t->row_bytes, t->n_rows, &t->acts, t->y, t->n_rows);
}

static void time_type(struct check *c, uint32_t type) {
    enum { N = 8192, ROWS = 2048, TIMED_TOKENS = 512 };
    static const size_t tokens[] = { 1, 4, 16, 64, TIMED_TOKENS };
    const double least_bytes = 256e6; /* cold by size */
    struct timing t = { .type = type, .n_rows = ROWS };
    float *x = allocate((size_t)N * TIMED_TOKENS * sizeof *x);
    type_bytes(type, N, &t.row_bytes);
    t.n_matrices = (size_t)(least_bytes / (double)(ROWS * t.row_bytes)) + 1;
    uint8_t *w = allocate(t.n_matrices * ROWS * t.row_bytes);
    fill_weights(type, w, t.n_matrices * ROWS * (N / type_info(type)->block_values), QUANTS_AA, SCALES_USUAL,
                 &c->random);
    fill_values(x, (size_t)N * TIMED_TOKENS, VALUES_RANDOM, &c->random);
    struct guarded_acts acts = make_acts(c, act_form_of(type), x, N, TIMED_TOKENS, GUARD_BEFORE);
    t.w = w;
    t.y = allocate((size_t)ROWS * TIMED_TOKENS * sizeof *t.y);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        char shape[64];
        snprintf(shape, sizeof shape, "2048x8192, %zu token%s", tokens[i], tokens[i] > 1 ? "s" : "");
        t.acts = acts_of_tokens(&acts.acts, 0, tokens[i]);
        struct guarded tiles = arrange(c, &t.acts, GUARD_BEFORE);
        check_time(c, shape, multiply_next, &t, (double)(ROWS * t.row_bytes),
                   (double)N * ROWS * (double)tokens[i]);
        if (tiles.data)
            guarded_free(&tiles);
    }
    free_acts(&acts);
    free(t.y);
    free(w);
    free(x);
}

/* What the machine can read, for comparison: one word of each cache line, which moves the whole line, of
 * memory as large as the matrices. */
struct reading {
    const uint64_t *p;
    size_t n;
    uint64_t sum;
};

static void read_all(const struct check *c, void *arg) {
    (void)c;
    enum { LINE = 64 / sizeof(uint64_t), STREAMS = 4 };
    struct reading *r = arg;
    uint64_t s[STREAMS] = { r->sum };
    const size_t part = r->n / STREAMS;
    for (size_t i = 0; i < part; i += LINE)
        for (size_t j = 0; j < STREAMS; j++)
            s[j] += r->p[j * part + i];
    r->sum = s[0] + s[1] + s[2] + s[3];
}

static void time_reading(struct check *c) {
    enum { BYTES = 256 << 20 };
    struct reading r = { allocate(BYTES), BYTES / sizeof(uint64_t), 0 };
    memset((void *)(uintptr_t)r.p, 1, BYTES);
    check_time(c, "256 MB, 1 thread", read_all, &r, BYTES, 0);
    free((void *)(uintptr_t)r.p);
}

void check_matmul(struct check *c) {
    if (c->bench && check_begin(c, true, "memory")) {
        time_reading(c);
        check_end(c);
    }
    for (uint32_t type = 0; type < TYPE_COUNT; type++) {
        if (!c->want.matmul[type] ||
            !check_begin(c, c->got.matmul[type] != c->want.matmul[type], "matmul %s", type_info(type)->name))
            continue;
        if (c->bench) {
            time_type(c, type);
        } else {
            check_shapes(c, type);
            if (!c->is_emulated)
                check_many(c, type);
            check_contents(c, type);
        }
        check_end(c);
    }
}
