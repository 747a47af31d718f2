/* threads.c - how many threads to use when nothing is asked for.
 * SPDX-License-Identifier: MIT
 * One per physical core that the process may run on: two hardware threads of a core share its multipliers, so
 * the second adds nothing and the barriers get slower. Where cores differ in kind, only the fast ones: a step
 * waits for its slowest thread. */
#include "engine/threads.h"

#include "engine/quern.h"

static const char *const limit_names[THREAD_LIMITS] = {
    [LIMIT_CORES] = "physical cores",
    [LIMIT_AFFINITY] = "the CPUs this process may use",
    [LIMIT_FAST_CORES] = "the fast cores",
    [LIMIT_QUOTA] = "the control group's CPU quota",
};

#if defined(__linux__)

#    include "engine/cgroup.h"

#    include <sched.h>
#    include <stdbool.h>
#    include <stdio.h>

static bool has(const struct cpu_mask *mask, int cpu) {
    return cpu >= 0 && cpu < MAX_CPUS && mask->words[cpu / 64] >> cpu % 64 & 1;
}

static void set(struct cpu_mask *mask, int cpu) {
    if (cpu >= 0 && cpu < MAX_CPUS)
        mask->words[cpu / 64] |= (uint64_t)1 << cpu % 64;
}

static unsigned count(const struct cpu_mask *mask) {
    unsigned n = 0;
    for (int i = 0; i < MAX_CPUS / 64; i++)
        n += (unsigned)__builtin_popcountll(mask->words[i]);
    return n;
}

static FILE *open_file(const char *root, const char *path) {
    char full[4096];
    int n = snprintf(full, sizeof full, "%s%s", root, path);
    return n > 0 && (size_t)n < sizeof full ? fopen(full, "r") : NULL;
}

static FILE *open_cpu_file(const char *root, int cpu, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/%s", cpu, name);
    return open_file(root, path);
}

/* A list as the kernel writes it, "0-7,16,18-19"; none of these CPUs where the file is missing. */
static bool read_cpu_list(const char *root, const char *path, struct cpu_mask *mask) {
    FILE *f = open_file(root, path);
    int first, last;
    char separator = ',';
    *mask = (struct cpu_mask){ { 0 } };
    while (f && separator == ',' && fscanf(f, "%d", &first) == 1) {
        last = first;
        separator = (char)fgetc(f);
        if (separator == '-' && fscanf(f, "%d", &last) == 1)
            separator = (char)fgetc(f);
        for (int cpu = first; cpu <= last && cpu < MAX_CPUS; cpu++)
            set(mask, cpu);
    }
    if (f)
        fclose(f);
    return f;
}

static long read_number(FILE *f, long otherwise) {
    long value = otherwise;
    if (f) {
        if (fscanf(f, "%ld", &value) != 1)
            value = otherwise;
        fclose(f);
    }
    return value;
}

/* The lowest CPU of each core that has an allowed one. */
static struct cpu_mask cores_of(const char *root, const struct cpu_mask *allowed) {
    struct cpu_mask cores = { { 0 } };
    for (int cpu = 0; cpu < MAX_CPUS; cpu++)
        if (has(allowed, cpu))
            set(&cores, (int)read_number(open_cpu_file(root, cpu, "topology/thread_siblings_list"), cpu));
    return cores;
}

/* Hybrid Intel CPUs list their fast cores; elsewhere (Arm, newer kernels) each CPU has a capacity, 1024 for
 * the fastest. Cores below six tenths of the best are slow: Arm's little ones are at 250 to 530, its middle
 * ones above 750. */
static struct cpu_mask fast_cpus(const char *root, const struct cpu_mask *allowed) {
    struct cpu_mask listed, fast = { { 0 } };
    long capacity[MAX_CPUS], best = 0;
    if (read_cpu_list(root, "/sys/devices/cpu_core/cpus", &listed)) {
        for (int i = 0; i < MAX_CPUS / 64; i++)
            fast.words[i] = listed.words[i] & allowed->words[i];
        return fast;
    }
    for (int cpu = 0; cpu < MAX_CPUS; cpu++) {
        capacity[cpu] = has(allowed, cpu) ? read_number(open_cpu_file(root, cpu, "cpu_capacity"), 0) : -1;
        best = capacity[cpu] > best ? capacity[cpu] : best;
    }
    for (int cpu = 0; cpu < MAX_CPUS; cpu++)
        if (capacity[cpu] >= 0 && capacity[cpu] * 10 >= best * 6)
            set(&fast, cpu);
    return fast;
}

unsigned count_threads(const char *root, const struct cpu_mask *allowed, enum thread_limit *limit) {
    struct cpu_mask all, cores = cores_of(root, allowed), fast = fast_cpus(root, allowed);
    unsigned n = count(&cores), quota = cgroup_cpus(root);
    *limit = LIMIT_CORES;
    if (read_cpu_list(root, "/sys/devices/system/cpu/online", &all)) {
        struct cpu_mask all_cores = cores_of(root, &all);
        *limit = n < count(&all_cores) ? LIMIT_AFFINITY : LIMIT_CORES;
    }
    if (count(&fast)) { /* a process that is bound to slow cores keeps those */
        struct cpu_mask fast_cores = cores_of(root, &fast);
        *limit = count(&fast_cores) < n ? LIMIT_FAST_CORES : *limit;
        n = count(&fast_cores);
    }
    if (quota && quota < n) {
        *limit = LIMIT_QUOTA;
        n = quota;
    }
    return n ? n : 1;
}

static unsigned count_here(enum thread_limit *limit) {
    struct cpu_mask allowed = { { 0 } };
    cpu_set_t here;
    *limit = LIMIT_CORES;
    if (sched_getaffinity(0, sizeof here, &here))
        return 1;
    for (int cpu = 0; cpu < CPU_SETSIZE && cpu < MAX_CPUS; cpu++)
        if (CPU_ISSET((size_t)cpu, &here))
            set(&allowed, cpu);
    return count_threads("", &allowed, limit);
}

#else

#    include <sys/sysctl.h>

static unsigned count_here(enum thread_limit *limit) {
    int n = 0;
    size_t bytes = sizeof n;
    *limit = LIMIT_FAST_CORES;
    if (!sysctlbyname("hw.perflevel0.physicalcpu", &n, &bytes, NULL, 0) && n > 0)
        return (unsigned)n;
    bytes = sizeof n;
    *limit = LIMIT_CORES;
    return !sysctlbyname("hw.physicalcpu", &n, &bytes, NULL, 0) && n > 0 ? (unsigned)n : 1;
}

#endif

unsigned quern_default_threads(void) {
    enum thread_limit limit;
    return count_here(&limit);
}

const char *quern_threads_limit(void) {
    enum thread_limit limit;
    (void)count_here(&limit);
    return limit_names[limit];
}
