/* session.c - one conversation: cache, working memory, evaluation.
 * SPDX-License-Identifier: MIT */
#include "engine/step.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEFAULT_BATCH = 512, MAX_BATCH = 65536, DEFAULT_CTX_LIMIT = 4096, MAX_THREADS = 1024, ALIGN = 64 };

void quern_session_defaults(struct quern_session_options *options) {
    *options = (struct quern_session_options){ .n_batch = DEFAULT_BATCH };
}

static const enum cache_type cache_types[] = {
    [QUERN_CACHE_F16] = CACHE_F16,
    [QUERN_CACHE_F32] = CACHE_F32,
    [QUERN_CACHE_Q8_0] = CACHE_Q8_0,
};

/* ---- Options ---- */

/* A thread that has less than this to read for a token gains less than the barriers of a step cost, and on
 * a busy machine loses much: 4 MiB take some 0.3 ms, the hundred barriers of ten layers 0.02 to 1 ms. */
enum { MIN_BYTES_PER_THREAD = 4 << 20 };

static unsigned useful_threads(const struct quern_model *m) {
    struct quern_model_info info;
    quern_model_get_info(m, &info);
    unsigned most = quern_default_threads();
    uint64_t useful = info.tensor_bytes / MIN_BYTES_PER_THREAD;
    return useful < 1 ? 1 : useful < most ? (unsigned)useful : most;
}

static enum quern_status complete_options(const struct quern_model *m,
                                          const struct quern_session_options *given,
                                          struct quern_session_options *o, struct quern_error *err) {
    if (given)
        *o = *given;
    else
        quern_session_defaults(o);
    if (!o->n_ctx)
        o->n_ctx = m->hp.n_ctx_train < DEFAULT_CTX_LIMIT ? m->hp.n_ctx_train : DEFAULT_CTX_LIMIT;
    if (o->n_ctx > INT32_MAX)
        return fail(err, QUERN_RANGE, "n_ctx = %zu (allowed: 1 to 2^31 - 1)", o->n_ctx);
    if (o->n_batch < 1 || o->n_batch > MAX_BATCH)
        return fail(err, QUERN_RANGE, "n_batch = %zu (allowed: 1 to %d)", o->n_batch, MAX_BATCH);
    if (o->n_threads > MAX_THREADS)
        return fail(err, QUERN_RANGE, "n_threads = %u (allowed: 0 to %d)", o->n_threads, MAX_THREADS);
    size_t n_types = sizeof cache_types / sizeof *cache_types;
    if ((size_t)o->cache_k >= n_types || (size_t)o->cache_v >= n_types)
        return fail(err, QUERN_RANGE, "unknown cache type (allowed: F16, F32, Q8_0)");
    if ((o->cache_k == QUERN_CACHE_Q8_0 && m->hp.head_dim_k % 32) ||
        (o->cache_v == QUERN_CACHE_Q8_0 && m->hp.head_dim_v % 32))
        return fail(err, QUERN_UNSUPPORTED,
                    "a Q8_0 cache needs heads of a multiple of 32 values, this model's have %zu and %zu",
                    m->hp.head_dim_k, m->hp.head_dim_v);
    if ((unsigned)o->prefill > QUERN_PREFILL_AUTO)
        return fail(err, QUERN_RANGE, "unknown prefill mode (allowed: direct, bf16, auto)");
    if (o->prefill == QUERN_PREFILL_BF16 && !m->kernels.matmul_bf16)
        return fail(
            err, QUERN_UNSUPPORTED,
            "prefill in bf16 needs a kernel level and a CPU with bf16 products: level %s has none here "
            "(allowed: direct, auto)",
            m->kernels.name);
    if (!o->n_threads)
        o->n_threads = useful_threads(m);
    if (o->n_batch > o->n_ctx)
        o->n_batch = o->n_ctx;
    return QUERN_OK;
}

/* ---- Memory: laid out once to count, once to place ---- */

/* Hands out aligned pieces of one block; with memory NULL it only counts. */
struct arena {
    uint8_t *memory;
    size_t used;
    bool overflow;
};

static void *take(struct arena *a, size_t n, size_t each) {
    size_t bytes, start = a->used;
    if (!size_mul(n, each, &bytes) || !size_add(bytes, ALIGN - 1, &bytes) ||
        !size_add(start, bytes / ALIGN * ALIGN, &a->used)) {
        a->overflow = true;
        return NULL;
    }
    return a->memory ? a->memory + start : NULL;
}

