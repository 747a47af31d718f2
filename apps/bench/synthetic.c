/* synthetic.c - models of random weights in the shapes of real ones, so that a benchmark needs no download.
 * SPDX-License-Identifier: MIT
 * Of each type one pool of random blocks is made; tensors are cut from it, each from another place. So the
 * file is written at the speed of the disk, and memory sees as many different pages as with real weights. */
#include "apps/bench/synthetic.h"
#include "apps/bench/random_blocks.h"
#include "apps/resources.h"
#include "apps/signals.h"
#include "formats/gguf_write.h"
#include "formats/nearest.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- Shapes ---- */

struct synthetic_shape {
    const char *name;
    uint32_t n_embd, n_layer, n_head, n_head_kv, head_dim, n_ff, n_vocab;
    bool is_tied; /* the embedding is the output matrix too */
};

/* Llama 3.2 1B and 3B, Llama 3.1 8B and 70B (their model cards), and a tiny one that a test can write. */
static const struct synthetic_shape shapes[] = {
    { "llama-tiny", 256, 4, 4, 1, 64, 512, 1024, true },
    { "llama-1b", 2048, 16, 32, 8, 64, 8192, 128256, true },
    { "llama-3b", 3072, 28, 24, 8, 128, 8192, 128256, true },
    { "llama-8b", 4096, 32, 32, 8, 128, 14336, 128256, false },
    { "llama-70b", 8192, 80, 64, 8, 128, 28672, 128256, false },
};

enum { N_SHAPES = sizeof shapes / sizeof *shapes, MAX_NAMES = 64 };

static const struct synthetic_shape *shape_by_name(const char *name) {
    for (size_t i = 0; i < N_SHAPES; i++) {
        size_t k = 0;
        const char *known = shapes[i].name;
        while (known[k] && (known[k] == name[k] || (known[k] >= 'a' && known[k] - 'a' + 'A' == name[k]) ||
                            (known[k] == '-' && name[k] == '_')))
            k++;
        if (known[k] == name[k])
            return &shapes[i];
    }
    return NULL;
}

