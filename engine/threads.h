/* threads.h - how many threads the machine is good for, as the files of Linux tell.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_ENGINE_THREADS_H
#define QUERN_ENGINE_THREADS_H

#include <stdint.h>

enum { MAX_CPUS = 1024 };

/* A bit for each CPU. */
struct cpu_mask {
    uint64_t words[MAX_CPUS / 64];
};

/* What sets the number of threads. */
enum thread_limit { LIMIT_CORES, LIMIT_AFFINITY, LIMIT_FAST_CORES, LIMIT_QUOTA, THREAD_LIMITS };

/* One thread for each fast core among the allowed CPUs, at most as many as the control groups of this process
 * may keep busy. root: put before the paths of /sys and /proc, "" but in tests. At least 1. */
unsigned count_threads(const char *root, const struct cpu_mask *allowed, enum thread_limit *limit);

#endif
