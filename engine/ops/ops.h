/* ops.h - the operations that a forward pass is written in.
 * SPDX-License-Identifier: MIT
 * Every worker of the team calls every operation with the same arguments. Activations are row-major
 * [n_tokens][n]. Operations that mix rows or columns (linear, gated, attention, experts, embed, logits) wait
 * inside and return when their output is complete; op_rope works on the rows that are this worker's by
 * pool_share and returns at once, and only op_attention, which takes own rows, may follow it. While a token
 * is decoded a layer has six barriers, two of them in attention; with many tokens also one before each
 * product, so that the input is prepared by all. How work is split never shows in the results
 * (kernels/kernels.h). */
#ifndef QUERN_ENGINE_OPS_H
#define QUERN_ENGINE_OPS_H

#include "engine/step.h"

#include <assert.h>

/* x [n_tokens][n_embd] = rows of the embedding matrix, and the step's cosines and sines. */
void op_embed(struct worker *w, const struct step *s, float *x);

/* What a product is taken of: rows of x, or with a gain RMSNorm(row) * gain. */
struct input {
    const float *x;    /* [n_tokens][n_in] */
    const float *gain; /* [n_in]; NULL: x as it is */
};

/* y [n_tokens][n_out] = in * matrix^T + bias, for up to MAX_OUTPUTS matrices that share their input. With a
 * residual [n_tokens][n_out], which is not the input, y is added to that too. */
enum { MAX_OUTPUTS = 4 };
static_assert(MAX_OUTPUTS * NUMA_MAX_NODES <= POOL_DEALS, "a deal for each matrix and node");
struct linear {
    const struct matrix *matrix;
    const float *bias; /* [n_out]; NULL: none */
    float *y, *residual;
};
void op_linear(struct worker *w, const struct step *s, struct input in, size_t n_tokens,
               const struct linear *outputs, size_t n_outputs);

/* y [n_tokens][n_ff] = silu(in * gate^T) * (in * up^T) */
void op_gated(struct worker *w, const struct step *s, struct input in, size_t n_tokens,
              const struct matrix *gate, const struct matrix *up, float *y);

/* Rotate adjacent pairs of the first n_rot values of every head of x [n_tokens][n_heads][head_dim]. */
void op_rope(struct worker *w, const struct step *s, float *x, size_t n_heads, size_t head_dim);

/* Store k and v of the step's tokens in layer l's cache, then y [n_tokens][n_head * head_dim_v] =
 * softmax(q k^T / sqrt(head_dim_k)) v over the positions each token sees. */
void op_attention(struct worker *w, const struct step *s, size_t l, const float *q, const float *k,
                  const float *v, float *y);

/* x [n_tokens][n_embd] += down(silu(gate(in)) * up(in)), in = RMSNorm(x) * the layer's ffn_norm */
void op_gated_ffn(struct worker *w, const struct step *s, const struct layer *layer, float *x);

/* The same through the n_expert_used experts that the router chooses per token: softmax over all, the
 * largest are kept and their probabilities made to sum to one (Mixtral, arXiv:2401.04088). */
void op_experts(struct worker *w, const struct step *s, const struct layer *layer, float *x);

/* Final norm and output matrix for the last n_logits tokens, into s->logits. */
void op_logits(struct worker *w, const struct step *s, const float *x);

/* Worker 0 asks the caller whether to stop. Not a barrier: look at s->stop after a later operation. */
void op_poll(struct worker *w, struct step *s);

#endif
