/* attention_check.c - the cache, scores, running softmax and weighted values: the same bits from every level.
 * SPDX-License-Identifier: MIT */
#include "tests/kernels/cases.h"
#include "tests/kernels/check.h"

#include "formats/types.h"
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const cache_names[CACHE_TYPES] = {
    [CACHE_F32] = "F32",
    [CACHE_F16] = "F16",
    [CACHE_Q8_0] = "Q8_0",
};
/* Values that a head has a multiple of. */
static const size_t granularity[CACHE_TYPES] = { [CACHE_F32] = 1, [CACHE_F16] = 1, [CACHE_Q8_0] = 32 };
static const uint32_t tensor_types[CACHE_TYPES] = {
    [CACHE_F32] = TYPE_F32,
    [CACHE_F16] = TYPE_F16,
    [CACHE_Q8_0] = TYPE_Q8_0,
};
static const size_t head_dims[] = { 1, 7, 8, 20, 64, 72, 80, 96, 128, 192, 256 };

enum { N_HEAD_DIMS = sizeof head_dims / sizeof head_dims[0] };

/* Random cache contents of n values. A tile of Q8_0 keys has its scales behind the bytes, not among them. */
static void fill_cache(struct check *c, enum cache_type cache, bool is_keys, size_t head_dim, uint8_t *p,
                       size_t n, enum scales style) {
    if (cache != CACHE_Q8_0 || !is_keys) {
        fill_weights(tensor_types[cache], p, n / granularity[cache], QUANTS_RANDOM, style, &c->random);
        return;
    }
    const size_t tile_values = head_dim * ATTN_TILE;
    for (size_t i = 0; i < n / tile_values; i++, p += cache_bytes(cache, tile_values)) {
        for (size_t j = 0; j < tile_values; j++) /* never -128, which no kernel stores */
            p[j] = (uint8_t)(int8_t)((int64_t)(support_random(&c->random) % 255) - 127);
        fill_weights(TYPE_F16, p + tile_values, tile_values / 32, QUANTS_ZEROS, style, &c->random);
    }
}

/* Cached values by content, so that NaN equals NaN. */
static void check_cached(struct check *c, enum cache_type cache, const void *got, const void *want,
                         size_t n) {
    float g[4096], w[4096];
    const struct type_info *type = type_info(tensor_types[cache]);
    type->decode(got, g, n / type->block_values);
    type->decode(want, w, n / type->block_values);
    check_floats(c, "cache", g, w, n);
}

/* ---- Store ---- */

static void check_store_key(struct check *c, enum cache_type cache) {
    for (size_t i = 0; i < N_HEAD_DIMS; i++)
        for (enum values v = 0; v < VALUES_STYLES && head_dims[i] % granularity[cache] == 0; v++)
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
                check_cached(c, cache, got.data, want.data, dim * ATTN_TILE);
                guarded_free(&k);
                guarded_free(&got);
                guarded_free(&want);
            }
}

static void check_store_value(struct check *c, enum cache_type cache) {
    for (size_t dim = granularity[cache]; dim <= 260; dim += granularity[cache])
        for (enum values v = 0; v < VALUES_STYLES; v++) {
            struct guarded x = guarded_alloc(dim * sizeof(float), dim % 2);
            struct guarded got = guarded_alloc(cache_bytes(cache, dim), dim % 2);
            struct guarded want = guarded_alloc(cache_bytes(cache, dim), GUARD_AFTER);
            check_case(c, "head_dim %zu, %s", dim, values_name(v));
            fill_values(x.data, dim, v, &c->random);
            c->got.store_value[cache](x.data, dim, got.data);
            c->want.store_value[cache](x.data, dim, want.data);
            check_cached(c, cache, got.data, want.data, dim);
            guarded_free(&x);
            guarded_free(&got);
            guarded_free(&want);
        }
}

/* ---- Scores ---- */

