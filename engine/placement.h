/* placement.h - how a model's weights lie on memory nodes, and the threads of its sessions.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_ENGINE_PLACEMENT_H
#define QUERN_ENGINE_PLACEMENT_H

#include "engine/memory.h"
#include "engine/numa.h"

struct quern_model;
struct pool;

/* The weights of one part of the file, and with QUERN_NUMA_MIRROR each node's copy of them. */
struct placed_part {
    const uint8_t *begin, *end;
    struct pages copies[NUMA_MAX_NODES];
};

/* With QUERN_NUMA_NONE the topology is empty. */
struct placement {
    enum quern_numa mode;
    struct numa_topology topology;
    struct placed_part *parts; /* [n_parts] */
    size_t n_parts;
};

/* Read the machine and, to mirror, copy the weights. Errors: QUERN_UNSUPPORTED, QUERN_MEMORY. */
enum quern_status placement_open(struct quern_model *m, enum quern_numa mode, struct quern_error *err);
/* The second half of that, with mode and topology as they are in m. */
enum quern_status placement_place(struct quern_model *m, struct quern_error *err);
void placement_close(struct placement *p); /* accepts a zeroed one */

/* Whether threads are to be bound to nodes. */
static inline bool placement_binds(const struct placement *p) { return p->topology.n_nodes > 1; }

/* A team's plan; without placement all threads are alike. */
void placement_plan(const struct placement *p, unsigned n_threads, struct numa_plan *plan);

/* Where threads of a node read what lies at data in the mapping. */
const uint8_t *placement_near(const struct placement *p, unsigned node, const uint8_t *data);

/* Before a session's first step: bind its threads, have the weights mapped or read by those that will use
 * them, and say in text what was done. */
void placement_settle(const struct quern_model *m, struct pool *pool, const struct numa_plan *plan,
                      char *text, size_t bytes);

#endif
