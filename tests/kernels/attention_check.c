/* attention_check.c - the cache, scores, running softmax and weighted values: the same bits from every level.
 * SPDX-License-Identifier: MIT */
#include "tests/kernels/cases.h"
#include "tests/kernels/check.h"

#include "formats/types.h"
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct cache_info {
    const char *name;
    uint32_t tensor_type; /* of a row of values */
};

static const struct cache_info caches[CACHE_TYPES] = {
    [CACHE_F32] = { "F32", TYPE_F32 },    [CACHE_F16] = { "F16", TYPE_F16 },
    [CACHE_BF16] = { "BF16", TYPE_BF16 }, [CACHE_Q8_0] = { "Q8_0", TYPE_Q8_0 },
    [CACHE_Q4_0] = { "Q4_0", TYPE_Q4_0 },
};
static const size_t head_dims[] = { 1, 7, 8, 20, 32, 64, 72, 80, 96, 128, 160, 192, 256, 264, 320 };

enum { N_HEAD_DIMS = sizeof head_dims / sizeof head_dims[0] };

/* Which of them are next: all, or when it has to be quick some. */
static size_t dims_step(const struct check *c) { return c->is_quick ? 3 : 1; }

/* Random cache contents of n values. A tile of keys in blocks has its scales behind the quants, not among
 * them. */
static void fill_cache(struct check *c, enum cache_type cache, bool is_keys, size_t head_dim, uint8_t *p,
                       size_t n, enum scales style) {
    if (cache_block(cache) == 1 || !is_keys) {
        fill_weights(caches[cache].tensor_type, p, n / cache_block(cache), QUANTS_RANDOM, style, &c->random);
        return;
    }
    const size_t tile_values = head_dim * ATTN_TILE, tile_bytes = cache_bytes(cache, tile_values);
    const size_t quants_bytes = tile_bytes - head_dim;
    for (size_t i = 0; i < n / tile_values; i++, p += tile_bytes) {
        for (size_t j = 0; j < quants_bytes; j++) {
            p[j] = (uint8_t)support_random(&c->random);
            if (cache == CACHE_Q8_0 && p[j] == 0x80) /* -128, which no kernel stores */
                p[j] = 0;
        }
        fill_weights(TYPE_F16, p + quants_bytes, head_dim / 2, QUANTS_ZEROS, style, &c->random);
    }
}

/* Cached values by content, so that NaN equals NaN. */
static void check_cached(struct check *c, uint32_t type, const void *got, const void *want, size_t n) {
    float g[8192], w[8192];
    const struct type_info *info = type_info(type);
    info->decode(got, g, n / info->block_values);
    info->decode(want, w, n / info->block_values);
    check_floats(c, "cache", g, w, n);
}

static void check_tile(struct check *c, enum cache_type cache, const uint8_t *got, const uint8_t *want,
                       size_t head_dim) {
    const size_t quants_bytes = cache_bytes(cache, head_dim * ATTN_TILE) - head_dim;
    if (cache_block(cache) == 1) {
        check_cached(c, caches[cache].tensor_type, got, want, head_dim * ATTN_TILE);
        return;
    }
    check_bytes(c, "quants", got, want, quants_bytes);
    check_cached(c, TYPE_F16, got + quants_bytes, want + quants_bytes, head_dim / 2);
}

/* ---- Store ---- */

static void check_store_key(struct check *c, enum cache_type cache) {
    for (size_t i = 0; i < N_HEAD_DIMS; i += dims_step(c))
        for (enum values v = 0; v < VALUES_STYLES && head_dims[i] % cache_block(cache) == 0; v++)
            for (size_t lane = 0; lane < ATTN_TILE; lane++) {
                const size_t dim = head_dims[i], bytes = cache_bytes(cache, dim * ATTN_TILE);
                struct guarded k = guarded_alloc(dim * sizeof(float), GUARD_AFTER);
                struct guarded got = guarded_alloc(bytes, lane % 2), want = guarded_alloc(bytes, GUARD_AFTER);
                check_case(c, "head_dim %zu, lane %zu, %s", dim, lane, values_name(v));
                fill_values(k.data, dim, v, &c->random);
                memset(got.data, 0x25, bytes); /* a number in both types */
                memset(want.data, 0x25, bytes);
                c->got.store_key[cache](k.data, dim, got.data, lane);
                c->want.store_key[cache](k.data, dim, want.data, lane);
                check_tile(c, cache, got.data, want.data, dim);
                guarded_free(&k);
                guarded_free(&got);
                guarded_free(&want);
            }
}

