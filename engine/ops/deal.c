/* deal.c - the rows of a matrix, dealt to workers in chunks, those of their own node first.
 * SPDX-License-Identifier: MIT */
#include "engine/ops/deal.h"

/* How much a worker takes at a time. With few tokens memory is the limit, and kernels read it in streams that
 * take a while to get going: large chunks, the last ones not below 1 MB if there is so much for each worker.
 * With many, arithmetic is: what kernels prepare of the tokens should serve many rows, but outputs still be in
 * the cache when they are added or gated. */
enum { FEW_TOKENS = 8, MEMORY_CHUNK_BYTES = 1 << 20, ARITHMETIC_CHUNK_ROWS = 256 };
/* Chunks are whole panels of the kernels, of 64 rows at most; fewer where many workers share few rows. */
enum { MAX_PANEL = 64, MIN_PANEL = 8, CHUNKS_PER_WORKER = 4 };

static struct guide guide_rows(unsigned n_workers, size_t n_rows, size_t row_bytes, size_t n_tokens) {
    bool is_few = n_tokens <= FEW_TOKENS;
    size_t n_chunks = CHUNKS_PER_WORKER * (size_t)n_workers, unit = MAX_PANEL;
    while (unit > MIN_PANEL && unit * n_chunks > n_rows)
        unit /= 2;
    size_t most = is_few ? MEMORY_CHUNK_BYTES / row_bytes : ARITHMETIC_CHUNK_ROWS;
    size_t least = most < n_rows / n_chunks ? most : n_rows / n_chunks;
    return (struct guide){ n_workers, n_rows, unit, least, is_few ? n_rows : least };
}

/* Go to the i-th node after the worker's own. */
static void enter_node(struct row_deal *d, unsigned i) {
    const struct numa_plan *plan = d->plan;
    unsigned n_workers = plan->n_threads;
    size_t begin, end;
    d->i = i;
    d->node = (d->own + i) % plan->n_nodes;
    numa_shard(plan, d->node, d->n_rows, MAX_PANEL, &begin, &end);
    if (plan->n_nodes > 1)
        n_workers = plan->threads_before[d->node + 1] - (unsigned)plan->threads_before[d->node];
    d->base = begin;
    d->guide = guide_rows(n_workers ? n_workers : 1, end - begin, d->row_bytes, d->n_tokens);
}

void deal_rows(struct worker *w, const struct step *s, size_t n_rows, size_t row_bytes, size_t n_tokens,
               struct row_deal *d) {
    const struct numa_plan *plan = s->plan;
    *d = (struct row_deal){ .plan = plan, .n_rows = n_rows, .row_bytes = row_bytes, .n_tokens = n_tokens };
    d->first_deal = pool_deal(w);
    for (unsigned node = 1; node < plan->n_nodes; node++)
        pool_deal(w);
    d->own = plan->n_nodes > 1 ? plan->node_of_thread[w->id] : 0;
    enter_node(d, 0);
}

size_t take_rows(struct worker *w, struct row_deal *d, size_t *begin) {
    size_t n, at = 0;
    while (!(n = pool_take_guided(w, d->first_deal + d->node, &d->guide, &at)) && d->i + 1 < d->plan->n_nodes)
        enter_node(d, d->i + 1);
    *begin = d->base + at;
    return n;
}

const uint8_t *near_weights(const struct worker *w, const struct step *s, const struct matrix *m) {
    return placement_near(&s->model->placement, s->plan->node_of_thread[w->id], m->data);
}
