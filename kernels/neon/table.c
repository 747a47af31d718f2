/* table.c - the level of Armv8.2 with dot products: what it does better than the scalar one.
 * SPDX-License-Identifier: MIT */
#include "kernels/neon/level.h"
#include "kernels/levels.h"

void kernels_fill_neon(struct kernels *k) {
    k->matmul[TYPE_F32] = matmul_f32_neon;
    k->matmul[TYPE_F16] = matmul_f16_neon;
    k->matmul[TYPE_BF16] = matmul_bf16_neon;
    k->matmul[TYPE_Q4_0] = matmul_q4_0_neon;
    k->matmul[TYPE_Q4_1] = matmul_q4_1_neon;
    k->matmul[TYPE_Q5_0] = matmul_q5_0_neon;
    k->matmul[TYPE_Q5_1] = matmul_q5_1_neon;
    k->matmul[TYPE_Q8_0] = matmul_q8_0_neon;
    k->matmul[TYPE_IQ4_NL] = matmul_iq4_nl_neon;
    k->matmul[TYPE_MXFP4] = matmul_mxfp4_neon;
    k->matmul[TYPE_Q2_K] = matmul_q2_K_neon;
    k->matmul[TYPE_Q3_K] = matmul_q3_K_neon;
    k->matmul[TYPE_Q4_K] = matmul_q4_K_neon;
    k->matmul[TYPE_Q5_K] = matmul_q5_K_neon;
    k->matmul[TYPE_Q6_K] = matmul_q6_K_neon;
    k->matmul[TYPE_IQ4_XS] = matmul_iq4_xs_neon;
    k->matmul[TYPE_IQ3_S] = matmul_iq3_s_neon;
    k->matmul[TYPE_IQ3_XXS] = matmul_iq3_xxs_neon;
    k->matmul[TYPE_IQ2_S] = matmul_iq2_s_neon;
    k->matmul[TYPE_IQ2_XS] = matmul_iq2_xs_neon;
    k->matmul[TYPE_IQ2_XXS] = matmul_iq2_xxs_neon;
    k->matmul[TYPE_IQ1_S] = matmul_iq1_s_neon;
    k->matmul[TYPE_IQ1_M] = matmul_iq1_m_neon;
    k->matmul[TYPE_TQ1_0] = matmul_tq1_0_neon;
    k->matmul[TYPE_TQ2_0] = matmul_tq2_0_neon;
    k->quantize[ACT_A32] = quantize_a32_neon;
    k->quantize[ACT_A256_16] = quantize_a256_16_neon;
    k->quantize[ACT_A256_32] = quantize_a256_32_neon;
    k->rms_norm = rms_norm_neon;
    k->add = add_neon;
    k->add_scaled = add_scaled_neon;
    k->silu_mul = silu_mul_neon;
    k->softmax = softmax_neon;
    k->rope_pairs = rope_pairs_neon;
    k->store_key[CACHE_F16] = store_key_f16_neon;
    k->store_value[CACHE_F16] = store_value_f16_neon;
    k->attn_scores[CACHE_F32] = attn_scores_f32_neon;
    k->attn_scores[CACHE_F16] = attn_scores_f16_neon;
    k->attn_scores[CACHE_Q8_0] = attn_scores_q8_0_neon;
    k->attn_softmax = attn_softmax_neon;
    k->attn_values[CACHE_F32] = attn_values_f32_neon;
    k->attn_values[CACHE_F16] = attn_values_f16_neon;
    k->attn_values[CACHE_Q8_0] = attn_values_q8_0_neon;
}