static void check_store_value(struct check *c, enum cache_type cache) {
    for (size_t dim = cache_block(cache); dim <= 260; dim += cache_block(cache))
        for (enum values v = 0; v < VALUES_STYLES; v++) {
            struct guarded x = guarded_alloc(dim * sizeof(float), dim % 2);
            struct guarded got = guarded_alloc(cache_bytes(cache, dim), dim % 2);
            struct guarded want = guarded_alloc(cache_bytes(cache, dim), GUARD_AFTER);
            check_case(c, "head_dim %zu, %s", dim, values_name(v));
            fill_values(x.data, dim, v, &c->random);
            c->got.store_value[cache](x.data, dim, got.data);
            c->want.store_value[cache](x.data, dim, want.data);
            check_cached(c, caches[cache].tensor_type, got.data, want.data, dim);
            guarded_free(&x);
            guarded_free(&got);
            guarded_free(&want);
        }
}

/* ---- Queries and the positions they see ---- */

/* Numbers of queries: every size of a group, and blocks that are converted to panels. */
static const size_t query_counts[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 31 };

enum { N_QUERY_COUNTS = sizeof query_counts / sizeof query_counts[0] };

static size_t counts_step(const struct check *c) { return c->is_quick ? 4 : 1; }

enum spans { SPANS_ALL, SPANS_CAUSAL, SPANS_WINDOW, SPANS_RANDOM, SPANS_STYLES };

static const char *const spans_names[SPANS_STYLES] = { "all", "causal", "window", "random" };

/* Spans as n queries of two heads each have them, or any. */
static void fill_spans(struct check *c, struct attn_span *spans, size_t n, enum spans style) {
    const size_t first = support_random(&c->random) % (ATTN_BLOCK - 20);
    for (size_t i = 0; i < n; i++) {
        size_t begin = 0, end = ATTN_BLOCK;
        if (style == SPANS_CAUSAL || style == SPANS_WINDOW)
            end = first + i / 2 + 1;
        if (style == SPANS_WINDOW)
            begin = end > 5 ? end - 5 : 0;
        if (style == SPANS_RANDOM) {
            begin = support_random(&c->random) % ATTN_BLOCK;
            end = begin + 1 + support_random(&c->random) % (ATTN_BLOCK - begin);
        }
        spans[i] = (struct attn_span){ (uint8_t)begin, (uint8_t)end };
    }
}

/* n queries in the form of a cache; memory [acts_bytes] for forms that have arrays of their own. */
static struct acts make_queries(struct check *c, enum cache_type cache, const float *x, size_t head_dim,
                                size_t n, void *memory) {
    struct acts q;
    const enum act_form form = cache_query_form(cache);
    acts_place(&q, form, head_dim, n, memory);
    if (form == ACT_F32)
        q.x = x;
    for (size_t i = 0; i < n && form != ACT_F32; i++)
        c->want.quantize[form](x + i * head_dim, &q, i);
    return q;
}

/* ---- Scores ---- */

