/* cpu.h - what this processor and operating system can run.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_KERNELS_CPU_H
#define QUERN_KERNELS_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One bit each. Names for messages: cpu_feature_name(). */
enum cpu_feature {
    /* x86-64. Those that need wider registers are set only if the operating system saves them. */
    CPU_AVX2 = 1 << 0,
    CPU_FMA = 1 << 1,
    CPU_F16C = 1 << 2,
    CPU_AVX_VNNI = 1 << 3,
    CPU_AVX512 = 1 << 4, /* F, BW, DQ and VL together */
    CPU_AVX512_VNNI = 1 << 5,
    CPU_AVX512_VBMI = 1 << 6,
    CPU_AVX512_BF16 = 1 << 7,
    CPU_GFNI = 1 << 8,
    CPU_AMX_TILE = 1 << 9,
    CPU_AMX_INT8 = 1 << 10,
    CPU_AMX_BF16 = 1 << 11,
    /* Arm */
    CPU_DOTPROD = 1 << 16,
    CPU_I8MM = 1 << 17,
    CPU_BF16 = 1 << 18,
    CPU_SVE = 1 << 19,
};

/* The features of this machine, a mask of enum cpu_feature. Asks the processor (and, on Arm, the system)
 * each time and changes nothing. The AMX bits say that tiles exist; before the first tile instruction the
 * process must also be allowed to use them: cpu_allow_amx(). */
uint64_t cpu_features(void);

/* Ask the system to let this process use AMX tiles, which enlarges the register state of all its threads.
 * False if it refuses or has none. Calling it again is harmless. */
bool cpu_allow_amx(void);

/* The i-th feature that a mask can hold and its bit; NULL past the end. */
const char *cpu_feature_name(size_t i, uint64_t *bit);

#endif
