/* attention.c - causal attention over the cache.
 * SPDX-License-Identifier: MIT
 * Positions are taken in blocks of 64 and chunks of 1024, both counted from position 0, with a running
 * softmax (online softmax, arXiv:1805.02867). A chunk starts afresh and chunks are merged in order, so a
 * chunk can be anybody's work and the result is the same. The order of additions inside a block is
 * the kernels' (kernels/kernels.h). */
#include "engine/ops/ops.h"

#include <assert.h>
#include <math.h>

/* Query heads of one kv head that are taken together; accumulators are on the stack. */
enum { MAX_QUERIES = 8 };
static_assert(ATTN_CHUNK % ATTN_BLOCK == 0 && ATTN_BLOCK % ATTN_TILE == 0,
              "blocks tile chunks, tiles tile blocks");

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

static float sum_lanes(const float l[16]) {
    float s[16];
    memcpy(s, l, sizeof s);
    for (size_t n = 8; n; n /= 2)
        for (size_t i = 0; i < n; i++)
            s[i] += s[i + n];
    return s[0];
}

/* Positions [begin, end) of one chunk for n_q queries of one kv head: q [n_q][head_dim_k], part [n_q],
 * o [n_q][head_dim_v]. Query by query within a block, so that its keys and values come from L1. */
static void attend_chunk(const struct step *s, const struct head_cache *cache, const float *q, size_t n_q,
                         size_t begin, size_t end, struct attn_partial *part, float *o) {
    const struct hparams *hp = &s->model->hp;
    const struct quern_session *session = s->session;
    struct attn_softmax state[MAX_QUERIES];
    for (size_t i = 0; i < n_q; i++)
        state[i] = (struct attn_softmax){ .m = -INFINITY };
    memset(o, 0, n_q * hp->head_dim_v * sizeof *o);
    for (size_t block = begin / ATTN_BLOCK * ATTN_BLOCK; block < end; block += ATTN_BLOCK) {
        size_t first = begin > block ? begin - block : 0;
        size_t last = end - block < ATTN_BLOCK ? end - block : ATTN_BLOCK;
        size_t n_tiles = (last + ATTN_TILE - 1) / ATTN_TILE;
        const uint8_t *tiles = cache->keys + block / ATTN_TILE * cache->tile_bytes;
        const uint8_t *rows = cache->values + (block + first) * cache->row_bytes;
        for (size_t i = 0; i < n_q; i++) {
            float p[ATTN_BLOCK], *o_i = o + i * hp->head_dim_v;
            s->kernels->attn_scores[session->key_type](q + i * hp->head_dim_k, hp->head_dim_k, tiles, n_tiles,
                                                       p);
            s->kernels->attn_softmax(p, first, last, &state[i], o_i, hp->head_dim_v);
            s->kernels->attn_values[session->value_type](p + first, last - first, rows, hp->head_dim_v,
                                                         hp->head_dim_v, o_i);
        }
    }
    for (size_t i = 0; i < n_q; i++)
        part[i] = (struct attn_partial){ state[i].m, sum_lanes(state[i].l) };
}

/* The positions so far (sum, o) take in a further chunk. */
static void merge(struct attn_partial *sum, float *o, const struct attn_partial *chunk, const float *o_chunk,
                  size_t n) {
    float m = chunk->m > sum->m ? chunk->m : sum->m;
    float old = kernels_exp(sum->m - m), new = kernels_exp(chunk->m - m);
    for (size_t d = 0; d < n; d++)
        o[d] = fmaf(o_chunk[d], new, o[d] * old);
    *sum = (struct attn_partial){ m, fmaf(chunk->l, new, sum->l * old) };
}

static void normalize(const struct attn_partial *sum, float *o, size_t n) {
    float inverse = 1.0f / sum->l;
    for (size_t d = 0; d < n; d++)
        o[d] *= inverse;
}

/* n_q queries over positions [begin, end), chunk after chunk, into y [n_q][head_dim_v]. */
static void attend(const struct step *s, const struct head_cache *cache, const float *q, size_t n_q,
                   size_t begin, size_t end, float *y) {
    size_t head_dim = s->model->hp.head_dim_v;
    struct attn_partial sum[MAX_QUERIES], part[MAX_QUERIES];
    float o[MAX_QUERIES * ATTN_MAX_HEAD_DIM];
    size_t from = begin;
    for (size_t to; from < end; from = to) {
        size_t chunk_end = from / ATTN_CHUNK * ATTN_CHUNK + ATTN_CHUNK;
        to = chunk_end < end ? chunk_end : end;
        if (from == begin) {
            attend_chunk(s, cache, q, n_q, from, to, sum, y);
            continue;
        }
        attend_chunk(s, cache, q, n_q, from, to, part, o);
        for (size_t i = 0; i < n_q; i++)
            merge(&sum[i], y + i * head_dim, &part[i], o + i * head_dim, head_dim);
    }
    for (size_t i = 0; i < n_q; i++)
        normalize(&sum[i], y + i * head_dim, head_dim);
}

