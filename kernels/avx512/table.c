/* table.c - the AVX-512 level (F, BW, DQ, VL, VNNI, VBMI, GFNI): what it does better than AVX2.
 * SPDX-License-Identifier: MIT */
#include "kernels/avx512/level.h"
#include "kernels/levels.h"

void kernels_fill_avx512(struct kernels *k) {
    k->matmul[TYPE_F32] = matmul_f32_avx512;
    k->matmul[TYPE_F16] = matmul_f16_avx512;
    k->matmul[TYPE_BF16] = matmul_bf16_avx512;
    k->matmul[TYPE_Q4_0] = matmul_q4_0_avx512;
    k->matmul[TYPE_Q4_1] = matmul_q4_1_avx512;
    k->matmul[TYPE_Q5_0] = matmul_q5_0_avx512;
    k->matmul[TYPE_Q5_1] = matmul_q5_1_avx512;
    k->matmul[TYPE_Q8_0] = matmul_q8_0_avx512;
    k->matmul[TYPE_IQ4_NL] = matmul_iq4_nl_avx512;
    k->matmul[TYPE_MXFP4] = matmul_mxfp4_avx512;
    k->matmul[TYPE_Q2_K] = matmul_q2_K_avx512;
    k->matmul[TYPE_Q3_K] = matmul_q3_K_avx512;
    k->matmul[TYPE_Q4_K] = matmul_q4_K_avx512;
    k->matmul[TYPE_Q5_K] = matmul_q5_K_avx512;
    k->matmul[TYPE_Q6_K] = matmul_q6_K_avx512;
    k->matmul[TYPE_IQ4_XS] = matmul_iq4_xs_avx512;
    k->matmul[TYPE_IQ3_S] = matmul_iq3_s_avx512;
    k->matmul[TYPE_IQ3_XXS] = matmul_iq3_xxs_avx512;
    k->matmul[TYPE_IQ2_S] = matmul_iq2_s_avx512;
    k->matmul[TYPE_IQ2_XS] = matmul_iq2_xs_avx512;
    k->matmul[TYPE_IQ2_XXS] = matmul_iq2_xxs_avx512;
    k->matmul[TYPE_IQ1_S] = matmul_iq1_s_avx512;
    k->matmul[TYPE_IQ1_M] = matmul_iq1_m_avx512;
    k->matmul[TYPE_TQ1_0] = matmul_tq1_0_avx512;
    k->matmul[TYPE_TQ2_0] = matmul_tq2_0_avx512;
    k->matmul_w8a8 = matmul_w8a8_avx512;
    k->add_outliers = add_outliers_avx512;
    k->silu_mul = silu_mul_avx512;
    k->softmax = softmax_avx512;
    k->attn_scores[CACHE_F32] = attn_scores_f32_avx512;
    k->attn_scores[CACHE_F16] = attn_scores_f16_avx512;
    k->attn_scores[CACHE_BF16] = attn_scores_bf16_avx512;
    k->attn_scores[CACHE_Q8_0] = attn_scores_q8_0_avx512;
    k->attn_scores[CACHE_Q4_0] = attn_scores_q4_0_avx512;
    k->attn_softmax = attn_softmax_avx512;
    k->attn_values[CACHE_F32] = attn_values_f32_avx512;
    k->attn_values[CACHE_F16] = attn_values_f16_avx512;
    k->attn_values[CACHE_BF16] = attn_values_bf16_avx512;
    k->attn_values[CACHE_Q8_0] = attn_values_q8_0_avx512;
    k->attn_values[CACHE_Q4_0] = attn_values_q4_0_avx512;
    kernels_fill_avx512_bf16(k);
}