static void check_scores_case(struct check *c, enum cache_type cache, size_t dim, size_t n_tiles, size_t n) {
    const size_t n_scores = (n - 1) * ATTN_BLOCK + n_tiles * ATTN_TILE;
    const enum guard guard = n_tiles % 2;
    const enum scales style = (enum scales)(support_random(&c->random) % SCALES_STYLES);
    const enum values values = support_random(&c->random) % 4 ? VALUES_RANDOM : VALUES_ONE_NAN;
    struct guarded x = guarded_alloc(n * dim * sizeof(float), guard);
    struct guarded memory = guarded_alloc(acts_bytes(ACT_A32, (dim + 31) / 32 * 32, n), guard);
    struct guarded tiles = guarded_alloc(cache_bytes(cache, n_tiles * ATTN_TILE * dim), guard);
    struct guarded got = guarded_alloc(n_scores * sizeof(float), guard);
    struct guarded want = guarded_alloc(n_scores * sizeof(float), guard);
    check_case(c, "%zu queries %s, head_dim %zu, %zu tiles, keys %s", n, values_name(values), dim, n_tiles,
               scales_name(style));
    fill_values(x.data, n * dim, values, &c->random);
    fill_cache(c, cache, true, dim, tiles.data, n_tiles * ATTN_TILE * dim, style);
    fill_values(got.data, n_scores, VALUES_RANDOM, &c->random); /* what lies between rows stays */
    memcpy(want.data, got.data, n_scores * sizeof(float));
    const struct acts q = make_queries(c, cache, x.data, dim, n, memory.data);
    c->got.attn_scores[cache](&q, tiles.data, n_tiles, got.data);
    c->want.attn_scores[cache](&q, tiles.data, n_tiles, want.data);
    check_floats(c, "s", got.data, want.data, n_scores);
    guarded_free(&x);
    guarded_free(&memory);
    guarded_free(&tiles);
    guarded_free(&got);
    guarded_free(&want);
}

static void check_scores(struct check *c, enum cache_type cache) {
    for (size_t i = 0; i < N_HEAD_DIMS; i += dims_step(c))
        for (size_t n_tiles = 1; n_tiles <= ATTN_BLOCK / ATTN_TILE; n_tiles++)
            for (size_t j = 0; j < N_QUERY_COUNTS && head_dims[i] % cache_block(cache) == 0;
                 j += counts_step(c))
                check_scores_case(c, cache, head_dims[i], n_tiles, query_counts[j]);
}

/* ---- Softmax ---- */

/* Scores that make every branch happen: the old maximum m far below, near, or above those of the block. */
static void check_softmax_case(struct check *c, size_t n, enum spans spans_style, enum values style,
                               size_t dim) {
    enum { MOST = 31 };
    static const float maxima[] = { -INFINITY, -1, 0, 5 };
    struct guarded got = guarded_alloc(n * ATTN_BLOCK * sizeof(float), GUARD_AFTER);
    struct guarded want = guarded_alloc(n * ATTN_BLOCK * sizeof(float), GUARD_AFTER);
    struct guarded got_o = guarded_alloc(n * dim * sizeof(float), GUARD_AFTER);
    struct guarded want_o = guarded_alloc(n * dim * sizeof(float), GUARD_AFTER);
    struct attn_softmax got_states[MOST], want_states[MOST];
    struct attn_span spans[MOST];
    fill_spans(c, spans, n, spans_style);
    fill_values(got.data, n * ATTN_BLOCK, style, &c->random);
    fill_values(got_o.data, n * dim, VALUES_RANDOM, &c->random);
    for (size_t i = 0; i < n; i++) {
        got_states[i].m = maxima[support_random(&c->random) % 4];
        for (size_t l = 0; l < 16; l++)
            got_states[i].l[l] = got_states[i].m == -INFINITY ? 0 : (float)l / 3;
    }
    memcpy(want_states, got_states, n * sizeof *got_states);
    memcpy(want.data, got.data, n * ATTN_BLOCK * sizeof(float));
    memcpy(want_o.data, got_o.data, n * dim * sizeof(float));
    c->got.attn_softmax(got.data, spans, n, got_states, got_o.data, dim);
    c->want.attn_softmax(want.data, spans, n, want_states, want_o.data, dim);
    check_floats(c, "s", got.data, want.data, n * ATTN_BLOCK);
    check_floats(c, "o", got_o.data, want_o.data, n * dim);
    check_floats(c, "m and l", &got_states->m, &want_states->m, n * sizeof *got_states / sizeof(float));
    guarded_free(&got);
    guarded_free(&want);
    guarded_free(&got_o);
    guarded_free(&want_o);
}

static void check_softmax(struct check *c) {
    for (size_t repeat = 0; repeat < 5; repeat++)
        for (size_t j = 0; j < N_QUERY_COUNTS; j++)
            for (enum spans spans = 0; spans < SPANS_STYLES; spans++)
                for (enum values v = 0; v < VALUES_STYLES; v++) {
                    const size_t dim = head_dims[support_random(&c->random) % N_HEAD_DIMS];
                    check_case(c, "%zu queries, positions %s, scores %s, head_dim %zu", query_counts[j],
                               spans_names[spans], values_name(v), dim);
                    check_softmax_case(c, query_counts[j], spans, v, dim);
                }
}

