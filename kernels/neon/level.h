/* level.h - the functions of kernels/neon, for its table and for that of kernels/neon_i8mm.
 * SPDX-License-Identifier: MIT
 * What each computes: kernels.h, struct kernels. */
#ifndef QUERN_KERNELS_NEON_LEVEL_H
#define QUERN_KERNELS_NEON_LEVEL_H

#include "kernels/kernels.h"

/* float.c */
kernel_matmul matmul_f32_neon, matmul_f16_neon, matmul_bf16_neon;

/* block32.c */
kernel_matmul matmul_q4_0_neon, matmul_q4_1_neon, matmul_q5_0_neon, matmul_q5_1_neon, matmul_q8_0_neon,
    matmul_iq4_nl_neon, matmul_mxfp4_neon;

/* k.c */
kernel_matmul matmul_q2_K_neon, matmul_q3_K_neon, matmul_q4_K_neon, matmul_q5_K_neon, matmul_q6_K_neon;

/* iq.c */
kernel_matmul matmul_iq4_xs_neon, matmul_iq3_s_neon, matmul_iq3_xxs_neon, matmul_iq2_s_neon,
    matmul_iq2_xs_neon, matmul_iq2_xxs_neon, matmul_iq1_s_neon, matmul_iq1_m_neon;

/* ternary.c */
kernel_matmul matmul_tq1_0_neon, matmul_tq2_0_neon;

/* quantize.c */
void quantize_a32_neon(const float *x, const struct acts *acts, size_t t);
void quantize_a256_16_neon(const float *x, const struct acts *acts, size_t t);
void quantize_a256_32_neon(const float *x, const struct acts *acts, size_t t);

/* elementwise.c */
void rms_norm_neon(const float *x, const float *w, float eps, float *y, size_t n);
void add_neon(float *x, const float *y, size_t n);
void add_scaled_neon(float *x, const float *y, float scale, size_t n);
void silu_mul_neon(const float *gate, const float *up, float *y, size_t n);
void softmax_neon(float *x, size_t n);
void rope_pairs_neon(float *x, const float *cs, size_t n);

/* attention.c */
void store_key_f16_neon(const float *k, size_t head_dim, void *tile, size_t lane);
void store_value_f16_neon(const float *v, size_t head_dim, void *row);
void attn_scores_f32_neon(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_scores_f16_neon(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_softmax_neon(float *s, const struct attn_span *spans, size_t n, struct attn_softmax *states,
                       float *o, size_t head_dim);
void attn_values_f32_neon(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                          size_t head_dim, float *o);
void attn_values_f16_neon(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                          size_t head_dim, float *o);

/* attention_q8.c */
void attn_scores_q8_0_neon(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_q8_0_neon(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                           size_t head_dim, float *o);

#endif
