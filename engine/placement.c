/* placement.c - how a model's weights lie on memory nodes, and the threads of its sessions.
 * SPDX-License-Identifier: MIT
 * Pages of a mapped file lie where they were first read from the disk, by whatever process, and cannot be
 * moved from here. So with QUERN_NUMA_DISTRIBUTE each node's threads read what is not yet in memory of their
 * rows, which places it, and what was there before is counted and told. */
#include "engine/placement.h"

#include "engine/model.h"
#include "kernels/pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PIECE_BYTES = 16 << 20 };

static bool find_parts(const struct quern_model *m, struct placement *p) {
    p->n_parts = gguf_n_parts(m->gguf);
    p->parts = calloc(p->n_parts, sizeof *p->parts);
    for (size_t i = 0; p->parts && i < gguf_n_tensors(m->gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor(m->gguf, i);
        struct placed_part *part = &p->parts[t->part];
        part->begin = !part->begin || t->data < part->begin ? t->data : part->begin;
        part->end = !part->end || t->data + t->bytes > part->end ? t->data + t->bytes : part->end;
    }
    return p->parts;
}

/* ---- Copies ---- */

struct copying {
    const struct placed_part *part;
    uint8_t *to;
};

static void copy_pieces(struct worker *w, void *arg) {
    const struct copying *c = arg;
    size_t bytes = (size_t)(c->part->end - c->part->begin), at;
    unsigned deal = pool_deal(w);
    while ((at = pool_take(w, deal, PIECE_BYTES)) < bytes)
        memcpy(c->to + at, c->part->begin + at, bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES);
}

static bool copy_part(const struct placement *p, struct placed_part *part, struct pool *pool) {
    for (unsigned node = 0; node < p->topology.n_nodes; node++) {
        struct pages *copy = &part->copies[node];
        if (!pages_map((size_t)(part->end - part->begin), PAGES_HUGE, copy))
            return false;
        numa_prefer(&p->topology, node, copy->data, copy->bytes);
        pool_run(pool, quern_default_threads(), copy_pieces, &(struct copying){ part, copy->data });
    }
    return true;
}

static enum quern_status copy_to_nodes(const struct placement *p, struct quern_error *err) {
    struct pool *pool = pool_open();
    bool ok = pool;
    for (size_t i = 0; ok && i < p->n_parts; i++)
        ok = p->parts[i].begin == p->parts[i].end || copy_part(p, &p->parts[i], pool);
    pool_close(pool);
    return ok ? QUERN_OK
              : fail(err, QUERN_MEMORY, "numa mirror: out of memory for the copies of the weights");
}

enum quern_status placement_open(struct quern_model *m, enum quern_numa mode, struct quern_error *err) {
    m->placement.mode = mode;
    enum quern_status st = mode == QUERN_NUMA_NONE ? QUERN_OK : numa_read(&m->placement.topology, err);
    return st ? st : placement_place(m, err);
}

enum quern_status placement_place(struct quern_model *m, struct quern_error *err) {
    struct placement *p = &m->placement;
    if (!find_parts(m, p))
        return fail_memory(err, gguf_n_parts(m->gguf) * sizeof *p->parts);
    if (p->mode != QUERN_NUMA_MIRROR || p->topology.n_nodes == 1)
        return QUERN_OK;
    enum quern_status st = numa_check_mirror(&p->topology, gguf_file_bytes(m->gguf), err);
    return st ? st : copy_to_nodes(p, err);
}

void placement_close(struct placement *p) {
    for (size_t i = 0; i < p->n_parts && p->parts; i++)
        for (unsigned node = 0; node < NUMA_MAX_NODES; node++)
            pages_unmap(&p->parts[i].copies[node]);
    free(p->parts);
    *p = (struct placement){ 0 };
}

const uint8_t *placement_near(const struct placement *p, unsigned node, const uint8_t *data) {
    for (size_t i = 0; i < p->n_parts && p->parts[0].copies[node].data; i++)
        if (data >= p->parts[i].begin && data < p->parts[i].end)
            return p->parts[i].copies[node].data + (data - p->parts[i].begin);
    return data;
}

void placement_plan(const struct placement *p, unsigned n_threads, struct numa_plan *plan) {
    if (p->topology.n_nodes)
        numa_plan(&p->topology, p->mode, n_threads, plan);
    else
        *plan = (struct numa_plan){ .n_threads = n_threads, .n_nodes = 1 };
}

/* ---- Before the first step ---- */

/* A worker's share of its node's rows, of every matrix. */
struct shard {
    const struct quern_model *m;
    const struct numa_plan *plan;
    unsigned node, rank, n; /* the worker is the rank-th of n on its node */
};

typedef void shard_visit(const struct shard *s, const uint8_t *data, size_t bytes, void *arg);

/* Matrices of experts are shared out one by one. */
static void visit_shard(const struct shard *s, shard_visit *visit, void *arg) {
    enum { UNIT = 64 }; /* as rows are dealt */
    for (size_t i = 0; i < gguf_n_tensors(s->m->gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor(s->m->gguf, i);
        size_t n_rows = t->ne[1], n_matrices = t->ne[2] * t->ne[3], begin, end;
        if (!n_rows || !n_matrices)
            continue;
        size_t row_bytes = t->bytes / n_matrices / n_rows;
        numa_shard(s->plan, s->node, n_rows, UNIT, &begin, &end);
        size_t from = begin + (end - begin) * s->rank / s->n,
               to = begin + (end - begin) * (s->rank + 1) / s->n;
        for (size_t e = 0; e < n_matrices && to > from; e++)
            visit(s, t->data + (e * n_rows + from) * row_bytes, (to - from) * row_bytes, arg);
    }
}

static void prefault_shard(const struct shard *s, const uint8_t *data, size_t bytes, void *arg) {
    (void)s, (void)arg;
    prefault(data, bytes);
}

/* Every thread the pieces that come. */
static void prefault_parts(struct worker *w, const struct placement *p) {
    for (size_t i = 0; i < p->n_parts; i++) {
        size_t bytes = (size_t)(p->parts[i].end - p->parts[i].begin), at;
        unsigned deal = pool_deal(w);
        while ((at = pool_take(w, deal, PIECE_BYTES)) < bytes)
            prefault(p->parts[i].begin + at, bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES);
        pool_barrier(w);
    }
}

struct settling {
    const struct quern_model *m;
    const struct numa_plan *plan;
    bool prefaults;
};

static void settle(struct worker *w, void *arg) {
    const struct settling *c = arg;
    const struct numa_plan *plan = c->plan;
    unsigned node = plan->node_of_thread[w->id];
    struct shard s = { .m = c->m, .plan = plan, .node = node };
    if (placement_binds(&c->m->placement))
        numa_bind_thread(&c->m->placement.topology, node);
    for (unsigned i = 0; i < plan->n_threads; i++) {
        s.rank += i < w->id && plan->node_of_thread[i] == node;
        s.n += plan->node_of_thread[i] == node;
    }
    if (c->prefaults && plan->n_nodes > 1)
        visit_shard(&s, prefault_shard, NULL);
    else if (c->prefaults)
        prefault_parts(w, &c->m->placement);
}

struct count {
    size_t n_local, n_seen;
};

static void count_part(const struct shard *s, const uint8_t *data, size_t bytes, void *arg) {
    struct count *count = arg;
    numa_count_local(&s->m->placement.topology, s->node, data, bytes, &count->n_local, &count->n_seen);
}

static void describe_pages(const struct quern_model *m, const struct numa_plan *plan, char *text,
                           size_t bytes) {
    struct count count = { 0 };
    for (unsigned node = 0; node < plan->n_nodes; node++)
        visit_shard(&(struct shard){ m, plan, node, 0, 1 }, count_part, &count);
    if (count.n_seen)
        snprintf(text, bytes, "; %.0f %% of the weights lie on the node that reads them",
                 100.0 * (double)count.n_local / (double)count.n_seen);
}

void placement_settle(const struct quern_model *m, struct pool *pool, const struct numa_plan *plan,
                      char *text, size_t bytes) {
    const struct placement *p = &m->placement;
    const uint64_t file_bytes = gguf_file_bytes(m->gguf), n_useful = file_bytes / PIECE_BYTES + 1;
    const bool is_mirror = p->n_parts && p->parts[0].copies[0].data;
    struct settling c = { m, plan, !is_mirror && file_bytes <= available_memory() };
    unsigned n = placement_binds(p) || n_useful > plan->n_threads ? plan->n_threads : (unsigned)n_useful;
    pool_run(pool, n, settle, &c);
    text[0] = 0;
    if (p->mode == QUERN_NUMA_NONE)
        return;
    numa_describe(&p->topology, p->mode, plan, text, bytes);
    size_t length = strlen(text);
    if (plan->n_nodes > 1)
        describe_pages(m, plan, text + length, bytes - length);
}
