/* quality_main.c - perplexity and KL divergence of a model in a mode: `quality --help`.
 * SPDX-License-Identifier: MIT
 * A small driver for judging what types and modes cost; protocol: quality.h. */
#include "apps/options.h"
#include "bench/altered_model.h"
#include "bench/quality.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

struct settings {
    const char *model, *base, *text, *isa, *write;
    int64_t n_ctx, n_chunks, n_threads;
    int cache_k, cache_v, act, round, alteration;
    double outliers;
};

static const char *const cache_names[] = { "f16", "f32", "q8_0", NULL };
static const char *const act_names[] = { "block", "int8-row", NULL };
static const char *const round_names[] = { "none", "32", "256-16", "256-32", "int8-row", NULL };
static const char *const alteration_names[] = { "with-outliers", "one-scale-per-row", NULL };

#define AT(member) .offset = offsetof(struct settings, member)

static const struct option options[] = {
    { .names = { "-m", "--model" },
      .kind = OPTION_TEXT,
      .required = true,
      .metavar = "FILE",
      AT(model),
      .help = "the model" },
    { .names = { "-f", "--file" }, .kind = OPTION_TEXT, .metavar = "FILE", AT(text), .help = "the text" },
    { .names = { "--base" },
      .kind = OPTION_TEXT,
      .metavar = "FILE",
      AT(base),
      .help = "measure the KL divergence from this model, run in the default modes with the same cache" },
    { .names = { "-c", "--ctx-size" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      .min = 4,
      .max = 1 << 20,
      .initial = 512,
      AT(n_ctx),
      .help = "tokens of a chunk" },
    { .names = { "--chunks" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      .max = INT32_MAX,
      AT(n_chunks),
      .help = "only the first N chunks; 0: all" },
    { .names = { "-ctk", "--cache-type-k" },
      .kind = OPTION_CHOICE,
      .metavar = "TYPE",
      .choices = cache_names,
      AT(cache_k),
      .help = "how keys are kept" },
    { .names = { "-ctv", "--cache-type-v" },
      .kind = OPTION_CHOICE,
      .metavar = "TYPE",
      .choices = cache_names,
      AT(cache_v),
      .help = "how values are kept" },
    { .names = { "--act" },
      .kind = OPTION_CHOICE,
      .metavar = "KIND",
      .choices = act_names,
      AT(act),
      .help = "how inputs of quantized matrices are rounded" },
    { .names = { "--outliers" },
      .kind = OPTION_REAL,
      .metavar = "X",
      .max = 1e30,
      .initial = 6,
      AT(outliers),
      .help = "of int8-row: magnitude of an outlier; 0: none" },
    { .names = { "--round" },
      .kind = OPTION_CHOICE,
      .metavar = "KIND",
      .choices = round_names,
      AT(round),
      .help =
          "round inputs of float matrices, to see what that costs by itself: as for types in blocks of 32, "
          "of 256 with sub-scales per 16 or 32, or with one scale per token" },
    { .names = { "--isa" }, .kind = OPTION_TEXT, .metavar = "LEVEL", AT(isa), .help = "kernel level" },
    { .names = { "-t", "--threads" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      .max = 1024,
      AT(n_threads),
      .help = "threads; 0: a good number" },
    { .names = { "--write" },
      .kind = OPTION_TEXT,
      .metavar = "FILE",
      AT(write),
      .help = "measure nothing but write an altered copy of the model there" },
    { .names = { "--alter" },
      .kind = OPTION_CHOICE,
      .metavar = "HOW",
      .choices = alteration_names,
      AT(alteration),
      .help =
          "what is altered: channels of norms are made large and their readers small, in F32; or matrices "
          "become Q8_0 with one scale for each row" },
};

#undef AT

static const struct option_group groups[] = { { "Options", options, sizeof options / sizeof *options, 0 } };

static int complain(const struct quern_error *err) {
    fprintf(stderr, "quality: %s\n", err->text);
    return 1;
}

static void print(const struct quality_text *text, const struct quality *q, bool has_base) {
    printf("%zu chunks of %zu tokens, %zu predictions\n", text->n_chunks, text->n_ctx, q->n_predictions);
    printf("perplexity %.6f +/- %.5f\n", q->perplexity, q->perplexity_error);
    printf("sum of -log p %.9f %a\n", q->nll, q->nll);
    if (has_base)
        printf("mean KL %.3fe-3 +/- %.3fe-3, the same top token in %.2f %%\n", q->kl * 1e3, q->kl_error * 1e3,
               100 * q->same_top);
}

static int measure(const struct settings *s) {
    struct quality_run run = { .path = s->model }, base = { .path = s->base };
    struct quality_text text = { 0 };
    struct quality q;
    struct quern_error err;
    quern_model_defaults(&base.model);
    quern_session_defaults(&base.session);
    base.session.cache_k = (enum quern_cache_type)s->cache_k;
    base.session.cache_v = (enum quern_cache_type)s->cache_v;
    base.session.n_threads = (unsigned)s->n_threads;
    run.session = base.session;
    run.model = base.model;
    run.model.isa = s->isa;
    run.model.act = (enum quern_act)s->act;
    run.model.round_inputs = (enum quern_round_inputs)s->round;
    run.model.outliers = (float)s->outliers;
    enum quern_status st =
        quality_read(s->model, s->text, (size_t)s->n_ctx, (size_t)s->n_chunks, &text, &err);
    if (!st)
        st = quality_measure(&text, &run, s->base ? &base : NULL, &q, &err);
    if (!st)
        print(&text, &q, s->base != NULL);
    quern_free((void *)(uintptr_t)text.ids);
    return st ? complain(&err) : 0;
}

int main(int argc, char **argv) {
    struct settings s;
    struct quern_error err;
    bool help = false;
    if (options_parse(groups, 1, argc - 1, argv + 1, &s, &help, &err))
        return complain(&err) + 1;
    if (help) {
        printf("Usage: quality -m MODEL -f TEXT [OPTION]...\n\n");
        options_print(stdout, groups, 1, 100);
        return 0;
    }
    if (s.write)
        return altered_model_write(s.model, s.write, (enum alteration)s.alteration, &err) ? complain(&err)
                                                                                          : 0;
    if (!s.text) {
        (void)fail(&err, QUERN_RANGE, "-f FILE is missing");
        return complain(&err) + 1;
    }
    return measure(&s);
}
