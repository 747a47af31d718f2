/* session.c - one conversation: cache, working memory, evaluation.
 * SPDX-License-Identifier: MIT */
#include "engine/outliers.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEFAULT_BATCH = 512, MAX_BATCH = 65536, DEFAULT_CTX_LIMIT = 4096, MAX_THREADS = 1024, ALIGN = 64 };

void quern_session_defaults(struct quern_session_options *options) {
    *options = (struct quern_session_options){ .n_batch = DEFAULT_BATCH };
}

static const enum cache_type cache_types[] = {
    [QUERN_CACHE_F16] = CACHE_F16,   [QUERN_CACHE_F32] = CACHE_F32,   [QUERN_CACHE_Q8_0] = CACHE_Q8_0,
    [QUERN_CACHE_BF16] = CACHE_BF16, [QUERN_CACHE_Q4_0] = CACHE_Q4_0,
};

/* ---- Options ---- */

/* A thread that has less than this to read for a token gains less than the barriers of a step cost, and on
 * a busy machine loses much: 4 MiB take some 0.3 ms, the sixty barriers of ten layers 0.01 to 1 ms. A batch
 * does several times the work between two barriers. */
enum { MIN_BYTES_PER_THREAD = 4 << 20, MIN_BATCH_BYTES_PER_THREAD = 512 << 10 };

