/* settings.c - options that several commands share, and what they stand for.
 * SPDX-License-Identifier: MIT */
#include "apps/settings.h"
#include "apps/messages.h"
#include "apps/signals.h"
#include "formats/nearest.h"

#include <errno.h>
#include <omp.h>
#include <stdlib.h>
#include <unistd.h>
#if defined(__APPLE__)
#    include <mach-o/dyld.h>
#endif

enum { MAX_BATCH = 65536, DEFAULT_OUTLIERS = 6 };

const struct option text_options[TEXT_OPTIONS] = {
    { .names = { "-p", "--prompt" },
      .kind = OPTION_TEXT,
      .metavar = "TEXT",
      .offset = offsetof(struct text_settings, prompt),
      .help = "the text itself; without -p and -f it is read from standard input" },
    { .names = { "-f", "--file" },
      .kind = OPTION_TEXT,
      .metavar = "FILE",
      .offset = offsetof(struct text_settings, file),
      .help = "a file with the text, taken byte for byte; - is standard input" },
    { .names = { "-e", "--escape" },
      .off_names = { "--no-escape" },
      .kind = OPTION_FLAG,
      .offset = offsetof(struct text_settings, escape),
      .help = "replace \\n, \\t, \\r, \\\\, \\', \\\" and \\xHH in the text by what they stand for" },
};

const struct option model_options[MODEL_OPTIONS] = {
    { .names = { "-m", "--model" },
      .kind = OPTION_TEXT,
      .metavar = "FILE",
      .offset = offsetof(struct model_settings, path),
      .help = "the model, a GGUF file; of a split one its first part. Without it the bundled model" },
};

static const char *const numa_modes[] = {
    [QUERN_NUMA_NONE] = "none",
    [QUERN_NUMA_DISTRIBUTE] = "distribute",
    [QUERN_NUMA_ISOLATE] = "isolate",
    [QUERN_NUMA_MIRROR] = "mirror",
    NULL,
};

