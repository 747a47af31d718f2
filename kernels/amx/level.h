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

/* row8.c */
kernel_matmul AMX(matmul_w8a8);

/* block32.c */
kernel_matmul AMX(matmul_q4_0), AMX(matmul_q4_1), AMX(matmul_q5_0), AMX(matmul_q5_1), AMX(matmul_q8_0),
    AMX(matmul_iq4_nl), AMX(matmul_mxfp4);

/* k.c */
kernel_matmul AMX(matmul_q2_K), AMX(matmul_q3_K), AMX(matmul_q4_K), AMX(matmul_q5_K), AMX(matmul_q6_K);

/* iq.c */
kernel_matmul AMX(matmul_iq4_xs);

#endif
