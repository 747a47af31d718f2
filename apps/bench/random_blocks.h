/* random_blocks.h - random weights of any type, finite and of ordinary size.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_BENCH_RANDOM_BLOCKS_H
#define QUERN_APPS_BENCH_RANDOM_BLOCKS_H

#include "formats/types.h"

/* Fill dst with n_blocks blocks of a type that a recipe names: every bit random but those of the scales,
 * which are such that the values' root mean square is about rms. *state: of the random numbers, advanced; any
 * value is a valid seed. */
void random_blocks_fill(enum quern_type type, uint8_t *dst, size_t n_blocks, double rms, uint64_t *state);

/* 64 random bits (splitmix64, by Sebastiano Vigna: one addition and a mixing function). */
static inline uint64_t random_bits(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

#endif
