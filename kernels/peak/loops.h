/* loops.h - the loops that peak.c times. Private to kernels/peak.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_KERNELS_PEAK_LOOPS_H
#define QUERN_KERNELS_PEAK_LOOPS_H

#include "kernels/peak/peak.h"

#include <stddef.h>
#include <stdint.h>

/* The loop of one level and kind of product. */
struct peak_loop {
    const char *level;
    enum peak_kind kind;
    const char *instruction;
    uint64_t needs;        /* features, as in cpu.h */
    double macs;           /* multiply-adds of an iteration */
    void (*run)(size_t n); /* n >= 1 iterations; changes no state of the thread */
};

/* Row i for the machine this is built for; NULL past the end. */
const struct peak_loop *peak_loop_row(size_t i);

#endif
