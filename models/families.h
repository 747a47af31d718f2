/* families.h - the architecture families, one file each.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_MODELS_FAMILIES_H
#define QUERN_MODELS_FAMILIES_H

#include "engine/ops/ops.h"

extern const struct arch arch_llama;

#endif
