/* table.c - the level with 8-bit matrix products, over that of dot products: products with many tokens.
 * SPDX-License-Identifier: MIT */
#include "kernels/levels.h"
#include "kernels/neon_i8mm/level.h"

void kernels_fill_neon_i8mm(struct kernels *k) {
    k->matmul[TYPE_Q4_0] = matmul_q4_0_i8mm;
    k->matmul[TYPE_Q4_1] = matmul_q4_1_i8mm;
    k->matmul[TYPE_Q5_0] = matmul_q5_0_i8mm;
    k->matmul[TYPE_Q5_1] = matmul_q5_1_i8mm;
    k->matmul[TYPE_Q8_0] = matmul_q8_0_i8mm;
    k->matmul[TYPE_IQ4_NL] = matmul_iq4_nl_i8mm;
    k->matmul[TYPE_MXFP4] = matmul_mxfp4_i8mm;
    k->matmul[TYPE_Q2_K] = matmul_q2_K_i8mm;
    k->matmul[TYPE_Q3_K] = matmul_q3_K_i8mm;
    k->matmul[TYPE_Q4_K] = matmul_q4_K_i8mm;
    k->matmul[TYPE_Q5_K] = matmul_q5_K_i8mm;
    k->matmul[TYPE_Q6_K] = matmul_q6_K_i8mm;
    k->matmul[TYPE_IQ4_XS] = matmul_iq4_xs_i8mm;
    k->matmul[TYPE_IQ3_S] = matmul_iq3_s_i8mm;
    k->matmul[TYPE_IQ3_XXS] = matmul_iq3_xxs_i8mm;
    k->matmul[TYPE_IQ2_S] = matmul_iq2_s_i8mm;
    k->matmul[TYPE_IQ2_XS] = matmul_iq2_xs_i8mm;
    k->matmul[TYPE_IQ2_XXS] = matmul_iq2_xxs_i8mm;
    k->matmul[TYPE_IQ1_S] = matmul_iq1_s_i8mm;
    k->matmul[TYPE_IQ1_M] = matmul_iq1_m_i8mm;
    k->matmul[TYPE_TQ1_0] = matmul_tq1_0_i8mm;
    k->matmul[TYPE_TQ2_0] = matmul_tq2_0_i8mm;
}
