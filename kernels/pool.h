/* pool.h - a team of threads that runs one function together.
 * SPDX-License-Identifier: MIT
 * OpenMP keeps the threads; inside pool_run() every thread executes the same body (SPMD), takes its share
 * of each operation and meets the others at pool_barrier(). The barrier spins briefly, because in decode
 * the others are a microsecond away, then sleeps, because a spinning thread burns the time slice that
 * the thread it waits for may need. */
#ifndef QUERN_KERNELS_POOL_H
#define QUERN_KERNELS_POOL_H

#include <stddef.h>

struct pool;

/* One thread's place in a run. */
struct worker {
    struct pool *pool;
    unsigned id; /* 0..n-1; 0 is the thread that called pool_run() */
    unsigned n;
    unsigned i_deal; /* deals opened since the last barrier */
};

enum { POOL_DEALS = 64 }; /* deals that may be opened between two barriers */

/* NULL if memory is short. */
struct pool *pool_open(void);
void pool_close(struct pool *pool); /* accepts NULL */

/* Call body on n_threads >= 1 threads and return when all have returned. The system may grant fewer threads
 * than asked for; worker.n tells. All must pass the same barriers. Not for two callers at once. */
void pool_run(struct pool *pool, unsigned n_threads, void (*body)(struct worker *w, void *arg), void *arg);

void pool_barrier(struct worker *w);

/* The part of 0..n-1 that is this worker's when shares are fixed. */
static inline void pool_share(const struct worker *w, size_t n, size_t *begin, size_t *end) {
    size_t each = n / w->n, more = n % w->n; /* the first `more` workers take one more */
    *begin = w->id * each + (w->id < more ? w->id : more);
    *end = *begin + each + (w->id < more ? 1 : 0);
}

/* Dealing in chunks, so that a thread that lost its core does not hold up the rest: all workers open the
 * same deals in the same order, then each calls pool_take() until it returns n or more. */
unsigned pool_deal(struct worker *w);
size_t pool_take(struct worker *w, unsigned deal, size_t chunk);

/* Chunks that shrink: half of an equal share of what is left, so that all end together even if a thread was
 * stopped, but large ones at first. Multiples of unit but for the last; before that is applied at least
 * `least` and at most `most`. */
struct guide {
    unsigned n_workers; /* that take from this deal, more or less */
    size_t n, unit, least, most;
};
/* Items from *begin on; 0: all are taken. */
size_t pool_take_guided(struct worker *w, unsigned deal, const struct guide *g, size_t *begin);

#endif
