/* complete.c - quern complete: continue a text.
 * SPDX-License-Identifier: MIT */
#include "apps/command.h"
#include "apps/generate.h"
#include "apps/json_output.h"
#include "apps/messages.h"
#include "apps/outliers.h"
#include "apps/resources.h"
#include "apps/signals.h"
#include "apps/terminal.h"
#include "apps/text_input.h"

#include <inttypes.h>
#include <stdlib.h>

struct complete_settings {
    struct model_settings model;
    struct text_settings text;
    struct engine_settings engine;
    struct message_settings messages;
    struct sampling_settings sampling;
    int64_t n_predict, n_ctx;
    int cache_k, cache_v;
    bool display_prompt, special, ignore_eos, json;
};

#define AT(member) .offset = offsetof(struct complete_settings, member)

static const struct option complete_options[] = {
    { .names = { "-n", "--predict", "--n-predict" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      AT(n_predict),
      .min = -1,
      .max = INT32_MAX,
      .initial = 256,
      .help = "tokens to write at most; -1: until the model ends the text or the context is full" },
    { .names = { "--ignore-eos" },
      .kind = OPTION_FLAG,
      AT(ignore_eos),
      .help = "never let the model end the text" },
    { .names = { "--display-prompt" },
      .off_names = { "--no-display-prompt" },
      .kind = OPTION_FLAG,
      .initial = 1,
      AT(display_prompt),
      .help = "print the prompt before its continuation" },
    { .names = { "-sp", "--special" },
      .kind = OPTION_FLAG,
      AT(special),
      .help = "the text of a control token (</s>) in the prompt becomes that token, and control tokens that "
              "the model writes are printed; without it they are plain text and not printed" },
    { .names = { "--json" },
      .kind = OPTION_FLAG,
      AT(json),
      .help = "print one JSON object at the end, and no text before it" },
};

static const struct option context_options[] = {
    { .names = { "-c", "--ctx-size" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      AT(n_ctx),
      .max = INT32_MAX,
      .help = "tokens that prompt and continuation may have together; 0: what the model was trained for, at "
              "most 4096" },
    { .names = { "-ctk", "--cache-type-k" },
      .kind = OPTION_CHOICE,
      .metavar = "TYPE",
      AT(cache_k),
      .initial = QUERN_CACHE_F16,
      .choices = cache_types,
      .help = "how keys are kept" },
    { .names = { "-ctv", "--cache-type-v" },
      .kind = OPTION_CHOICE,
      .metavar = "TYPE",
      AT(cache_v),
      .initial = QUERN_CACHE_F16,
      .choices = cache_types,
      .help = "how values are kept" },
};

#undef AT

static const struct option_group complete_groups[] = {
    MODEL_GROUP(struct complete_settings, model),
    TEXT_GROUP(struct complete_settings, text),
    { "Output", complete_options, sizeof complete_options / sizeof *complete_options, 0 },
    SAMPLING_GROUP(struct complete_settings, sampling),
    { "Context", context_options, sizeof context_options / sizeof *context_options, 0 },
    ENGINE_GROUP(struct complete_settings, engine),
    MESSAGE_GROUP(struct complete_settings, messages),
};

/* One run of the command. Zeroed at the start, released by close_completion(). */
struct completion {
    const struct complete_settings *s;
    char model_path[MODEL_PATH];
    struct quern_model *model;
    struct quern_model_info info;
    struct text_input prompt;
    int32_t *prompt_ids;
    size_t n_prompt;
    struct quern_session_options session_options;
    struct quern_session *session;
    struct quern_sampler *sampler;
    float *logits; /* [n_vocab] of the last prompt token */
    uint32_t seed;
    struct generated out;
    double load_ms, prompt_ms, generate_ms;
    uint64_t cache_bytes, work_bytes;
};

static void close_completion(struct completion *c) {
    generated_free(&c->out);
    free(c->logits);
    quern_sampler_close(c->sampler);
    quern_session_close(c->session);
    quern_free(c->prompt_ids);
    text_input_free(&c->prompt);
    quern_model_close(c->model);
}

/* ---- Before the first token ---- */

static enum quern_status load_model(struct completion *c, struct quern_error *err) {
    const struct complete_settings *s = c->s;
    const char *path;
    double start = now_ms();
    enum quern_status st = find_model(s->model.path, s->messages.quiet, c->model_path, &path, err);
    if (!st)
        st = open_model(path, &s->engine, &s->messages, &c->model, err);
    if (!st)
        st = quern_tokenizer_check(c->model, err);
    if (!st)
        quern_model_get_info(c->model, &c->info);
    c->load_ms = now_ms() - start;
    return st;
}

static enum quern_status read_prompt(struct completion *c, struct quern_error *err) {
    const struct text_settings *text = &c->s->text;
    bool had_mark = false;
    if (!text->prompt && !text->file && stdin_is_terminal())
        complain("reading the prompt from the terminal; end it with Ctrl-D on a line of its own");
    enum quern_status st = text_input_read(text, &c->prompt, err);
    if (!st)
        st = text_input_as_prompt(&c->prompt, &had_mark, err);
    if (!st && had_mark && !c->s->messages.quiet)
        complain("note: %s: left out the byte order mark at the beginning", c->prompt.name);
    return st;
}

/* BOS is put in front here, not by the tokenizer, so that a text that begins with it does not get two. */
static enum quern_status tokenize_prompt(struct completion *c, struct quern_error *err) {
    int32_t *ids = NULL, bos = quern_token_bos(c->model);
    size_t n = 0;
    enum quern_status st = quern_tokenize(c->model, c->prompt.bytes, c->prompt.n,
                                          c->s->special ? QUERN_PARSE_SPECIAL : 0, &ids, &n, err);
    if (st)
        return st;
    bool has_bos = n && ids[0] == bos, wants_bos = bos >= 0 && (quern_adds_bos(c->model) || n == 0);
    if (n == 0 && !wants_bos) {
        quern_free(ids);
        return fail(err, QUERN_RANGE, "%s: is empty, and this model has no token to begin a text with",
                    c->prompt.name);
    }
    if (has_bos && wants_bos && c->s->messages.verbose)
        complain("note: the prompt begins with the token for the beginning of a text; no other is added");
    size_t add = wants_bos && !has_bos;
    c->prompt_ids = malloc((n + add) * sizeof *ids); /* n < 2^31 */
    if (c->prompt_ids) {
        c->prompt_ids[0] = bos;
        if (n)
            memcpy(c->prompt_ids + add, ids, n * sizeof *ids);
        c->n_prompt = n + add;
    }
    quern_free(ids);
    return c->prompt_ids ? QUERN_OK : fail_memory(err, (n + add) * sizeof *ids);
}

static enum quern_status check_context(const struct completion *c, struct quern_error *err) {
    enum { STEP = 256 };
    size_t n_ctx = quern_session_n_ctx(c->session),
           wanted = c->s->n_predict < 0 ? STEP : (size_t)c->s->n_predict;
    if (c->n_prompt <= n_ctx) {
        if (n_ctx > c->info.n_ctx_train && !c->s->messages.quiet)
            complain("note: the context of %zu tokens is longer than the %zu that the model was trained for",
                     n_ctx, c->info.n_ctx_train);
        return QUERN_OK;
    }
    return fail(err, QUERN_CONTEXT,
                "the prompt has %zu tokens, the context %zu; use -c %zu (the model was trained "
                "for %zu)",
                c->n_prompt, n_ctx, (c->n_prompt + wanted + STEP - 1) / STEP * STEP, c->info.n_ctx_train);
}

static enum quern_status open_session(struct completion *c, struct quern_error *err) {
    const struct complete_settings *s = c->s;
    struct quern_session_options *options = &c->session_options;
    quern_session_defaults(options);
    options->n_ctx = (size_t)s->n_ctx;
    options->cache_k = (enum quern_cache_type)s->cache_k;
    options->cache_v = (enum quern_cache_type)s->cache_v;
    double start = now_ms();
    enum quern_status st = apply_engine_settings(&s->engine, options, err);
    if (!st)
        st = quern_session_memory(c->model, options, &c->cache_bytes, &c->work_bytes, err);
    if (!st)
        st = start_session(c->model, options, &c->s->messages, &c->session, err);
    if (!st)
        st = check_context(c, err);
    if (!st && s->messages.verbose)
        complain("prefill: %s", quern_session_prefill(c->session));
    c->load_ms += now_ms() - start;
    return st;
}

static enum quern_status open_sampler(struct completion *c, struct quern_error *err) {
    const struct sampling_settings *s = &c->s->sampling;
    struct quern_sampler_options options;
    quern_sampler_defaults(&options);
    c->seed = s->seed < 0 ? random_seed() : (uint32_t)s->seed;
    options.seed = c->seed;
    options.temperature = (float)s->temperature;
    options.top_k = (int32_t)s->top_k;
    options.top_p = (float)s->top_p;
    options.min_p = (float)s->min_p;
    options.repeat_penalty = (float)s->repeat_penalty;
    options.repeat_last_n = (int32_t)s->repeat_last_n;
    enum quern_status st = quern_sampler_open(c->info.n_vocab, &options, &c->sampler, err);
    for (size_t i = 0; i < c->n_prompt && !st; i++)
        st = quern_sampler_accept(c->sampler, c->prompt_ids[i], err);
    return st;
}

/* ---- The text ---- */

static bool print_text(void *user, const char *bytes, size_t n) {
    const struct completion *c = user;
    return c->s->json || print_now(bytes, n);
}

static enum quern_status write_text(struct completion *c, struct quern_error *err) {
    const struct complete_settings *s = c->s;
    c->logits = malloc(c->info.n_vocab * sizeof *c->logits); /* the model holds as many rows */
    if (!c->logits)
        return fail_memory(err, c->info.n_vocab * sizeof *c->logits);
    if (s->display_prompt && !print_text(c, c->prompt.bytes, c->prompt.n)) {
        c->out.stop = STOP_OUTPUT;
        return QUERN_OK;
    }
    double start = now_ms();
    enum quern_status st = quern_session_eval(c->session, c->prompt_ids, c->n_prompt, c->logits, 1, err);
    c->prompt_ms = now_ms() - start;
    if (st == QUERN_INTERRUPTED) {
        c->out.stop = STOP_INTERRUPTED;
        return QUERN_OK;
    }
    if (st)
        return st;
    const struct generate_options options = {
        .n_predict = s->n_predict,
        .ignore_eos = s->ignore_eos,
        /* After a prompt the first word's space belongs to the text. */
        .text_flags = (c->prompt.n ? QUERN_TEXT_KEEP_PREFIX : 0) | (s->special ? QUERN_TEXT_SPECIAL : 0),
        .emit = print_text,
        .user = c,
    };
    start = now_ms();
    st = generate(c->model, c->session, c->sampler, c->logits, &options, &c->out, err);
    c->generate_ms = now_ms() - start;
    return st;
}

/* ---- Afterwards ---- */

static double per_second(size_t n, double ms) { return ms > 0 ? (double)n / ms * 1e3 : 0; }

static void print_statistics(const struct completion *c) {
    char model[SIZE_TEXT], cache[SIZE_TEXT], work[SIZE_TEXT], peak[SIZE_TEXT];
    complain("prompt: %zu tokens in %.0f ms (%.1f tokens/s); written: %zu tokens in %.0f ms (%.1f tokens/s); "
             "stopped by: %s",
             c->n_prompt, c->prompt_ms, per_second(c->n_prompt, c->prompt_ms), c->out.n_ids, c->generate_ms,
             per_second(c->out.n_evaluated, c->generate_ms), stop_names[c->out.stop]);
    complain(
        "loaded in %.0f ms; memory: model %s (mapped), cache %s, working %s, peak resident %s; seed %" PRIu32
        "; %s, %u threads, %u for the prompt",
        c->load_ms, size_text(c->info.file_bytes, model), size_text(c->cache_bytes, cache),
        size_text(c->work_bytes, work), size_text(peak_resident_bytes(), peak), c->seed, c->info.isa,
        quern_session_n_threads(c->session), quern_session_n_threads_batch(c->session));
}

static enum quern_status print_json(const struct completion *c, struct quern_error *err) {
    bool failed = false;
    json_t *o = json_object(), *timings = json_object(), *memory = json_object();
    const char *path = c->s->model.path ? c->s->model.path : c->model_path;
    json_put(timings, "load_ms", json_number(c->load_ms), &failed);
    json_put(timings, "prompt_ms", json_number(c->prompt_ms), &failed);
    json_put(timings, "prompt_tokens_per_second", json_number(per_second(c->n_prompt, c->prompt_ms)),
             &failed);
    json_put(timings, "generate_ms", json_number(c->generate_ms), &failed);
    json_put(timings, "tokens_per_second", json_number(per_second(c->out.n_evaluated, c->generate_ms)),
             &failed);
    json_put(memory, "model_bytes", json_integer((json_int_t)c->info.file_bytes), &failed);
    json_put(memory, "cache_bytes", json_integer((json_int_t)c->cache_bytes), &failed);
    json_put(memory, "work_bytes", json_integer((json_int_t)c->work_bytes), &failed);
    json_put(memory, "peak_resident_bytes", json_integer((json_int_t)peak_resident_bytes()), &failed);
    json_put(o, "model", json_text(path, strlen(path)), &failed);
    json_put(o, "prompt", json_text(c->prompt.bytes, c->prompt.n), &failed);
    json_put(o, "text", json_text(c->out.text ? c->out.text : "", c->out.n_text), &failed);
    json_put(o, "ids", json_ids(c->out.ids, c->out.n_ids), &failed);
    json_put(o, "n_prompt", json_integer((json_int_t)c->n_prompt), &failed);
    json_put(o, "n_generated", json_integer((json_int_t)c->out.n_ids), &failed);
    json_put(o, "stop", json_string(stop_names[c->out.stop]), &failed);
    json_put(o, "seed", json_integer(c->seed), &failed);
    json_put(o, "n_ctx", json_integer((json_int_t)quern_session_n_ctx(c->session)), &failed);
    json_put(o, "timings", timings, &failed);
    json_put(o, "memory", memory, &failed);
    json_put(o, "isa", json_string(c->info.isa), &failed);
    json_put(o, "threads", json_integer(quern_session_n_threads(c->session)), &failed);
    json_put(o, "threads_batch", json_integer(quern_session_n_threads_batch(c->session)), &failed);
    return json_print(o, failed, err);
}

/* What follows the text. */
static enum quern_status finish(struct completion *c, struct quern_error *err) {
    const struct complete_settings *s = c->s;
    if (c->out.stop == STOP_OUTPUT)
        return QUERN_OK;
    if (s->json)
        return print_json(c, err);
    if (!print_now("\n", 1)) {
        c->out.stop = STOP_OUTPUT;
        return QUERN_OK;
    }
    if (c->out.stop == STOP_CONTEXT && !s->messages.quiet)
        complain("note: the context of %zu tokens is full; -c sets it", quern_session_n_ctx(c->session));
    if (!s->messages.quiet)
        print_statistics(c);
    if (s->messages.verbose)
        complain_outliers(c->session);
    return QUERN_OK;
}

static enum quern_status complete(struct completion *c, struct quern_error *err) {
    enum quern_status st = load_model(c, err);
    if (!st)
        st = read_prompt(c, err);
    if (!st)
        st = tokenize_prompt(c, err);
    interrupt_catch();
    if (!st)
        st = open_session(c, err);
    if (!st)
        st = open_sampler(c, err);
    if (st)
        return st;
    st = write_text(c, err);
    if (!st)
        return finish(c, err);
    if (!c->s->json)
        print_now("\n", 1); /* the error gets a line of its own */
    return st;
}

static int run_complete(const void *settings) {
    struct completion c = { .s = settings };
    struct quern_error err;
    int status = EXIT_DONE;
    if (complete(&c, &err))
        status = complain_error(&err);
    else if (c.out.stop == STOP_INTERRUPTED)
        status = EXIT_SIGNALLED + interrupt_signal();
    else if (c.out.stop == STOP_OUTPUT)
        status = EXIT_FAILED;
    close_completion(&c);
    return status;
}

static enum quern_status check_complete(const void *settings, struct quern_error *err) {
    const struct complete_settings *s = settings;
    enum quern_status st = check_text_settings(&s->text, err);
    return st ? st : check_engine_settings(&s->engine, err);
}

const struct command command_complete = {
    .name = "complete",
    .summary = "continue a text",
    .usage = "[-m MODEL] [-p TEXT | -f FILE] [OPTION]...",
    .description =
        "Prints the text and what the model writes after it, token by token; statistics go to standard "
        "error. Ctrl-C ends in good order, a second one at once.\n"
        "\n"
        "  quern complete -p \"The old man walked\" -n 64 --temp 0\n"
        "  quern complete -m model.gguf -f story.txt --seed 7",
    .groups = complete_groups,
    .n_groups = sizeof complete_groups / sizeof *complete_groups,
    .settings_bytes = sizeof(struct complete_settings),
    .check = check_complete,
    .run = run_complete,
};
