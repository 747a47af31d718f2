/* iq_grids.h - the codebooks of the IQ types and how an entry is unpacked.
 * SPDX-License-Identifier: MIT
 * An entry stands for 8 values (IQ2, IQ1) or 4 (IQ3) that each take one of a few levels. Stored are the
 * numbers of the levels, value 0 in the lowest bits, so that all codebooks together take 9 KB:
 *
 *     table          entries  values  bits  levels
 *     iq2xxs_grid        256       8     2  8 25 43
 *     iq2xs_grid         512       8     2  8 25 43
 *     iq2s_grid         1024       8     2  8 25 43
 *     iq3xxs_grid        256       4     3  4 12 20 28 36 44 52 62
 *     iq3s_grid          512       4     3  1 3 5 7 9 11 13 15
 *     iq1s_grid         2048       8     2  -1 0 1               (IQ1_S and IQ1_M)
 *
 * Origin and licence: iq_grids.c. */
#ifndef QUERN_FORMATS_IQ_GRIDS_H
#define QUERN_FORMATS_IQ_GRIDS_H

#include <stdint.h>

extern const uint16_t iq2xxs_grid[256];
extern const uint16_t iq2xs_grid[512];
extern const uint16_t iq2s_grid[1024];
extern const uint16_t iq3xxs_grid[256];
extern const uint16_t iq3s_grid[512];
extern const uint16_t iq1s_grid[2048];

/* What the 16 codes of IQ4_NL and IQ4_XS stand for. */
extern const int8_t iq4_levels[16];

/* Entry of iq2xxs_grid, iq2xs_grid or iq2s_grid to its 8 values. */
static inline void iq2_unpack(uint16_t entry, uint8_t values[8]) {
    static const uint8_t levels[4] = { 8, 25, 43, 0 }; /* 3 occurs in no entry */
    for (int j = 0; j < 8; j++)
        values[j] = levels[entry >> 2 * j & 3];
}

static inline void iq3xxs_unpack(uint16_t entry, uint8_t values[4]) {
    static const uint8_t levels[8] = { 4, 12, 20, 28, 36, 44, 52, 62 };
    for (int j = 0; j < 4; j++)
        values[j] = levels[entry >> 3 * j & 7];
}

static inline void iq3s_unpack(uint16_t entry, uint8_t values[4]) {
    for (int j = 0; j < 4; j++)
        values[j] = (uint8_t)(2 * (entry >> 3 * j & 7) + 1);
}

static inline void iq1_unpack(uint16_t entry, int8_t values[8]) {
    for (int j = 0; j < 8; j++)
        values[j] = (int8_t)((entry >> 2 * j & 3) - 1);
}

/* The 8 signs that IQ2_XXS, IQ2_XS and IQ3_XXS store in 7 bits: bit j set means that value j is negative,
 * and bit 7 makes the number of negative values even. */
static inline uint8_t iq_signs(uint32_t seven_bits) {
    const uint32_t k = seven_bits & 127;
    return (uint8_t)(k | (uint32_t)__builtin_parity(k) << 7);
}

#endif