/* One layer's attention, as its parts need it. */
struct attention {
    const struct step *s;
    size_t l, n_head, n_head_kv, per_kv;
    const float *q;
    float *y;
};

/* The positions that token t sees. */
static void visible(const struct step *s, size_t t, size_t *begin, size_t *end) {
    size_t window = s->model->hp.window;
    *end = s->position + t + 1;
    *begin = window && *end > window ? *end - window : 0;
}

/* Dealt by token and kv head: keys and values of a head are read once for all queries that share it. */
static void attend_by_token(struct worker *w, const struct attention *a) {
    const struct step *s = a->s;
    const struct hparams *hp = &s->model->hp;
    unsigned deal = pool_deal(w);
    for (size_t i; (i = pool_take(w, deal, 1)) < a->n_head_kv * s->n_tokens;) {
        size_t h = i / s->n_tokens, t = i % s->n_tokens, begin, end;
        struct head_cache cache = head_cache(s, a->l, h);
        visible(s, t, &begin, &end);
        for (size_t j = 0; j < a->per_kv; j += MAX_QUERIES) {
            size_t n_q = a->per_kv - j < MAX_QUERIES ? a->per_kv - j : MAX_QUERIES;
            size_t row = t * a->n_head + h * a->per_kv + j;
            attend(s, &cache, a->q + row * hp->head_dim_k, n_q, begin, end, a->y + row * hp->head_dim_v);
        }
    }
}

/* A single token: dealt by kv head and chunk, so that many threads find work in a long context, then merged
 * in the order in which attend() would have. Partials lie in scratch, [n_chunks][n_head]. */
static void attend_by_chunk(struct worker *w, const struct attention *a, size_t begin, size_t end) {
    const struct step *s = a->s;
    const struct hparams *hp = &s->model->hp;
    size_t first = begin / ATTN_CHUNK, n_chunks = (end + ATTN_CHUNK - 1) / ATTN_CHUNK - first;
    unsigned deal = pool_deal(w);
    for (size_t i; (i = pool_take(w, deal, 1)) < a->n_head_kv * n_chunks;) {
        size_t h = i / n_chunks, c = i % n_chunks, from = (first + c) * ATTN_CHUNK, to = from + ATTN_CHUNK;
        struct head_cache cache = head_cache(s, a->l, h);
        for (size_t j = 0; j < a->per_kv; j += MAX_QUERIES) {
            size_t n_q = a->per_kv - j < MAX_QUERIES ? a->per_kv - j : MAX_QUERIES;
            size_t head = h * a->per_kv + j, at = c * a->n_head + head;
            attend_chunk(s, &cache, a->q + head * hp->head_dim_k, n_q, from > begin ? from : begin,
                         to < end ? to : end, s->scratch->attn_partials + at,
                         s->scratch->attn_outputs + at * hp->head_dim_v);
        }
    }
    pool_barrier(w);
    size_t head, last;
    pool_share(w, a->n_head, &head, &last);
    for (; head < last; head++) {
        struct attn_partial sum = s->scratch->attn_partials[head];
        float *y = a->y + head * hp->head_dim_v;
        memcpy(y, s->scratch->attn_outputs + head * hp->head_dim_v, hp->head_dim_v * sizeof *y);
        for (size_t c = 1; c < n_chunks; c++) {
            size_t at = c * a->n_head + head;
            merge(&sum, y, s->scratch->attn_partials + at, s->scratch->attn_outputs + at * hp->head_dim_v,
                  hp->head_dim_v);
        }
        normalize(&sum, y, hp->head_dim_v);
    }
}

static void scale_queries(struct worker *w, const struct step *s, float *q, size_t n) {
    const float scale = 1.0f / sqrtf((float)s->model->hp.head_dim_k);
    size_t begin, end;
    pool_share(w, s->n_tokens, &begin, &end);
    for (size_t i = begin * n; i < end * n; i++)
        q[i] *= scale;
}

void op_attention(struct worker *w, const struct step *s, size_t l, float *q, const float *k, const float *v,
                  float *y) {
    const struct layer_shape *shape = &s->model->layers[l].shape;
    struct attention a = { s, l, shape->n_head, shape->n_head_kv, shape->n_head / shape->n_head_kv, q, y };
    size_t begin, end;
    scale_queries(w, s, q, shape->n_head * s->model->hp.head_dim_k);
    store(w, s, l, k, v);
    pool_barrier(w);
    visible(s, 0, &begin, &end);
    if (s->n_tokens == 1 && begin / ATTN_CHUNK != (end - 1) / ATTN_CHUNK)
        attend_by_chunk(w, &a, begin, end);
    else
        attend_by_token(w, &a);
    pool_barrier(w);
}