/* The list of names, for a message. */
static void join(const char *const *names, size_t n, char *text, size_t bytes) {
    text[0] = 0;
    for (size_t i = 0, used = 0; i < n && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%s", i ? ", " : "", names[i]);
}

static enum quern_status fail_name(const char *what, const char *given, const char *const *names, size_t n,
                                   struct quern_error *err) {
    char known[600];
    const char *meant = nearest_name(given, names, n);
    join(names, n, known, sizeof known);
    return fail(err, QUERN_RANGE, "--synthetic: %s '%.64s' is not known%s%s%s (known: %s)", what, given,
                meant ? ", did you mean '" : "", meant ? meant : "", meant ? "'?" : "", known);
}

enum quern_status synthetic_parse(const char *text, struct synthetic *out, struct quern_error *err) {
    const char *names[MAX_NAMES], *colon = strchr(text, ':');
    char shape[64];
    size_t n = 0;
    if (!colon)
        return fail(err, QUERN_RANGE,
                    "--synthetic: '%.64s' has no ':' (expected SHAPE:TYPE, as llama-1b:q4_k_m)", text);
    snprintf(shape, sizeof shape, "%.*s", (int)(colon - text < 63 ? colon - text : 63), text);
    out->shape = shape_by_name(shape);
    if (!out->shape) {
        for (; n < N_SHAPES; n++)
            names[n] = shapes[n].name;
        return fail_name("shape", shape, names, n, err);
    }
    out->recipe = recipe_by_name(colon + 1);
    if (!out->recipe) {
        for (; n < MAX_NAMES && recipe_name(n); n++)
            names[n] = recipe_name(n);
        return fail_name("type", colon + 1, names, n, err);
    }
    snprintf(out->name, sizeof out->name, "%s:%s", out->shape->name, recipe_own_name(out->recipe));
    return QUERN_OK;
}

/* ---- Tensors ---- */

enum { POOL_BYTES = 1 << 20, MAX_NAME = 64 };

struct pool {
    uint8_t *bytes; /* [n_blocks] of the type; NULL: not made yet */
    size_t n_blocks;
};

struct model_writer {
    const struct synthetic *model;
    struct gguf_writer *out;
    struct pool pools[TYPE_COUNT];
    uint64_t random;
    uint64_t done_bytes, all_bytes;
    synthetic_progress *progress;
    void *user;
};

struct planned {
    char name[MAX_NAME];
    enum quern_type type;
    uint32_t n_dims;
    uint64_t ne[GGUF_MAX_DIMS];
};

/* Matrices of a layer: their size in rows and columns, as functions of the shape. */
struct layer_matrix {
    const char *name;
    enum tensor_role role;
    size_t n_in, n_out; /* offsets of one factor in struct dims */
};

/* Sizes that matrices have. */
struct dims {
    uint64_t embd, q, kv, ff;
};

/* clang-format off */
static const struct layer_matrix layer_matrices[] = {
    { "attn_q",      ROLE_ATTN_Q,      offsetof(struct dims, embd), offsetof(struct dims, q)    },
    { "attn_k",      ROLE_ATTN_K,      offsetof(struct dims, embd), offsetof(struct dims, kv)   },
    { "attn_v",      ROLE_ATTN_V,      offsetof(struct dims, embd), offsetof(struct dims, kv)   },
    { "attn_output", ROLE_ATTN_OUTPUT, offsetof(struct dims, q),    offsetof(struct dims, embd) },
    { "ffn_gate",    ROLE_FFN_GATE,    offsetof(struct dims, embd), offsetof(struct dims, ff)   },
    { "ffn_up",      ROLE_FFN_UP,      offsetof(struct dims, embd), offsetof(struct dims, ff)   },
    { "ffn_down",    ROLE_FFN_DOWN,    offsetof(struct dims, ff),   offsetof(struct dims, embd) },
};
/* clang-format on */

enum { N_LAYER_MATRICES = sizeof layer_matrices / sizeof *layer_matrices };

static uint64_t dim(const struct dims *dims, size_t offset) {
    return *(const uint64_t *)(const void *)((const uint8_t *)dims + offset);
}

static struct planned vector(const char *name, uint64_t n) {
    struct planned p = { .type = TYPE_F32, .n_dims = 1, .ne = { n, 1, 1, 1 } };
    snprintf(p.name, sizeof p.name, "%s.weight", name);
    return p;
}

static struct planned matrix(const char *name, enum quern_type type, uint64_t n_in, uint64_t n_out) {
    struct planned p = { .type = type, .n_dims = 2, .ne = { n_in, n_out, 1, 1 } };
    snprintf(p.name, sizeof p.name, "%s.weight", name);
    return p;
}

typedef enum quern_status tensor_action(struct model_writer *w, const struct planned *p,
                                        struct quern_error *err);

static enum quern_status each_layer_tensor(struct model_writer *w, tensor_action *action, size_t layer,
                                           struct quern_error *err) {
    const struct synthetic_shape *s = w->model->shape;
    const struct dims dims = { s->n_embd, (uint64_t)s->n_head * s->head_dim,
                               (uint64_t)s->n_head_kv * s->head_dim, s->n_ff };
    struct recipe_place place = { .layer = layer,
                                  .n_layer = s->n_layer,
                                  .n_group = s->n_head / s->n_head_kv };
    enum quern_status st = QUERN_OK;
    char name[MAX_NAME / 2];
    for (size_t i = 0; i < N_LAYER_MATRICES && !st; i++) {
        const struct layer_matrix *m = &layer_matrices[i];
        place.role = m->role;
        snprintf(name, sizeof name, "blk.%zu.%s", layer, m->name);
        struct planned p =
            matrix(name, recipe_type(w->model->recipe, &place), dim(&dims, m->n_in), dim(&dims, m->n_out));
        st = action(w, &p, err);
    }
    static const char *const norms[] = { "attn_norm", "ffn_norm" };
    for (size_t i = 0; i < 2 && !st; i++) {
        snprintf(name, sizeof name, "blk.%zu.%s", layer, norms[i]);
        struct planned p = vector(name, s->n_embd);
        st = action(w, &p, err);
    }
    return st;
}

/* Call action for every tensor, in the order of the file. */
static enum quern_status each_tensor(struct model_writer *w, tensor_action *action, struct quern_error *err) {
    const struct synthetic_shape *s = w->model->shape;
    const struct recipe_place embd = { .role = s->is_tied ? ROLE_OUTPUT : ROLE_TOKEN_EMBD },
                              output = { .role = ROLE_OUTPUT };
    struct planned p = matrix("token_embd", recipe_type(w->model->recipe, &embd), s->n_embd, s->n_vocab);
    enum quern_status st = action(w, &p, err);
    for (size_t layer = 0; layer < s->n_layer && !st; layer++)
        st = each_layer_tensor(w, action, layer, err);
    p = vector("output_norm", s->n_embd);
    if (!st)
        st = action(w, &p, err);
    p = matrix("output", recipe_type(w->model->recipe, &output), s->n_embd, s->n_vocab);
    return st || s->is_tied ? st : action(w, &p, err);
}

static enum quern_status add_tensor(struct model_writer *w, const struct planned *p,
                                    struct quern_error *err) {
    const struct gguf_string name = { p->name, strlen(p->name) };
    return gguf_add_tensor(w->out, name, p->type, p->n_dims, p->ne, err);
}

/* ---- Data ---- */

static enum quern_status make_pool(struct model_writer *w, enum quern_type type, struct quern_error *err) {
    /* As large as trained matrices have them, about 1 / sqrt(n_in), so that activations stay ordinary. */
    const double rms = 1 / sqrt((double)w->model->shape->n_embd);
    struct pool *pool = &w->pools[type];
    const size_t block_bytes = type_info(type)->block_bytes;
    pool->n_blocks = POOL_BYTES / block_bytes;
    pool->bytes = malloc(pool->n_blocks * block_bytes);
    if (!pool->bytes)
        return fail_memory(err, POOL_BYTES);
    random_blocks_fill(type, pool->bytes, pool->n_blocks, rms, &w->random);
    return QUERN_OK;
}

static enum quern_status write_matrix(struct model_writer *w, const struct planned *p,
                                      struct quern_error *err) {
    const struct type_info *info = type_info(p->type);
    const struct pool *pool = &w->pools[p->type];
    enum quern_status st = pool->bytes ? QUERN_OK : make_pool(w, p->type, err);
    for (uint64_t left = p->ne[0] * p->ne[1] / info->block_values; left && !st;) {
        size_t first = random_bits(&w->random) % pool->n_blocks, n = pool->n_blocks - first;
        n = n < left ? n : (size_t)left;
        st = gguf_write_data(w->out, pool->bytes + first * info->block_bytes, n * info->block_bytes, err);
        left -= n;
        w->done_bytes += n * info->block_bytes;
        if (!st)
            st = w->progress(w->user, w->done_bytes, w->all_bytes, err);
    }
    return st;
}

static enum quern_status write_tensor(struct model_writer *w, const struct planned *p,
                                      struct quern_error *err) {
    static const float one = 1; /* every element of a norm */
    if (p->n_dims > 1)
        return write_matrix(w, p, err);
    enum quern_status st = QUERN_OK;
    for (uint64_t i = 0; i < p->ne[0] && !st; i++)
        st = gguf_write_data(w->out, &one, sizeof one, err);
    return st;
}

static enum quern_status set_metadata(struct model_writer *w, struct quern_error *err) {
    enum { N_CTX = 131072 };
    const struct synthetic_shape *s = w->model->shape;
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {
        { "general.file_type", recipe_file_type(w->model->recipe) },
        { "llama.context_length", N_CTX },
        { "llama.embedding_length", s->n_embd },
        { "llama.block_count", s->n_layer },
        { "llama.feed_forward_length", s->n_ff },
        { "llama.attention.head_count", s->n_head },
        { "llama.attention.head_count_kv", s->n_head_kv },
        { "llama.attention.key_length", s->head_dim },
        { "llama.attention.value_length", s->head_dim },
        { "llama.rope.dimension_count", s->head_dim },
    };
    enum quern_status st = gguf_set_string(w->out, "general.architecture", "llama", err);
    if (!st)
        st = gguf_set_string(w->out, "general.name", w->model->name, err);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !st; i++)
        st = gguf_set_u32(w->out, numbers[i].key, numbers[i].value, err);
    if (!st)
        st = gguf_set_f32(w->out, "llama.attention.layer_norm_rms_epsilon", 1e-5f, err);
    return st ? st : gguf_set_f32(w->out, "llama.rope.freq_base", 500000, err);
}

