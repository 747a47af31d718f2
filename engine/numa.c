/* numa.c - asking and telling the system about memory nodes, by libnuma.
 * SPDX-License-Identifier: MIT
 * Advice that the system does not take costs speed only, so its refusals are no errors; numa_count_local()
 * tells where pages are in the end. */
#include "engine/numa.h"

#if defined(QUERN_HAS_LIBNUMA)

#    include <inttypes.h>
#    include <numa.h>
#    include <numaif.h>
#    include <sched.h>
#    include <stdio.h>
#    include <stdlib.h>
#    include <string.h>
#    include <unistd.h>

/* What a node can give: free memory, and pages of files, which make room. 0 if the system does not tell. */
static uint64_t available_on_node(int id) {
    static const char *const parts[] = { "MemFree:", "Active(file):", "Inactive(file):" };
    char path[64], line[128], name[32];
    uint64_t kib, sum = 0;
    snprintf(path, sizeof path, "/sys/devices/system/node/node%d/meminfo", id);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            if (sscanf(line, "Node %*d %31s %" SCNu64, name, &kib) == 2 && !strcmp(name, parts[i]))
                sum += kib * 1024;
    if (f)
        fclose(f);
    return sum;
}

static bool read_node(int id, const struct bitmask *allowed, struct bitmask *cpus, struct numa_node *node) {
    *node = (struct numa_node){ .id = id, .free_bytes = available_on_node(id) };
    if (numa_node_to_cpus(id, cpus))
        return false;
    for (unsigned cpu = 0; cpu < NUMA_MAX_CPUS; cpu++)
        if (numa_bitmask_isbitset(cpus, cpu) && numa_bitmask_isbitset(allowed, cpu)) {
            node->cpus[cpu / 64] |= (uint64_t)1 << cpu % 64;
            node->n_cpus++;
        }
    return node->n_cpus > 0;
}

enum quern_status numa_read(struct numa_topology *t, struct quern_error *err) {
    *t = (struct numa_topology){ 0 };
    if (numa_available() < 0)
        return fail(err, QUERN_UNSUPPORTED, "numa: this system does not tell its memory nodes");
    struct bitmask *allowed = numa_allocate_cpumask(), *cpus = numa_allocate_cpumask();
    int start = numa_node_of_cpu(sched_getcpu());
    if (allowed && cpus && numa_sched_getaffinity(0, allowed) >= 0)
        for (int id = 0; id <= numa_max_node() && t->n_nodes < NUMA_MAX_NODES; id++)
            if (read_node(id, allowed, cpus, &t->nodes[t->n_nodes])) {
                t->start = id == start ? t->n_nodes : t->start;
                t->n_nodes++;
            }
    if (allowed)
        numa_free_cpumask(allowed);
    if (cpus)
        numa_free_cpumask(cpus);
    if (!t->n_nodes)
        return fail(err, QUERN_UNSUPPORTED, "numa: no memory node has a CPU that this process may use");
    return QUERN_OK;
}

/* ---- Threads ---- */

void numa_get_affinity(struct numa_affinity *affinity) {
    cpu_set_t set;
    *affinity = (struct numa_affinity){ { 0 } };
    if (sched_getaffinity(0, sizeof set, &set))
        return;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && cpu < NUMA_MAX_CPUS; cpu++)
        if (CPU_ISSET(cpu, &set))
            affinity->cpus[cpu / 64] |= (uint64_t)1 << cpu % 64;
}

void numa_set_affinity(const struct numa_affinity *affinity) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && cpu < NUMA_MAX_CPUS; cpu++)
        if (affinity->cpus[cpu / 64] >> cpu % 64 & 1)
            CPU_SET(cpu, &set);
    if (CPU_COUNT(&set))
        (void)sched_setaffinity(0, sizeof set, &set);
}

/* Asked at every step, because the runtime may have replaced a thread by another: so first where it runs. */
void numa_bind_thread(const struct numa_topology *t, unsigned node) {
    int cpu = sched_getcpu();
    if (cpu >= 0 && numa_has_cpu(&t->nodes[node], (unsigned)cpu))
        return;
    struct numa_affinity affinity;
    memcpy(affinity.cpus, t->nodes[node].cpus, sizeof affinity.cpus);
    numa_set_affinity(&affinity);
}

/* ---- Memory ---- */

enum { MASK_WORDS = 1024 / (8 * sizeof(unsigned long)) }; /* the largest number of nodes Linux is built for */

static void set_node(unsigned long *nodes, int id) {
    const size_t bits = 8 * sizeof *nodes;
    if (id >= 0 && (size_t)id < MASK_WORDS * bits)
        nodes[(size_t)id / bits] |= 1UL << (size_t)id % bits;
}

/* data is at the beginning of a page. */
static void advise(int policy, const unsigned long *nodes, void *data, size_t bytes) {
    (void)mbind(data, bytes, policy, nodes, 8 * sizeof *nodes * MASK_WORDS, 0);
}

void numa_interleave(const struct numa_topology *t, void *data, size_t bytes) {
    unsigned long nodes[MASK_WORDS] = { 0 };
    for (unsigned i = 0; i < t->n_nodes; i++)
        set_node(nodes, t->nodes[i].id);
    advise(MPOL_INTERLEAVE, nodes, data, bytes);
}

void numa_prefer(const struct numa_topology *t, unsigned node, void *data, size_t bytes) {
    unsigned long nodes[MASK_WORDS] = { 0 };
    set_node(nodes, t->nodes[node].id);
    advise(MPOL_PREFERRED, nodes, data, bytes);
}

void numa_count_local(const struct numa_topology *t, unsigned node, const void *data, size_t bytes,
                      size_t *n_local, size_t *n_seen) {
    enum { STEP = 1 << 20, AT_ONCE = 64 };
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)data / page * page;
    for (size_t at = 0; at < bytes;) {
        void *pages[AT_ONCE];
        int status[AT_ONCE];
        size_t n = 0;
        for (; n < AT_ONCE && at < bytes; at += STEP)
            pages[n++] = (void *)(first + at);
        if (numa_move_pages(0, n, pages, NULL, status, 0)) /* without nodes it only tells */
            return;
        for (size_t i = 0; i < n; i++) {
            *n_seen += status[i] >= 0; /* a page that is not mapped yet has no node */
            *n_local += status[i] == t->nodes[node].id;
        }
    }
}

#else

enum quern_status numa_read(struct numa_topology *t, struct quern_error *err) {
    *t = (struct numa_topology){ 0 };
    return fail(err, QUERN_UNSUPPORTED,
                "numa: this build is without libnuma (Debian: libnuma-dev; Linux only)");
}

void numa_get_affinity(struct numa_affinity *affinity) { *affinity = (struct numa_affinity){ { 0 } }; }
void numa_set_affinity(const struct numa_affinity *affinity) { (void)affinity; }
void numa_bind_thread(const struct numa_topology *t, unsigned node) { (void)t, (void)node; }
void numa_interleave(const struct numa_topology *t, void *data, size_t bytes) {
    (void)t, (void)data, (void)bytes;
}
void numa_prefer(const struct numa_topology *t, unsigned node, void *data, size_t bytes) {
    (void)t, (void)node, (void)data, (void)bytes;
}
void numa_count_local(const struct numa_topology *t, unsigned node, const void *data, size_t bytes,
                      size_t *n_local, size_t *n_seen) {
    (void)t, (void)node, (void)data, (void)bytes, (void)n_local, (void)n_seen;
}

#endif