static float *take_floats(struct arena *a, size_t n_rows, size_t n) {
    size_t count;
    if (!size_mul(n_rows, n, &count)) {
        a->overflow = true;
        return NULL;
    }
    return take(a, count, sizeof(float));
}

static size_t n_cache_tiles(const struct quern_session_options *o) {
    /* Whole blocks, so that scores of a block read tiles that exist. */
    return (o->n_ctx + ATTN_BLOCK - 1) / ATTN_BLOCK * (ATTN_BLOCK / ATTN_TILE);
}

static void place_caches(const struct quern_model *m, const struct quern_session_options *o, struct arena *a,
                         struct layer_cache *caches) {
    size_t n_positions = n_cache_tiles(o) * ATTN_TILE;
    for (size_t l = 0; l < m->hp.n_layer; l++) {
        size_t n_head_kv = m->layers[l].shape.n_head_kv;
        size_t key_bytes = n_head_kv * cache_bytes(cache_types[o->cache_k], m->hp.head_dim_k);
        size_t value_bytes = n_head_kv * cache_bytes(cache_types[o->cache_v], m->hp.head_dim_v);
        uint8_t *keys = take(a, n_positions, key_bytes), *values = take(a, n_positions, value_bytes);
        if (caches)
            caches[l] = (struct layer_cache){ keys, values };
    }
}

/* Largest widths over the layers. */
static struct layer_shape widest(const struct quern_model *m) {
    struct layer_shape w = { 0 };
    for (size_t l = 0; l < m->hp.n_layer; l++) {
        const struct layer_shape *shape = &m->layers[l].shape;
        w.n_head = shape->n_head > w.n_head ? shape->n_head : w.n_head;
        w.n_head_kv = shape->n_head_kv > w.n_head_kv ? shape->n_head_kv : w.n_head_kv;
        w.n_ff = shape->n_ff > w.n_ff ? shape->n_ff : w.n_ff;
    }
    return w;
}

/* Room for the activations of n rows of width n_in in any form. Forms need whole blocks, and a matrix
 * whose rows are no whole blocks has none of those types. */
static void *take_acts(struct arena *a, size_t n_in, size_t n) {
    enum { GROUP = 32 }; /* rows that are arranged together: rounded up so, bytes grow with the rows */
    size_t most = 0;
    for (enum act_form form = ACT_F32; form < ACT_FORMS; form++) {
        size_t padded = (n_in + 255) / 256 * 256, bytes = acts_bytes(form, padded, n < GROUP ? n : GROUP);
        most = bytes > most ? bytes : most;
    }
    const size_t bf16 = acts_bf16_bytes(n_in, GROUP);
    return take(a, (n + GROUP - 1) / GROUP, bf16 > most ? bf16 : most);
}

static void place_scratch(const struct quern_model *m, const struct quern_session_options *o, struct arena *a,
                          struct scratch *b) {
    const struct hparams *hp = &m->hp;
    struct layer_shape w = widest(m);
    size_t n = o->n_batch;
    size_t q = w.n_head * hp->head_dim_k, attn = w.n_head * hp->head_dim_v;
    size_t n_ffn = hp->n_expert ? n * hp->n_expert_used : n; /* rows of the feed-forward block */
    size_t n_in = hp->n_embd > w.n_ff ? hp->n_embd : w.n_ff;
    *b = (struct scratch){
        .x = take_floats(a, n, hp->n_embd),
        .normed = take_floats(a, n, hp->n_embd),
        .q = take_floats(a, n, q),
        .k = take_floats(a, n, w.n_head_kv * hp->head_dim_k),
        .v = take_floats(a, n, w.n_head_kv * hp->head_dim_v),
        .attn = take_floats(a, n, attn),
        .out = take_floats(a, n, hp->n_embd),
        .gate = take_floats(a, n_ffn, w.n_ff),
        .up = take_floats(a, n_ffn, w.n_ff),
        .rope = take_floats(a, n, hp->n_rot),
        .acts = { take_acts(a, attn > n_in ? attn : n_in, n_ffn),
                  take_acts(a, attn > n_in ? attn : n_in, n_ffn),
                  o->prefill ? take_acts(a, attn > n_in ? attn : n_in, n_ffn) : NULL },
    };
    size_t n_partials = (o->n_ctx + ATTN_CHUNK - 1) / ATTN_CHUNK * w.n_head;
    b->attn_partials = take(a, n_partials, sizeof *b->attn_partials);
    b->attn_outputs = take_floats(a, n_partials, hp->head_dim_v);
    if (!hp->n_expert)
        return;
    b->router = take_floats(a, n, hp->n_expert);
    b->routes = take(a, 2 * n_ffn, sizeof *b->routes);
    b->expert_in = take_floats(a, n_ffn, hp->n_embd);
    b->expert_out = take_floats(a, n_ffn, hp->n_embd);
}