/* ---- Values ---- */

static void check_values_case(struct check *c, enum cache_type cache, size_t dim, size_t n,
                              enum spans spans_style) {
    const enum scales style = (enum scales)(support_random(&c->random) % SCALES_STYLES);
    const enum guard guard = n % 2;
    struct attn_span spans[31];
    size_t end = 0;
    fill_spans(c, spans, n, spans_style);
    for (size_t i = 0; i < n; i++)
        end = spans[i].end > end ? spans[i].end : end;
    struct guarded p = guarded_alloc(n * ATTN_BLOCK * sizeof(float), guard);
    struct guarded rows = guarded_alloc(cache_bytes(cache, end * dim), guard); /* no more may be read */
    struct guarded got = guarded_alloc(n * dim * sizeof(float), guard);
    struct guarded want = guarded_alloc(n * dim * sizeof(float), guard);
    check_case(c, "%zu queries, head_dim %zu, positions %s, values %s", n, dim, spans_names[spans_style],
               scales_name(style));
    fill_values(p.data, n * ATTN_BLOCK, VALUES_RANDOM, &c->random);
    fill_cache(c, cache, false, dim, rows.data, end * dim, style);
    fill_values(got.data, n * dim, VALUES_RANDOM, &c->random);
    memcpy(want.data, got.data, n * dim * sizeof(float));
    c->got.attn_values[cache](p.data, spans, n, rows.data, dim, got.data);
    c->want.attn_values[cache](p.data, spans, n, rows.data, dim, want.data);
    check_floats(c, "o", got.data, want.data, n * dim);
    guarded_free(&p);
    guarded_free(&rows);
    guarded_free(&got);
    guarded_free(&want);
}

static void check_values(struct check *c, enum cache_type cache) {
    for (size_t i = 0; i < N_HEAD_DIMS; i += dims_step(c))
        for (enum spans spans = 0; spans < SPANS_STYLES; spans++)
            for (size_t j = 0; j < N_QUERY_COUNTS && head_dims[i] % cache_block(cache) == 0;
                 j += counts_step(c))
                check_values_case(c, cache, head_dims[i], query_counts[j], spans);
}

/* ---- Time ---- */

enum { TIMED_DIM = 128, TIMED_POSITIONS = 4096, TIMED_QUERIES = 192 };

/* Some queries of one head over its whole cache, block after block. */
struct timing {
    enum cache_type cache;
    uint8_t *keys, *values;
    struct acts q;
    size_t n;
    float *x, *s, *o; /* [TIMED_QUERIES] queries, scores, outputs */
    struct attn_span spans[TIMED_QUERIES];
    struct attn_softmax states[TIMED_QUERIES];
};

enum timed_part { TIMED_SCORES = 1, TIMED_SOFTMAX = 2, TIMED_VALUES = 4, TIMED_ALL = 7 };

static inline void run_blocks(const struct check *c, struct timing *t, enum timed_part parts) {
    for (size_t i = 0; i < t->n; i++)
        t->states[i] = (struct attn_softmax){ .m = -INFINITY };
    for (size_t p = 0; p < TIMED_POSITIONS; p += ATTN_BLOCK) {
        const size_t at = cache_bytes(t->cache, p * TIMED_DIM);
        if (parts & TIMED_SCORES)
            c->got.attn_scores[t->cache](&t->q, t->keys + at, ATTN_BLOCK / ATTN_TILE, t->s);
        if (parts & TIMED_SOFTMAX)
            c->got.attn_softmax(t->s, t->spans, t->n, t->states, t->o, TIMED_DIM);
        if (parts & TIMED_VALUES)
            c->got.attn_values[t->cache](t->s, t->spans, t->n, t->values + at, TIMED_DIM, t->o);
    }
}

