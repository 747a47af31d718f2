/* attention.c - causal attention over the cache.
 * SPDX-License-Identifier: MIT
 * Positions are taken in blocks of 64 and chunks of 1024, both counted from position 0, with a running
 * softmax (online softmax, arXiv:1805.02867). A chunk starts afresh and chunks are merged in order, so a
 * chunk can be anybody's work and the result is the same. The order of additions inside a block is
 * the kernels' (kernels/kernels.h).
 * The queries that share a kv head go together, of several tokens where there are, so that a key or value is
 * read and converted once for all of them. */
#include "engine/ops/ops.h"

#include <assert.h>
#include <math.h>

static_assert(ATTN_CHUNK % ATTN_BLOCK == 0 && ATTN_BLOCK % ATTN_TILE == 0,
              "blocks tile chunks, tiles tile blocks");

/* One layer's attention. */
struct attention {
    const struct step *s;
    size_t l, n_head, n_head_kv, per_kv;
    const float *q;
    float *y;
};

/* ---- The cache ---- */

/* The cache of one kv head in one layer. */
struct head_cache {
    uint8_t *keys, *values;
    size_t tile_bytes, row_bytes;
};

static struct head_cache head_cache(const struct step *s, size_t l, size_t h) {
    const struct quern_session *session = s->session;
    const struct hparams *hp = &s->model->hp;
    size_t tile_bytes = cache_bytes(session->key_type, hp->head_dim_k * ATTN_TILE);
    size_t row_bytes = cache_bytes(session->value_type, hp->head_dim_v);
    return (struct head_cache){
        .keys = session->caches[l].keys + h * session->n_tiles * tile_bytes,
        .values = session->caches[l].values + h * session->n_tiles * ATTN_TILE * row_bytes,
        .tile_bytes = tile_bytes,
        .row_bytes = row_bytes,
    };
}

static void store(struct worker *w, const struct step *s, size_t l, const float *k, const float *v) {
    const struct hparams *hp = &s->model->hp;
    size_t n_head_kv = s->model->layers[l].shape.n_head_kv, begin, end;
    pool_share(w, s->n_tokens, &begin, &end);
    for (size_t i = begin * n_head_kv; i < end * n_head_kv; i++) {
        size_t t = i / n_head_kv, h = i % n_head_kv, position = s->position + t;
        struct head_cache cache = head_cache(s, l, h);
        s->kernels->store_key[s->session->key_type](k + (t * n_head_kv + h) * hp->head_dim_k, hp->head_dim_k,
                                                    cache.keys + position / ATTN_TILE * cache.tile_bytes,
                                                    position % ATTN_TILE);
        s->kernels->store_value[s->session->value_type](v + (t * n_head_kv + h) * hp->head_dim_v,
                                                        hp->head_dim_v,
                                                        cache.values + position * cache.row_bytes);
    }
}

/* ---- Queries ---- */

/* Some queries of kv head h, counted by token and then by head: query i is number first + i. */
struct queries {
    const struct attention *a;
    size_t h, first, n;
    struct acts x; /* in the form that the keys need */
    const struct attn_work *work;
};

static size_t token_of(const struct queries *g, size_t i) { return (g->first + i) / g->a->per_kv; }

/* Among all of the step: [n_tokens][n_head]. */
static size_t row_of(const struct queries *g, size_t i) {
    return token_of(g, i) * g->a->n_head + g->h * g->a->per_kv + (g->first + i) % g->a->per_kv;
}

/* The positions that token t sees. */
static void visible(const struct step *s, size_t t, size_t *begin, size_t *end) {
    size_t window = s->model->hp.window;
    *end = s->position + t + 1;
    *begin = window && *end > window ? *end - window : 0;
}

static struct queries load_queries(const struct attention *a, const struct attn_work *work, size_t h,
                                   size_t first, size_t n) {
    const struct step *s = a->s;
    const size_t dim = s->model->hp.head_dim_k;
    const float scale = 1.0f / sqrtf((float)dim);
    const enum act_form form = cache_query_form(s->session->key_type);
    struct queries g = { .a = a, .h = h, .first = first, .n = n, .work = work };
    acts_place(&g.x, form, dim, n, work->acts);
    for (size_t i = 0; i < n; i++) {
        const float *q = a->q + row_of(&g, i) * dim;
        float *x = work->x + i * dim;
        for (size_t d = 0; d < dim; d++)
            x[d] = q[d] * scale;
        if (form != ACT_F32)
            s->kernels->quantize[form](x, &g.x, i);
    }
    if (form == ACT_F32)
        g.x.x = work->x;
    return g;
}

/* ---- Blocks and chunks ---- */

/* The positions of a block that each query sees, into spans; *from and *to: the queries that see any, which
 * are neighbours because what is visible moves on with the token. */
