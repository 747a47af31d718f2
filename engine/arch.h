/* arch.h - what an architecture family says about itself; one row of models/registry.c.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_ENGINE_ARCH_H
#define QUERN_ENGINE_ARCH_H

#include "engine/model.h"
#include "kernels/pool.h"

struct step;

/* The dimensions of a tensor, in hyperparameters. */
enum tensor_dim {
    DIM_NONE,
    DIM_VOCAB,
    DIM_EMBD,
    DIM_Q,    /* n_head * head_dim_k */
    DIM_K,    /* n_head_kv * head_dim_k */
    DIM_V,    /* n_head_kv * head_dim_v */
    DIM_ATTN, /* n_head * head_dim_v */
    DIM_FF,
    DIM_EXPERT,
    DIM_ROT_HALF, /* n_rot / 2 */
    DIMS,
};

enum tensor_need {
    NEED_ALWAYS,
    NEED_OPTIONAL,
    NEED_DENSE,   /* when the model has no experts */
    NEED_EXPERTS, /* when it has */
};

enum tensor_use {
    USE_MATRIX, /* struct matrix */
    USE_VECTOR, /* const float *, one per model or layer */
};

/* One tensor of a family: its name, shape (ne[0] first) and the field it fills. */
struct tensor_row {
    const char *name; /* with "%zu" for the layer in rows of layer_tensors */
    enum tensor_use use;
    enum tensor_need need;
    enum tensor_dim ne[3];
    size_t field; /* offset in struct quern_model or struct layer */
};

struct arch {
    const char *name; /* general.architecture */
    const struct tensor_row *model_tensors;
    size_t n_model_tensors;
    const struct tensor_row *layer_tensors;
    size_t n_layer_tensors;
    /* Evaluate the step's tokens; run by every worker (engine/ops/ops.h). */
    void (*forward)(struct worker *w, struct step *s);
};

/* The architectures of this build, in models/registry.c: row i, NULL past the end. */
const struct arch *arch_row(size_t i);

/* engine/hparams.c: read and check `<arch>.*`. n_vocab is set from the embedding's rows. */
enum quern_status hparams_read(struct quern_model *m, struct quern_error *err);
/* engine/weights.c: bind every tensor of the family, compare shapes, decode vectors. */
enum quern_status weights_bind(struct quern_model *m, struct quern_error *err);

#endif
