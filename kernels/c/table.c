/* table.c - the scalar level: every entry of the kernel table, and the definition of each.
 * SPDX-License-Identifier: MIT */
#include "kernels/c/level.h"
#include "kernels/levels.h"

#include <string.h>

static kernel_matmul *const matmuls[TYPE_COUNT] = {
    [TYPE_F32] = matmul_f32_c,       [TYPE_F16] = matmul_f16_c,       [TYPE_BF16] = matmul_bf16_c,
    [TYPE_Q4_0] = matmul_q4_0_c,     [TYPE_Q4_1] = matmul_q4_1_c,     [TYPE_Q5_0] = matmul_q5_0_c,
    [TYPE_Q5_1] = matmul_q5_1_c,     [TYPE_Q8_0] = matmul_q8_0_c,     [TYPE_IQ4_NL] = matmul_iq4_nl_c,
    [TYPE_MXFP4] = matmul_mxfp4_c,   [TYPE_Q2_K] = matmul_q2_K_c,     [TYPE_Q3_K] = matmul_q3_K_c,
    [TYPE_Q4_K] = matmul_q4_K_c,     [TYPE_Q5_K] = matmul_q5_K_c,     [TYPE_Q6_K] = matmul_q6_K_c,
    [TYPE_IQ4_XS] = matmul_iq4_xs_c, [TYPE_IQ3_S] = matmul_iq3_s_c,   [TYPE_IQ3_XXS] = matmul_iq3_xxs_c,
    [TYPE_IQ2_S] = matmul_iq2_s_c,   [TYPE_IQ2_XS] = matmul_iq2_xs_c, [TYPE_IQ2_XXS] = matmul_iq2_xxs_c,
    [TYPE_IQ1_S] = matmul_iq1_s_c,   [TYPE_IQ1_M] = matmul_iq1_m_c,   [TYPE_TQ1_0] = matmul_tq1_0_c,
    [TYPE_TQ2_0] = matmul_tq2_0_c,
};

void kernels_fill_c(struct kernels *k) {
    memcpy(k->matmul, matmuls, sizeof matmuls);
    k->quantize[ACT_A32] = quantize_a32_c;
    k->quantize[ACT_A256_16] = quantize_a256_16_c;
    k->quantize[ACT_A256_32] = quantize_a256_32_c;
    k->quantize[ACT_ROW8] = quantize_row8_c;
    k->matmul_w8a8 = matmul_w8a8_c;
    k->add_outliers = add_outliers_c;
    k->rms_norm = rms_norm_c;
    k->add = add_c;
    k->add_scaled = add_scaled_c;
    k->silu_mul = silu_mul_c;
    k->softmax = softmax_c;
    k->rope_pairs = rope_pairs_c;
    k->store_key[CACHE_F32] = store_key_f32_c;
    k->store_key[CACHE_F16] = store_key_f16_c;
    k->store_key[CACHE_BF16] = store_key_bf16_c;
    k->store_key[CACHE_Q8_0] = store_key_q8_0_c;
    k->store_key[CACHE_Q4_0] = store_key_q4_0_c;
    k->store_value[CACHE_F32] = store_value_f32_c;
    k->store_value[CACHE_F16] = store_value_f16_c;
    k->store_value[CACHE_BF16] = store_value_bf16_c;
    k->store_value[CACHE_Q8_0] = store_value_q8_0_c;
    k->store_value[CACHE_Q4_0] = store_value_q4_0_c;
    k->attn_scores[CACHE_F32] = attn_scores_f32_c;
    k->attn_scores[CACHE_F16] = attn_scores_f16_c;
    k->attn_scores[CACHE_BF16] = attn_scores_bf16_c;
    k->attn_scores[CACHE_Q8_0] = attn_scores_q8_0_c;
    k->attn_scores[CACHE_Q4_0] = attn_scores_q4_0_c;
    k->attn_softmax = attn_softmax_c;
    k->attn_values[CACHE_F32] = attn_values_f32_c;
    k->attn_values[CACHE_F16] = attn_values_f16_c;
    k->attn_values[CACHE_BF16] = attn_values_bf16_c;
    k->attn_values[CACHE_Q8_0] = attn_values_q8_0_c;
    k->attn_values[CACHE_Q4_0] = attn_values_q4_0_c;
}
