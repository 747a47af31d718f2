/* ops.h - the operations that a forward pass is written in.
 * SPDX-License-Identifier: MIT
 * Every worker of the team calls every operation with the same arguments. Activations are row-major
 * [n_tokens][n], and row t belongs to one worker, the same in every operation of a step (pool_share).
 * Operations on rows work on a worker's own rows and return without waiting; those that mix rows or
 * columns (linear, attention, experts, logits) wait inside, take own rows as input and return when their
 * output is complete. So a layer has ten barriers. How work is split never shows in the results
 * (kernels/kernels.h). */
#ifndef QUERN_ENGINE_OPS_H
#define QUERN_ENGINE_OPS_H

#include "engine/step.h"

/* x [n_tokens][n_embd] = rows of the embedding matrix. */
void op_embed(struct worker *w, const struct step *s, float *x);

/* y = RMSNorm(x) * gain, rows of n_embd. y may be x. */
void op_rms_norm(struct worker *w, const struct step *s, const float *x, const float *gain, float *y);

/* x += y, rows of n_embd. */
void op_add(struct worker *w, const struct step *s, float *x, const float *y);

/* y [n_tokens][n_out] = in * matrix^T + bias, for up to POOL_DEALS matrices that share their input. */
struct linear {
    const struct matrix *matrix;
    const float *bias; /* [n_out]; NULL: none */
    float *y;
};
void op_linear(struct worker *w, const struct step *s, const float *in, size_t n_tokens,
               const struct linear *outputs, size_t n_outputs);

/* The step's cosines and sines, into scratch->rope. Once per step. */
void op_rope_table(struct worker *w, const struct step *s);
/* Rotate adjacent pairs of the first n_rot values of every head of x [n_tokens][n_heads][head_dim]. */
void op_rope(struct worker *w, const struct step *s, float *x, size_t n_heads, size_t head_dim);

/* Store k and v of the step's tokens in layer l's cache, then y [n_tokens][n_head * head_dim_v] =
 * softmax(q k^T / sqrt(head_dim_k)) v over the positions each token sees. */
void op_attention(struct worker *w, const struct step *s, size_t l, const float *q, const float *k,
                  const float *v, float *y);

/* y = silu(gate) * up over n values of each of n_rows rows. y may be gate. */
void op_silu_mul(struct worker *w, const struct step *s, const float *gate, const float *up, float *y,
                 size_t n_rows, size_t n);

/* y [n_tokens][n_embd] = down(silu(gate(in)) * up(in)) */
void op_gated_ffn(struct worker *w, const struct step *s, const struct layer *layer, const float *in,
                  float *y);

/* The same through the n_expert_used experts that the router chooses per token: softmax over all, the
 * largest are kept and their probabilities made to sum to one (Mixtral, arXiv:2401.04088). */
void op_experts(struct worker *w, const struct step *s, const struct layer *layer, const float *in, float *y);

/* Final norm and output matrix for the last n_logits tokens, into s->logits. */
void op_logits(struct worker *w, const struct step *s, const float *x);

/* Worker 0 asks the caller whether to stop. Not a barrier: look at s->stop after a later operation. */
void op_poll(struct worker *w, struct step *s);

#endif
