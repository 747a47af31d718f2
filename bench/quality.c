/* quality.c - how well a model predicts a text, and how far it is from another.
 * SPDX-License-Identifier: MIT */
#include "bench/quality.h"

#include "formats/status.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Text ---- */

static enum quern_status read_file(const char *path, char **data, size_t *bytes, struct quern_error *err) {
    enum { STEP = 1 << 20 };
    FILE *f = fopen(path, "rb");
    if (!f)
        return fail(err, QUERN_IO, "%s: %s", path, strerror(errno));
    size_t room = 0, n = 0, got;
    do {
        if (n == room) {
            char *larger = realloc(*data, room + STEP);
            if (!larger) {
                fclose(f);
                return fail_memory(err, room + STEP);
            }
            *data = larger;
            room += STEP;
        }
        got = fread(*data + n, 1, room - n, f);
        n += got;
    } while (got);
    *bytes = n;
    const bool failed = ferror(f) != 0;
    fclose(f);
    return failed ? fail(err, QUERN_IO, "%s: cannot be read", path) : QUERN_OK;
}

static enum quern_status tokenize(const char *model_path, const char *data, size_t bytes, int32_t **ids,
                                  size_t *n, int32_t *bos, struct quern_error *err) {
    struct quern_model *model = NULL;
    enum quern_status st = quern_model_open(model_path, NULL, &model, err);
    if (!st) {
        st = quern_tokenize(model, data, bytes, QUERN_ADD_SPECIAL, ids, n, err);
        *bos = quern_adds_bos(model) ? quern_token_bos(model) : -1;
    }
    quern_model_close(model);
    return st;
}

enum quern_status quality_read(const char *model, const char *text, size_t n_ctx, size_t n_chunks,
                               struct quality_text *out, struct quern_error *err) {
    char *data = NULL;
    int32_t *ids = NULL, bos = -1;
    size_t bytes = 0, n = 0;
    enum quern_status st = read_file(text, &data, &bytes, err);
    if (!st)
        st = tokenize(model, data, bytes, &ids, &n, &bos, err);
    free(data);
    const size_t most = n / n_ctx, wanted = n_chunks ? n_chunks : most;
    if (!st && (!most || wanted > most))
        st = fail(err, QUERN_RANGE, "%s: %zu tokens make %zu chunks of %zu, %zu are wanted", text, n, most,
                  n_ctx, wanted ? wanted : 1);
    if (st) {
        quern_free(ids);
        return st;
    }
    for (size_t i = 0; i < wanted && bos >= 0; i++)
        ids[i * n_ctx] = bos;
    *out = (struct quality_text){ ids, n_ctx, wanted };
    return QUERN_OK;
}

/* ---- One model ---- */

struct runner {
    struct quern_model *model;
    struct quern_session *session;
    size_t n_vocab;
    float *logits; /* [n_ctx - n_ctx / 2][n_vocab] of the second half */
};

static enum quern_status open_runner(const struct quality_text *text, const struct quality_run *run,
                                     struct runner *r, struct quern_error *err) {
    struct quern_session_options session = run->session;
    session.n_ctx = text->n_ctx;
    enum quern_status st = quern_model_open(run->path, &run->model, &r->model, err);
    if (!st)
        st = quern_session_open(r->model, &session, &r->session, err);
    if (st)
        return st;
    r->n_vocab = quern_model_n_vocab(r->model);
    const size_t n = (text->n_ctx - text->n_ctx / 2) * r->n_vocab;
    r->logits = malloc(n * sizeof *r->logits);
    return r->logits ? QUERN_OK : fail_memory(err, n * sizeof *r->logits);
}

static void close_runner(struct runner *r) {
    free(r->logits);
    quern_session_close(r->session);
    quern_model_close(r->model);
}

static enum quern_status evaluate(const struct quality_text *text, size_t chunk, struct runner *r,
                                  struct quern_error *err) {
    const enum quern_status st = quern_session_rewind(r->session, 0, err);
    return st ? st
              : quern_session_eval(r->session, text->ids + chunk * text->n_ctx, text->n_ctx, r->logits,
                                   text->n_ctx - text->n_ctx / 2, err);
}

