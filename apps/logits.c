/* logits.c - quern logits: what the model computes, to compare with other implementations and machines.
 * SPDX-License-Identifier: MIT */
#include "apps/command.h"
#include "apps/files.h"
#include "apps/json_output.h"
#include "apps/messages.h"
#include "apps/outliers.h"
#include "apps/settings.h"
#include "apps/signals.h"
#include "apps/text_input.h"
#include "formats/atomic_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

struct logits_settings {
    struct model_settings model;
    struct engine_settings engine;
    struct message_settings messages;
    const char *ids, *output;
    int64_t split, n_ctx;
    int cache_k, cache_v;
    bool json;
};

#define AT(member) .offset = offsetof(struct logits_settings, member)

static const struct option logits_options[] = {
    { .names = { "--ids" },
      .kind = OPTION_TEXT,
      .required = true,
      .metavar = "FILE",
      AT(ids),
      .help = "a file with the token ids, {\"ids\": [1, 2, 3]} or the numbers alone; - is standard input" },
    { .names = { "-o", "--output" },
      .kind = OPTION_TEXT,
      .metavar = "FILE",
      AT(output),
      .help =
          "write the logits of all positions there as little-endian float32 [n][n_vocab]; without it a table "
          "of the largest of each position is printed" },
    { .names = { "--split" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      AT(split),
      .max = INT32_MAX,
      .help = "feed N tokens at a time; 0: as many as are convenient. The result must not depend on it" },
    { .names = { "-c", "--ctx-size" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      AT(n_ctx),
      .max = INT32_MAX,
      .help = "tokens that the context has room for; 0: as many as there are ids" },
    { .names = { "-ctk", "--cache-type-k" },
      .kind = OPTION_CHOICE,
      .metavar = "TYPE",
      AT(cache_k),
      .initial = QUERN_CACHE_F32,
      .choices = cache_types,
      .help = "how keys are kept; exact by default, unlike in other commands, because this one is for "
              "comparing" },
    { .names = { "-ctv", "--cache-type-v" },
      .kind = OPTION_CHOICE,
      .metavar = "TYPE",
      AT(cache_v),
      .initial = QUERN_CACHE_F32,
      .choices = cache_types,
      .help = "how values are kept" },
    { .names = { "--json" },
      .kind = OPTION_FLAG,
      AT(json),
      .help = "print one JSON object: model, isa, threads, n, n_vocab, fnv1a64, argmax, max" },
};

#undef AT

static const struct option_group logits_groups[] = {
    MODEL_GROUP(struct logits_settings, model),
    { "Logits", logits_options, sizeof logits_options / sizeof *logits_options, 0 },
    ENGINE_GROUP(struct logits_settings, engine),
    MESSAGE_GROUP(struct logits_settings, messages),
};

/* One run of the command. Zeroed at the start, released by close_run(). */
struct logits_run {
    const struct logits_settings *s;
    char model_path[MODEL_PATH];
    const char *path;
    struct quern_model *model;
    struct quern_model_info info;
    struct quern_session *session;
    int32_t *ids; /* [n] */
    size_t n;
    size_t n_step;   /* tokens fed at a time */
    float *logits;   /* [n_step][n_vocab] */
    int32_t *argmax; /* [n] */
    float *max;      /* [n] */
    uint64_t hash;   /* of all logits' bytes */
    size_t n_nonfinite;
    struct atomic_file *file;
};

static void close_run(struct logits_run *r) {
    atomic_abandon(r->file);
    free(r->max);
    free(r->argmax);
    free(r->logits);
    free(r->ids);
    quern_session_close(r->session);
    quern_model_close(r->model);
}

static enum quern_status read_ids(struct logits_run *r, struct quern_error *err) {
    const struct text_settings from = { .file = r->s->ids };
    struct text_input text;
    enum quern_status st = text_input_read(&from, &text, err);
    if (st)
        return st;
    st = text_input_ids(&text, &r->ids, &r->n, err);
    if (!st && r->n == 0)
        st = fail(err, QUERN_FORMAT, "%s: holds no ids; at least one is needed", text.name);
    text_input_free(&text);
    return st;
}

static enum quern_status open_session(struct logits_run *r, struct quern_error *err) {
    const struct logits_settings *s = r->s;
    struct quern_session_options options;
    quern_session_defaults(&options);
    options.n_ctx = s->n_ctx ? (size_t)s->n_ctx : r->n;
    options.cache_k = (enum quern_cache_type)s->cache_k;
    options.cache_v = (enum quern_cache_type)s->cache_v;
    if (options.n_ctx < r->n)
        return fail(err, QUERN_CONTEXT, "%s: has %zu ids, the context %zu; use -c %zu", s->ids, r->n,
                    options.n_ctx, r->n);
    enum quern_status st = apply_engine_settings(&s->engine, &options, err);
    return st ? st : start_session(r->model, &options, &s->messages, &r->session, err);
}

/* Logits are many: 128k a token in some models. Without --split as many tokens are fed at a time as give a
 * moderate buffer, for results do not depend on it. */
static enum quern_status make_room(struct logits_run *r, struct quern_error *err) {
    const size_t row_bytes = r->info.n_vocab * sizeof(float), moderate_bytes = (size_t)64 << 20;
    size_t most = moderate_bytes / row_bytes, bytes;
    r->n_step = r->s->split ? (size_t)r->s->split : most < 1 ? 1 : most;
    if (r->n_step > r->n)
        r->n_step = r->n;
    if (!size_mul(r->n_step, row_bytes, &bytes))
        return fail_memory(err, SIZE_MAX);
    r->logits = malloc(bytes);
    r->argmax = malloc(r->n * sizeof *r->argmax);
    r->max = malloc(r->n * sizeof *r->max);
    return r->logits && r->argmax && r->max ? QUERN_OK : fail_memory(err, bytes);
}

static enum quern_status open_output(struct logits_run *r, struct quern_error *err) {
    const char *output = r->s->output;
    if (!output)
        return QUERN_OK;
    if (is_same_file(output, r->path) || is_same_file(output, r->s->ids))
        return fail(err, QUERN_IO, "%s: is the input; choose another file for the output", output);
    enum quern_status st = atomic_open(output, &r->file, err);
    if (!st)
        unfinished_file_watch(atomic_part_path(r->file));
    return st;
}

/* FNV-1a with 64 bits, by Fowler, Noll and Vo: one multiplication a byte, and every machine gets the same. */
static uint64_t fnv1a(uint64_t hash, const void *data, size_t n) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash;
}

static void look_at_row(struct logits_run *r, size_t position, const float *row) {
    size_t best = 0;
    for (size_t i = 0; i < r->info.n_vocab; i++) {
        r->n_nonfinite += isfinite(row[i]) ? 0 : 1;
        if (row[i] > row[best])
            best = i;
    }
    r->argmax[position] = (int32_t)best;
    r->max[position] = row[best];
}

static enum quern_status evaluate(struct logits_run *r, struct quern_error *err) {
    const uint64_t fnv_offset_basis = 0xcbf29ce484222325;
    const size_t n_vocab = r->info.n_vocab;
    enum quern_status st = QUERN_OK;
    r->hash = fnv_offset_basis;
    for (size_t i = 0, n; i < r->n && !st; i += n) {
        n = r->n - i < r->n_step ? r->n - i : r->n_step;
        st = quern_session_eval(r->session, r->ids + i, n, r->logits, n, err);
        if (st)
            return st;
        for (size_t k = 0; k < n; k++)
            look_at_row(r, i + k, r->logits + k * n_vocab);
        const size_t bytes = n * n_vocab * sizeof(float);
        r->hash = fnv1a(r->hash, r->logits, bytes);
        if (r->file)
            st = atomic_write(r->file, r->logits, bytes, err);
    }
    if (!st && r->file) {
        struct atomic_file *file = r->file;
        r->file = NULL;
        st = atomic_commit(file, err);
    }
    return st;
}

static enum quern_status print_json(const struct logits_run *r, struct quern_error *err) {
    bool failed = false;
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, r->hash);
    json_t *o = json_object(), *max = json_array();
    for (size_t i = 0; i < r->n; i++)
        failed |= json_array_append_new(max, json_number((double)r->max[i])) != 0;
    json_put(o, "model", json_text(r->path, strlen(r->path)), &failed);
    if (r->s->output)
        json_put(o, "output", json_text(r->s->output, strlen(r->s->output)), &failed);
    json_put(o, "isa", json_string(r->info.isa), &failed);
    json_put(o, "threads", json_integer(quern_session_n_threads(r->session)), &failed);
    json_put(o, "threads_batch", json_integer(quern_session_n_threads_batch(r->session)), &failed);
    json_put(o, "cache_type_k", json_string(cache_types[r->s->cache_k]), &failed);
    json_put(o, "cache_type_v", json_string(cache_types[r->s->cache_v]), &failed);
    json_put(o, "n", json_integer((json_int_t)r->n), &failed);
    json_put(o, "n_vocab", json_integer((json_int_t)r->info.n_vocab), &failed);
    json_put(o, "n_nonfinite", json_integer((json_int_t)r->n_nonfinite), &failed);
    json_put(o, "fnv1a64", json_string(hash), &failed);
    json_put(o, "argmax", json_ids(r->argmax, r->n), &failed);
    json_put(o, "max", max, &failed);
    return json_print(o, failed, err);
}

