/* peak.h - how many multiply-adds the instructions of a kernel level can do, measured.
 * SPDX-License-Identifier: MIT
 * The limit that `quern bench` compares prefill with: the instruction that the level's matrix kernels are
 * built on, from registers alone, in as many independent chains as hide its latency. */
#ifndef QUERN_KERNELS_PEAK_H
#define QUERN_KERNELS_PEAK_H

#include <stdbool.h>

enum peak_kind {
    PEAK_INT8,  /* products of bytes: quantized weights */
    PEAK_BF16,  /* products of bf16 with sums of float32: the prefill mode of that name */
    PEAK_FLOAT, /* fused multiply-add of float32: F32, F16 and BF16 weights */
    PEAK_KINDS,
};

struct peak {
    const char *instruction; /* "vpdpbusd zmm" */
    double gmacs;            /* 1e9 multiply-adds a second, of all threads together */
};

/* Measure for about that many seconds on n_threads OpenMP threads; the best of several windows. level: a
 * name from kernels_level(). False, and *out untouched, for a level without such an instruction (the scalar
 * one) and for one that this CPU cannot run. */
bool peak_measure(const char *level, enum peak_kind kind, unsigned n_threads, double seconds,
                  struct peak *out);

#endif