static unsigned useful_threads(const struct quern_model *m, uint64_t min_bytes) {
    struct quern_model_info info;
    quern_model_get_info(m, &info);
    const struct placement *p = &m->placement;
    unsigned most = quern_default_threads();
    if (p->mode == QUERN_NUMA_ISOLATE) /* the node's part of them */
        most = most * numa_n_cpus(&p->topology, p->mode) / numa_n_cpus(&p->topology, QUERN_NUMA_NONE);
    uint64_t useful = info.tensor_bytes / min_bytes;
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
    if (o->n_threads_batch > MAX_THREADS)
        return fail(err, QUERN_RANGE, "n_threads_batch = %u (allowed: 0 to %d)", o->n_threads_batch,
                    MAX_THREADS);
    size_t n_types = sizeof cache_types / sizeof *cache_types;
    if ((size_t)o->cache_k >= n_types || (size_t)o->cache_v >= n_types)
        return fail(err, QUERN_RANGE, "unknown cache type (allowed: F16, F32, Q8_0, BF16, Q4_0)");
    if (m->hp.head_dim_k % cache_block(cache_types[o->cache_k]) ||
        m->hp.head_dim_v % cache_block(cache_types[o->cache_v]))
        return fail(
            err, QUERN_UNSUPPORTED,
            "a Q8_0 or Q4_0 cache needs heads of a multiple of 32 values, this model's have %zu and %zu",
            m->hp.head_dim_k, m->hp.head_dim_v);
    if (!o->n_threads_batch)
        o->n_threads_batch = o->n_threads ? o->n_threads : useful_threads(m, MIN_BATCH_BYTES_PER_THREAD);
    if ((unsigned)o->prefill > QUERN_PREFILL_AUTO)
        return fail(err, QUERN_RANGE, "unknown prefill mode (allowed: direct, bf16, auto)");
    if (o->prefill == QUERN_PREFILL_BF16 && !m->kernels.matmul_bf16)
        return fail(
            err, QUERN_UNSUPPORTED,
            "prefill in bf16 needs a kernel level and a CPU with bf16 products: level %s has none here "
            "(allowed: direct, auto)",
            m->kernels.name);
    if (o->prefill != QUERN_PREFILL_DIRECT &&
        (m->options.act != QUERN_ACT_BLOCK || m->options.round_inputs != QUERN_ROUND_NONE))
        return fail(
            err, QUERN_UNSUPPORTED,
            "prefill in bf16 does not go with activations of one scale a token nor with rounded inputs "
            "(allowed: direct)");
    if (!o->n_threads)
        o->n_threads = useful_threads(m, MIN_BYTES_PER_THREAD);
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

static void place_outliers(const struct quern_model *m, size_t widest_row, struct arena *a,
                           struct scratch *b) {
    const struct quern_model_options *o = &m->options;
    if (o->outliers == 0 || (o->act != QUERN_ACT_INT8_ROW && o->round_inputs != QUERN_ROUND_INT8_ROW))
        return;
    b->outlier_words = (widest_row + 31) / 32;
    b->outlier_counts = take(a, m->n_matrices, sizeof *b->outlier_counts);
    b->outlier_columns = take(a, m->n_matrices, b->outlier_words * sizeof *b->outlier_columns);
}

static struct input_memory take_input(const struct quern_model *m, struct arena *a, size_t n_embd,
                                      size_t n_in, size_t n, bool has_bf16) {
    return (struct input_memory){ .normed = take_floats(a, n, n_embd),
                                  .acts = { take_acts(a, n_in, n), take_acts(a, n_in, n),
                                            has_bf16 ? take_acts(a, n_in, n) : NULL },
                                  .rounded = model_rounding(m) != ACT_NONE ? take_floats(a, n, n_in) : NULL };
}

static size_t largest(size_t a, size_t b) { return a > b ? a : b; }

static void place_attention(const struct quern_model *m, const struct quern_session_options *o,
                            struct arena *a, size_t n_head, struct scratch *b) {
    const size_t dim_k = m->hp.head_dim_k, dim_v = m->hp.head_dim_v, n = ATTN_QUERIES;
    size_t n_partials = (o->n_ctx + ATTN_CHUNK - 1) / ATTN_CHUNK * n_head;
    b->attn_partials = take(a, n_partials, sizeof *b->attn_partials);
    b->attn_outputs = take_floats(a, n_partials, dim_v);
    const size_t n_threads = largest(o->n_threads, o->n_threads_batch);
    b->attn_work = take(a, n_threads, sizeof *b->attn_work);
    for (size_t i = 0; i < n_threads; i++) {
        struct attn_work work = {
            .x = take_floats(a, n, dim_k),
            .acts = take_acts(a, dim_k, n),
            .s = take_floats(a, n, ATTN_BLOCK),
            .o = take_floats(a, n, dim_v),
            .spans = take(a, n, sizeof *work.spans),
            .states = take(a, n, sizeof *work.states),
            .sums = take(a, n, sizeof *work.sums),
        };
        if (b->attn_work)
            b->attn_work[i] = work;
    }
}

/* own_input: [threads], NULL while counting. */
static void place_scratch(const struct quern_model *m, const struct quern_session_options *o, struct arena *a,
                          struct input_memory *own_input, struct scratch *b) {
    const struct hparams *hp = &m->hp;
    struct layer_shape w = widest(m);
    size_t n = o->n_batch;
    size_t q = w.n_head * hp->head_dim_k, attn = w.n_head * hp->head_dim_v;
    size_t n_ffn = hp->n_expert ? n * hp->n_expert_used : n; /* rows of the feed-forward block */
    size_t n_in = largest(largest(hp->n_embd, w.n_ff), attn);
    *b = (struct scratch){
        .x = take_floats(a, n, hp->n_embd),
        .q = take_floats(a, n, q),
        .k = take_floats(a, n, w.n_head_kv * hp->head_dim_k),
        .v = take_floats(a, n, w.n_head_kv * hp->head_dim_v),
        .attn = take_floats(a, n, attn),
        .out = take_floats(a, n, hp->n_embd),
        .gate = take_floats(a, n_ffn, w.n_ff),
        .up = take_floats(a, n_ffn, w.n_ff),
        .rope = take_floats(a, n, hp->n_rot),
        .input = take_input(m, a, hp->n_embd, n_in, n_ffn, o->prefill != QUERN_PREFILL_DIRECT),
        .own_input = own_input,
    };
    for (size_t i = 0; i < largest(o->n_threads, o->n_threads_batch); i++) {
        struct input_memory own = take_input(m, a, largest(hp->n_embd, OWN_INPUT_VALUES),
                                             largest(n_in, OWN_INPUT_VALUES), 1, false);
        if (own_input)
            own_input[i] = own;
    }
    place_outliers(m, n_in, a, b);
    place_attention(m, o, a, w.n_head, b);
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
    place_scratch(m, o, &work, NULL, &unused);
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

/* The cache of a head is written from its beginning on, in the order of positions: with huge pages a short
 * text would take a page of every head, so only caches in which a head has several. */
static enum page_size cache_pages(const struct quern_model *m, size_t cache_bytes) {
    enum { HUGE_PAGES_BYTES = 4 << 20 };
    size_t n_heads = 0;
    for (size_t l = 0; l < m->hp.n_layer; l++)
        n_heads += 2 * m->layers[l].shape.n_head_kv;
    return cache_bytes / n_heads >= HUGE_PAGES_BYTES ? PAGES_HUGE : PAGES_SMALL;
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

/* Bind the threads and have the weights ready. */
static void settle(struct quern_session *s) {
    struct numa_affinity callers;
    bool binds = placement_binds(&s->model->placement);
    if (binds)
        numa_get_affinity(&callers);
    placement_settle(s->model, s->pool, &s->plan_batch, s->numa, sizeof s->numa);
    if (binds)
        numa_set_affinity(&callers);
}

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
    bool has_memory = pages_map(cache_bytes, cache_pages(m, cache_bytes), &s->cache_memory) &&
                      pages_map(work_bytes, PAGES_HUGE, &s->work_memory);
    struct arena cache = { .memory = s->cache_memory.data }, work = { .memory = s->work_memory.data };
    s->caches = calloc(m->hp.n_layer, sizeof *s->caches);
    s->own_input = calloc(largest(o.n_threads, o.n_threads_batch), sizeof *s->own_input);
    s->pool = pool_open();
    if (!has_memory || !s->caches || !s->own_input || !s->pool) {
        quern_session_close(s);
        return fail(err, QUERN_MEMORY,
                    "out of memory: a session of %zu tokens takes %zu MiB of cache and %zu MiB "
                    "of working memory",
                    o.n_ctx, cache_bytes >> 20, work_bytes >> 20);
    }
    place_caches(m, &o, &cache, s->caches);
    place_scratch(m, &o, &work, s->own_input, &s->scratch);
    placement_plan(&m->placement, o.n_threads, &s->plan);
    placement_plan(&m->placement, o.n_threads_batch, &s->plan_batch);
    if (s->plan.n_nodes > 1 || m->placement.mode == QUERN_NUMA_MIRROR)
        numa_interleave(&m->placement.topology, s->cache_memory.data, s->cache_memory.bytes);
    settle(s);
    choose_prefill(m, s);
    *out = s;
    return QUERN_OK;
}

void quern_session_close(struct quern_session *s) {
    if (!s)
        return;
    pool_close(s->pool);
    free(s->caches);
    free(s->own_input);
    pages_unmap(&s->cache_memory);
    pages_unmap(&s->work_memory);
    free(s);
}

size_t quern_session_position(const struct quern_session *s) { return s->position; }
size_t quern_session_n_ctx(const struct quern_session *s) { return s->options.n_ctx; }
unsigned quern_session_n_threads(const struct quern_session *s) { return s->options.n_threads; }
unsigned quern_session_n_threads_batch(const struct quern_session *s) { return s->options.n_threads_batch; }

const char *quern_session_numa(const struct quern_session *s) { return s->numa; }

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
    if (placement_binds(&s->model->placement))
        numa_bind_thread(&s->model->placement.topology, s->plan->node_of_thread[w->id]);
    s->model->arch->forward(w, s);
}

static enum quern_status eval(struct quern_session *session, const int32_t *tokens, size_t n_tokens,
                              float *logits, size_t n_logits, struct quern_error *err) {
    size_t n_vocab = session->model->hp.n_vocab, first_logit = n_tokens - n_logits;
    for (size_t begin = 0, n; begin < n_tokens; begin += n) {
        n = n_tokens - begin < session->options.n_batch ? n_tokens - begin : session->options.n_batch;
        size_t from = first_logit > begin ? first_logit : begin; /* rows of logits in this batch */
        struct step step = {
            .model = session->model,
            .kernels = &session->model->kernels,
            .session = session,
            .scratch = &session->scratch,
            .plan = n > 1 ? &session->plan_batch : &session->plan,
            .tokens = tokens + begin,
            .n_tokens = n,
            .position = session->position + begin,
        };
        if (from < begin + n) {
            step.n_logits = begin + n - from;
            step.logits = logits + (from - first_logit) * n_vocab;
        }
        pool_run(session->pool, step.plan->n_threads, run_forward, &step);
        if (step.stop)
            return fail(err, QUERN_INTERRUPTED, "evaluation was interrupted");
    }
    session->position += n_tokens;
    return QUERN_OK;
}

enum quern_status quern_session_eval(struct quern_session *session, const int32_t *tokens, size_t n_tokens,
                                     float *logits, size_t n_logits, struct quern_error *err) {
    enum quern_status st = check_tokens(session, tokens, n_tokens, n_logits, err);
    struct numa_affinity callers;
    bool binds = placement_binds(&session->model->placement);
    if (st)
        return st;
    if (binds)
        numa_get_affinity(&callers);
    st = eval(session, tokens, n_tokens, logits, n_logits, err);
    if (binds)
        numa_set_affinity(&callers);
    return st;
}
