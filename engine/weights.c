/* weights.c - binding a file's tensors to the fields of a model.
 * SPDX-License-Identifier: MIT
 * A family's tables say name, shape in hyperparameters and field; this file does the same four things for
 * every row: find the tensor, compare its shape, check that its type can be used, set the field. */
#include "engine/arch.h"
#include "formats/blocks.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_NAME = 96, MAX_REPORTED = 3 };

struct binder {
    struct quern_model *m;
    struct quern_error *err;
    const char *path;
    size_t n_bound;
    bool *is_bound; /* [n_tensors] */
    size_t n_missing;
    char missing[MAX_REPORTED][MAX_NAME];
};

/* Where the number of a dimension comes from, for the message about a wrong shape. */
static const char *const dim_sources[DIMS] = {
    [DIM_VOCAB] = "rows of token_embd.weight",
    [DIM_EMBD] = "embedding_length",
    [DIM_Q] = "head_count x key_length",
    [DIM_K] = "head_count_kv x key_length",
    [DIM_V] = "head_count_kv x value_length",
    [DIM_ATTN] = "head_count x value_length",
    [DIM_FF] = "feed_forward_length",
    [DIM_EXPERT] = "expert_count",
    [DIM_ROT_HALF] = "half of rope.dimension_count",
};

/* No overflow: heads <= 2^14, head sizes <= 2^10. */
static size_t dim_value(const struct hparams *hp, const struct layer_shape *shape, enum tensor_dim dim) {
    switch (dim) {
    case DIM_VOCAB: return hp->n_vocab;
    case DIM_EMBD: return hp->n_embd;
    case DIM_Q: return shape->n_head * hp->head_dim_k;
    case DIM_K: return shape->n_head_kv * hp->head_dim_k;
    case DIM_V: return shape->n_head_kv * hp->head_dim_v;
    case DIM_ATTN: return shape->n_head * hp->head_dim_v;
    case DIM_FF: return shape->n_ff;
    case DIM_EXPERT: return hp->n_expert;
    case DIM_ROT_HALF: return hp->n_rot / 2;
    case DIM_NONE:
    case DIMS: break;
    }
    return 1;
}

static enum quern_status check_shape(const struct binder *b, const struct tensor_row *row,
                                     const struct layer_shape *shape, const struct gguf_tensor *t) {
    char expected[128] = "", found[128] = "", source[256] = "";
    size_t n_expected = 0, n_found = 0, n_source = 0;
    bool same = true;
    for (size_t i = 0; i < GGUF_MAX_DIMS; i++) {
        enum tensor_dim dim = i < 3 ? row->ne[i] : DIM_NONE;
        size_t want = dim_value(&b->m->hp, shape, dim);
        same = same && t->ne[i] == want;
        if (dim != DIM_NONE) {
            n_expected += (size_t)snprintf(expected + n_expected, sizeof expected - n_expected, "%s%zu",
                                           i ? ", " : "", want);
            n_source += (size_t)snprintf(source + n_source, sizeof source - n_source, "%s%s", i ? ", " : "",
                                         dim_sources[dim]);
        }
        if (i < t->n_dims)
            n_found += (size_t)snprintf(found + n_found, sizeof found - n_found, "%s%" PRIu64, i ? ", " : "",
                                        t->ne[i]);
    }
    if (same)
        return QUERN_OK;
    return fail(b->err, QUERN_FORMAT, "%s: tensor '%.*s' has shape [%s], expected [%s] (%s)", b->path,
                (int)t->name.bytes, t->name.data, found, expected, source);
}

/* Whether Q8_0 rows have one scale each. Ordinary ones differ in the first blocks. */
static bool has_one_scale(const struct matrix *m) {
    const size_t n_blocks = m->n_in / 32;
    if (m->type != TYPE_Q8_0 || m->n_in > ROW8_MAX)
        return false;
    for (size_t r = 0; r < m->n_out * m->n_expert; r++) {
        const struct block_q8_0 *row = (const void *)(m->data + r * m->row_bytes);
        for (size_t i = 1; i < n_blocks; i++)
            if (memcmp(row[i].d, row[0].d, sizeof row[0].d))
                return false;
    }
    return true;
}

