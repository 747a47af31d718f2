/* bench.c - quern bench: how fast a model runs, and what share of the machine's limits that is.
 * SPDX-License-Identifier: MIT
 * The tests are llama-bench's: random tokens are read in one go (pp) or one by one (tg), each repetition from
 * the same cache; neither tokenizing nor sampling is timed. */
#include "apps/bench/random_blocks.h"
#include "apps/bench/report.h"
#include "apps/bench/synthetic.h"
#include "apps/command.h"
#include "apps/messages.h"
#include "apps/outliers.h"
#include "apps/resources.h"
#include "apps/settings.h"
#include "apps/signals.h"
#include "apps/terminal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__linux__)
#    include <unistd.h>
#endif

struct bench_settings {
    struct model_settings model;
    struct engine_settings engine;
    struct message_settings messages;
    const char *synthetic, *save;
    int64_t n_prompt, n_gen, n_depth, n_repetitions;
    int cache_k, cache_v, format;
    bool warmup, limits, json;
};

#define AT(member) .offset = offsetof(struct bench_settings, member)

enum { MAX_TOKENS = 1 << 24, MAX_REPETITIONS = 10000 };

static const struct option synthetic_options[] = {
    { .names = { "--synthetic" },
      .kind = OPTION_TEXT,
      .metavar = "SHAPE:TYPE",
      AT(synthetic),
      .help = "instead of a file, random weights in the shape llama-1b, llama-3b, llama-8b or llama-70b (or "
              "llama-tiny, for trying) and of a type or mix of types such as Q8_0, Q4_K_M or IQ4_XS; written "
              "to a temporary file below $TMPDIR, else /tmp" },
    { .names = { "--save" },
      .kind = OPTION_TEXT,
      .metavar = "FILE",
      AT(save),
      .help = "write the random model to this file instead and leave it there" },
};