static void spans_of_block(const struct queries *g, size_t block, size_t *from, size_t *to) {
    *from = *to = g->n;
    for (size_t i = 0, begin, end; i < g->n; i++) {
        visible(g->a->s, token_of(g, i), &begin, &end);
        if (end <= block || begin >= block + ATTN_BLOCK)
            continue;
        g->work->spans[i] = (struct attn_span){
            .begin = (uint8_t)(begin > block ? begin - block : 0),
            .end = (uint8_t)(end - block < ATTN_BLOCK ? end - block : ATTN_BLOCK),
        };
        *from = i < *from ? i : *from;
        *to = i + 1;
    }
}

static void attend_block(const struct queries *g, const struct head_cache *cache, size_t block) {
    const struct step *s = g->a->s;
    const struct attn_work *work = g->work;
    const enum cache_type key_type = s->session->key_type, value_type = s->session->value_type;
    const size_t dim = s->model->hp.head_dim_v;
    size_t from, to;
    spans_of_block(g, block, &from, &to);
    if (from >= to)
        return;
    const struct acts x = acts_of_tokens(&g->x, from, to - from);
    const size_t n_tiles = ((size_t)work->spans[to - 1].end + ATTN_TILE - 1) / ATTN_TILE;
    float *scores = work->s + from * ATTN_BLOCK, *o = work->o + from * dim;
    s->kernels->attn_scores[key_type](&x, cache->keys + block / ATTN_TILE * cache->tile_bytes, n_tiles,
                                      scores);
    s->kernels->attn_softmax(scores, work->spans + from, to - from, work->states + from, o, dim);
    s->kernels->attn_values[value_type](scores, work->spans + from, to - from,
                                        cache->values + block * cache->row_bytes, dim, o);
}

/* The positions of chunk c that any of the queries sees; states and outputs of the chunk into work. */
static void attend_chunk(const struct queries *g, const struct head_cache *cache, size_t c) {
    const struct attn_work *work = g->work;
    size_t begin, end, last_begin;
    visible(g->a->s, token_of(g, 0), &begin, &end);
    visible(g->a->s, token_of(g, g->n - 1), &last_begin, &end);
    if (begin < c * ATTN_CHUNK)
        begin = c * ATTN_CHUNK;
    if (end > (c + 1) * ATTN_CHUNK)
        end = (c + 1) * ATTN_CHUNK;
    for (size_t i = 0; i < g->n; i++)
        work->states[i] = (struct attn_softmax){ .m = -INFINITY };
    memset(work->o, 0, g->n * g->a->s->model->hp.head_dim_v * sizeof *work->o);
    for (size_t block = begin / ATTN_BLOCK * ATTN_BLOCK; block < end; block += ATTN_BLOCK)
        attend_block(g, cache, block);
}

static float sum_lanes(const float l[16]) {
    float s[16];
    memcpy(s, l, sizeof s);
    for (size_t n = 8; n; n /= 2)
        for (size_t i = 0; i < n; i++)
            s[i] += s[i + n];
    return s[0];
}

static struct attn_partial partial_of(const struct attn_softmax *state) {
    return (struct attn_partial){ state->m, sum_lanes(state->l) };
}

/* The positions so far (sum, o) take in a further chunk: o = fma(o_chunk, new, fl(o * old)). */
static void merge(const struct kernels *k, struct attn_partial *sum, float *o,
                  const struct attn_partial *chunk, const float *o_chunk, size_t n) {
    float m = chunk->m > sum->m ? chunk->m : sum->m;
    float old = kernels_exp(sum->m - m), new = kernels_exp(chunk->m - m);
    for (size_t d = 0; d < n; d++)
        o[d] *= old;
    k->add_scaled(o, o_chunk, new, n);
    *sum = (struct attn_partial){ m, fmaf(chunk->l, new, sum->l * old) };
}

static void normalize(const struct attn_partial *sum, float *o, size_t n) {
    float inverse = 1.0f / sum->l;
    for (size_t d = 0; d < n; d++)
        o[d] *= inverse;
}

/* What chunk c gave goes to the outputs of the queries that see some of it. */
static void add_chunk(const struct queries *g, size_t c) {
    const struct attn_work *work = g->work;
    const size_t dim = g->a->s->model->hp.head_dim_v;
    for (size_t i = 0, begin, end; i < g->n; i++) {
        visible(g->a->s, token_of(g, i), &begin, &end);
        const size_t first = begin / ATTN_CHUNK, last = (end - 1) / ATTN_CHUNK;
        const struct attn_partial chunk = partial_of(&work->states[i]);
        float *y = g->a->y + row_of(g, i) * dim, *o = work->o + i * dim;
        if (c < first || c > last)
            continue;
        if (c == first) {
            work->sums[i] = chunk;
            memcpy(y, o, dim * sizeof *y);
        } else {
            merge(g->a->s->kernels, &work->sums[i], y, &chunk, o, dim);
        }
        if (c == last)
            normalize(&work->sums[i], y, dim);
    }
}

/* ---- Dealing ---- */