/* Whether the options about activations can be kept with this matrix. */
static enum quern_status check_act(const struct binder *b, struct matrix *m) {
    const enum act_form form = model_act_form(b->m, m), rounding = model_rounding(b->m);
    const size_t block = rounding == ACT_A256_16 || rounding == ACT_A256_32 ? 256 : 32;
    if (b->m->options.act == QUERN_ACT_INT8_ROW) {
        if (form != ACT_F32 && form != ACT_ROW8)
            return fail(b->err, QUERN_UNSUPPORTED,
                        "%s: tensor '%.*s' has type %s; activations with one scale per token need Q8_0 "
                        "(or F32, F16, BF16, whose inputs stay floats)",
                        b->path, (int)m->name.bytes, m->name.data, type_info(m->type)->name);
        m->is_one_scale = has_one_scale(m);
    }
    if (form == ACT_F32 && rounding != ACT_NONE && m->n_in % block)
        return fail(b->err, QUERN_UNSUPPORTED,
                    "%s: tensor '%.*s' has rows of %zu values; inputs are rounded in blocks of %zu", b->path,
                    (int)m->name.bytes, m->name.data, m->n_in, block);
    return QUERN_OK;
}

static enum quern_status bind_matrix(const struct binder *b, const struct gguf_tensor *t, size_t layer,
                                     bool is_multiplied, struct matrix *out) {
    if (act_form_of(t->type) == ACT_NONE)
        return fail(b->err, QUERN_UNSUPPORTED,
                    "%s: tensor '%.*s' has type %s, which cannot be multiplied by this build", b->path,
                    (int)t->name.bytes, t->name.data, type_info(t->type)->name);
    size_t row_bytes = 0;
    bool fits = type_bytes(t->type, t->ne[0], &row_bytes);
    assert(fits); /* the reader has checked rows and the whole tensor */
    (void)fits;
    *out = (struct matrix){ .data = t->data,
                            .type = t->type,
                            .n_in = t->ne[0],
                            .n_out = t->ne[1],
                            .n_expert = t->ne[2],
                            .row_bytes = row_bytes,
                            .name = t->name,
                            .layer = layer,
                            .index = b->m->n_matrices };
    b->m->matrices[b->m->n_matrices++] = out;
    return is_multiplied ? check_act(b, out) : QUERN_OK;
}

static enum quern_status check_finite(const struct binder *b, const struct gguf_tensor *t,
                                      const float *values) {
    for (size_t i = 0; i < t->ne[0]; i++)
        if (!isfinite(values[i]))
            return fail(b->err, QUERN_FORMAT,
                        "%s: tensor '%.*s' holds %s at index %zu (allowed: finite values)", b->path,
                        (int)t->name.bytes, t->name.data, isnan(values[i]) ? "NaN" : "infinity", i);
    return QUERN_OK;
}

/* F32 at an aligned address is used in place; anything else is decoded into memory of the model. */
static enum quern_status bind_vector(const struct binder *b, const struct gguf_tensor *t, const float **out) {
    const struct type_info *type = type_info(t->type);
    if (t->type == TYPE_F32 && (uintptr_t)t->data % _Alignof(float) == 0) {
        *out = (const float *)(const void *)t->data;
        return check_finite(b, t, *out);
    }
    if (!type->decode)
        return fail(b->err, QUERN_UNSUPPORTED,
                    "%s: tensor '%.*s' has type %s, which this build cannot decode", b->path,
                    (int)t->name.bytes, t->name.data, type->name);
    size_t bytes = sizeof(struct owned_vector) + t->ne[0] * sizeof(float); /* ne[0] equals a checked dim */
    struct owned_vector *owned = malloc(bytes);
    if (!owned)
        return fail_memory(b->err, bytes);
    owned->next = b->m->owned;
    b->m->owned = owned;
    type->decode(t->data, owned->values, t->ne[0] / type->block_values);
    if (t->type != TYPE_F32)
        model_note(b->m, "tensor '%.*s' is %s, decoded to F32", (int)t->name.bytes, t->name.data, type->name);
    *out = owned->values;
    return check_finite(b, t, *out);
}

static bool is_needed(const struct hparams *hp, enum tensor_need need) {
    return need == NEED_ALWAYS || (need == NEED_DENSE && !hp->n_expert) ||
           (need == NEED_EXPERTS && hp->n_expert);
}

static size_t tensor_index(const struct gguf *g, const struct gguf_tensor *t) {
    return (size_t)(t - gguf_tensor(g, 0));
}

