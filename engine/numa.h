/* numa.h - which threads, which rows and which memory belong to which node.
 * SPDX-License-Identifier: MIT
 * On machines with several memory nodes a thread reads its own node's memory faster than another's. Rows of
 * each matrix are shared out over nodes (distribute), or every node has a copy of all weights (mirror), or
 * one node does everything (isolate). Placement (numa_plan.c) is computed from a description of the machine
 * and touches none; the system is asked and told by numa.c. */
#ifndef QUERN_ENGINE_NUMA_H
#define QUERN_ENGINE_NUMA_H

#include "engine/quern.h"
#include "formats/status.h"

enum { NUMA_MAX_NODES = 16, NUMA_MAX_CPUS = 1024, NUMA_MAX_THREADS = 1024 };

/* A node with CPUs that this process may use. */
struct numa_node {
    int id; /* the system's number */
    unsigned n_cpus;
    uint64_t cpus[NUMA_MAX_CPUS / 64]; /* a bit for each */
    uint64_t free_bytes;               /* with those that pages of files would give up */
};

struct numa_topology {
    unsigned n_nodes;
    struct numa_node nodes[NUMA_MAX_NODES];
    unsigned start; /* index of the node on which the process started */
};

static inline bool numa_has_cpu(const struct numa_node *node, unsigned cpu) {
    return cpu < NUMA_MAX_CPUS && node->cpus[cpu / 64] >> cpu % 64 & 1;
}

/* What a team of threads does. Nodes are indices into the topology. */
struct numa_plan {
    unsigned n_threads, n_nodes;                 /* n_nodes: that rows are shared over; 1: not at all */
    unsigned first;                              /* the first node in use */
    uint8_t node_of_thread[NUMA_MAX_THREADS];    /* 0 where n_nodes is 1 and nothing is bound */
    uint16_t threads_before[NUMA_MAX_NODES + 1]; /* threads on nodes before this one: cuts of the rows */
};

/* Threads go to the nodes in use round robin, past those whose CPUs all have one; when all have, round robin
 * again. So the first threads of a larger team are placed as those of a smaller one. n_threads >= 1. */
void numa_plan(const struct numa_topology *topology, enum quern_numa mode, unsigned n_threads,
               struct numa_plan *plan);

/* Rows [*begin, *end) of n_rows are read by the threads of a node: cut in proportion to threads, at multiples
 * of unit. */
void numa_shard(const struct numa_plan *plan, unsigned node, size_t n_rows, size_t unit, size_t *begin,
                size_t *end);

/* CPUs in use: of all nodes, or of the only one. */
unsigned numa_n_cpus(const struct numa_topology *topology, enum quern_numa mode);

/* QUERN_MEMORY unless every node has room for a copy of the weights; says how much is needed and free. */
enum quern_status numa_check_mirror(const struct numa_topology *topology, uint64_t weight_bytes,
                                    struct quern_error *err);

/* One line on what a mode means here, without the memory: "distribute: 2 nodes, 12 threads on node 0, ...".
 */
void numa_describe(const struct numa_topology *topology, enum quern_numa mode, const struct numa_plan *plan,
                   char *text, size_t bytes);

/* ---- The system ---- */

/* Errors: QUERN_UNSUPPORTED where the build has no libnuma or the system no nodes. */
enum quern_status numa_read(struct numa_topology *topology, struct quern_error *err);

/* Have the calling thread run on a node's CPUs, unless it does. */
void numa_bind_thread(const struct numa_topology *topology, unsigned node);

/* CPUs the calling thread may run on; to be given back. */
struct numa_affinity {
    uint64_t cpus[NUMA_MAX_CPUS / 64];
};
void numa_get_affinity(struct numa_affinity *affinity);
void numa_set_affinity(const struct numa_affinity *affinity);

/* Advice on whole pages that nobody has touched: over the nodes in turn, or on one. */
void numa_interleave(const struct numa_topology *topology, void *data, size_t bytes);
void numa_prefer(const struct numa_topology *topology, unsigned node, void *data, size_t bytes);

/* Of the pages at data, one in each MiB is looked at; those on the node and those looked at are added up. */
void numa_count_local(const struct numa_topology *topology, unsigned node, const void *data, size_t bytes,
                      size_t *n_local, size_t *n_seen);

#endif
