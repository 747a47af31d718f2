/* pool.c - SPMD on OpenMP threads with a barrier of our own.
 * SPDX-License-Identifier: MIT
 * Why not the barrier of OpenMP: it either sleeps at once (10 us a wake-up, more than an operation of a
 * small model takes) or spins for ever, depending on an environment variable. */
#include "kernels/pool.h"

#include <assert.h>
#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/* How long a thread spins before it sleeps. 50 us are longer than nearly any gap inside a step and far
 * shorter than a time slice. Where spinning is in vain because the thread waited for has no core (more
 * threads than cores, other work on the machine), the time is halved down to 1 us at each failure, and
 * doubled when spinning was enough; at every 256th barrier the full time is tried, since at 1 us it would
 * hardly ever be enough again. Measured, 7M model, 2 cores: 4 threads 190 tokens/s with 70 us always, 490
 * with 20, 740 with 50 to 1; 2 threads beside a competing thread on each core 760, 660, 650. */
enum { MAX_SPIN_NS = 50000, MIN_SPIN_NS = 1000, PROBE = 256, PAUSES_PER_LOOK = 8, CACHE_LINE = 64 };

/* What one thread writes while others spin on another field lies at least a cache line apart. */
struct pool {
    char pad0[CACHE_LINE];
    atomic_uint n_arrived;
    char pad1[CACHE_LINE];
    atomic_uint generation; /* counts completed barriers */
    atomic_uint n_sleeping;
    atomic_uint spin_ns;
    char pad2[CACHE_LINE];
    atomic_size_t next[POOL_DEALS];
    char pad3[CACHE_LINE];
    pthread_mutex_t mutex; /* only for sleeping on `woken` */
    pthread_cond_t woken;
};

struct pool *pool_open(void) {
    struct pool *pool = malloc(sizeof *pool);
    if (!pool)
        return NULL;
    atomic_init(&pool->n_arrived, 0);
    atomic_init(&pool->generation, 0);
    atomic_init(&pool->n_sleeping, 0);
    atomic_init(&pool->spin_ns, MAX_SPIN_NS);
    for (size_t i = 0; i < POOL_DEALS; i++)
        atomic_init(&pool->next[i], 0);
    if (pthread_mutex_init(&pool->mutex, NULL)) {
        free(pool);
        return NULL;
    }
    if (pthread_cond_init(&pool->woken, NULL)) {
        pthread_mutex_destroy(&pool->mutex);
        free(pool);
        return NULL;
    }
    return pool;
}

void pool_close(struct pool *pool) {
    if (!pool)
        return;
    pthread_cond_destroy(&pool->woken);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

static inline void cpu_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Returns whether the generation was left in time. */
static bool spin_until_generation_leaves(struct pool *pool, unsigned generation) {
    unsigned usual = atomic_load_explicit(&pool->spin_ns, memory_order_relaxed);
    bool is_probe = generation % PROBE == 0;
    int64_t end = now_ns() + (is_probe ? MAX_SPIN_NS : usual);
    do {
        for (int i = 0; i < PAUSES_PER_LOOK; i++) {
            if (atomic_load_explicit(&pool->generation, memory_order_acquire) != generation) {
                unsigned more = 2 * usual > MAX_SPIN_NS ? MAX_SPIN_NS : 2 * usual;
                if (more != usual)
                    atomic_store_explicit(&pool->spin_ns, more, memory_order_relaxed);
                return true;
            }
            cpu_pause();
        }
    } while (now_ns() < end);
    unsigned less = usual / 2 > MIN_SPIN_NS ? usual / 2 : MIN_SPIN_NS;
    /* Of several threads that fail at the same barrier one halves. */
    atomic_compare_exchange_strong_explicit(&pool->spin_ns, &usual, less, memory_order_relaxed,
                                            memory_order_relaxed);
    return false;
}

static void sleep_until_generation_leaves(struct pool *pool, unsigned generation) {
    /* Sequentially consistent on both sides: either the last thread sees n_sleeping and takes the mutex
     * to wake us, or we see the new generation and do not sleep. */
    atomic_fetch_add(&pool->n_sleeping, 1);
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load(&pool->generation) == generation)
        pthread_cond_wait(&pool->woken, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    atomic_fetch_sub(&pool->n_sleeping, 1);
}

void pool_barrier(struct worker *w) {
    struct pool *pool = w->pool;
    unsigned n_opened = w->i_deal; /* by all */
    w->i_deal = 0;
    if (w->n == 1) {
        for (size_t i = 0; i < n_opened; i++)
            atomic_store_explicit(&pool->next[i], 0, memory_order_relaxed);
        return;
    }
    unsigned generation = atomic_load_explicit(&pool->generation, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&pool->n_arrived, 1, memory_order_acq_rel) + 1 == w->n) {
        /* Everybody is here, so nobody holds a deal. */
        for (size_t i = 0; i < n_opened; i++)
            atomic_store_explicit(&pool->next[i], 0, memory_order_relaxed);
        atomic_store_explicit(&pool->n_arrived, 0, memory_order_relaxed);
        atomic_store(&pool->generation, generation + 1);
        if (atomic_load(&pool->n_sleeping)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_broadcast(&pool->woken);
            pthread_mutex_unlock(&pool->mutex);
        }
        return;
    }
    if (!spin_until_generation_leaves(pool, generation))
        sleep_until_generation_leaves(pool, generation);
}

void pool_run(struct pool *pool, unsigned n_threads, void (*body)(struct worker *w, void *arg), void *arg) {
    assert(n_threads >= 1);
    if (n_threads == 1) {
        struct worker w = { .pool = pool, .id = 0, .n = 1, .i_deal = POOL_DEALS };
        pool_barrier(&w); /* all deals start at zero */
        body(&w, arg);
        return;
    }
#pragma omp parallel num_threads(n_threads)
    {
        struct worker w = { .pool = pool,
                            .id = (unsigned)omp_get_thread_num(),
                            .n = (unsigned)omp_get_num_threads(),
                            .i_deal = POOL_DEALS };
        pool_barrier(&w); /* all deals start at zero */
        body(&w, arg);
    }
}

unsigned pool_deal(struct worker *w) {
    assert(w->i_deal < POOL_DEALS);
    return w->i_deal++;
}

size_t pool_take(struct worker *w, unsigned deal, size_t chunk) {
    return atomic_fetch_add_explicit(&w->pool->next[deal], chunk, memory_order_relaxed);
}

size_t pool_take_guided(struct worker *w, unsigned deal, const struct guide *g, size_t *begin) {
    atomic_size_t *next = &w->pool->next[deal];
    size_t at = atomic_load_explicit(next, memory_order_relaxed), n;
    do {
        if (at >= g->n)
            return 0;
        size_t left = g->n - at, share = left / (2 * (size_t)g->n_workers);
        n = share > g->most ? g->most : share < g->least ? g->least : share;
        n = n / g->unit * g->unit + (n % g->unit || !n ? g->unit : 0);
        n = n < left ? n : left;
    } while (!atomic_compare_exchange_weak_explicit(next, &at, at + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    *begin = at;
    return n;
}
