/* table.c - the AVX-VNNI level: products of bytes; the rest is that of AVX2.
 * SPDX-License-Identifier: MIT */
#include "kernels/avxvnni/level.h"
#include "kernels/levels.h"

void kernels_fill_avxvnni(struct kernels *k) {
    k->matmul[TYPE_Q4_0] = matmul_q4_0_avxvnni;
    k->matmul[TYPE_Q4_1] = matmul_q4_1_avxvnni;
    k->matmul[TYPE_Q5_0] = matmul_q5_0_avxvnni;
    k->matmul[TYPE_Q5_1] = matmul_q5_1_avxvnni;
    k->matmul[TYPE_Q8_0] = matmul_q8_0_avxvnni;
    k->matmul[TYPE_IQ4_NL] = matmul_iq4_nl_avxvnni;
    k->matmul[TYPE_MXFP4] = matmul_mxfp4_avxvnni;
    k->matmul[TYPE_Q2_K] = matmul_q2_K_avxvnni;
    k->matmul[TYPE_Q3_K] = matmul_q3_K_avxvnni;
    k->matmul[TYPE_Q4_K] = matmul_q4_K_avxvnni;
    k->matmul[TYPE_Q5_K] = matmul_q5_K_avxvnni;
    k->matmul[TYPE_Q6_K] = matmul_q6_K_avxvnni;
    k->matmul[TYPE_IQ4_XS] = matmul_iq4_xs_avxvnni;
    k->matmul[TYPE_IQ3_S] = matmul_iq3_s_avxvnni;
    k->matmul[TYPE_IQ3_XXS] = matmul_iq3_xxs_avxvnni;
    k->matmul[TYPE_IQ2_S] = matmul_iq2_s_avxvnni;
    k->matmul[TYPE_IQ2_XS] = matmul_iq2_xs_avxvnni;
    k->matmul[TYPE_IQ2_XXS] = matmul_iq2_xxs_avxvnni;
    k->matmul[TYPE_IQ1_S] = matmul_iq1_s_avxvnni;
    k->matmul[TYPE_IQ1_M] = matmul_iq1_m_avxvnni;
    k->matmul[TYPE_TQ1_0] = matmul_tq1_0_avxvnni;
    k->matmul[TYPE_TQ2_0] = matmul_tq2_0_avxvnni;
}
