/* levels.h - the functions that fill the kernel table, one per level of this build.
 * SPDX-License-Identifier: MIT
 * kernels.c calls that of a level behind that of the level it builds on, so that each overwrites the entries
 * it does better. */
#ifndef QUERN_KERNELS_LEVELS_H
#define QUERN_KERNELS_LEVELS_H

#include "kernels/kernels.h"

void kernels_fill_c(struct kernels *k); /* every entry */
void kernels_fill_avx2(struct kernels *k);
void kernels_fill_avxvnni(struct kernels *k); /* AVX2 with VNNI: Alder Lake, Zen 5 and later */
void kernels_fill_avx512(struct kernels *k); /* with VNNI, VBMI and GFNI: Ice Lake, Zen 4 and later */
void kernels_fill_amx(struct kernels *k);    /* tiles of bytes: Sapphire Rapids and later */
void kernels_fill_neon(struct kernels *k);      /* with dot products: Cortex-A76, Apple M1 and later */
void kernels_fill_neon_i8mm(struct kernels *k); /* matrices of bytes: Neoverse V1, Apple M2 and later */

#endif
