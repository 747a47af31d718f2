/* level.h - the functions of kernels/avx2, for its table.
 * SPDX-License-Identifier: MIT
 * What each computes: kernels.h, struct kernels. */
#ifndef QUERN_KERNELS_AVX2_LEVEL_H
#define QUERN_KERNELS_AVX2_LEVEL_H

#include "kernels/kernels.h"

/* float.c */
kernel_matmul matmul_f32_avx2, matmul_f16_avx2, matmul_bf16_avx2;

/* block32.c */
kernel_matmul matmul_q4_0_avx2, matmul_q4_1_avx2, matmul_q5_0_avx2, matmul_q5_1_avx2, matmul_q8_0_avx2,
    matmul_iq4_nl_avx2, matmul_mxfp4_avx2;

/* k.c */
kernel_matmul matmul_q2_K_avx2, matmul_q3_K_avx2, matmul_q4_K_avx2, matmul_q5_K_avx2, matmul_q6_K_avx2;

/* iq.c */
kernel_matmul matmul_iq4_xs_avx2, matmul_iq3_s_avx2, matmul_iq3_xxs_avx2, matmul_iq2_s_avx2,
    matmul_iq2_xs_avx2, matmul_iq2_xxs_avx2, matmul_iq1_s_avx2, matmul_iq1_m_avx2;

/* ternary.c */
kernel_matmul matmul_tq1_0_avx2, matmul_tq2_0_avx2;

/* quantize.c */
void quantize_a32_avx2(const float *x, const struct acts *acts, size_t t);
void quantize_a256_16_avx2(const float *x, const struct acts *acts, size_t t);
void quantize_a256_32_avx2(const float *x, const struct acts *acts, size_t t);

/* row8.c */
void quantize_row8_avx2(const float *x, const struct acts *acts, size_t t);
kernel_matmul matmul_w8a8_avx2, add_outliers_avx2;

/* elementwise.c */
void rms_norm_avx2(const float *x, const float *w, float eps, float *y, size_t n);
void add_avx2(float *x, const float *y, size_t n);
void add_scaled_avx2(float *x, const float *y, float scale, size_t n);
void silu_mul_avx2(const float *gate, const float *up, float *y, size_t n);
void softmax_avx2(float *x, size_t n);
void rope_pairs_avx2(float *x, const float *cs, size_t n);

/* attention.c */
void store_key_f16_avx2(const float *k, size_t head_dim, void *tile, size_t lane);
void store_value_f16_avx2(const float *v, size_t head_dim, void *row);
void attn_scores_f32_avx2(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_f32_avx2(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                          size_t head_dim, float *o);
void attn_scores_f16_avx2(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_f16_avx2(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                          size_t head_dim, float *o);
void attn_scores_bf16_avx2(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_bf16_avx2(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                           size_t head_dim, float *o);
void attn_softmax_avx2(float *s, const struct attn_span *spans, size_t n, struct attn_softmax *states,
                       float *o, size_t head_dim);

/* attention_blocks.c */
void store_key_q8_0_avx2(const float *k, size_t head_dim, void *tile, size_t lane);
void store_value_q8_0_avx2(const float *v, size_t head_dim, void *row);
void attn_scores_q8_0_avx2(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_q8_0_avx2(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                           size_t head_dim, float *o);
void attn_scores_q4_0_avx2(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_q4_0_avx2(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                           size_t head_dim, float *o);

#endif