/* ---- The file ---- */

static enum quern_status name_kept(const char *path, struct temporary_file *file, struct quern_error *err) {
    int n = snprintf(file->path, sizeof file->path, "%s", path);
    file->is_kept = true;
    if (n >= 0 && (size_t)n < sizeof file->path)
        return QUERN_OK;
    return fail(err, QUERN_IO, "--save: the path is longer than a path may be (%d bytes)", TEMPORARY_PATH);
}

static enum quern_status name_temporary(struct temporary_file *file, struct quern_error *err) {
    const char *parent = getenv("TMPDIR");
    int n = snprintf(file->path, sizeof file->path, "%s/quern-bench-%08" PRIx32 "%08" PRIx32 ".gguf",
                     parent && *parent ? parent : "/tmp", random_seed(), random_seed());
    if (n >= 0 && (size_t)n < sizeof file->path)
        return QUERN_OK;
    file->path[0] = 0;
    return fail(err, QUERN_IO, "the variable TMPDIR is longer than a path may be (%d bytes)", TEMPORARY_PATH);
}

void temporary_remove(struct temporary_file *file) {
    if (file->path[0] && !file->is_kept)
        unlink(file->path);
    file->path[0] = 0;
}

static enum quern_status write_model(struct model_writer *w, struct quern_error *err) {
    unfinished_file_watch(gguf_writer_part_path(w->out));
    enum quern_status st = set_metadata(w, err);
    if (!st)
        st = each_tensor(w, add_tensor, err);
    if (!st)
        st = gguf_begin_data(w->out, &w->all_bytes, err);
    return st ? st : each_tensor(w, write_tensor, err);
}

enum quern_status synthetic_write(const struct synthetic *model, const char *keep,
                                  struct temporary_file *file, synthetic_progress *progress, void *user,
                                  struct quern_error *err) {
    struct model_writer w = { .model = model, .progress = progress, .user = user };
    enum quern_status st = keep ? name_kept(keep, file, err) : name_temporary(file, err);
    if (!st)
        st = gguf_writer_open(file->path, &w.out, err);
    if (st)
        return st;
    st = write_model(&w, err);
    if (st) {
        gguf_abandon(w.out);
    } else {
        st = gguf_commit(w.out, err);
        unfinished_file_watch(keep ? "" : file->path);
    }
    for (size_t i = 0; i < TYPE_COUNT; i++)
        free(w.pools[i].bytes);
    return st;
}
