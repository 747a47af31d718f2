/* bf16_vectors.c - y = W x in bf16 for CPUs with vdpbf16ps and without tiles: bf16.c with vectors.
 * SPDX-License-Identifier: MIT */
#define BF16_VECTORS
#include "kernels/amx/bf16.c" /* NOLINT(bugprone-suspicious-include) */
