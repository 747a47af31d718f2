/* hparams.c - hyperparameters from metadata, each with a checked range.
 * SPDX-License-Identifier: MIT
 * The bounds are far above any published model and low enough that their products fit 63 bits. */
#include "engine/arch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_KEY = 160 };

struct reader {
    const struct gguf *g;
    const char *arch;
    const char *path;
    struct quern_error *err;
};

static void full_key(const struct reader *r, const char *suffix, char key[MAX_KEY]) {
    snprintf(key, MAX_KEY, "%s.%s", r->arch, suffix);
}

enum presence { REQUIRED, OPTIONAL };

static enum quern_status read_size(const struct reader *r, const char *suffix, int64_t min, int64_t max,
                                   enum presence presence, size_t *out) {
    char key[MAX_KEY];
    full_key(r, suffix, key);
    int64_t v = 0;
    bool found = false;
    enum quern_status st = gguf_get_integer(r->g, key, min, max, &v, &found, r->err);
    if (st)
        return st;
    if (!found && presence == REQUIRED)
        return fail(r->err, QUERN_FORMAT, "%s: %s is missing", r->path, key);
    if (found)
        *out = (size_t)v;
    return QUERN_OK;
}

static enum quern_status read_real(const struct reader *r, const char *suffix, double min, double max,
                                   enum presence presence, double *out) {
    char key[MAX_KEY];
    full_key(r, suffix, key);
    bool found = false;
    enum quern_status st = gguf_get_real(r->g, key, min, max, out, &found, r->err);
    if (st)
        return st;
    if (!found && presence == REQUIRED)
        return fail(r->err, QUERN_FORMAT, "%s: %s is missing", r->path, key);
    return QUERN_OK;
}

/* A count that the file gives once or per layer, into one field of every layer's shape. */
static enum quern_status read_per_layer(const struct reader *r, struct quern_model *m, const char *suffix,
                                        size_t field, int64_t max, const size_t *fallback) {
    char key[MAX_KEY];
    full_key(r, suffix, key);
    const struct gguf_kv *kv = gguf_find_kv(r->g, key);
    if (!kv && !fallback)
        return fail(r->err, QUERN_FORMAT, "%s: %s is missing", r->path, key);
    size_t one = fallback ? *fallback : 0;
    bool is_array = kv && kv->type == GGUF_ARRAY;
    if (is_array && kv->n != m->hp.n_layer)
        return fail(r->err, QUERN_FORMAT, "%s: %s has length %llu, block_count is %zu", r->path, key,
                    (unsigned long long)kv->n, m->hp.n_layer);
    if (is_array && (kv->element == GGUF_STRING || kv->element == GGUF_F32 || kv->element == GGUF_F64))
        return fail(r->err, QUERN_FORMAT, "%s: %s holds no integers", r->path, key);
    if (!is_array) {
        enum quern_status st = read_size(r, suffix, 1, max, fallback ? OPTIONAL : REQUIRED, &one);
        if (st)
            return st;
    }
    for (size_t l = 0; l < m->hp.n_layer; l++) {
        int64_t v = is_array ? gguf_integer(kv, l) : (int64_t)one;
        if (v < 1 || v > max)
            return fail(r->err, QUERN_FORMAT, "%s: %s = %lld in layer %zu (allowed: 1 to %lld)", r->path, key,
                        (long long)v, l, (long long)max);
        *(size_t *)((char *)&m->layers[l].shape + field) = (size_t)v;
    }
    return QUERN_OK;
}

static enum quern_status read_heads(const struct reader *r, struct quern_model *m) {
    struct hparams *hp = &m->hp;
    enum quern_status st;
    if ((st = read_per_layer(r, m, "attention.head_count", offsetof(struct layer_shape, n_head), 1 << 14,
                             NULL)))
        return st;
    size_t n_head = m->layers[0].shape.n_head;
    if ((st = read_per_layer(r, m, "attention.head_count_kv", offsetof(struct layer_shape, n_head_kv),
                             1 << 14, &n_head)) ||
        (st = read_per_layer(r, m, "feed_forward_length", offsetof(struct layer_shape, n_ff), 1 << 24, NULL)))
        return st;
    for (size_t l = 0; l < hp->n_layer; l++) {
        const struct layer_shape *shape = &m->layers[l].shape;
        if (shape->n_head % shape->n_head_kv)
            return fail(
                r->err, QUERN_FORMAT,
                "%s: %s.attention.head_count = %zu is not a multiple of head_count_kv = %zu (layer %zu)",
                r->path, r->arch, shape->n_head, shape->n_head_kv, l);
    }
    hp->head_dim_k = hp->n_embd / n_head;
    bool divides = hp->n_embd % n_head == 0;
    size_t key_length = 0;
    if ((st = read_size(r, "attention.key_length", 1, ATTN_MAX_HEAD_DIM, OPTIONAL, &key_length)))
        return st;
    if (key_length)
        hp->head_dim_k = key_length;
    else if (!divides || hp->head_dim_k > ATTN_MAX_HEAD_DIM)
        return fail(
            r->err, QUERN_FORMAT,
            "%s: %s.embedding_length = %zu over head_count = %zu is no head size (allowed: whole, 1 to %d)",
            r->path, r->arch, hp->n_embd, n_head, ATTN_MAX_HEAD_DIM);
    hp->head_dim_v = key_length ? key_length : hp->head_dim_k;
    return read_size(r, "attention.value_length", 1, ATTN_MAX_HEAD_DIM, OPTIONAL, &hp->head_dim_v);
}

