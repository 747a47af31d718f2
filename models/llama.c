/* llama.c - the Llama family: Llama 1 to 3, Mistral, Mixtral, TinyLlama, SmolLM, Yi and others.
 * SPDX-License-Identifier: MIT
 * "Llama 2" (arXiv:2307.09288): pre-normalized blocks with RMSNorm, rotary attention with grouped
 * queries, SwiGLU; with experts as in "Mixtral of Experts" (arXiv:2401.04088). Converters permute the
 * rows of q and k so that rotary pairs are neighbours. A sliding window in the file is honoured, as
 * Mistral 7B defines it. */
#include "models/families.h"

#define MODEL(field) offsetof(struct quern_model, field)
#define LAYER(field) offsetof(struct layer, field)

/* clang-format off */
static const struct tensor_row model_tensors[] = {
    { "token_embd.weight",  USE_MATRIX, NEED_ALWAYS,   { DIM_EMBD, DIM_VOCAB }, MODEL(token_embd)  },
    { "output_norm.weight", USE_VECTOR, NEED_ALWAYS,   { DIM_EMBD },            MODEL(output_norm) },
    { "output.weight",      USE_MATRIX, NEED_OPTIONAL, { DIM_EMBD, DIM_VOCAB }, MODEL(output)      },
    { "rope_freqs.weight",  USE_VECTOR, NEED_OPTIONAL, { DIM_ROT_HALF },        MODEL(rope_freqs)  },
};

static const struct tensor_row layer_tensors[] = {
    { "blk.%zu.attn_norm.weight",     USE_VECTOR, NEED_ALWAYS,   { DIM_EMBD },                     LAYER(attn_norm) },
    { "blk.%zu.attn_q.weight",        USE_MATRIX, NEED_ALWAYS,   { DIM_EMBD, DIM_Q },              LAYER(wq)        },
    { "blk.%zu.attn_k.weight",        USE_MATRIX, NEED_ALWAYS,   { DIM_EMBD, DIM_K },              LAYER(wk)        },
    { "blk.%zu.attn_v.weight",        USE_MATRIX, NEED_ALWAYS,   { DIM_EMBD, DIM_V },              LAYER(wv)        },
    { "blk.%zu.attn_output.weight",   USE_MATRIX, NEED_ALWAYS,   { DIM_ATTN, DIM_EMBD },           LAYER(wo)        },
    { "blk.%zu.attn_q.bias",          USE_VECTOR, NEED_OPTIONAL, { DIM_Q },                        LAYER(bq)        },
    { "blk.%zu.attn_k.bias",          USE_VECTOR, NEED_OPTIONAL, { DIM_K },                        LAYER(bk)        },
    { "blk.%zu.attn_v.bias",          USE_VECTOR, NEED_OPTIONAL, { DIM_V },                        LAYER(bv)        },
    { "blk.%zu.attn_output.bias",     USE_VECTOR, NEED_OPTIONAL, { DIM_EMBD },                     LAYER(bo)        },
    { "blk.%zu.ffn_norm.weight",      USE_VECTOR, NEED_ALWAYS,   { DIM_EMBD },                     LAYER(ffn_norm)  },
    { "blk.%zu.ffn_gate.weight",      USE_MATRIX, NEED_DENSE,    { DIM_EMBD, DIM_FF },             LAYER(ffn_gate)  },
    { "blk.%zu.ffn_up.weight",        USE_MATRIX, NEED_DENSE,    { DIM_EMBD, DIM_FF },             LAYER(ffn_up)    },
    { "blk.%zu.ffn_down.weight",      USE_MATRIX, NEED_DENSE,    { DIM_FF, DIM_EMBD },             LAYER(ffn_down)  },
    { "blk.%zu.ffn_gate_inp.weight",  USE_MATRIX, NEED_EXPERTS,  { DIM_EMBD, DIM_EXPERT },         LAYER(router)    },
    { "blk.%zu.ffn_gate_exps.weight", USE_MATRIX, NEED_EXPERTS,  { DIM_EMBD, DIM_FF, DIM_EXPERT }, LAYER(gate_exps) },
    { "blk.%zu.ffn_up_exps.weight",   USE_MATRIX, NEED_EXPERTS,  { DIM_EMBD, DIM_FF, DIM_EXPERT }, LAYER(up_exps)   },
    { "blk.%zu.ffn_down_exps.weight", USE_MATRIX, NEED_EXPERTS,  { DIM_FF, DIM_EMBD, DIM_EXPERT }, LAYER(down_exps) },
};
/* clang-format on */

/* x += o(attention(rope(q), rope(k), v)), of the normed x */
static void attention(struct worker *w, const struct step *s, size_t l) {
    const struct layer *layer = &s->model->layers[l];
    const struct scratch *b = s->scratch;
    struct linear qkv[] = { { .matrix = &layer->wq, .bias = layer->bq, .y = b->q },
                            { .matrix = &layer->wk, .bias = layer->bk, .y = b->k },
                            { .matrix = &layer->wv, .bias = layer->bv, .y = b->v } };
    struct linear out = { .matrix = &layer->wo, .bias = layer->bo, .y = b->out, .residual = b->x };
    size_t head_dim = s->model->hp.head_dim_k;
    op_linear(w, s, (struct input){ b->x, layer->attn_norm }, s->n_tokens, qkv, 3);
    op_rope(w, s, b->q, layer->shape.n_head, head_dim);
    op_rope(w, s, b->k, layer->shape.n_head_kv, head_dim);
    op_attention(w, s, l, b->q, b->k, b->v, b->attn);
    op_linear(w, s, (struct input){ b->attn, NULL }, s->n_tokens, &out, 1);
}

static void feed_forward(struct worker *w, const struct step *s, size_t l) {
    const struct layer *layer = &s->model->layers[l];
    if (s->model->hp.n_expert)
        op_experts(w, s, layer, s->scratch->x);
    else
        op_gated_ffn(w, s, layer, s->scratch->x);
}

static void forward(struct worker *w, struct step *s) {
    op_embed(w, s, s->scratch->x);
    for (size_t l = 0; l < s->model->hp.n_layer && !s->stop; l++) {
        attention(w, s, l);
        op_poll(w, s);
        feed_forward(w, s, l);
    }
    if (!s->stop)
        op_logits(w, s, s->scratch->x);
}

const struct arch arch_llama = {
    .name = "llama",
    .model_tensors = model_tensors,
    .n_model_tensors = sizeof model_tensors / sizeof *model_tensors,
    .layer_tensors = layer_tensors,
    .n_layer_tensors = sizeof layer_tensors / sizeof *layer_tensors,
    .forward = forward,
};