static const struct option test_options[] = {
    { .names = { "-p", "--n-prompt" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      .max = MAX_TOKENS,
      .initial = 512,
      AT(n_prompt),
      .help = "tokens of the test of reading a prompt (pp); 0: no such test" },
    { .names = { "-n", "--n-gen" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      .max = MAX_TOKENS,
      .initial = 128,
      AT(n_gen),
      .help = "tokens of the test of writing text (tg); 0: no such test" },
    { .names = { "-d", "--n-depth" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      .max = MAX_TOKENS,
      AT(n_depth),
      .help = "tokens that are in the cache before each test" },
    { .names = { "-r", "--repetitions" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      .min = 1,
      .max = MAX_REPETITIONS,
      .initial = 5,
      AT(n_repetitions),
      .help = "times that each test is done" },
    { .names = { "--warmup" },
      .off_names = { "--no-warmup" },
      .kind = OPTION_FLAG,
      .initial = 1,
      AT(warmup),
      .help = "do each test once more before, without timing it" },
    { .names = { "--limits" },
      .off_names = { "--no-limits" },
      .kind = OPTION_FLAG,
      .initial = 1,
      AT(limits),
      .help = "measure the machine's limits before and after each test; without them there are no shares" },
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

static const struct option report_options[] = {
    { .names = { "-o", "--output" },
      .kind = OPTION_CHOICE,
      .metavar = "FORMAT",
      AT(format),
      .initial = REPORT_MD,
      .choices = report_formats,
      .help = "how results are printed; json is a list of all tests, jsonl a line for each" },
    { .names = { "--json" }, .kind = OPTION_FLAG, AT(json), .help = "the same as -o json" },
};

#undef AT

static const struct option_group bench_groups[] = {
    MODEL_GROUP(struct bench_settings, model),
    { "Random model", synthetic_options, sizeof synthetic_options / sizeof *synthetic_options, 0 },
    { "Tests", test_options, sizeof test_options / sizeof *test_options, 0 },
    { "Report", report_options, sizeof report_options / sizeof *report_options, 0 },
    ENGINE_GROUP(struct bench_settings, engine),
    MESSAGE_GROUP(struct bench_settings, messages),
};

enum { MAX_TESTS = 2 };

/* One run of the command. Zeroed at the start, released by close_bench(). */
struct bench {
    const struct bench_settings *s;
    struct synthetic synthetic;
    struct temporary_file temporary;
    char model_path[MODEL_PATH];
    const char *path, *model_filename;
    struct quern_model *model;
    struct quern_model_info info;
    struct gguf *gguf; /* the same file mapped a second time, for its tensors and the read bandwidth */
    struct workload workload;
    struct limit_probe probe;
    struct quern_session *session;
    size_t n_batch;
    int32_t *ids; /* [n_depth + the longer test], random */
    float *logits;
    struct bench_test tests[MAX_TESTS];
    size_t n_tests;
    struct report report;
    bool shows_progress;
};

static void close_bench(struct bench *b) {
    report_close(&b->report);
    for (size_t i = 0; i < MAX_TESTS; i++)
        free(b->tests[i].samples_ns);
    free(b->logits);
    free(b->ids);
    limits_close(&b->probe);
    quern_session_close(b->session);
    gguf_close(b->gguf);
    quern_model_close(b->model);
    temporary_remove(&b->temporary);
}

/* ---- Progress, on a terminal only ---- */

static void show(struct bench *b, const char *what, size_t done, size_t all) {
    if (b->s->messages.quiet || !stderr_is_terminal())
        return;
    fprintf(stderr, "\r\033[Kquern: %s: %zu of %zu", what, done, all);
    fflush(stderr);
    b->shows_progress = true;
}

static void end_progress(struct bench *b) {
    if (b->shows_progress)
        fprintf(stderr, "\r\033[K");
    b->shows_progress = false;
}

/* ---- The model ---- */

static enum quern_status written(void *user, uint64_t done_bytes, uint64_t all_bytes,
                                 struct quern_error *err) {
    struct bench *b = user;
    show(b, "writing the model, MiB", (size_t)(done_bytes >> 20), (size_t)(all_bytes >> 20));
    return interrupted(NULL) ? fail(err, QUERN_INTERRUPTED, "interrupted") : QUERN_OK;
}

static enum quern_status choose_model(struct bench *b, struct quern_error *err) {
    const struct bench_settings *s = b->s;
    if (!s->synthetic) {
        enum quern_status st = find_model(s->model.path, s->messages.quiet, b->model_path, &b->path, err);
        b->model_filename = b->path;
        return st;
    }
    enum quern_status st = synthetic_parse(s->synthetic, &b->synthetic, err);
    b->model_filename = b->synthetic.name;
    b->path = b->temporary.path;
    return st ? st : synthetic_write(&b->synthetic, s->save, &b->temporary, written, b, err);
}

static enum quern_status load_model(struct bench *b, struct quern_error *err) {
    enum quern_status st = choose_model(b, err);
    end_progress(b);
    if (st)
        return st;
    const double start = now_ms();
    if ((st = open_model(b->path, &b->s->engine, &b->s->messages, &b->model, err)))
        return st;
    b->report.load_ms = now_ms() - start;
    quern_model_get_info(b->model, &b->info);
    if ((st = gguf_open(b->path, &b->gguf, err)))
        return st;
    workload_of(b->gguf, &b->info, &b->workload);
    temporary_remove(&b->temporary); /* both mappings keep the bytes */
    return QUERN_OK;
}

/* The same numbers in every run, so that hashes of logits can be compared. */
static enum quern_status draw_tokens(struct bench *b, size_t n, struct quern_error *err) {
    uint64_t state = 0;
    b->ids = malloc(n * sizeof *b->ids); /* n <= 2 MAX_TOKENS */
    b->logits = malloc(b->info.n_vocab * sizeof *b->logits);
    if (!b->ids || !b->logits)
        return fail_memory(err, n * sizeof *b->ids + b->info.n_vocab * sizeof *b->logits);
    for (size_t i = 0; i < n; i++)
        b->ids[i] = (int32_t)(random_bits(&state) % b->info.n_vocab);
    return QUERN_OK;
}

static enum quern_status open_session(struct bench *b, struct quern_error *err) {
    const struct bench_settings *s = b->s;
    struct quern_session_options options;
    quern_session_defaults(&options);
    options.n_ctx = (size_t)(s->n_depth + (s->n_prompt > s->n_gen ? s->n_prompt : s->n_gen));
    options.cache_k = (enum quern_cache_type)s->cache_k;
    options.cache_v = (enum quern_cache_type)s->cache_v;
    enum quern_status st = apply_engine_settings(&s->engine, &options, err);
    const double start = now_ms();
    if (!st)
        st = start_session(b->model, &options, &s->messages, &b->session, err);
    b->report.load_ms += now_ms() - start;
    if (st)
        return st;
    b->n_batch = options.n_batch;
    if (options.n_ctx > b->info.n_ctx_train && !s->messages.quiet)
        complain("note: the tests need a context of %zu tokens; the model was trained for %zu", options.n_ctx,
                 b->info.n_ctx_train);
    return draw_tokens(b, options.n_ctx, err);
}

/* ---- Tests ---- */

/* Resident now, not at most: the probe of the bandwidth maps the weights a second time while it works. */
static uint64_t resident_bytes(void) {
#if defined(__linux__)
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
#else
    return peak_resident_bytes();
#endif
}

/* FNV-1a with 64 bits. */
static uint64_t hash_of(const float *logits, size_t n, bool *is_finite) {
    uint64_t hash = 0xcbf29ce484222325;
    *is_finite = true;
    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[sizeof *logits];
        memcpy(bytes, &logits[i], sizeof bytes);
        for (size_t k = 0; k < sizeof bytes; k++)
            hash = (hash ^ bytes[k]) * 0x100000001b3;
        *is_finite = *is_finite && isfinite(logits[i]);
    }
    return hash;
}

/* From the depth on: all of the prompt, or n_gen tokens, at least one of them. */
static enum quern_status run_once(struct bench *b, const struct bench_test *t, size_t n_gen, double *ns,
                                  struct quern_error *err) {
    const int32_t *ids = b->ids + t->n_depth;
    enum quern_status st = quern_session_rewind(b->session, t->n_depth, err);
    const double start = now_ms();
    if (!st && t->n_prompt)
        st = quern_session_eval(b->session, ids, t->n_prompt, b->logits, 1, err);
    for (size_t i = 0; i < n_gen && !st; i++)
        st = quern_session_eval(b->session, &ids[i], 1, b->logits, 1, err);
    *ns = (now_ms() - start) * 1e6;
    return st;
}

static enum quern_status repeat(struct bench *b, struct bench_test *t, struct quern_error *err) {
    char name[TEST_NAME];
    const size_t n = (size_t)b->s->n_repetitions;
    double ns;
    enum quern_status st = QUERN_OK;
    test_name(t, name);
    if (b->s->warmup)
        st = run_once(b, t, t->n_gen ? 1 : 0, &ns, err);
    for (size_t i = 0; i < n && !st; i++) {
        show(b, name, i, n);
        st = run_once(b, t, t->n_gen, &t->samples_ns[i], err);
        if (st)
            return st;
        const uint64_t hash = hash_of(b->logits, b->info.n_vocab, &t->is_finite);
        if (i && hash != t->hash)
            return fail(err, QUERN_UNSUPPORTED,
                        "%s: repetition %zu has other logits than the one before, from the same tokens: the "
                        "results of this machine or build cannot be trusted",
                        name, i + 1);
        t->hash = hash;
        t->n_samples = i + 1;
    }
    return st;
}

static enum quern_status measure(struct bench *b, struct bench_test *t, struct quern_error *err) {
    const time_t now = time(NULL);
    struct tm utc;
    char name[TEST_NAME], moved[200];
    if (gmtime_r(&now, &utc))
        strftime(t->start, sizeof t->start, "%Y-%m-%dT%H:%M:%SZ", &utc);
    t->samples_ns = calloc((size_t)b->s->n_repetitions, sizeof *t->samples_ns);
    if (!t->samples_ns)
        return fail_memory(err, (size_t)b->s->n_repetitions * sizeof *t->samples_ns);
    b->probe.n_threads = t->n_prompt > 1 ? b->report.n_threads_batch : b->report.n_threads;
    enum quern_status st = b->s->limits ? limits_measure(&b->probe, &t->before, err) : QUERN_OK;
    if (!st)
        st = repeat(b, t, err);
    t->resident_bytes = resident_bytes();
    if (!st && b->s->limits)
        st = limits_measure(&b->probe, &t->after, err);
    end_progress(b);
    if (st)
        return st;
    if (limits_moved(t, moved, sizeof moved) && !b->s->messages.quiet)
        complain("note: %s: the limit moved by more than 10 %% (%s), so the share is doubtful",
                 test_name(t, name), moved);
    if (!t->is_finite && !b->s->messages.quiet)
        complain("note: %s: logits are NaN or infinite", test_name(t, name));
    return report_test(&b->report, t, err);
}

static enum quern_status fill_cache(struct bench *b, struct quern_error *err) {
    const size_t n = (size_t)b->s->n_depth;
    return n ? quern_session_eval(b->session, b->ids, n, NULL, 0, err) : QUERN_OK;
}

static void plan_tests(struct bench *b) {
    const struct bench_settings *s = b->s;
    const size_t n_depth = (size_t)s->n_depth;
    if (s->n_prompt)
        b->tests[b->n_tests++] = (struct bench_test){ .n_prompt = (size_t)s->n_prompt, .n_depth = n_depth };
    if (s->n_gen)
        b->tests[b->n_tests++] = (struct bench_test){ .n_gen = (size_t)s->n_gen, .n_depth = n_depth };
}

static void describe(struct bench *b) {
    struct report *r = &b->report;
    r->format = b->s->json ? REPORT_JSON : (enum report_format)b->s->format;
    r->model_filename = b->model_filename;
    r->info = &b->info;
    r->workload = &b->workload;
    r->probe = &b->probe;
    r->n_batch = b->n_batch;
    r->n_threads = quern_session_n_threads(b->session);
    r->n_threads_batch = quern_session_n_threads_batch(b->session);
    r->type_k = cache_types[b->s->cache_k];
    r->type_v = cache_types[b->s->cache_v];
    r->prefill = quern_session_prefill(b->session);
    cpu_name(r->cpu, sizeof r->cpu);
}

/* The products that a prompt is made of, as far as there is a choice. */
static enum peak_kind peak_of(const struct bench *b) {
    const char *prefill = quern_session_prefill(b->session);
    return strstr(prefill, "bf16") ? PEAK_BF16 : b->workload.kind;
}

static enum quern_status bench(struct bench *b, struct quern_error *err) {
    enum quern_status st = load_model(b, err);
    if (!st)
        st = open_session(b, err);
    if (!st)
        st = limits_open(&b->probe, b->gguf, b->info.isa, peak_of(b), err);
    if (st)
        return st;
    describe(b);
    plan_tests(b);
    st = fill_cache(b, err);
    for (size_t i = 0; i < b->n_tests && !st; i++)
        st = measure(b, &b->tests[i], err);
    if (!st && b->s->messages.verbose)
        complain_outliers(b->session);
    return st ? st : report_end(&b->report, b->tests, b->n_tests, err);
}

static int run_bench(const void *settings) {
    struct bench b = { .s = settings };
    struct quern_error err;
    interrupt_catch();
    enum quern_status st = bench(&b, &err);
    end_progress(&b);
    close_bench(&b);
    return st ? complain_error(&err) : EXIT_DONE;
}

static enum quern_status check_bench(const void *settings, struct quern_error *err) {
    const struct bench_settings *s = settings;
    struct synthetic synthetic;
    if (!s->n_prompt && !s->n_gen)
        return fail(err, QUERN_RANGE, "-p 0 and -n 0 leave nothing to test");
    if (s->model.path && s->synthetic)
        return fail(err, QUERN_RANGE, "-m and --synthetic both give the model; leave one out");
    if (s->save && !s->synthetic)
        return fail(err, QUERN_RANGE,
                    "--save keeps a random model; give its shape and type with --synthetic");
    if (s->json && s->format != REPORT_MD && s->format != REPORT_JSON)
        return fail(err, QUERN_RANGE, "--json and -o %s exclude each other", report_formats[s->format]);
    enum quern_status st = s->synthetic ? synthetic_parse(s->synthetic, &synthetic, err) : QUERN_OK;
    return st ? st : check_engine_settings(&s->engine, err);
}

const struct command command_bench = {
    .name = "bench",
    .summary = "measure how fast a model runs, and what share of the machine's limits that is",
    .usage = "[-m MODEL | --synthetic SHAPE:TYPE] [OPTION]...",
    .description =
        "Times reading a prompt (pp) and writing text (tg) with random tokens, each repetition from the same "
        "cache. Before and after each test the machine's limits are measured: for tg how fast all threads "
        "read the weights from memory, for pp the multiply-adds of the instruction that the level's kernels "
        "are built on. Of a model under 64 MiB, which may stay in a cache, the share of the bandwidth says "
        "little.\n"
        "\n"
        "Printed are the mean speed in tokens a second with its standard deviation, the median, the bytes of "
        "weights read and the multiply-adds done (without attention) a second at the median with their share "
        "of the limit, and a hash of the last logits: where that differs for the same model and options, one "
        "of the two results is wrong.\n"
        "\n"
        "  quern bench --synthetic llama-1b:q4_k_m\n"
        "  quern bench -m model.gguf -p 0 -n 32 -d 4096 -o jsonl",
    .groups = bench_groups,
    .n_groups = sizeof bench_groups / sizeof *bench_groups,
    .settings_bytes = sizeof(struct bench_settings),
    .check = check_bench,
    .run = run_bench,
};