static enum quern_status read_rope_scaling(const struct reader *r, struct hparams *hp) {
    static const struct {
        const char *name;
        enum rope_scaling scaling;
    } known[] = { { "none", ROPE_SCALING_NONE },
                  { "linear", ROPE_SCALING_LINEAR },
                  { "yarn", ROPE_SCALING_YARN } };
    enum quern_status st;
    char key[MAX_KEY];
    full_key(r, "rope.scaling.type", key);
    struct gguf_string name = { 0 };
    bool found = false;
    if ((st = gguf_get_string(r->g, key, &name, &found, r->err)))
        return st;
    hp->rope_factor = 1;
    hp->rope_attn_factor = 1;
    hp->n_ctx_original = hp->n_ctx_train;
    double legacy_factor = 0; /* files of 2023: linear scaling in a key of its own */
    if ((st = read_real(r, "rope.scale_linear", 1e-6, 1e6, OPTIONAL, &legacy_factor)) ||
        (st = read_real(r, "rope.scaling.factor", 1e-6, 1e6, OPTIONAL, &hp->rope_factor)) ||
        (st = read_real(r, "rope.scaling.attn_factor", 1e-6, 1e6, OPTIONAL, &hp->rope_attn_factor)) ||
        (st = read_size(r, "rope.scaling.original_context_length", 1, INT32_MAX, OPTIONAL,
                        &hp->n_ctx_original)))
        return st;
    if (!found) {
        hp->rope_scaling = legacy_factor > 0 ? ROPE_SCALING_LINEAR : ROPE_SCALING_NONE;
        hp->rope_factor = legacy_factor > 0 ? legacy_factor : hp->rope_factor;
        return QUERN_OK;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (gguf_string_is(name, known[i].name)) {
            hp->rope_scaling = known[i].scaling;
            return QUERN_OK;
        }
    }
    return fail(r->err, QUERN_UNSUPPORTED, "%s: %s = '%.*s' is not supported (known: none, linear, yarn)",
                r->path, key, (int)(name.bytes < 80 ? name.bytes : 80), name.data);
}

static enum quern_status read_rope(const struct reader *r, struct hparams *hp) {
    hp->n_rot = hp->head_dim_k;
    hp->rope_theta = 10000;
    enum quern_status st =
        read_size(r, "rope.dimension_count", 1, (int64_t)hp->head_dim_k, OPTIONAL, &hp->n_rot);
    if (st)
        return st;
    if (hp->n_rot % 2)
        return fail(r->err, QUERN_FORMAT,
                    "%s: %s.rope.dimension_count = %zu is odd (allowed: even, 2 to %zu)", r->path, r->arch,
                    hp->n_rot, hp->head_dim_k);
    if ((st = read_real(r, "rope.freq_base", 1e-3, 1e12, OPTIONAL, &hp->rope_theta)))
        return st;
    return read_rope_scaling(r, hp);
}

static enum quern_status read_experts(const struct reader *r, struct hparams *hp) {
    enum quern_status st = read_size(r, "expert_count", 0, 4096, OPTIONAL, &hp->n_expert);
    if (st || !hp->n_expert)
        return st;
    size_t gating = 1; /* 1: softmax, the only one of this family */
    if ((st = read_size(r, "expert_used_count", 1, (int64_t)hp->n_expert, REQUIRED, &hp->n_expert_used)) ||
        (st = read_size(r, "expert_gating_func", 0, INT32_MAX, OPTIONAL, &gating)))
        return st;
    if (gating > 1)
        return fail(r->err, QUERN_UNSUPPORTED,
                    "%s: %s.expert_gating_func = %zu is not supported (known: 1, softmax)", r->path, r->arch,
                    gating);
    return QUERN_OK;
}

/* A layer has at least this many tensors (norms, q, k, v, o, and a feed-forward). */
enum { MIN_LAYER_TENSORS = 8 };

static enum quern_status allocate_layers(const struct reader *r, struct quern_model *m) {
    size_t n_layer = m->hp.n_layer;
    if (n_layer > gguf_n_tensors(r->g) / MIN_LAYER_TENSORS)
        return fail(r->err, QUERN_FORMAT, "%s: %s.block_count = %zu, but the file has only %zu tensors",
                    r->path, r->arch, n_layer, gguf_n_tensors(r->g));
    m->layers = calloc(n_layer, sizeof *m->layers);
    return m->layers ? QUERN_OK : fail_memory(r->err, n_layer * sizeof *m->layers);
}

enum quern_status hparams_read(struct quern_model *m, struct quern_error *err) {
    struct hparams *hp = &m->hp;
    struct reader r = { .g = m->gguf, .arch = m->arch->name, .path = gguf_path(m->gguf), .err = err };
    double eps = 0;
    enum quern_status st;
    if ((st = read_size(&r, "context_length", 1, INT32_MAX, REQUIRED, &hp->n_ctx_train)) ||
        (st = read_size(&r, "embedding_length", 1, 1 << 20, REQUIRED, &hp->n_embd)) ||
        (st = read_size(&r, "block_count", 1, MAX_LAYERS, REQUIRED, &hp->n_layer)) ||
        (st = read_real(&r, "attention.layer_norm_rms_epsilon", 1e-12, 1, REQUIRED, &eps)) ||
        (st = read_size(&r, "attention.sliding_window", 0, INT32_MAX, OPTIONAL, &hp->window)) ||
        (st = allocate_layers(&r, m)) || (st = read_heads(&r, m)) || (st = read_rope(&r, hp)))
        return st;
    hp->norm_eps = (float)eps;
    return read_experts(&r, hp);
}