/* ---- Measures ---- */

/* log(sum(exp(x))). */
static double log_sum_exp(const float *x, size_t n) {
    float max = x[0];
    double sum = 0;
    for (size_t i = 1; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - (double)max);
    return (double)max + log(sum);
}

static size_t largest(const float *x, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

/* KL(p || q) of the distributions behind two rows of logits. */
static double divergence(const float *p, const float *q, size_t n) {
    const double p_sum = log_sum_exp(p, n), q_sum = log_sum_exp(q, n);
    double kl = 0;
    for (size_t i = 0; i < n; i++) {
        const double log_p = (double)p[i] - p_sum, log_q = (double)q[i] - q_sum;
        kl += exp(log_p) * (log_p - log_q);
    }
    return kl;
}

/* Sums over predictions, and over chunks for the error of KL. */
struct sums {
    double nll, nll_squared, kl, chunk_kl, chunk_kl_squared;
    size_t n, n_same;
};

static void add_chunk(const struct quality_text *text, size_t chunk, const struct runner *run,
                      const struct runner *base, struct sums *s) {
    const size_t first = text->n_ctx / 2, n_vocab = run->n_vocab, n = text->n_ctx - 1 - first;
    double kl = 0;
    for (size_t i = 0; i < n; i++) {
        const float *row = run->logits + i * n_vocab;
        const int32_t target = text->ids[chunk * text->n_ctx + first + i + 1];
        const double nll = log_sum_exp(row, n_vocab) - (double)row[target];
        s->nll += nll;
        s->nll_squared += nll * nll;
        if (!base)
            continue;
        const float *base_row = base->logits + i * n_vocab;
        kl += divergence(base_row, row, n_vocab);
        s->n_same += largest(base_row, n_vocab) == largest(row, n_vocab);
    }
    s->n += n;
    s->kl += kl;
    s->chunk_kl += kl / (double)n;
    s->chunk_kl_squared += kl / (double)n * (kl / (double)n);
}

/* Standard error of a mean of n values with these sums. */
static double mean_error(double sum, double sum_of_squares, double n) {
    const double mean = sum / n, variance = sum_of_squares / n - mean * mean;
    return n > 1 && variance > 0 ? sqrt(variance / (n - 1)) : 0;
}

static struct quality summarize(const struct quality_text *text, const struct sums *s) {
    const double n = (double)s->n, perplexity = exp(s->nll / n);
    return (struct quality){ .n_predictions = s->n,
                             .nll = s->nll,
                             .perplexity = perplexity,
                             .perplexity_error = perplexity * mean_error(s->nll, s->nll_squared, n),
                             .kl = s->kl / n,
                             .kl_error = mean_error(s->chunk_kl, s->chunk_kl_squared, (double)text->n_chunks),
                             .same_top = (double)s->n_same / n };
}

enum quern_status quality_measure(const struct quality_text *text, const struct quality_run *run,
                                  const struct quality_run *base, struct quality *out,
                                  struct quern_error *err) {
    struct runner r = { 0 }, b = { 0 };
    struct sums sums = { 0 };
    enum quern_status st = open_runner(text, run, &r, err);
    if (!st && base)
        st = open_runner(text, base, &b, err);
    if (!st && base && b.n_vocab != r.n_vocab)
        st = fail(err, QUERN_FORMAT, "%s has a vocabulary of %zu, %s of %zu", run->path, r.n_vocab,
                  base->path, b.n_vocab);
    for (size_t i = 0; i < text->n_chunks && !st; i++) {
        st = evaluate(text, i, &r, err);
        if (!st && base)
            st = evaluate(text, i, &b, err);
        if (!st)
            add_chunk(text, i, &r, base ? &b : NULL, &sums);
    }
    if (!st)
        *out = summarize(text, &sums);
    close_runner(&b);
    close_runner(&r);
    return st;
}
