/* level.h - the functions of kernels/avxvnni, for its table.
 * SPDX-License-Identifier: MIT
 * What each computes: kernels.h, struct kernels. */
#ifndef QUERN_KERNELS_AVXVNNI_LEVEL_H
#define QUERN_KERNELS_AVXVNNI_LEVEL_H

#include "kernels/kernels.h"

/* block32.c */
kernel_matmul matmul_q4_0_avxvnni, matmul_q4_1_avxvnni, matmul_q5_0_avxvnni, matmul_q5_1_avxvnni,
    matmul_q8_0_avxvnni, matmul_iq4_nl_avxvnni, matmul_mxfp4_avxvnni;

/* k.c */
kernel_matmul matmul_q2_K_avxvnni, matmul_q3_K_avxvnni, matmul_q4_K_avxvnni, matmul_q5_K_avxvnni,
    matmul_q6_K_avxvnni;

/* iq.c */
kernel_matmul matmul_iq4_xs_avxvnni, matmul_iq3_s_avxvnni, matmul_iq3_xxs_avxvnni, matmul_iq2_s_avxvnni,
    matmul_iq2_xs_avxvnni, matmul_iq2_xxs_avxvnni, matmul_iq1_s_avxvnni, matmul_iq1_m_avxvnni;

/* ternary.c */
kernel_matmul matmul_tq1_0_avxvnni, matmul_tq2_0_avxvnni;

#endif
