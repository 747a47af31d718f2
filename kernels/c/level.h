/* level.h - the functions of kernels/c, for its table.
 * SPDX-License-Identifier: MIT
 * What each computes: kernels.h, struct kernels. */
#ifndef QUERN_KERNELS_C_LEVEL_H
#define QUERN_KERNELS_C_LEVEL_H

#include "kernels/c/unpack.h"
#include "kernels/kernels.h"

/* float.c */
kernel_matmul matmul_f32_c, matmul_f16_c, matmul_bf16_c;

/* block32.c */
kernel_matmul matmul_q4_0_c, matmul_q4_1_c, matmul_q5_0_c, matmul_q5_1_c, matmul_q8_0_c, matmul_iq4_nl_c,
    matmul_mxfp4_c;

/* k.c */
kernel_matmul matmul_q2_K_c, matmul_q3_K_c, matmul_q4_K_c, matmul_q5_K_c, matmul_q6_K_c;

/* iq.c */
kernel_matmul matmul_iq4_xs_c, matmul_iq3_s_c, matmul_iq3_xxs_c, matmul_iq2_s_c, matmul_iq2_xs_c,
    matmul_iq2_xxs_c, matmul_iq1_s_c, matmul_iq1_m_c;

/* ternary.c */
kernel_matmul matmul_tq1_0_c, matmul_tq2_0_c;

/* super.c: what the super-block types share. */
struct super_type {
    size_t block_bytes;
    unpack_super_block *unpack;
    bool has_min;
};
void matmul_super(const struct super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                  const struct acts *x, float *y, size_t y_stride);

/* row8.c */
void quantize_row8_c(const float *x, const struct acts *acts, size_t t);
kernel_matmul matmul_w8a8_c, add_outliers_c;

/* quantize.c */
void quantize_a32_c(const float *x, const struct acts *acts, size_t t);
void quantize_a256_16_c(const float *x, const struct acts *acts, size_t t);
void quantize_a256_32_c(const float *x, const struct acts *acts, size_t t);

/* elementwise.c */
void rms_norm_c(const float *x, const float *w, float eps, float *y, size_t n);
void add_c(float *x, const float *y, size_t n);
void add_scaled_c(float *x, const float *y, float scale, size_t n);
void silu_mul_c(const float *gate, const float *up, float *y, size_t n);
void softmax_c(float *x, size_t n);
void rope_pairs_c(float *x, const float *cs, size_t n);

/* attention.c */
void store_key_f32_c(const float *k, size_t head_dim, void *tile, size_t lane);
void store_value_f32_c(const float *v, size_t head_dim, void *row);
void store_key_f16_c(const float *k, size_t head_dim, void *tile, size_t lane);
void store_value_f16_c(const float *v, size_t head_dim, void *row);
void store_key_bf16_c(const float *k, size_t head_dim, void *tile, size_t lane);
void store_value_bf16_c(const float *v, size_t head_dim, void *row);
void attn_scores_f32_c(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_f32_c(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                       size_t head_dim, float *o);
void attn_scores_f16_c(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_f16_c(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                       size_t head_dim, float *o);
void attn_scores_bf16_c(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_bf16_c(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                        size_t head_dim, float *o);
void attn_softmax_c(float *s, const struct attn_span *spans, size_t n, struct attn_softmax *states, float *o,
                    size_t head_dim);

/* attention_blocks.c */
void store_key_q8_0_c(const float *k, size_t head_dim, void *tile, size_t lane);
void store_value_q8_0_c(const float *v, size_t head_dim, void *row);
void store_key_q4_0_c(const float *k, size_t head_dim, void *tile, size_t lane);
void store_value_q4_0_c(const float *v, size_t head_dim, void *row);
void attn_scores_q8_0_c(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_q8_0_c(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                        size_t head_dim, float *o);
void attn_scores_q4_0_c(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
void attn_values_q4_0_c(const float *p, const struct attn_span *spans, size_t n, const void *rows,
                        size_t head_dim, float *o);

#endif
