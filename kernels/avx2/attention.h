/* attention.h - what the files on attention of this folder share: weighted values of floats.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_KERNELS_AVX2_ATTENTION_H
#define QUERN_KERNELS_AVX2_ATTENTION_H

#include "kernels/kernels.h"

/* Weights of queries, and some columns of the values of a block. */
struct values {
    const float *p;
    const uint8_t *rows; /* floats, or for a few queries as cached */
    size_t row_bytes;    /* from one to the next */
    size_t n_columns;
    float *o;
    size_t stride; /* of outputs */
};

/* kernels.h, attn_values, over these columns. */
void value_floats_avx2(const struct values *c, const struct attn_span *spans, size_t n);

#endif
