/* step.h - one evaluation of a few tokens, and the session it belongs to.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_ENGINE_STEP_H
#define QUERN_ENGINE_STEP_H

#include "engine/arch.h"

/* Keys and values of one layer. Keys: [n_head_kv][n_tiles][head_dim_k][ATTN_TILE]; values:
 * [n_head_kv][n_tiles * ATTN_TILE][head_dim_v]. */
struct layer_cache {
    uint8_t *keys, *values;
};

/* Working memory of a step, carved from the session's arena; n is the largest batch, widths are the
 * largest over the layers. */
struct scratch {
    float *x;                           /* [n][n_embd] residual stream */
    float *normed;                      /* [n][n_embd] */
    float *q;                           /* [n][n_head * head_dim_k] */
    float *k;                           /* [n][n_head_kv * head_dim_k] */
    float *v;                           /* [n][n_head_kv * head_dim_v] */
    float *attn;                        /* [n][n_head * head_dim_v] */
    float *out;                         /* [n][n_embd] output of a block, before it is added to x */
    float *gate;                        /* [n][n_ff]; with experts [n * n_expert_used][n_ff] */
    float *up;                          /* as gate */
    float *rope;                        /* [n][n_rot / 2][2] cosine, sine */
    uint8_t *acts[3];                   /* activations of one operation's input, a form each; the third, which
                                         * only bf16 makes necessary, is NULL when prefill is direct */
    float *router;                      /* [n][n_expert] */
    struct route *routes;               /* [n * n_expert_used], sorted by expert */
    float *expert_in;                   /* [n * n_expert_used][n_embd] inputs gathered by expert */
    float *expert_out;                  /* [n * n_expert_used][n_embd] */
    struct attn_partial *attn_partials; /* [n_ctx / ATTN_CHUNK, rounded up][n_head] */
    float *attn_outputs;                /* the same with [head_dim_v] behind */
};

/* Attention takes positions in chunks, counted from position 0, that can be anybody's work. */
enum { ATTN_CHUNK = 1024 };

/* What a chunk, or several merged ones, gave for one query: the largest score and the sum of exp(score - m).
 * Beside it stand the values weighted by exp(score - m), [head_dim_v]. */
struct attn_partial {
    float m, l;
};

/* Token t goes to an expert as its rank-th choice. */
struct route {
    uint32_t token, rank, expert;
    float weight;
};

struct quern_session {
    const struct quern_model *model;
    struct quern_session_options options;
    enum cache_type key_type, value_type;
    bool bf16[TYPE_COUNT]; /* types that many tokens are multiplied with in bf16 */
    char prefill[128];     /* in words */
    struct pool *pool;
    size_t n_tiles;                   /* of ATTN_TILE positions, per kv head */
    size_t position;                  /* tokens in the cache */
    struct layer_cache *caches;       /* [n_layer] */
    void *cache_memory, *work_memory; /* as allocated */
    struct scratch scratch;
};

/* A step: tokens [n_tokens] at `position`. Shared by all workers; fields change only between barriers. */
struct step {
    const struct quern_model *model;
    const struct kernels *kernels;
    struct quern_session *session;
    const struct scratch *scratch;
    const int32_t *tokens;
    size_t n_tokens, position;
    float *logits; /* [n_logits][n_vocab] of the last n_logits tokens */
    size_t n_logits;
    bool stop; /* set by worker 0 in op_poll(); all see it after the next barrier */
};

#endif
