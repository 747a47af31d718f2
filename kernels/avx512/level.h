/* level.h - the functions of kernels/avx512, for its table.
 * SPDX-License-Identifier: MIT
 * What each computes: kernels.h, struct kernels. */
#ifndef QUERN_KERNELS_AVX512_LEVEL_H
#define QUERN_KERNELS_AVX512_LEVEL_H

#include "kernels/kernels.h"

/* float.c */
kernel_matmul matmul_f32_avx512, matmul_f16_avx512, matmul_bf16_avx512;

/* block32.c */
kernel_matmul matmul_q4_0_avx512, matmul_q4_1_avx512, matmul_q5_0_avx512, matmul_q5_1_avx512,
    matmul_q8_0_avx512, matmul_iq4_nl_avx512, matmul_mxfp4_avx512;

/* k.c */
kernel_matmul matmul_q2_K_avx512, matmul_q3_K_avx512, matmul_q4_K_avx512, matmul_q5_K_avx512,
    matmul_q6_K_avx512;

/* iq.c */
kernel_matmul matmul_iq4_xs_avx512, matmul_iq3_s_avx512, matmul_iq3_xxs_avx512, matmul_iq2_s_avx512,
    matmul_iq2_xs_avx512, matmul_iq2_xxs_avx512, matmul_iq1_s_avx512, matmul_iq1_m_avx512;

/* ternary.c */
kernel_matmul matmul_tq1_0_avx512, matmul_tq2_0_avx512;

/* row8.c */
kernel_matmul matmul_w8a8_avx512, add_outliers_avx512;

/* elementwise.c */
void silu_mul_avx512(const float *gate, const float *up, float *y, size_t n);
void softmax_avx512(float *x, size_t n);

/* attention.c */
void attn_scores_f32_avx512(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_f32_avx512(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                            size_t head_dim, float *o);
void attn_scores_f16_avx512(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_f16_avx512(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                            size_t head_dim, float *o);
void attn_scores_bf16_avx512(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_bf16_avx512(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                             size_t head_dim, float *o);

/* attention_softmax.c */
void attn_softmax_avx512(float *s, const struct attn_span *spans, size_t n, struct attn_softmax *states,
                         float *o, size_t head_dim);

/* attention_blocks.c */
void attn_scores_q8_0_avx512(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_q8_0_avx512(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                             size_t head_dim, float *o);
void attn_scores_q4_0_avx512(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_q4_0_avx512(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                             size_t head_dim, float *o);

#endif
