/* attention.c - causal attention over the cache.
 * SPDX-License-Identifier: MIT
 * Positions are taken in blocks of 64 and chunks of 1024, both counted from position 0, with a running
 * softmax (online softmax, arXiv:1805.02867). A chunk starts afresh and chunks are merged in order, so a
 * chunk can be anybody's work and the result is the same. The order of additions inside a block is
 * the kernels' (kernels/kernels.h). */
#include "engine/ops/ops.h"

#include <assert.h>
#include <math.h>

enum { CHUNK = 1024 };
static_assert(CHUNK % ATTN_BLOCK == 0 && ATTN_BLOCK % ATTN_TILE == 0,
              "blocks tile chunks, tiles tile blocks");

/* The cache of one kv head in one layer. */
struct head_cache {
    uint8_t *keys, *values;
    size_t tile_bytes, row_bytes;
};

static const size_t cache_value_bytes[CACHE_TYPES] = { [CACHE_F32] = 4, [CACHE_F16] = 2 };

static struct head_cache head_cache(const struct step *s, size_t l, size_t h) {
    const struct quern_session *session = s->session;
    const struct hparams *hp = &s->model->hp;
    size_t tile_bytes = hp->head_dim_k * ATTN_TILE * cache_value_bytes[session->key_type];
    size_t row_bytes = hp->head_dim_v * cache_value_bytes[session->value_type];
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

/* Positions [begin, end) of one chunk for one query: state and o [head_dim_v] are set. */
static void attend_chunk(const struct step *s, const struct head_cache *cache, const float *q, size_t begin,
                         size_t end, struct attn_softmax *state, float *o) {
    const struct hparams *hp = &s->model->hp;
    const struct quern_session *session = s->session;
    *state = (struct attn_softmax){ .m = -INFINITY };
    memset(o, 0, hp->head_dim_v * sizeof *o);
    for (size_t block = begin / ATTN_BLOCK * ATTN_BLOCK; block < end; block += ATTN_BLOCK) {
        float p[ATTN_BLOCK];
        size_t first = begin > block ? begin - block : 0;
        size_t last = end - block < ATTN_BLOCK ? end - block : ATTN_BLOCK;
        size_t n_tiles = (last + ATTN_TILE - 1) / ATTN_TILE;
        s->kernels->attn_scores[session->key_type](
            q, hp->head_dim_k, cache->keys + block / ATTN_TILE * cache->tile_bytes, n_tiles, p);
        s->kernels->attn_softmax(p, first, last, state, o, hp->head_dim_v);
        s->kernels->attn_values[session->value_type](p + first, last - first,
                                                     cache->values + (block + first) * cache->row_bytes,
                                                     hp->head_dim_v, hp->head_dim_v, o);
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

/* o and (m, l) of the positions so far take in a further chunk. */
static void merge(float *m, float *l, float *o, float m_chunk, float l_chunk, const float *o_chunk,
                  size_t n) {
    float m_new = m_chunk > *m ? m_chunk : *m;
    float old = kernels_exp(*m - m_new), new = kernels_exp(m_chunk - m_new);
    for (size_t d = 0; d < n; d++)
        o[d] = fmaf(o_chunk[d], new, o[d] * old);
    *l = fmaf(l_chunk, new, *l * old);
    *m = m_new;
}

/* One query head of one token over positions [begin, end). */
static void attend(const struct step *s, const struct head_cache *cache, const float *q, size_t begin,
                   size_t end, float *y) {
    size_t head_dim = s->model->hp.head_dim_v;
    struct attn_softmax state;
    float o[MAX_HEAD_DIM], m = 0, l = 0;
    for (size_t chunk = begin / CHUNK * CHUNK; chunk < end; chunk += CHUNK) {
        size_t from = chunk > begin ? chunk : begin;
        size_t to = end - chunk < CHUNK ? end : chunk + CHUNK;
        bool is_first = from == begin;
        attend_chunk(s, cache, q, from, to, &state, is_first ? y : o);
        float sum = sum_lanes(state.l);
        if (is_first) {
            m = state.m;
            l = sum;
        } else {
            merge(&m, &l, y, state.m, sum, o, head_dim);
        }
    }
    float inverse = 1.0f / l;
    for (size_t d = 0; d < head_dim; d++)
        y[d] *= inverse;
}

void op_attention(struct worker *w, const struct step *s, size_t l, float *q, const float *k, const float *v,
                  float *y) {
    const struct hparams *hp = &s->model->hp;
    const struct layer_shape *shape = &s->model->layers[l].shape;
    size_t per_kv = shape->n_head / shape->n_head_kv;
    const float scale = 1.0f / sqrtf((float)hp->head_dim_k);
    store(w, s, l, k, v);
    pool_barrier(w);
    /* An item is one token with the query heads of one kv head, so that keys and values stay in cache. */
    unsigned deal = pool_deal(w);
    for (size_t i; (i = pool_take(w, deal, 1)) < shape->n_head_kv * s->n_tokens;) {
        size_t h = i / s->n_tokens, t = i % s->n_tokens;
        size_t end = s->position + t + 1;
        size_t begin = hp->window && end > hp->window ? end - hp->window : 0;
        struct head_cache cache = head_cache(s, l, h);
        for (size_t j = 0; j < per_kv; j++) {
            size_t row = t * shape->n_head + h * per_kv + j;
            float *head = q + row * hp->head_dim_k;
            for (size_t d = 0; d < hp->head_dim_k; d++)
                head[d] *= scale;
            attend(s, &cache, head, begin, end, y + row * hp->head_dim_v);
        }
    }
    pool_barrier(w);
}
