/* level.h - the functions of kernels/neon_i8mm, for its table.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_KERNELS_NEON_I8MM_LEVEL_H
#define QUERN_KERNELS_NEON_I8MM_LEVEL_H

#include "kernels/kernels.h"

/* matmul.c */
kernel_matmul matmul_q4_0_i8mm, matmul_q4_1_i8mm, matmul_q5_0_i8mm, matmul_q5_1_i8mm, matmul_q8_0_i8mm,
    matmul_iq4_nl_i8mm, matmul_mxfp4_i8mm, matmul_q2_K_i8mm, matmul_q3_K_i8mm, matmul_q4_K_i8mm,
    matmul_q5_K_i8mm, matmul_q6_K_i8mm, matmul_iq4_xs_i8mm, matmul_iq3_s_i8mm, matmul_iq3_xxs_i8mm,
    matmul_iq2_s_i8mm, matmul_iq2_xs_i8mm, matmul_iq2_xxs_i8mm, matmul_iq1_s_i8mm, matmul_iq1_m_i8mm,
    matmul_tq1_0_i8mm, matmul_tq2_0_i8mm;

#endif