static void run_scores(const struct check *c, void *arg) { run_blocks(c, arg, TIMED_SCORES); }
static void run_softmax(const struct check *c, void *arg) { run_blocks(c, arg, TIMED_SOFTMAX); }
static void run_values(const struct check *c, void *arg) { run_blocks(c, arg, TIMED_VALUES); }
static void run_all(const struct check *c, void *arg) { run_blocks(c, arg, TIMED_ALL); }

/* 1 and 4 queries as in decode, many as in prefill. n_products: of queries and the cache, in the run. */
static void time_attention(struct check *c, enum cache_type cache,
                           void (*run)(const struct check *c, void *arg), double n_products) {
    static const size_t counts[] = { 1, 4, TIMED_QUERIES };
    static struct timing t;
    const size_t n = (size_t)TIMED_DIM * TIMED_POSITIONS;
    struct guarded keys = guarded_alloc(cache_bytes(cache, n), GUARD_BEFORE);
    struct guarded values = guarded_alloc(cache_bytes(cache, n), GUARD_BEFORE);
    struct guarded x = guarded_alloc(sizeof(float[3][TIMED_QUERIES][TIMED_DIM]), GUARD_BEFORE);
    struct guarded memory = guarded_alloc(acts_bytes(ACT_A32, TIMED_DIM, TIMED_QUERIES), GUARD_BEFORE);
    t = (struct timing){ .cache = cache, .keys = keys.data, .values = values.data, .x = x.data };
    t.s = t.x + TIMED_QUERIES * TIMED_DIM;
    t.o = t.s + TIMED_QUERIES * TIMED_DIM;
    fill_cache(c, cache, true, TIMED_DIM, t.keys, n, SCALES_USUAL);
    fill_cache(c, cache, false, TIMED_DIM, t.values, n, SCALES_USUAL);
    fill_values(t.x, TIMED_QUERIES * TIMED_DIM, VALUES_RANDOM, &c->random);
    fill_spans(c, t.spans, TIMED_QUERIES, SPANS_ALL);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        char shape[40];
        t.n = counts[i];
        t.q = make_queries(c, cache, t.x, TIMED_DIM, t.n, memory.data);
        snprintf(shape, sizeof shape, "%zu x 4096 x 128", t.n);
        check_time(c, shape, run, &t, n_products * (double)cache_bytes(cache, n),
                   n_products * (double)n * (double)t.n);
    }
    guarded_free(&keys);
    guarded_free(&values);
    guarded_free(&x);
    guarded_free(&memory);
}

/* ---- All ---- */

/* The entries that exist once per cache type. */
struct cache_entry {
    const char *name;
    size_t entry; /* offset in struct kernels */
    void (*check)(struct check *c, enum cache_type cache);
    void (*run)(const struct check *c, void *arg); /* what to time; NULL: not timed */
};

static const struct cache_entry entries[] = {
    { "store_key", offsetof(struct kernels, store_key), check_store_key, NULL },
    { "store_value", offsetof(struct kernels, store_value), check_store_value, NULL },
    { "attn_scores", offsetof(struct kernels, attn_scores), check_scores, run_scores },
    { "attn_values", offsetof(struct kernels, attn_values), check_values, run_values },
};

void check_attention(struct check *c) {
    const size_t size = sizeof(void (*)(void));
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        for (enum cache_type cache = 0; cache < CACHE_TYPES; cache++) {
            const size_t at = entries[i].entry + cache * size;
            const bool differs = memcmp((const char *)&c->got + at, (const char *)&c->want + at, size) != 0;
            if (!check_begin(c, differs, "%s %s", entries[i].name, caches[cache].name))
                continue;
            if (!c->bench)
                entries[i].check(c, cache);
            else if (entries[i].run)
                time_attention(c, cache, entries[i].run, 1);
            check_end(c);
        }
    if (check_begin(c, c->got.attn_softmax != c->want.attn_softmax, "attn_softmax")) {
        if (c->bench)
            time_attention(c, CACHE_F32, run_softmax, 0);
        else
            check_softmax(c);
        check_end(c);
    }
    for (enum cache_type cache = 0; cache < CACHE_TYPES && c->bench; cache++)
        if (check_begin(c, false, "attention %s", caches[cache].name)) {
            time_attention(c, cache, run_all, 2);
            check_end(c);
        }
}