static void print_table(const struct logits_run *r) {
    if (!r->s->output) {
        printf("position  token  argmax       logit\n");
        for (size_t i = 0; i < r->n; i++)
            printf("%8zu  %5d  %6d  %10.6f\n", i, r->ids[i], r->argmax[i], (double)r->max[i]);
    }
    printf("%zu positions of %zu float32 logits, fnv1a64 %016" PRIx64 "\n", r->n, r->info.n_vocab, r->hash);
}

static int run_logits(const void *settings) {
    struct logits_run r = { .s = settings };
    struct quern_error err;
    enum quern_status st = find_model(r.s->model.path, r.s->messages.quiet, r.model_path, &r.path, &err);
    if (!st)
        st = read_ids(&r, &err);
    interrupt_catch();
    if (!st)
        st = open_model(r.path, &r.s->engine, &r.s->messages, &r.model, &err);
    if (!st) {
        quern_model_get_info(r.model, &r.info);
        st = open_session(&r, &err);
    }
    if (!st)
        st = make_room(&r, &err);
    if (!st)
        st = open_output(&r, &err);
    if (!st)
        st = evaluate(&r, &err);
    if (!st && r.n_nonfinite)
        complain("note: %zu logits are NaN or infinite", r.n_nonfinite);
    if (!st && r.s->messages.verbose)
        complain_outliers(r.session);
    if (!st && r.s->json)
        st = print_json(&r, &err);
    else if (!st)
        print_table(&r);
    close_run(&r);
    return st ? complain_error(&err) : EXIT_DONE;
}

static enum quern_status check_logits(const void *settings, struct quern_error *err) {
    const struct logits_settings *s = settings;
    return check_engine_settings(&s->engine, err);
}

const struct command command_logits = {
    .name = "logits",
    .summary = "compute the logits of given tokens, to compare with other machines and programs",
    .usage = "[-m MODEL] --ids FILE [-o OUT] [OPTION]...",
    .description =
        "Evaluates the tokens from an empty context, with an exact (F32) cache unless told otherwise, and "
        "prints for each position the largest logit, then a hash of all logits' bytes: where that is equal, "
        "two machines, thread counts or ways of splitting computed the same bits.\n"
        "\n"
        "  quern logits -m model.gguf --ids tokens.json -o logits.f32",
    .groups = logits_groups,
    .n_groups = sizeof logits_groups / sizeof *logits_groups,
    .settings_bytes = sizeof(struct logits_settings),
    .check = check_logits,
    .run = run_logits,
};
