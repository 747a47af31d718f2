/* generate.h - writing a text token by token.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_GENERATE_H
#define QUERN_APPS_GENERATE_H

#include "engine/quern.h"

enum stop_reason {
    STOP_EOG,         /* the model ended the text */
    STOP_LENGTH,      /* n_predict tokens are written */
    STOP_CONTEXT,     /* the context is full */
    STOP_INTERRUPTED, /* Ctrl-C */
    STOP_OUTPUT,      /* the text could not be printed */
    STOP_REASONS,
};

/* As --json tells them. */
extern const char *const stop_names[STOP_REASONS];

struct generate_options {
    int64_t n_predict; /* tokens at most; negative: no limit but the context */
    bool ignore_eos;   /* tokens that end a generation are never drawn */
    int text_flags;    /* enum quern_text_flags */
    /* Given each piece of text as soon as it exists; false stops. */
    bool (*emit)(void *user, const char *bytes, size_t n);
    void *user;
};

struct generated {
    int32_t *ids; /* [n_ids], without the token that ended it */
    size_t n_ids;
    size_t n_evaluated; /* tokens that were evaluated: all but the last, unless the model ended the text */
    char *text;         /* [n_text] */
    size_t n_text;
    enum stop_reason stop;
};

/* Draw tokens and evaluate them until something in enum stop_reason happens. logits: [n_vocab] of the last
 * token in the session, used as room for all later ones. *out: zeroed before; filled as far as it went
 * also on error; generated_free() releases it. Errors: those of the session and the sampler. */
enum quern_status generate(const struct quern_model *model, struct quern_session *session,
                           struct quern_sampler *sampler, float *logits,
                           const struct generate_options *options, struct generated *out,
                           struct quern_error *err);
void generated_free(struct generated *out); /* accepts a zeroed one */

#endif
