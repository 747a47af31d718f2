/* quality.h - how well a model predicts a text, and how far it is from another.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_BENCH_QUALITY_H
#define QUERN_BENCH_QUALITY_H

#include "engine/quern.h"

/* The text, in chunks that are each evaluated from an empty context. The protocol is that of llama.cpp's
 * perplexity tool: the text is tokenized once with BOS in front and cut into chunks of n_ctx tokens, a rest
 * is dropped; BOS takes the first place of each chunk; the tokens from place n_ctx / 2 + 1 on are predicted.
 */
struct quality_text {
    const int32_t *ids; /* [n_chunks * n_ctx] */
    size_t n_ctx, n_chunks;
};

/* What to run. */
struct quality_run {
    const char *path;
    struct quern_model_options model;
    struct quern_session_options session; /* n_ctx is that of the text */
};

struct quality {
    size_t n_predictions;
    double nll; /* sum of -log p(token): its bits do not depend on level, threads or batch size */
    double perplexity, perplexity_error; /* exp(nll / n), standard error over predictions */
    /* Against another run; 0 without. */
    double kl, kl_error; /* mean over predictions of sum p log(p / q), p the other's; error over chunks */
    double same_top;     /* share of predictions with the same most likely token */
};

/* Measure `run`, against `base` unless that is NULL. Errors: those of opening and evaluating, QUERN_FORMAT
 * (the vocabularies differ), QUERN_MEMORY. */
enum quern_status quality_measure(const struct quality_text *text, const struct quality_run *run,
                                  const struct quality_run *base, struct quality *out,
                                  struct quern_error *err);

/* The text of a file as chunks, n_chunks of them or, for 0, all; free() ids. Errors: QUERN_IO, QUERN_RANGE
 * (the text is too short), those of quern_tokenize(). */
enum quern_status quality_read(const char *model, const char *text, size_t n_ctx, size_t n_chunks,
                               struct quality_text *out, struct quern_error *err);

#endif