static void check_scores(struct check *c, enum cache_type cache) {
    enum { MOST_TILES = 9 };
    for (size_t i = 0; i < N_HEAD_DIMS; i++)
        for (size_t n_tiles = 1; n_tiles <= MOST_TILES && head_dims[i] % granularity[cache] == 0; n_tiles++)
            for (enum scales style = 0; style < SCALES_STYLES; style++) {
                const size_t dim = head_dims[i], n = n_tiles * ATTN_TILE;
                const enum guard guard = n_tiles % 2;
                struct guarded q = guarded_alloc(dim * sizeof(float), guard);
                struct guarded tiles = guarded_alloc(cache_bytes(cache, n * dim), guard);
                struct guarded got = guarded_alloc(n * sizeof(float), guard);
                struct guarded want = guarded_alloc(n * sizeof(float), guard);
                check_case(c, "head_dim %zu, %zu tiles, keys %s", dim, n_tiles, scales_name(style));
                fill_values(q.data, dim, VALUES_RANDOM, &c->random);
                fill_cache(c, cache, true, dim, tiles.data, n * dim, style);
                c->got.attn_scores[cache](q.data, dim, tiles.data, n_tiles, got.data);
                c->want.attn_scores[cache](q.data, dim, tiles.data, n_tiles, want.data);
                check_floats(c, "s", got.data, want.data, n);
                guarded_free(&q);
                guarded_free(&tiles);
                guarded_free(&got);
                guarded_free(&want);
            }
}

/* ---- Softmax ---- */

/* Scores that make every branch happen: the old maximum m far below, near, or above those of the block. */
static void check_softmax_block(struct check *c, size_t begin, size_t end, enum values style, float m,
                                size_t dim) {
    struct guarded got = guarded_alloc(end * sizeof(float), GUARD_AFTER);
    struct guarded want = guarded_alloc(end * sizeof(float), GUARD_AFTER);
    struct guarded got_o = guarded_alloc(dim * sizeof(float), GUARD_AFTER);
    struct guarded want_o = guarded_alloc(dim * sizeof(float), GUARD_AFTER);
    struct attn_softmax got_state = { .m = m }, want_state;
    fill_values(got.data, end, style, &c->random);
    fill_values(got_o.data, dim, VALUES_RANDOM, &c->random);
    for (size_t l = 0; l < 16; l++)
        got_state.l[l] = m == -INFINITY ? 0 : (float)l / 3;
    want_state = got_state;
    memcpy(want.data, got.data, end * sizeof(float));
    memcpy(want_o.data, got_o.data, dim * sizeof(float));
    c->got.attn_softmax(got.data, begin, end, &got_state, got_o.data, dim);
    c->want.attn_softmax(want.data, begin, end, &want_state, want_o.data, dim);
    check_floats(c, "s", got.data, want.data, end);
    check_floats(c, "o", got_o.data, want_o.data, dim);
    check_floats(c, "m", &got_state.m, &want_state.m, 1);
    check_floats(c, "l", got_state.l, want_state.l, 16);
    guarded_free(&got);
    guarded_free(&want);
    guarded_free(&got_o);
    guarded_free(&want_o);
}

static void check_softmax(struct check *c) {
    static const float maxima[] = { -INFINITY, -1, 0, 5 };
    for (size_t begin = 0; begin < ATTN_BLOCK; begin += begin < 18 ? 1 : 7)
        for (size_t end = begin + 1; end <= ATTN_BLOCK; end += end < begin + 18 ? 1 : 3)
            for (enum values v = 0; v < VALUES_STYLES; v++) {
                const float m = maxima[support_random(&c->random) % 4];
                const size_t dim = head_dims[support_random(&c->random) % N_HEAD_DIMS];
                check_case(c, "scores %zu..%zu, %s, m %g, head_dim %zu", begin, end, values_name(v),
                           (double)m, dim);
                check_softmax_block(c, begin, end, v, m, dim);
            }
}

/* ---- Values ---- */

