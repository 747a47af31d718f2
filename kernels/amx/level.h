/* level.h - the functions of kernels/amx, for its table.
 * SPDX-License-Identifier: MIT
 * What each computes: kernels.h, struct kernels. The folder is compiled twice (tiles.h): AMX() makes the two
 * sets of names. */
#ifndef QUERN_KERNELS_AMX_LEVEL_H
#define QUERN_KERNELS_AMX_LEVEL_H

#include "kernels/kernels.h"

#ifdef AMX_EMULATED
#    define AMX(name) name##_amx_emulated
#else
#    define AMX(name) name##_amx
#endif

/* arrange.c */
void AMX(arrange_a32)(const struct acts *x, size_t t);
void AMX(arrange_a256_16)(const struct acts *x, size_t t);
void AMX(arrange_a256_32)(const struct acts *x, size_t t);

/* row8.c */
kernel_matmul AMX(matmul_w8a8);

/* block32.c */
kernel_matmul AMX(matmul_q4_0), AMX(matmul_q4_1), AMX(matmul_q5_0), AMX(matmul_q5_1), AMX(matmul_q8_0),
    AMX(matmul_iq4_nl), AMX(matmul_mxfp4);

/* k.c */
kernel_matmul AMX(matmul_q2_K), AMX(matmul_q3_K), AMX(matmul_q4_K), AMX(matmul_q5_K), AMX(matmul_q6_K);

/* bf16.c */
void AMX(round_row)(const float *x, const struct acts_bf16 *acts, size_t t);
kernel_matmul_bf16 AMX(matmul_bf16_mode);

/* bf16_vectors.c: without tiles, for the level below */
void round_row_avx512(const float *x, const struct acts_bf16 *acts, size_t t);
kernel_matmul_bf16 matmul_bf16_mode_avx512;

/* iq.c */
kernel_matmul AMX(matmul_iq4_xs);

#endif