static enum quern_status measure(const struct quern_model *m, const struct quern_session_options *o,
                                 size_t *cache_bytes, size_t *work_bytes, struct quern_error *err) {
    struct arena cache = { 0 }, work = { 0 };
    struct scratch unused;
    place_caches(m, o, &cache, NULL);
    place_scratch(m, o, &work, &unused);
    if (cache.overflow || work.overflow)
        return fail(err, QUERN_RANGE,
                    "n_ctx = %zu with n_batch = %zu needs more memory than can be addressed", o->n_ctx,
                    o->n_batch);
    *cache_bytes = cache.used;
    *work_bytes = work.used;
    return QUERN_OK;
}

enum quern_status quern_session_memory(const struct quern_model *m,
                                       const struct quern_session_options *options, uint64_t *cache_bytes,
                                       uint64_t *work_bytes, struct quern_error *err) {
    struct quern_session_options o;
    size_t cache = 0, work = 0;
    enum quern_status st = complete_options(m, options, &o, err);
    if (st || (st = measure(m, &o, &cache, &work, err)))
        return st;
    *cache_bytes = cache;
    *work_bytes = work;
    return QUERN_OK;
}

/* Zeroed memory of which only the pages in use become resident, aligned to ALIGN. *raw is to be freed. */
static uint8_t *allocate_zeroed(size_t bytes, void **raw) {
    size_t padded;
    if (!size_add(bytes, ALIGN, &padded) || !(*raw = calloc(padded, 1)))
        return NULL;
    return (uint8_t *)*raw + (ALIGN - (uintptr_t)*raw % ALIGN) % ALIGN;
}

/* ---- Prefill mode ---- */

/* The types among the model's matrices. */
static void mark_types(const struct quern_model *m, bool used[TYPE_COUNT]) {
    used[m->output.type] = true;
    for (size_t l = 0; l < m->hp.n_layer; l++) {
        const struct layer *layer = &m->layers[l];
        const struct matrix *all[] = { &layer->wq,        &layer->wk,      &layer->wv,       &layer->wo,
                                       &layer->ffn_gate,  &layer->ffn_up,  &layer->ffn_down, &layer->router,
                                       &layer->gate_exps, &layer->up_exps, &layer->down_exps };
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            if (all[i]->data)
                used[all[i]->type] = true;
    }
}

/* Which types go to bf16, and that in words. */
static void choose_prefill(const struct quern_model *m, struct quern_session *s) {
    const enum quern_prefill mode = s->options.prefill;
    bool used[TYPE_COUNT] = { false };
    size_t length = 0;
    for (uint32_t t = 0; t < TYPE_COUNT; t++)
        s->bf16[t] = mode == QUERN_PREFILL_BF16 ||
                     (mode == QUERN_PREFILL_AUTO && m->kernels.matmul_bf16 && m->kernels.bf16_is_faster[t]);
    if (mode != QUERN_PREFILL_AUTO) {
        snprintf(s->prefill, sizeof s->prefill, mode == QUERN_PREFILL_BF16 ? "bf16" : "direct");
        return;
    }
    mark_types(m, used);
    length += (size_t)snprintf(s->prefill, sizeof s->prefill, "auto: ");
    for (uint32_t t = 0; t < TYPE_COUNT; t++)
        if (used[t] && s->bf16[t] && length < sizeof s->prefill)
            length += (size_t)snprintf(s->prefill + length, sizeof s->prefill - length, "%s%s",
                                       length > 6 ? ", " : "bf16 for ", type_info(t)->name);
    if (length == 6)
        snprintf(s->prefill + length, sizeof s->prefill - length, "direct");
}

const char *quern_session_prefill(const struct quern_session *s) { return s->prefill; }

/* ---- Open and close ---- */