/* Queries that are dealt together: for a single token those that share a kv head, fewer if workers would have
 * nothing to do; for more tokens as many as there is room for, while every worker finds several items. */
static size_t queries_of_item(const struct worker *w, const struct attention *a, size_t n_chunks) {
    enum { LEAST = 24 }; /* for fewer, converting keys and values would take too large a part */
    const bool is_single = a->s->n_tokens == 1;
    const size_t all = a->s->n_tokens * a->per_kv, per_query = a->n_head_kv * n_chunks;
    const size_t n_items = ((is_single ? 1 : 4) * w->n + per_query - 1) / per_query;
    const size_t n = (all + n_items - 1) / n_items, least = is_single ? 1 : LEAST;
    return n < least ? least : n > ATTN_QUERIES ? ATTN_QUERIES : n;
}

/* Several tokens, or one with a single chunk: an item is some queries over all their chunks. */
static void attend_by_queries(struct worker *w, const struct attention *a) {
    const struct attn_work *work = &a->s->scratch->attn_work[w->id];
    const size_t each = queries_of_item(w, a, 1), all = a->s->n_tokens * a->per_kv;
    const size_t n_items = (all + each - 1) / each;
    unsigned deal = pool_deal(w);
    for (size_t i; (i = pool_take(w, deal, 1)) < a->n_head_kv * n_items;) {
        /* The last tokens see most and are taken first, so that what is left at the end is short. */
        const size_t h = i % a->n_head_kv, first = (n_items - 1 - i / a->n_head_kv) * each;
        const size_t n = all - first < each ? all - first : each;
        const struct queries g = load_queries(a, work, h, first, n);
        const struct head_cache cache = head_cache(a->s, a->l, h);
        size_t begin, end, last_begin;
        visible(a->s, token_of(&g, 0), &begin, &end);
        visible(a->s, token_of(&g, n - 1), &last_begin, &end);
        for (size_t c = begin / ATTN_CHUNK; c <= (end - 1) / ATTN_CHUNK; c++) {
            attend_chunk(&g, &cache, c);
            add_chunk(&g, c);
        }
    }
}

/* A single token: an item is some queries over one chunk, so that many threads find work in a long context;
 * merged in the order in which add_chunk() would have. Partials lie in scratch, [n_chunks][n_head]. */
static void attend_by_chunk(struct worker *w, const struct attention *a, size_t first, size_t n_chunks) {
    const struct scratch *b = a->s->scratch;
    const size_t dim = a->s->model->hp.head_dim_v, each = queries_of_item(w, a, n_chunks);
    const size_t n_groups = (a->per_kv + each - 1) / each;
    unsigned deal = pool_deal(w);
    for (size_t i; (i = pool_take(w, deal, 1)) < a->n_head_kv * n_chunks * n_groups;) {
        const size_t h = i / n_groups / n_chunks, c = i / n_groups % n_chunks, from = i % n_groups * each;
        const size_t n = a->per_kv - from < each ? a->per_kv - from : each;
        const struct queries g = load_queries(a, &b->attn_work[w->id], h, from, n);
        const struct head_cache cache = head_cache(a->s, a->l, h);
        const size_t at = c * a->n_head + row_of(&g, 0);
        attend_chunk(&g, &cache, first + c);
        for (size_t j = 0; j < n; j++)
            b->attn_partials[at + j] = partial_of(&g.work->states[j]);
        memcpy(b->attn_outputs + at * dim, g.work->o, n * dim * sizeof *g.work->o);
    }
    pool_barrier(w);
    size_t head, last;
    pool_share(w, a->n_head, &head, &last);
    for (; head < last; head++) {
        struct attn_partial sum = b->attn_partials[head];
        float *y = a->y + head * dim;
        memcpy(y, b->attn_outputs + head * dim, dim * sizeof *y);
        for (size_t c = 1; c < n_chunks; c++) {
            const size_t at = c * a->n_head + head;
            merge(a->s->kernels, &sum, y, b->attn_partials + at, b->attn_outputs + at * dim, dim);
        }
        normalize(&sum, y, dim);
    }
}

void op_attention(struct worker *w, const struct step *s, size_t l, const float *q, const float *k,
                  const float *v, float *y) {
    const struct layer_shape *shape = &s->model->layers[l].shape;
    const struct attention a = {
        s, l, shape->n_head, shape->n_head_kv, shape->n_head / shape->n_head_kv, q, y
    };
    size_t begin, end;
    store(w, s, l, k, v);
    pool_barrier(w);
    visible(s, 0, &begin, &end);
    const size_t first = begin / ATTN_CHUNK, n_chunks = (end + ATTN_CHUNK - 1) / ATTN_CHUNK - first;
    if (s->n_tokens == 1 && n_chunks > 1)
        attend_by_chunk(w, &a, first, n_chunks);
    else
        attend_by_queries(w, &a);
    pool_barrier(w);
}