const struct option engine_options[ENGINE_OPTIONS] = {
    { .names = { "-t", "--threads" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      .max = MAX_THREADS,
      .offset = offsetof(struct engine_settings, n_threads),
      .help = "threads to compute with; 0: the variable QUERN_THREADS, else one for each physical core that "
              "this process may use, fewer for a model of a few megabytes" },
    { .names = { "-tb", "--threads-batch" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      .max = MAX_THREADS,
      .offset = offsetof(struct engine_settings, n_threads_batch),
      .help =
          "threads for several tokens at once, as in a prompt; 0: as -t, or if that is not given either one "
          "for each physical core" },
    { .names = { "-b", "--batch-size" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      .min = 1,
      .max = MAX_BATCH,
      .initial = 512,
      .offset = offsetof(struct engine_settings, n_batch),
      .help =
          "tokens computed together while reading a prompt; results do not depend on it, speed and memory "
          "do" },
    { .names = { "--isa" },
      .kind = OPTION_TEXT,
      .metavar = "LEVEL",
      .offset = offsetof(struct engine_settings, isa),
      .help = "instruction set to use, one that quern --version lists; without it the best one, at most that "
              "of the variable QUERN_ISA" },
    { .names = { "--act" },
      .kind = OPTION_CHOICE,
      .metavar = "KIND",
      .offset = offsetof(struct engine_settings, act),
      .choices = act_names,
      .help = "how inputs of quantized matrices are rounded to 8 bits: in blocks, or with one scale for all "
              "values of a token (LLM.int8), for models whose quantized matrices are Q8_0" },
    { .names = { "--outliers" },
      .kind = OPTION_REAL,
      .metavar = "X",
      .max = 1e30,
      .initial = DEFAULT_OUTLIERS,
      .offset = offsetof(struct engine_settings, outliers),
      .help = "with --act int8-row: values of a larger magnitude are left out and multiplied as floats; 0: "
              "none are; -v says how many there were" },
    { .names = { "--numa" },
      .kind = OPTION_CHOICE,
      .metavar = "MODE",
      .initial = QUERN_NUMA_NONE,
      .choices = numa_modes,
      .offset = offsetof(struct engine_settings, numa),
      .help =
          "on a machine with several memory nodes: distribute threads and the rows of each matrix over them, "
          "isolate all on one, or mirror the weights on each; what was done is said" },
};

const char *const act_names[] = { [QUERN_ACT_BLOCK] = "block", [QUERN_ACT_INT8_ROW] = "int8-row", NULL };

const struct option sampling_options[SAMPLING_OPTIONS] = {
    { .names = { "-s", "--seed" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      .min = -1,
      .max = UINT32_MAX,
      .initial = -1,
      .offset = offsetof(struct sampling_settings, seed),
      .help =
          "of the random numbers: the same seed gives the same text; -1: a random one, which the statistics "
          "tell" },
    { .names = { "--temp" },
      .kind = OPTION_REAL,
      .metavar = "X",
      .max = 100,
      .initial = 0.8,
      .offset = offsetof(struct sampling_settings, temperature),
      .help = "temperature: higher is more surprising; 0: always the most likely token" },
    { .names = { "--top-k" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      .max = INT32_MAX,
      .initial = 40,
      .offset = offsetof(struct sampling_settings, top_k),
      .help = "choose among the N most likely tokens; 0: among all" },
    { .names = { "--top-p" },
      .kind = OPTION_REAL,
      .metavar = "X",
      .max = 1,
      .initial = 0.95,
      .offset = offsetof(struct sampling_settings, top_p),
      .help = "choose among the most likely tokens that together have this probability; 1: among all" },
    { .names = { "--min-p" },
      .kind = OPTION_REAL,
      .metavar = "X",
      .max = 1,
      .initial = 0.05,
      .offset = offsetof(struct sampling_settings, min_p),
      .help = "leave out tokens less likely than X times the most likely one; 0: none" },
    { .names = { "--repeat-penalty" },
      .kind = OPTION_REAL,
      .metavar = "X",
      .min = 0.01,
      .max = 100,
      .initial = 1,
      .offset = offsetof(struct sampling_settings, repeat_penalty),
      .help = "make tokens that came before less likely; 1: off" },
    { .names = { "--repeat-last-n" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      .min = -1,
      .max = INT32_MAX,
      .initial = 64,
      .offset = offsetof(struct sampling_settings, repeat_last_n),
      .help = "how many of the last tokens that concerns; -1: all, 0: none" },
};

const struct option message_options[MESSAGE_OPTIONS] = {
    { .names = { "-q", "--quiet" },
      .kind = OPTION_FLAG,
      .offset = offsetof(struct message_settings, quiet),
      .help = "no notes and statistics, only errors" },
    { .names = { "-v", "--verbose" },
      .kind = OPTION_FLAG,
      .offset = offsetof(struct message_settings, verbose),
      .help = "say also which model it is and what was done about the text" },
};

const char *const cache_types[] = {
    [QUERN_CACHE_F16] = "f16", [QUERN_CACHE_F32] = "f32", [QUERN_CACHE_Q8_0] = "q8_0", NULL
};

enum quern_status check_text_settings(const struct text_settings *text, struct quern_error *err) {
    if (text->prompt && text->file)
        return fail(err, QUERN_RANGE, "-p and -f both give the text; leave one out");
    return QUERN_OK;
}

/* ---- The bundled model ---- */

#define BUNDLED "books-7m-q8_0.gguf"

/* The folder of the running program, without a slash at the end. False if the system does not say. */
static bool program_folder(char path[MODEL_PATH]) {
#if defined(__APPLE__)
    uint32_t size = MODEL_PATH;
    if (_NSGetExecutablePath(path, &size))
        return false;
#else
    ssize_t n = readlink("/proc/self/exe", path, MODEL_PATH - 1);
    if (n < 0)
        return false;
    path[n] = 0;
#endif
    char *slash = strrchr(path, '/');
    if (!slash)
        return false;
    *slash = 0;
    return true;
}

enum quern_status find_model(const char *given, bool quiet, char path[MODEL_PATH], const char **found,
                             struct quern_error *err) {
    if (given) {
        *found = given;
        return QUERN_OK;
    }
    char folder[MODEL_PATH];
    const struct {
        const char *root, *below;
    } places[] = {
        { program_folder(folder) ? folder : NULL, "/../share/quern/" BUNDLED },
        { QUERN_DATA_DIR, "/" BUNDLED },
        { QUERN_SOURCE_DIR, "/models/bundled/" BUNDLED },
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (!places[i].root)
            continue;
        int n = snprintf(path, MODEL_PATH, "%s%s", places[i].root, places[i].below);
        if (n < 0 || n >= MODEL_PATH || access(path, R_OK))
            continue;
        if (!quiet)
            complain("no -m given: using the bundled model %s", path);
        *found = path;
        return QUERN_OK;
    }
    return fail(err, QUERN_IO, "no -m given, and the bundled model %s is neither in %s nor in %s", BUNDLED,
                QUERN_DATA_DIR, QUERN_SOURCE_DIR "/models/bundled");
}

/* ---- The engine ---- */

enum { MAX_LEVELS = 32 };

/* Names of this build's levels, plainest first. Returns their count. */
static size_t level_names(const char *names[MAX_LEVELS]) {
    size_t n = 0;
    for (; n < MAX_LEVELS && quern_isa_name(n); n++)
        names[n] = quern_isa_name(n);
    return n;
}

static enum quern_status fail_level(const char *what, const char *level, struct quern_error *err) {
    const char *names[MAX_LEVELS];
    const char *meant = nearest_name(level, names, level_names(names));
    return fail(err, QUERN_RANGE, "%s: '%s' is no level of this build%s%s%s; quern --version lists them",
                what, level, meant ? ", did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
}

enum quern_status check_engine_settings(const struct engine_settings *engine, struct quern_error *err) {
    const char *names[MAX_LEVELS];
    size_t n = level_names(names), i = 0;
    if (engine->act != QUERN_ACT_INT8_ROW && engine->outliers != DEFAULT_OUTLIERS)
        return fail(err, QUERN_RANGE, "--outliers goes with --act int8-row");
    if (!engine->isa)
        return QUERN_OK;
    while (i < n && strcmp(names[i], engine->isa))
        i++;
    if (i == n)
        return fail_level("--isa", engine->isa, err);
    if (!quern_isa_usable(engine->isa))
        return fail(err, QUERN_RANGE, "--isa: this CPU has no '%s'; quern --version lists what it has",
                    engine->isa);
    return QUERN_OK;
}

/* The best level that this CPU has, not above the one named by the variable QUERN_ISA. *isa stays NULL
 * where the variable is not set. */
static enum quern_status capped_isa(const char **isa, struct quern_error *err) {
    const char *cap = getenv("QUERN_ISA"), *names[MAX_LEVELS];
    size_t n = level_names(names);
    if (!cap || !*cap)
        return QUERN_OK;
    for (size_t i = 0; i < n; i++) {
        if (quern_isa_usable(names[i]))
            *isa = names[i];
        if (!strcmp(names[i], cap))
            return QUERN_OK;
    }
    return fail_level("the variable QUERN_ISA", cap, err);
}

static void complain_model(const char *path, const struct quern_model *model) {
    char size[SIZE_TEXT];
    struct quern_model_info info;
    quern_model_get_info(model, &info);
    complain(
        "%s: %s '%s', %.2f million values in %s, %zu layers, trained for %zu tokens, vocabulary of %zu; %s",
        path, info.architecture, info.name, (double)info.n_params * 1e-6, size_text(info.tensor_bytes, size),
        info.n_layer, info.n_ctx_train, info.n_vocab, info.isa);
}

enum quern_status open_model(const char *path, const struct engine_settings *engine,
                             const struct message_settings *messages, struct quern_model **out,
                             struct quern_error *err) {
    bool quiet = messages->quiet;
    struct quern_model_options options;
    quern_model_defaults(&options);
    options.isa = engine->isa;
    options.act = (enum quern_act)engine->act;
    options.outliers = (float)engine->outliers;
    options.numa = (enum quern_numa)engine->numa;
    options.note = print_note;
    options.note_user = &quiet;
    enum quern_status st = engine->isa ? QUERN_OK : capped_isa(&options.isa, err);
    if (st)
        return st;
    mapped_file_watch(path);
    st = quern_model_open(path, &options, out, err);
    if (!st && messages->verbose)
        complain_model(path, *out);
    return st;
}

enum quern_status thread_count(int64_t given, unsigned *n, struct quern_error *err) {
    const char *variable = getenv("QUERN_THREADS");
    if (given || !variable || !*variable) {
        *n = (unsigned)given;
        return QUERN_OK;
    }
    char *end;
    errno = 0;
    long value = strtol(variable, &end, 10);
    if (errno || *end || value < 1 || value > MAX_THREADS)
        return fail(err, QUERN_RANGE, "the variable QUERN_THREADS is '%s' (allowed: 1..%d)", variable,
                    MAX_THREADS);
    *n = (unsigned)value;
    return QUERN_OK;
}

enum quern_status apply_engine_settings(const struct engine_settings *engine,
                                        struct quern_session_options *options, struct quern_error *err) {
    options->n_batch = (size_t)engine->n_batch;
    options->interrupt = interrupted;
    options->n_threads_batch = (unsigned)engine->n_threads_batch;
    return thread_count(engine->n_threads, &options->n_threads, err);
}

enum quern_status start_session(const struct quern_model *model, const struct quern_session_options *options,
                                const struct message_settings *messages, struct quern_session **out,
                                struct quern_error *err) {
    enum quern_status st = quern_session_open(model, options, out, err);
    if (st)
        return st;
    const char *numa = quern_session_numa(*out);
    unsigned n = quern_session_n_threads(*out), n_batch = quern_session_n_threads_batch(*out);
    int n_cpus = omp_get_num_procs();
    if ((n > (unsigned)n_cpus || n_batch > (unsigned)n_cpus) && !messages->quiet)
        complain("note: %u threads on %d CPUs: more than CPUs are not faster", n > n_batch ? n : n_batch,
                 n_cpus);
    if (*numa && !messages->quiet)
        complain("numa: %s", numa);
    if (messages->verbose)
        complain("%u threads, %u for batches; by default as many as %s allow", n, n_batch,
                 quern_threads_limit());
    return QUERN_OK;
}
