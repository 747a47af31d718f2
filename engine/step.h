/* step.h - one evaluation of a few tokens, and the session it belongs to.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_ENGINE_STEP_H
#define QUERN_ENGINE_STEP_H

#include "engine/arch.h"
#include "engine/memory.h"

/* Keys and values of one layer. Keys: [n_head_kv][n_tiles][head_dim_k][ATTN_TILE]; values:
 * [n_head_kv][n_tiles * ATTN_TILE][head_dim_v]. */
struct layer_cache {
    uint8_t *keys, *values;
};

/* An operation's input, normed and in up to two forms. */
enum { INPUT_FORMS = 3 }; /* at most two of activations in a group of matrices, and bf16 */

struct input_memory {
    float *normed;
    uint8_t *acts[INPUT_FORMS]; /* a form each; the last is NULL when prefill is direct */
    float *rounded; /* as floats again; NULL: the model's options do not ask for it */
};

/* Values of several rows up to which every worker prepares an input for itself (engine/ops/linear.c). */
enum { OWN_INPUT_VALUES = 16384 };

/* Working memory of a step, carved from the session's arena; n is the largest batch, widths are the
 * largest over the layers. */
struct scratch {
    float *x;                             /* [n][n_embd] residual stream */
    float *q;                             /* [n][n_head * head_dim_k] */
    float *k;                             /* [n][n_head_kv * head_dim_k] */
    float *v;                             /* [n][n_head_kv * head_dim_v] */
    float *attn;                          /* [n][n_head * head_dim_v] */
    float *out;                           /* [n][n_embd] output of a block, which is added to x */
    float *gate;                          /* [n][n_ff]; with experts [n * n_expert_used][n_ff] */
    float *up;                            /* as gate */
    float *rope;                          /* [n][n_rot / 2][2] cosine, sine */
    struct input_memory input;            /* [n] rows, shared */
    struct input_memory *own_input;       /* [n_threads], of one row or OWN_INPUT_VALUES */
    struct outlier_count *outlier_counts; /* [n_matrices]; NULL: none are looked for */
    uint32_t *outlier_columns; /* [n_matrices][outlier_words] a bit for each column ever affected */
    size_t outlier_words;
    float *router;                      /* [n][n_expert] */
    struct route *routes;               /* [n * n_expert_used], sorted by expert */
    float *expert_in;                   /* [n * n_expert_used][n_embd] inputs gathered by expert */
    float *expert_out;                  /* [n * n_expert_used][n_embd] */
    struct attn_partial *attn_partials; /* [n_ctx / ATTN_CHUNK, rounded up][n_head] */
    float *attn_outputs;                /* the same with [head_dim_v] behind */
    struct attn_work *attn_work;        /* [n_threads] */
};

enum {
    ATTN_CHUNK = 1024,  /* positions, counted from position 0, that can be anybody's work */
    ATTN_QUERIES = 192, /* queries of one kv head that a worker takes at most: their scores, outputs and the
                         * keys and values of a block fit L2 */
};

/* What one worker needs for up to ATTN_QUERIES queries. */
struct attn_work {
    float *x;                    /* [head_dim_k] each: queries, scaled */
    uint8_t *acts;               /* the same in another form */
    float *s;                    /* [ATTN_BLOCK] scores of a block */
    float *o;                    /* [head_dim_v] outputs of a chunk */
    struct attn_span *spans;     /* positions of a block */
    struct attn_softmax *states; /* of a chunk */
    struct attn_partial *sums;   /* of the chunks so far */
};

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
    size_t n_tiles;                 /* of ATTN_TILE positions, per kv head */
    size_t position;                /* tokens in the cache */
    struct layer_cache *caches;     /* [n_layer] */
    struct input_memory *own_input; /* [threads] */
    struct pages cache_memory, work_memory;
    struct numa_plan plan, plan_batch; /* for one token, and for several */
    char numa[512];                    /* what was done about memory nodes */
    struct scratch scratch;
};

/* A step: tokens [n_tokens] at `position`. Shared by all workers; fields change only between barriers. */
struct step {
    const struct quern_model *model;
    const struct kernels *kernels;
    struct quern_session *session;
    const struct scratch *scratch;
    const struct numa_plan *plan;
    const int32_t *tokens;
    size_t n_tokens, position;
    float *logits; /* [n_logits][n_vocab] of the last n_logits tokens */
    size_t n_logits;
    bool stop; /* set by worker 0 in op_poll(); all see it after the next barrier */
};

#endif
