/* generate.c - writing a text token by token.
 * SPDX-License-Identifier: MIT */
#include "apps/generate.h"
#include "apps/signals.h"
#include "formats/status.h"

#include <math.h>
#include <stdlib.h>

const char *const stop_names[STOP_REASONS] = {
    [STOP_EOG] = "eog",         [STOP_LENGTH] = "length",
    [STOP_CONTEXT] = "context", [STOP_INTERRUPTED] = "interrupted",
    [STOP_OUTPUT] = "output",
};

/* Make room for n more elements of size bytes behind the first n_used. *list grows by doubling, so the count
 * alone tells its room: the next power of two. */
static bool reserve(void **list, size_t n_used, size_t n, size_t size) {
    enum { FIRST = 64 };
    size_t have = n_used ? FIRST : 0, need;
    while (have < n_used)
        have *= 2;
    if (!size_add(n_used, n, &need) || need > SIZE_MAX / 2 / size)
        return false;
    if (need <= have)
        return true;
    size_t room = have ? have : FIRST;
    while (room < need)
        room *= 2;
    void *bigger = realloc(*list, room * size);
    if (bigger)
        *list = bigger;
    return bigger != NULL;
}

/* One call of generate(). */
struct generator {
    const struct quern_model *model;
    struct quern_session *session;
    struct quern_sampler *sampler;
    struct quern_text *decoder;
    const struct generate_options *options;
    float *logits;
    int32_t *banned; /* [n_banned] ids that are never drawn */
    size_t n_banned;
    struct generated *out;
};

static enum quern_status ban_eog(struct generator *g, struct quern_error *err) {
    void *list = NULL;
    for (size_t i = 0; i < quern_model_n_vocab(g->model); i++) {
        if (!quern_token_is_eog(g->model, (int32_t)i))
            continue;
        if (!reserve(&list, g->n_banned, 1, sizeof *g->banned))
            return fail_memory(err, sizeof *g->banned);
        g->banned = list;
        g->banned[g->n_banned++] = (int32_t)i;
    }
    return QUERN_OK;
}

/* Keep the text and hand it on. */
static enum quern_status emit(struct generator *g, const char *bytes, size_t n, struct quern_error *err) {
    struct generated *out = g->out;
    void *text = out->text;
    if (n == 0)
        return QUERN_OK;
    if (!reserve(&text, out->n_text, n, 1))
        return fail_memory(err, n);
    out->text = text;
    memcpy(out->text + out->n_text, bytes, n);
    out->n_text += n;
    if (!g->options->emit(g->options->user, bytes, n))
        out->stop = STOP_OUTPUT;
    return QUERN_OK;
}

static enum quern_status keep_id(struct generated *out, int32_t id, struct quern_error *err) {
    void *ids = out->ids;
    if (!reserve(&ids, out->n_ids, 1, sizeof id))
        return fail_memory(err, sizeof id);
    out->ids = ids;
    out->ids[out->n_ids++] = id;
    return QUERN_OK;
}

/* Why no token follows those that are written; STOP_REASONS if one may. */
static enum stop_reason reason_to_stop(const struct generator *g) {
    if (g->out->stop == STOP_OUTPUT)
        return STOP_OUTPUT;
    if (g->options->n_predict >= 0 && g->out->n_ids >= (uint64_t)g->options->n_predict)
        return STOP_LENGTH;
    if (interrupted(NULL))
        return STOP_INTERRUPTED;
    /* The first token comes out of the prompt's logits; each later one needs the one before in the cache. */
    if (g->out->n_ids && quern_session_position(g->session) == quern_session_n_ctx(g->session))
        return STOP_CONTEXT;
    return STOP_REASONS;
}

/* Evaluate the last token written, draw the next and write it. */
static enum quern_status generate_one(struct generator *g, struct quern_error *err) {
    struct generated *out = g->out;
    enum quern_status st;
    int32_t id;
    size_t n;
    if (out->n_ids) {
        st = quern_session_eval(g->session, &out->ids[out->n_ids - 1], 1, g->logits, 1, err);
        if (st == QUERN_INTERRUPTED)
            return QUERN_OK; /* reason_to_stop() sees it too */
        if (st)
            return st;
        out->n_evaluated++;
    }
    for (size_t i = 0; i < g->n_banned; i++)
        g->logits[g->banned[i]] = -INFINITY;
    if ((st = quern_sampler_draw(g->sampler, g->logits, &id, err)))
        return st;
    if (quern_token_is_eog(g->model, id)) {
        out->stop = STOP_EOG;
        return QUERN_OK;
    }
    if ((st = quern_sampler_accept(g->sampler, id, err)) || (st = keep_id(out, id, err)))
        return st;
    const char *text = quern_text_add(g->decoder, id, &n);
    return emit(g, text, n, err);
}

static enum quern_status generate_all(struct generator *g, struct quern_error *err) {
    g->out->stop = STOP_REASONS;
    while (g->out->stop != STOP_EOG) {
        g->out->stop = reason_to_stop(g);
        if (g->out->stop != STOP_REASONS)
            break;
        enum quern_status st = generate_one(g, err);
        if (st)
            return st;
    }
    size_t n;
    const char *rest = quern_text_end(g->decoder, &n);
    return g->out->stop == STOP_OUTPUT ? QUERN_OK : emit(g, rest, n, err);
}

enum quern_status generate(const struct quern_model *model, struct quern_session *session,
                           struct quern_sampler *sampler, float *logits,
                           const struct generate_options *options, struct generated *out,
                           struct quern_error *err) {
    struct generator g = { .model = model,
                           .session = session,
                           .sampler = sampler,
                           .options = options,
                           .logits = logits,
                           .out = out };
    enum quern_status st = quern_text_open(model, options->text_flags, &g.decoder, err);
    if (!st && options->ignore_eos)
        st = ban_eog(&g, err);
    if (!st)
        st = generate_all(&g, err);
    quern_text_close(g.decoder);
    free(g.banned);
    return st;
}

void generated_free(struct generated *out) {
    free(out->ids);
    free(out->text);
    *out = (struct generated){ 0 };
}