static void check_values(struct check *c, enum cache_type cache) {
    for (size_t i = 0; i < N_HEAD_DIMS; i++)
        for (size_t n = 1; n <= ATTN_BLOCK && head_dims[i] % granularity[cache] == 0; n += n < 4 ? 1 : 12)
            for (enum scales style = 0; style < SCALES_STYLES; style++) {
                const size_t dim = head_dims[i], stride = dim + 5 * granularity[cache] * (n % 3),
                             n_values = (n - 1) * stride + dim;
                const enum guard guard = n % 2;
                struct guarded p = guarded_alloc(n * sizeof(float), guard);
                struct guarded rows = guarded_alloc(cache_bytes(cache, n_values), guard);
                struct guarded got = guarded_alloc(dim * sizeof(float), guard);
                struct guarded want = guarded_alloc(dim * sizeof(float), guard);
                check_case(c, "head_dim %zu, %zu rows %zu apart, values %s", dim, n, stride,
                           scales_name(style));
                fill_values(p.data, n, VALUES_RANDOM, &c->random);
                fill_cache(c, cache, false, dim, rows.data, n_values, style);
                fill_values(got.data, dim, VALUES_RANDOM, &c->random);
                memcpy(want.data, got.data, dim * sizeof(float));
                c->got.attn_values[cache](p.data, n, rows.data, stride, dim, got.data);
                c->want.attn_values[cache](p.data, n, rows.data, stride, dim, want.data);
                check_floats(c, "o", got.data, want.data, dim);
                guarded_free(&p);
                guarded_free(&rows);
                guarded_free(&got);
                guarded_free(&want);
            }
}

/* ---- Time ---- */

enum { TIMED_DIM = 128, TIMED_POSITIONS = 4096 };

struct timing {
    enum cache_type cache;
    uint8_t *memory; /* keys or values of TIMED_POSITIONS */
    float x[TIMED_DIM], s[TIMED_POSITIONS];
};

static void run_scores(const struct check *c, void *arg) {
    struct timing *t = arg;
    c->got.attn_scores[t->cache](t->x, TIMED_DIM, t->memory, TIMED_POSITIONS / ATTN_TILE, t->s);
}

static void run_values(const struct check *c, void *arg) {
    struct timing *t = arg;
    c->got.attn_values[t->cache](t->s, TIMED_POSITIONS, t->memory, TIMED_DIM, TIMED_DIM, t->x);
}

static void run_softmax(const struct check *c, void *arg) {
    struct timing *t = arg;
    struct attn_softmax state = { .m = -INFINITY };
    for (size_t i = 0; i < TIMED_POSITIONS; i += ATTN_BLOCK)
        c->got.attn_softmax(t->s + i, 0, ATTN_BLOCK, &state, t->x, TIMED_DIM);
}

static void time_attention(struct check *c, enum cache_type cache,
                           void (*run)(const struct check *c, void *arg)) {
    static struct timing t;
    const size_t n = (size_t)TIMED_DIM * TIMED_POSITIONS;
    struct guarded memory = guarded_alloc(cache_bytes(cache, n), GUARD_BEFORE);
    t.cache = cache;
    t.memory = memory.data;
    fill_cache(c, cache, run == run_scores, TIMED_DIM, t.memory, n, SCALES_USUAL);
    fill_values(t.x, TIMED_DIM, VALUES_RANDOM, &c->random);
    fill_values(t.s, TIMED_POSITIONS, VALUES_ZERO, &c->random);
    const bool reads_cache = run != run_softmax;
    check_time(c, "4096 positions of 128", run, &t, reads_cache ? (double)(cache_bytes(cache, n)) : 0,
               reads_cache ? (double)n : 0);
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
            if (!check_begin(c, differs, "%s %s", entries[i].name, cache_names[cache]))
                continue;
            if (!c->bench)
                entries[i].check(c, cache);
            else if (entries[i].run)
                time_attention(c, cache, entries[i].run);
            check_end(c);
        }
    if (check_begin(c, c->got.attn_softmax != c->want.attn_softmax, "attn_softmax")) {
        if (c->bench)
            time_attention(c, CACHE_F32, run_softmax);
        else
            check_softmax(c);
        check_end(c);
    }
}
