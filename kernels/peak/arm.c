/* arm.c - multiply-add loops for aarch64.
 * SPDX-License-Identifier: MIT
 * Inline assembly, so that no compiler adds a move or a spill. Cores start up to four such instructions a
 * cycle, each taking 3 to 4, so that sixteen chains suffice. */
#include "kernels/peak/loops.h"

#include "kernels/cpu.h"

enum { CHAINS = 16, REGISTER_BYTES = 16 };

#define REGISTERS "0,1,2,3,4,5,6,7,16,17,18,19,20,21,22,23"
/* The text of a loop over %0; \r in the instruction is the number of a chain's register. v8 to v15 are left
 * alone: their lower halves are the caller's. */
#define LOOP(instruction)                                                                                    \
    ".irp r," REGISTERS ",30,31\n\t"                                                                         \
    "movi v\\r\\().16b, #0\n\t"                                                                              \
    ".endr\n"                                                                                                \
    "1:\n\t"                                                                                                 \
    ".irp r," REGISTERS "\n\t" instruction "\n\t"                                                            \
    ".endr\n\t"                                                                                              \
    "subs %0, %0, #1\n\t"                                                                                    \
    "b.ne 1b"
#define CHANGED                                                                                              \
    "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23",  \
        "v30", "v31", "cc"

static void sdot(size_t n) {
    __asm__ volatile(LOOP("sdot v\\r\\().4s, v30.16b, v31.16b") : "+r"(n) : : CHANGED);
}

static void smmla(size_t n) {
    __asm__ volatile(LOOP("smmla v\\r\\().4s, v30.16b, v31.16b") : "+r"(n) : : CHANGED);
}

static void fmla(size_t n) {
    __asm__ volatile(LOOP("fmla v\\r\\().4s, v30.4s, v31.4s") : "+r"(n) : : CHANGED);
}

#undef REGISTERS
#undef LOOP
#undef CHANGED

/* clang-format off */
static const struct peak_loop rows[] = {
    { "neon",      PEAK_INT8,  "sdot",  CPU_DOTPROD, CHAINS * REGISTER_BYTES,     sdot  },
    { "neon",      PEAK_FLOAT, "fmla",  0,           CHAINS * REGISTER_BYTES / 4, fmla  },
    { "neon-i8mm", PEAK_INT8,  "smmla", CPU_I8MM,    CHAINS * REGISTER_BYTES * 2, smmla },
    { "neon-i8mm", PEAK_FLOAT, "fmla",  0,           CHAINS * REGISTER_BYTES / 4, fmla  },
};
/* clang-format on */

const struct peak_loop *peak_loop_row(size_t i) { return i < sizeof rows / sizeof *rows ? &rows[i] : NULL; }
