/* model.h - a loaded model: hyperparameters, weights as views into the file, kernels, tokenizer.
 * SPDX-License-Identifier: MIT
 * Immutable once open. What passed model_open() cannot index out of bounds later: every hyperparameter
 * has a checked range, every tensor the shape that follows from them. */
#ifndef QUERN_ENGINE_MODEL_H
#define QUERN_ENGINE_MODEL_H

#include "engine/placement.h"
#include "engine/quern.h"
#include "formats/gguf.h"
#include "kernels/kernels.h"
#include "tokenizer/tokenizer.h"

enum { MAX_LAYERS = 1000 };

/* A weight matrix [n_out rows][n_in], or n_expert of them after each other. */
struct matrix {
    const uint8_t *data; /* into the mapping; NULL: the tensor is absent */
    uint32_t type;
    size_t n_in, n_out, n_expert;
    size_t row_bytes;
    struct gguf_string name;
    size_t layer;      /* n_layer for those of no layer */
    size_t index;      /* among the model's matrices */
    bool is_one_scale; /* QUERN_ACT_INT8_ROW: Q8_0 whose rows have one scale each */
};

enum rope_scaling { ROPE_SCALING_NONE, ROPE_SCALING_LINEAR, ROPE_SCALING_YARN };

/* What differs between layers (the file may give arrays). */
struct layer_shape {
    size_t n_head, n_head_kv, n_ff;
};

struct hparams {
    size_t n_vocab, n_ctx_train, n_embd, n_layer;
    size_t head_dim_k, head_dim_v; /* of keys and queries; of values */
    float norm_eps;
    size_t n_rot; /* dimensions of a head that are rotated, even */
    double rope_theta;
    enum rope_scaling rope_scaling;
    double rope_factor, rope_attn_factor;
    size_t n_ctx_original; /* before scaling */
    size_t window;         /* positions a query sees, itself included; 0: all */
    size_t n_expert, n_expert_used;
};

struct layer {
    struct layer_shape shape;
    const float *attn_norm, *ffn_norm; /* [n_embd] */
    struct matrix wq, wk, wv, wo;
    const float *bq, *bk, *bv, *bo; /* NULL: no bias */
    struct matrix ffn_gate, ffn_up, ffn_down;
    struct matrix router; /* [n_expert][n_embd] */
    struct matrix gate_exps, up_exps, down_exps;
};

/* Vectors that could not be used in place: decoded, or moved to an aligned address. */
struct owned_vector {
    struct owned_vector *next;
    float values[];
};

struct arch;

struct quern_model {
    struct gguf *gguf;
    const struct arch *arch;
    struct hparams hp;
    struct matrix token_embd, output;
    const float *output_norm;
    const float *rope_freqs;  /* [n_rot / 2] divisors of the frequencies; NULL: none */
    double *inv_freq;         /* [n_rot / 2] radians per position, scaling applied */
    float rope_magnitude;     /* factor on cosine and sine (YaRN); 1 otherwise */
    struct layer *layers;     /* [n_layer] */
    struct matrix **matrices; /* [n_matrices] all that are bound, by index */
    size_t n_matrices;
    struct owned_vector *owned;
    struct kernels kernels;
    struct tokenizer *tokenizer; /* NULL: tokenizer_error says why */
    struct quern_error tokenizer_error;
    char *name; /* general.name */
    struct placement placement;
    struct quern_model_options options;
};

/* The model's one line about something harmless. */
void model_note(const struct quern_model *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The form that the inputs of a matrix are brought into. */
enum act_form model_act_form(const struct quern_model *m, const struct matrix *matrix);
/* The form that inputs of float matrices are rounded by; ACT_NONE: they are not. */
enum act_form model_rounding(const struct quern_model *m);

/* Expert e of a 3-D matrix. */
static inline struct matrix matrix_expert(const struct matrix *m, size_t e) {
    struct matrix one = *m;
    one.data += e * m->n_out * m->row_bytes;
    one.n_expert = 1;
    return one;
}

#endif
