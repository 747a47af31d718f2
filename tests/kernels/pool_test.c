/* pool_test.c - the team of threads: every item is dealt once, and nobody passes a barrier early.
 * SPDX-License-Identifier: MIT */
#include "kernels/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const unsigned teams[] = { 1, 2, 3, 7 };
enum { N_TEAMS = sizeof teams / sizeof *teams, MAX_ITEMS = 5000 };

struct dealing {
    struct guide guide;
    atomic_int times_taken[MAX_ITEMS];
    atomic_bool wrong_size;
};

static void take_all(struct worker *w, void *arg) {
    struct dealing *d = arg;
    const struct guide *g = &d->guide;
    unsigned deal = pool_deal(w);
    size_t begin;
    for (size_t n; (n = pool_take_guided(w, deal, g, &begin));) {
        size_t most = (g->most > g->least ? g->most : g->least) + g->unit;
        if (n > most || (begin + n < g->n && (n % g->unit || n < g->least)))
            atomic_store(&d->wrong_size, true);
        for (size_t i = begin; i < begin + n; i++)
            atomic_fetch_add(&d->times_taken[i], 1);
    }
    pool_barrier(w);
}

static void guided_chunks_cover_every_item_once(void **state) {
    (void)state;
    static const struct guide guides[] = {
        { 2, 1, 64, 0, 1 },      { 2, 63, 64, 16, 63 },     { 2, 64, 64, 64, 64 },
        { 2, 1000, 8, 1, 1000 }, { 2, 4096, 64, 100, 200 }, { 2, 4999, 16, 700, 4999 },
        { 2, 5000, 1, 0, 5000 }, { 2, 100, 64, 100, 100 },
    };
    for (size_t i = 0; i < N_TEAMS; i++)
        for (size_t j = 0; j < sizeof guides / sizeof *guides; j++) {
            static struct dealing d;
            memset(&d, 0, sizeof d);
            d.guide = guides[j];
            struct pool *pool = pool_open();
            assert_non_null(pool);
            pool_run(pool, teams[i], take_all, &d);
            pool_close(pool);
            assert_false(atomic_load(&d.wrong_size));
            for (size_t k = 0; k < MAX_ITEMS; k++)
                if (atomic_load(&d.times_taken[k]) != (k < d.guide.n))
                    fail_msg("%u threads, guide %zu: item %zu was taken %d times", teams[i], j, k,
                             atomic_load(&d.times_taken[k]));
        }
}

static void guided_chunks_shrink(void **state) {
    (void)state;
    struct pool *pool = pool_open();
    struct worker w = { .pool = pool, .n = 2 };
    const struct guide g = { 2, 1024, 8, 16, 1024 };
    size_t begin, n, last = pool_take_guided(&w, 0, &g, &begin);
    assert_int_equal(last, 256); /* half of the share of two */
    for (; (n = pool_take_guided(&w, 0, &g, &begin)); last = n)
        assert_true(n <= last);
    assert_true(last <= 16);
    pool_close(pool);
}

enum { ROUNDS = 2000 };

struct meeting {
    atomic_uint n_arrived;
    atomic_bool was_early;
};

static void meet_often(struct worker *w, void *arg) {
    struct meeting *m = arg;
    for (unsigned i = 1; i <= ROUNDS; i++) {
        atomic_fetch_add(&m->n_arrived, 1);
        pool_barrier(w);
        if (atomic_load(&m->n_arrived) != i * w->n)
            atomic_store(&m->was_early, true);
        pool_barrier(w);
    }
}

/* More threads than cores sleep and are woken, too. */
static void nobody_passes_a_barrier_before_all_have_come(void **state) {
    (void)state;
    struct pool *pool = pool_open();
    for (size_t i = 0; i < N_TEAMS; i++) {
        struct meeting m = { 0 };
        pool_run(pool, teams[i], meet_often, &m);
        assert_false(atomic_load(&m.was_early));
    }
    pool_close(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guided_chunks_cover_every_item_once),
        cmocka_unit_test(guided_chunks_shrink),
        cmocka_unit_test(nobody_passes_a_barrier_before_all_have_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
