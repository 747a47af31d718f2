/* resources.c - time and memory of this process.
 * SPDX-License-Identifier: MIT */
#include "apps/resources.h"

#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

uint64_t peak_resident_bytes(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage))
        return 0;
#if defined(__APPLE__)
    return (uint64_t)usage.ru_maxrss;
#else
    return (uint64_t)usage.ru_maxrss * 1024; /* Linux counts in KiB */
#endif
}

uint32_t random_seed(void) {
    uint32_t seed;
    if (!getentropy(&seed, sizeof seed))
        return seed;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint32_t)t.tv_sec ^ (uint32_t)t.tv_nsec ^ (uint32_t)getpid();
}
