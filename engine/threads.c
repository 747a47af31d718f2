/* threads.c - how many threads to use when nothing is asked for.
 * SPDX-License-Identifier: MIT
 * One per physical core that the process may run on: two hardware threads of a core share its
 * multipliers, so the second adds nothing and the barriers get slower. A container's CPU quota counts
 * like a smaller machine: threads beyond it are stopped in the middle of a step. */
#include "engine/quern.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__linux__)

#    include <sched.h>

/* The lowest CPU number of the core that `cpu` is a hardware thread of. */
static int first_of_core(int cpu) {
    char path[128];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "r");
    int first = cpu;
    if (f) {
        if (fscanf(f, "%d", &first) != 1)
            first = cpu;
        fclose(f);
    }
    return first;
}

/* A list as the kernel writes it, "0-7,16,18-19". */
static void read_cpu_list(FILE *f, cpu_set_t *set) {
    int first, last;
    char separator = ',';
    CPU_ZERO(set);
    while (separator == ',' && fscanf(f, "%d", &first) == 1) {
        last = first;
        separator = (char)fgetc(f);
        if (separator == '-' && fscanf(f, "%d", &last) == 1)
            separator = (char)fgetc(f);
        for (int cpu = first; cpu >= 0 && cpu <= last && cpu < CPU_SETSIZE; cpu++)
            CPU_SET((size_t)cpu, set);
    }
}

/* Where cores differ in kind, only the fast ones: a step waits for its slowest thread. Linux lists them on
 * hybrid Intel CPUs; a process that is bound to slow ones keeps those. */
static void prefer_fast_cores(cpu_set_t *allowed) {
    FILE *f = fopen("/sys/devices/cpu_core/cpus", "r");
    if (!f)
        return;
    cpu_set_t fast;
    read_cpu_list(f, &fast);
    fclose(f);
    CPU_AND(&fast, &fast, allowed);
    if (CPU_COUNT(&fast))
        *allowed = fast;
}

static unsigned usable_cores(void) {
    cpu_set_t allowed, cores;
    CPU_ZERO(&cores);
    if (sched_getaffinity(0, sizeof allowed, &allowed))
        return 1;
    prefer_fast_cores(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        int first = CPU_ISSET((size_t)cpu, &allowed) ? first_of_core(cpu) : -1;
        if (first >= 0 && first < CPU_SETSIZE)
            CPU_SET((size_t)first, &cores);
    }
    return (unsigned)CPU_COUNT(&cores);
}

/* CPUs of the cgroup's quota, rounded up; 0 if there is none. Version 2, then version 1. */
static unsigned cgroup_quota(void) {
    double quota = 0, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (f) {
        int n = fscanf(f, "%lf %lf", &quota, &period); /* "max 100000" gives none */
        fclose(f);
        return n == 2 && quota > 0 && period > 0 ? (unsigned)((quota + period - 1) / period) : 0;
    }
    FILE *q = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r");
    FILE *p = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r");
    bool known = q && p && fscanf(q, "%lf", &quota) == 1 && fscanf(p, "%lf", &period) == 1;
    if (q)
        fclose(q);
    if (p)
        fclose(p);
    return known && quota > 0 && period > 0 ? (unsigned)((quota + period - 1) / period) : 0;
}

#else

#    include <sys/sysctl.h>

/* The fast cores alone: a step is as slow as its slowest thread. */
static unsigned usable_cores(void) {
    int n = 0;
    size_t bytes = sizeof n;
    if (!sysctlbyname("hw.perflevel0.physicalcpu", &n, &bytes, NULL, 0) && n > 0)
        return (unsigned)n;
    bytes = sizeof n;
    return !sysctlbyname("hw.physicalcpu", &n, &bytes, NULL, 0) && n > 0 ? (unsigned)n : 1;
}

static unsigned cgroup_quota(void) { return 0; }

#endif

unsigned quern_default_threads(void) {
    unsigned cores = usable_cores(), quota = cgroup_quota();
    unsigned n = quota && quota < cores ? quota : cores;
    return n ? n : 1;
}