enum quern_status quern_session_open(const struct quern_model *m, const struct quern_session_options *options,
                                     struct quern_session **out, struct quern_error *err) {
    struct quern_session_options o;
    size_t cache_bytes = 0, work_bytes = 0;
    enum quern_status st = complete_options(m, options, &o, err);
    if (st || (st = measure(m, &o, &cache_bytes, &work_bytes, err)))
        return st;
    struct quern_session *s = calloc(1, sizeof *s);
    if (!s)
        return fail_memory(err, sizeof *s);
    s->model = m;
    s->options = o;
    s->key_type = cache_types[o.cache_k];
    s->value_type = cache_types[o.cache_v];
    s->n_tiles = n_cache_tiles(&o);
    struct arena cache = { .memory = allocate_zeroed(cache_bytes, &s->cache_memory) };
    struct arena work = { .memory = allocate_zeroed(work_bytes, &s->work_memory) };
    s->caches = calloc(m->hp.n_layer, sizeof *s->caches);
    s->pool = pool_open(o.n_threads);
    if (!cache.memory || !work.memory || !s->caches || !s->pool) {
        quern_session_close(s);
        return fail(err, QUERN_MEMORY,
                    "out of memory: a session of %zu tokens takes %zu MiB of cache and %zu MiB "
                    "of working memory",
                    o.n_ctx, cache_bytes >> 20, work_bytes >> 20);
    }
    place_caches(m, &o, &cache, s->caches);
    place_scratch(m, &o, &work, &s->scratch);
    choose_prefill(m, s);
    *out = s;
    return QUERN_OK;
}

void quern_session_close(struct quern_session *s) {
    if (!s)
        return;
    pool_close(s->pool);
    free(s->caches);
    free(s->cache_memory);
    free(s->work_memory);
    free(s);
}

size_t quern_session_position(const struct quern_session *s) { return s->position; }
size_t quern_session_n_ctx(const struct quern_session *s) { return s->options.n_ctx; }
unsigned quern_session_n_threads(const struct quern_session *s) { return s->options.n_threads; }

enum quern_status quern_session_rewind(struct quern_session *s, size_t position, struct quern_error *err) {
    if (position > s->position)
        return fail(err, QUERN_RANGE, "cannot go to position %zu of %zu (allowed: 0 to %zu)", position,
                    s->position, s->position);
    s->position = position;
    return QUERN_OK;
}

/* ---- Evaluation ---- */

static enum quern_status check_tokens(const struct quern_session *s, const int32_t *tokens, size_t n_tokens,
                                      size_t n_logits, struct quern_error *err) {
    if (!n_tokens || n_logits > n_tokens)
        return fail(err, QUERN_RANGE,
                    "%zu tokens with %zu rows of logits (allowed: at least 1 token, at most one "
                    "row per token)",
                    n_tokens, n_logits);
    for (size_t i = 0; i < n_tokens; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= s->model->hp.n_vocab)
            return fail(err, QUERN_RANGE,
                        "token %d at index %zu is not in the vocabulary (allowed: 0 to %zu)", (int)tokens[i],
                        i, s->model->hp.n_vocab - 1);
    if (n_tokens > s->options.n_ctx - s->position)
        return fail(err, QUERN_CONTEXT, "%zu tokens do not fit: the context holds %zu, %zu are in use",
                    n_tokens, s->options.n_ctx, s->position);
    return QUERN_OK;
}

static void run_forward(struct worker *w, void *arg) {
    struct step *s = arg;
    s->model->arch->forward(w, s);
}

enum quern_status quern_session_eval(struct quern_session *session, const int32_t *tokens, size_t n_tokens,
                                     float *logits, size_t n_logits, struct quern_error *err) {
    enum quern_status st = check_tokens(session, tokens, n_tokens, n_logits, err);
    if (st)
        return st;
    size_t n_vocab = session->model->hp.n_vocab, first_logit = n_tokens - n_logits;
    for (size_t begin = 0, n; begin < n_tokens; begin += n) {
        n = n_tokens - begin < session->options.n_batch ? n_tokens - begin : session->options.n_batch;
        size_t from = first_logit > begin ? first_logit : begin; /* rows of logits in this batch */
        struct step step = {
            .model = session->model,
            .kernels = &session->model->kernels,
            .session = session,
            .scratch = &session->scratch,
            .tokens = tokens + begin,
            .n_tokens = n,
            .position = session->position + begin,
        };
        if (from < begin + n) {
            step.n_logits = begin + n - from;
            step.logits = logits + (from - first_logit) * n_vocab;
        }
        pool_run(session->pool, run_forward, &step);
        if (step.stop)
            return fail(err, QUERN_INTERRUPTED, "evaluation was interrupted");
    }
    session->position += n_tokens;
    return QUERN_OK;
}
