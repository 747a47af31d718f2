/* levels.h - the functions that fill the kernel table, one per level of this build.
 * SPDX-License-Identifier: MIT
 * kernels.c calls them plainest first, so that each overwrites the entries it does better. */
#ifndef QUERN_KERNELS_LEVELS_H
#define QUERN_KERNELS_LEVELS_H

#include "kernels/kernels.h"

void kernels_fill_c(struct kernels *k); /* every entry */
void kernels_fill_avx2(struct kernels *k);
void kernels_fill_avx512(struct kernels *k); /* with VNNI, VBMI and GFNI: Ice Lake, Zen 4 and later */
void kernels_fill_avx512_bf16(struct kernels *k); /* part of the level, where the CPU has vdpbf16ps */
void kernels_fill_amx(struct kernels *k);    /* tiles of bytes: Sapphire Rapids and later */

#endif
