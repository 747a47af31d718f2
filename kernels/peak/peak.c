/* peak.c - times the loops of x86.c or arm.c on all threads.
 * SPDX-License-Identifier: MIT */
#include "kernels/peak/peak.h"

#include "kernels/cpu.h"
#include "kernels/peak/loops.h"

#include <string.h>
#include <time.h>

static const struct peak_loop *find_loop(const char *level, enum peak_kind kind) {
    const struct peak_loop *row;
    for (size_t i = 0; (row = peak_loop_row(i)); i++)
        if (row->kind == kind && !strcmp(row->level, level))
            return row;
    return NULL;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Iterations that take about that long. Doubling from a few also wakes the wide units: some CPUs run them
 * slower for their first microseconds. */
static size_t iterations_for(const struct peak_loop *row, double seconds) {
    size_t n = 1000;
    for (;; n *= 2) {
        double start = now();
        row->run(n);
        double took = now() - start;
        if (took >= seconds / 2)
            return (size_t)((double)n * seconds / took) + 1;
    }
}

bool peak_measure(const char *level, enum peak_kind kind, unsigned n_threads, double seconds,
                  struct peak *out) {
    enum { WINDOWS = 9 };
    const struct peak_loop *row = find_loop(level, kind);
    uint64_t needs = row ? row->needs : 0;
    if (!row || (cpu_features() & needs) != needs || ((needs & CPU_AMX_TILE) && !cpu_allow_amx()))
        return false;
    double rates[WINDOWS] = { 0 }; /* sums over the threads */
#pragma omp parallel num_threads((int)n_threads)
    {
        size_t n = iterations_for(row, seconds / WINDOWS);
        for (size_t i = 0; i < WINDOWS; i++) {
#pragma omp barrier
            double start = now();
            row->run(n);
            double rate = row->macs * (double)n / (now() - start);
#pragma omp atomic
            rates[i] += rate;
        }
    }
    *out = (struct peak){ .instruction = row->instruction };
    for (size_t i = 0; i < WINDOWS; i++)
        out->gmacs = rates[i] * 1e-9 > out->gmacs ? rates[i] * 1e-9 : out->gmacs;
    return true;
}