static enum quern_status bind_row(struct binder *b, const struct tensor_row *row, size_t l, void *fields,
                                  const struct layer_shape *shape) {
    char name[MAX_NAME];
    /* The formats are the constants of the families' tables; "%zu" or none. */
    const char *number = strstr(row->name, "%zu");
    if (number)
        snprintf(name, sizeof name, "%.*s%zu%s", (int)(number - row->name), row->name, l, number + 3);
    else
        snprintf(name, sizeof name, "%s", row->name);
    const struct gguf_tensor *t = gguf_find_tensor(b->m->gguf, name);
    if (!t) {
        if (!is_needed(&b->m->hp, row->need))
            return QUERN_OK;
        if (b->n_missing < MAX_REPORTED)
            memcpy(b->missing[b->n_missing], name, sizeof name);
        b->n_missing++;
        return QUERN_OK;
    }
    if (row->need != NEED_OPTIONAL && !is_needed(&b->m->hp, row->need))
        return QUERN_OK; /* counted as extra */
    b->is_bound[tensor_index(b->m->gguf, t)] = true;
    b->n_bound++;
    enum quern_status st = check_shape(b, row, shape, t);
    if (st)
        return st;
    void *field = (char *)fields + row->field;
    if (row->use == USE_VECTOR)
        return bind_vector(b, t, field);
    /* Rows of an embedding are only looked up where the output has a matrix of its own. */
    const bool is_multiplied =
        field != (void *)&b->m->token_embd || !gguf_find_tensor(b->m->gguf, "output.weight");
    return bind_matrix(b, t, fields == (void *)b->m ? b->m->hp.n_layer : l, is_multiplied, field);
}

static enum quern_status read_n_vocab(struct binder *b) {
    const struct gguf_tensor *t = gguf_find_tensor(b->m->gguf, "token_embd.weight");
    if (!t)
        return fail(b->err, QUERN_FORMAT, "%s: tensor 'token_embd.weight' is missing%s", b->path,
                    gguf_n_tensors(b->m->gguf) ? "" : " (the file has no tensors: a vocabulary only)");
    if (t->n_dims != 2 || t->ne[1] > INT32_MAX)
        return fail(b->err, QUERN_FORMAT,
                    "%s: tensor 'token_embd.weight' has %" PRIu32 " dimensions and %" PRIu64
                    " rows (allowed: 2 dimensions, rows up to 2^31 - 1)",
                    b->path, t->n_dims, t->ne[1]);
    b->m->hp.n_vocab = t->ne[1];
    return QUERN_OK;
}

static enum quern_status report_missing(const struct binder *b) {
    if (!b->n_missing)
        return QUERN_OK;
    char list[MAX_REPORTED * MAX_NAME + 16] = "";
    size_t n = 0;
    for (size_t i = 0; i < b->n_missing && i < MAX_REPORTED; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s'%s'", i ? ", " : "", b->missing[i]);
    bool old_experts = gguf_find_tensor(b->m->gguf, "blk.0.ffn_gate.0.weight") != NULL;
    return fail(b->err, QUERN_FORMAT, "%s: %zu tensors are missing: %s%s%s", b->path, b->n_missing, list,
                b->n_missing > MAX_REPORTED ? ", ..." : "",
                old_experts ? "; the file has one tensor per expert (early 2024): convert the model again"
                            : "");
}

static void note_extra(const struct binder *b) {
    size_t n_tensors = gguf_n_tensors(b->m->gguf);
    if (b->n_bound == n_tensors)
        return;
    size_t i = 0;
    while (b->is_bound[i])
        i++;
    struct gguf_string name = gguf_tensor(b->m->gguf, i)->name;
    model_note(b->m, "%zu tensors are not used by architecture %s, the first is '%.*s'",
               n_tensors - b->n_bound, b->m->arch->name, (int)(name.bytes < 80 ? name.bytes : 80), name.data);
}

static enum quern_status bind_all(struct binder *b) {
    struct quern_model *m = b->m;
    enum quern_status st;
    for (size_t i = 0; i < m->arch->n_model_tensors; i++)
        if ((st = bind_row(b, &m->arch->model_tensors[i], 0, m, &m->layers[0].shape)))
            return st;
    for (size_t l = 0; l < m->hp.n_layer; l++)
        for (size_t i = 0; i < m->arch->n_layer_tensors; i++)
            if ((st = bind_row(b, &m->arch->layer_tensors[i], l, &m->layers[l], &m->layers[l].shape)))
                return st;
    return report_missing(b);
}

enum quern_status weights_bind(struct quern_model *m, struct quern_error *err) {
    struct binder b = { .m = m, .err = err, .path = gguf_path(m->gguf) };
    enum quern_status st = read_n_vocab(&b);
    if (st)
        return st;
    size_t n_tensors = gguf_n_tensors(m->gguf);
    b.is_bound = calloc(n_tensors, sizeof *b.is_bound);
    m->matrices = calloc(n_tensors, sizeof *m->matrices);
    if (!b.is_bound || !m->matrices) {
        free(b.is_bound);
        return fail_memory(err, n_tensors * sizeof *m->matrices);
    }
    if (!(st = bind_all(&b)))
        note_extra(&b);
    free(b.is_bound);
    if (!st && !m->output.data)
        m->output = m->token_embd; /* tied */
    return st;
}
