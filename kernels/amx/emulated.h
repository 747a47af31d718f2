/* emulated.h - the AMX level with its tiles and vectors in plain C, for tests on any machine.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_KERNELS_AMX_EMULATED_H
#define QUERN_KERNELS_AMX_EMULATED_H

#include "kernels/kernels.h"

/* Overwrite the entries that the AMX level has. All tokens go to the tiles, also where the level would leave
 * them to the one below. */
void kernels_fill_amx_emulated(struct kernels *k);

#endif
