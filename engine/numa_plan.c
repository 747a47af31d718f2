/* numa_plan.c - placement on nodes, computed from a description of the machine.
 * SPDX-License-Identifier: MIT */
#include "engine/numa.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static bool shares_rows(enum quern_numa mode) { return mode == QUERN_NUMA_DISTRIBUTE; }

/* Nodes in use: [*first, *end). */
static void used_nodes(const struct numa_topology *t, enum quern_numa mode, unsigned *first, unsigned *end) {
    bool is_one = mode == QUERN_NUMA_ISOLATE;
    *first = is_one ? t->start : 0;
    *end = is_one ? t->start + 1 : t->n_nodes;
}

void numa_plan(const struct numa_topology *t, enum quern_numa mode, unsigned n_threads,
               struct numa_plan *plan) {
    assert(n_threads >= 1 && n_threads <= NUMA_MAX_THREADS && t->n_nodes >= 1);
    unsigned first, end, count[NUMA_MAX_NODES] = { 0 }, n_cpus = numa_n_cpus(t, mode);
    used_nodes(t, mode, &first, &end);
    *plan = (struct numa_plan){ .n_threads = n_threads, .n_nodes = 1, .first = first };
    for (unsigned i = 0, node = first; i < n_threads; i++) {
        while (i < n_cpus && count[node] == t->nodes[node].n_cpus) /* one below is not full */
            node = node + 1 < end ? node + 1 : first;
        plan->node_of_thread[i] = (uint8_t)node;
        count[node]++;
        node = node + 1 < end ? node + 1 : first;
    }
    for (unsigned node = 0; node < t->n_nodes; node++)
        plan->threads_before[node + 1] = (uint16_t)(plan->threads_before[node] + count[node]);
    if (shares_rows(mode))
        plan->n_nodes = t->n_nodes;
}

void numa_shard(const struct numa_plan *plan, unsigned node, size_t n_rows, size_t unit, size_t *begin,
                size_t *end) {
    *begin = 0;
    *end = n_rows;
    if (plan->n_nodes == 1)
        return;
    size_t units = (n_rows + unit - 1) / unit;
    *begin = units * plan->threads_before[node] / plan->n_threads * unit;
    *end = units * plan->threads_before[node + 1] / plan->n_threads * unit;
    *begin = *begin < n_rows ? *begin : n_rows; /* the last unit may be cut */
    *end = *end < n_rows ? *end : n_rows;
}

unsigned numa_n_cpus(const struct numa_topology *t, enum quern_numa mode) {
    unsigned node, end, n = 0;
    for (used_nodes(t, mode, &node, &end); node < end; node++)
        n += t->nodes[node].n_cpus;
    return n;
}

enum quern_status numa_check_mirror(const struct numa_topology *t, uint64_t weight_bytes,
                                    struct quern_error *err) {
    for (unsigned i = 0; i < t->n_nodes; i++)
        if (t->nodes[i].free_bytes < weight_bytes)
            return fail(err, QUERN_MEMORY,
                        "numa mirror: a copy of the weights takes %" PRIu64
                        " bytes on each node, node %d has %" PRIu64 " free",
                        weight_bytes, t->nodes[i].id, t->nodes[i].free_bytes);
    return QUERN_OK;
}

static const char *const what[] = {
    [QUERN_NUMA_DISTRIBUTE] = "distribute: rows shared over",
    [QUERN_NUMA_ISOLATE] = "isolate: all on node",
    [QUERN_NUMA_MIRROR] = "mirror: a copy of the weights on each of",
};

void numa_describe(const struct numa_topology *t, enum quern_numa mode, const struct numa_plan *plan,
                   char *text, size_t bytes) {
    unsigned node, end;
    used_nodes(t, mode, &node, &end);
    int n;
    if (t->n_nodes == 1)
        n = snprintf(text, bytes, "the machine has one node, nothing to place");
    else if (mode == QUERN_NUMA_ISOLATE)
        n = snprintf(text, bytes, "%s %d", what[mode], t->nodes[node].id);
    else
        n = snprintf(text, bytes, "%s %u nodes", what[mode], t->n_nodes);
    for (; t->n_nodes > 1 && node < end && n >= 0 && (size_t)n < bytes; node++)
        n += snprintf(text + n, bytes - (size_t)n, "; node %d: %u threads, %u CPUs", t->nodes[node].id,
                      (unsigned)(plan->threads_before[node + 1] - plan->threads_before[node]),
                      t->nodes[node].n_cpus);
}
