/* quantize.c - quern quantize: convert the weights of a GGUF file to another type.
 * SPDX-License-Identifier: MIT
 * A stream: values are decoded to float32, encoded and written, a piece at a time, so that the file may be
 * larger than memory. Blocks are independent, so the output does not depend on the number of threads. */
#include "apps/command.h"
#include "apps/files.h"
#include "apps/messages.h"
#include "apps/quantize_plan.h"
#include "apps/resources.h"
#include "apps/settings.h"
#include "apps/signals.h"
#include "apps/terminal.h"
#include "formats/gguf_write.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

struct quantize_settings {
    const char *input, *output, *type;
    int64_t n_threads;
    bool allow_requantize;
    struct message_settings messages;
};

#define AT(member) .offset = offsetof(struct quantize_settings, member)

static const struct option quantize_options[] = {
    { .names = { "IN" },
      .kind = OPTION_TEXT,
      .required = true,
      .metavar = "IN",
      AT(input),
      .help = "the GGUF file to read; of a split one its first part" },
    { .names = { "OUT" },
      .kind = OPTION_TEXT,
      .required = true,
      .metavar = "OUT",
      AT(output),
      .help = "the GGUF file to write; it appears when it is complete" },
    { .names = { "TYPE" },
      .kind = OPTION_TEXT,
      .required = true,
      .metavar = "TYPE",
      AT(type),
      .help = "Q8_0, F16, BF16 or F32" },
    { .names = { "--allow-requantize" },
      .kind = OPTION_FLAG,
      AT(allow_requantize),
      .help = "convert tensors that are quantized already, though their lost precision does not come back" },
    { .names = { "-t", "--threads" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      .max = MAX_THREADS,
      AT(n_threads),
      .help = "threads to compute with; 0: one for each physical core that this process may use" },
};

#undef AT

static const struct option_group quantize_groups[] = {
    { "Options", quantize_options, sizeof quantize_options / sizeof *quantize_options, 0 },
    QUIET_GROUP(struct quantize_settings, messages),
};

/* Values are converted in spans, each by one thread, and written a piece of N_SPANS at a time. Rows are a
 * multiple of both types' blocks, so a tensor is one sequence of blocks; a span is a multiple of all. */
enum { SPAN = 1 << 14, N_SPANS = 64, PIECE = SPAN * N_SPANS, MAX_VALUE_BYTES = sizeof(float) };
static_assert(SPAN % 256 == 0, "256 values are the largest block, and a multiple of every other");

/* One run of the command. Zeroed at the start, released by close_job(). */
struct quantize_job {
    const struct quantize_settings *s;
    const struct quantize_target *target;
    int n_threads;
    struct gguf *in;
    struct gguf_writer *out;
    struct planned_tensor *plan;    /* [n_tensors] */
    float *values;                  /* [PIECE] */
    uint8_t *encoded;               /* [PIECE * MAX_VALUE_BYTES] */
    uint64_t out_bytes;             /* the finished file's */
    uint64_t done_bytes, all_bytes; /* of the input's tensors */
    int percent;                    /* last shown; 0: none */
    double start_ms;
};

static void close_job(struct quantize_job *job) {
    gguf_abandon(job->out);
    free(job->encoded);
    free(job->values);
    free(job->plan);
    gguf_close(job->in);
}

static void show_progress(struct quantize_job *job) {
    double done = (double)job->done_bytes / (double)(job->all_bytes ? job->all_bytes : 1);
    int percent = (int)(100 * done);
    if (percent == job->percent || job->s->messages.quiet || !stderr_is_terminal())
        return;
    job->percent = percent;
    double left_ms = (now_ms() - job->start_ms) * (1 - done) / done;
    if (percent < 100)
        fprintf(stderr, "\r\033[Kquern: %d %%, %.0f s left", percent, left_ms * 1e-3);
    else
        fprintf(stderr, "\r\033[K");
}

/* Between pieces: hear Ctrl-C, and on a terminal show how far it is. */
static enum quern_status advance(struct quantize_job *job, uint64_t bytes, struct quern_error *err) {
    job->done_bytes += bytes;
    show_progress(job);
    return interrupted(NULL) ? fail(err, QUERN_INTERRUPTED, "interrupted") : QUERN_OK;
}

/* ---- Converting ---- */

struct conversion {
    const struct gguf_tensor *in;
    const struct type_info *from, *to;
    uint32_t to_id;
    uint64_t n_values;
};

/* Values [first, first + n) of the tensor by way of values [n] into encoded. Returns which of them cannot be
 * written, because it is no finite number or (its block) becomes none; n if all can. */
static size_t convert_span(const struct conversion *c, uint64_t first, size_t n, float *values,
                           uint8_t *encoded) {
    const uint8_t *blocks = c->in->data + first / c->from->block_values * c->from->block_bytes;
    c->from->decode(blocks, values, n / c->from->block_values);
    size_t bad = type_first_nonfinite(TYPE_F32, values, n);
    if (bad < n)
        return bad;
    c->to->encode(values, encoded, n / c->to->block_values);
    return type_first_nonfinite(c->to_id, encoded, n / c->to->block_values);
}

static enum quern_status fail_value(const struct quantize_job *job, const struct conversion *c,
                                    uint64_t index, float value, struct quern_error *err) {
    const char *wrong = isfinite(value) ? "is too large for the type, or in a block with such a value"
                                        : "is no finite number";
    return fail(err, QUERN_FORMAT, "%s: tensor '%.*s': row %" PRIu64 ", column %" PRIu64 ": %g %s (%s)",
                gguf_path(job->in), (int)(c->in->name.bytes < 200 ? c->in->name.bytes : 200),
                c->in->name.data, index / c->in->ne[0], index % c->in->ne[0], (double)value, wrong,
                c->to->name);
}

/* Values [first, first + n), n <= PIECE, into job->encoded. */
static enum quern_status convert_piece(struct quantize_job *job, const struct conversion *c, uint64_t first,
                                       size_t n, struct quern_error *err) {
    const size_t n_spans = (n + SPAN - 1) / SPAN;
    const size_t span_bytes = SPAN / c->to->block_values * c->to->block_bytes;
    size_t bad = n;
#pragma omp parallel for num_threads(job->n_threads) reduction(min : bad)
    for (size_t i = 0; i < n_spans; i++) {
        size_t start = i * SPAN, length = n - start < SPAN ? n - start : SPAN;
        size_t at =
            convert_span(c, first + start, length, job->values + start, job->encoded + i * span_bytes);
        if (at < length && start + at < bad)
            bad = start + at;
    }
    return bad < n ? fail_value(job, c, first + bad, job->values[bad], err) : QUERN_OK;
}

static enum quern_status convert_tensor(struct quantize_job *job, const struct planned_tensor *p,
                                        struct quern_error *err) {
    const struct gguf_tensor *t = p->in;
    const struct conversion c = { .in = t,
                                  .from = type_info(t->type),
                                  .to = type_info(p->type),
                                  .to_id = p->type,
                                  .n_values = t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3] };
    enum quern_status st = QUERN_OK;
    for (uint64_t i = 0; i < c.n_values && !st; i += PIECE) {
        size_t n = c.n_values - i < PIECE ? (size_t)(c.n_values - i) : PIECE;
        st = convert_piece(job, &c, i, n, err);
        if (!st)
            st = gguf_write_data(job->out, job->encoded, n / c.to->block_values * c.to->block_bytes, err);
        if (!st)
            st = advance(job, n / c.from->block_values * c.from->block_bytes, err);
    }
    return st;
}

static enum quern_status copy_tensor(struct quantize_job *job, const struct gguf_tensor *t,
                                     struct quern_error *err) {
    const size_t piece = (size_t)16 << 20;
    enum quern_status st = QUERN_OK;
    for (size_t i = 0; i < t->bytes && !st; i += piece) {
        size_t n = t->bytes - i < piece ? t->bytes - i : piece;
        st = gguf_write_data(job->out, t->data + i, n, err);
        if (!st)
            st = advance(job, n, err);
    }
    return st;
}

/* ---- The file ---- */

/* Whether the output is the input or, of a split one, any of its parts (PREFIX-00001-of-00003.gguf). */
static bool is_input(const struct gguf *g, const char *output) {
    static const char first[] = "-00001-of-";
    const char *path = gguf_path(g), *number = NULL;
    if (is_same_file(path, output))
        return true;
    for (const char *p = strstr(path, first); p; p = strstr(p + 1, first))
        number = p;
    for (size_t i = 2; i <= gguf_n_parts(g) && number; i++) {
        char part[MODEL_PATH];
        snprintf(part, sizeof part, "%.*s-%05zu%s", (int)(number - path), path, i, number + 6);
        if (is_same_file(part, output))
            return true;
    }
    return false;
}

static enum quern_status copy_metadata(struct quantize_job *job, struct quern_error *err) {
    enum { QUANTIZATION_VERSION = 2 }; /* of the block layouts; all of quern's are those */
    enum quern_status st = QUERN_OK;
    for (size_t i = 0; i < gguf_n_kv(job->in) && !st; i++) {
        const struct gguf_kv *kv = gguf_kv(job->in, i);
        bool of_split = kv->key.bytes > 6 && !memcmp(kv->key.data, "split.", 6); /* the output is one file */
        if (!of_split)
            st = gguf_copy_kv(job->out, kv, err);
    }
    if (!st)
        st = gguf_set_u32(job->out, "general.file_type", job->target->file_type, err);
    return st ? st : gguf_set_u32(job->out, "general.quantization_version", QUANTIZATION_VERSION, err);
}

static enum quern_status write_file(struct quantize_job *job, struct quern_error *err) {
    const size_t n = gguf_n_tensors(job->in);
    enum quern_status st = gguf_writer_open(job->s->output, &job->out, err);
    if (!st) {
        unfinished_file_watch(gguf_writer_part_path(job->out));
        st = copy_metadata(job, err);
    }
    for (size_t i = 0; i < n && !st; i++) {
        const struct gguf_tensor *t = job->plan[i].in;
        st = gguf_add_tensor(job->out, t->name, job->plan[i].type, t->n_dims, t->ne, err);
        job->all_bytes += t->bytes;
    }
    if (!st)
        st = gguf_begin_data(job->out, &job->out_bytes, err);
    for (size_t i = 0; i < n && !st; i++) {
        const struct planned_tensor *p = &job->plan[i];
        st = p->type == p->in->type ? copy_tensor(job, p->in, err) : convert_tensor(job, p, err);
    }
    if (!st) {
        struct gguf_writer *out = job->out;
        job->out = NULL;
        st = gguf_commit(out, err);
    }
    return st;
}

/* ---- The command ---- */

static enum quern_status open_job(struct quantize_job *job, struct quern_error *err) {
    const struct quantize_settings *s = job->s;
    unsigned n_threads;
    job->target = quantize_target_by_name(s->type);
    enum quern_status st = thread_count(s->n_threads, &n_threads, err);
    if (!st)
        st = gguf_open(s->input, &job->in, err);
    if (st)
        return st;
    job->n_threads = (int)(n_threads ? n_threads : quern_default_threads());
    if (is_input(job->in, s->output))
        return fail(err, QUERN_IO, "%s: is the input; choose another file for the output", s->output);
    size_t bytes;
    if (!size_mul(gguf_n_tensors(job->in) + 1, sizeof *job->plan, &bytes))
        return fail_memory(err, SIZE_MAX);
    job->plan = malloc(bytes);
    job->values = malloc(PIECE * sizeof *job->values);
    job->encoded = malloc((size_t)PIECE * MAX_VALUE_BYTES);
    if (!job->plan || !job->values || !job->encoded)
        return fail_memory(err, bytes + PIECE * (sizeof *job->values + MAX_VALUE_BYTES));
    return quantize_plan(job->in, job->target, s->allow_requantize, job->plan, err);
}

static void note_fallbacks(const struct quantize_job *job) {
    for (size_t i = 0; i < gguf_n_tensors(job->in); i++) {
        const struct gguf_tensor *t = job->plan[i].in;
        if (job->plan[i].reason == PLAN_FALLBACK)
            complain("note: tensor '%.*s': its rows of %" PRIu64 " are no multiple of %u; written as F16",
                     (int)(t->name.bytes < 200 ? t->name.bytes : 200), t->name.data, t->ne[0],
                     type_info(job->target->type)->block_values);
    }
}

/* Tensors of one type that become one type. */
struct pair_sum {
    uint64_t n_tensors, before, after;
};

static void print_pair(uint32_t from, uint32_t to, const struct pair_sum *sum) {
    char types[40], before[SIZE_TEXT], after[SIZE_TEXT];
    snprintf(types, sizeof types, from == to ? "%s" : "%s -> %s", type_info(from)->name, type_info(to)->name);
    printf("%-20s%8" PRIu64 "%14s%14s\n", types, sum->n_tensors, size_text(sum->before, before),
           size_text(sum->after, after));
}

/* A line for each pair of types, then the whole. */
static void print_table(const struct quantize_job *job) {
    struct pair_sum sums[TYPE_COUNT][TYPE_COUNT] = { 0 };
    char before[SIZE_TEXT], after[SIZE_TEXT];
    uint64_t n_values = 0, all_after = 0;
    for (size_t i = 0; i < gguf_n_tensors(job->in); i++) {
        const struct gguf_tensor *t = job->plan[i].in;
        struct pair_sum *sum = &sums[t->type][job->plan[i].type];
        uint64_t values = t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
        size_t bytes = 0;
        type_bytes(job->plan[i].type, values, &bytes); /* succeeds: the writer asked the same */
        sum->n_tensors++, sum->before += t->bytes, sum->after += bytes;
        n_values += values, all_after += bytes;
    }
    printf("%-20s%8s%14s%14s\n", "type", "tensors", "before", "after");
    for (uint32_t from = 0; from < TYPE_COUNT; from++)
        for (uint32_t to = 0; to < TYPE_COUNT; to++)
            if (sums[from][to].n_tensors)
                print_pair(from, to, &sums[from][to]);
    printf("%s: %s, %.2f bits a value (before: %s)\n", job->s->output, size_text(job->out_bytes, after),
           n_values ? (double)all_after * 8 / (double)n_values : 0,
           size_text(gguf_file_bytes(job->in), before));
}

static int run_quantize(const void *settings) {
    struct quantize_job job = { .s = settings, .start_ms = now_ms() };
    struct quern_error err;
    mapped_file_watch(job.s->input);
    interrupt_catch();
    enum quern_status st = open_job(&job, &err);
    if (!st && !job.s->messages.quiet)
        note_fallbacks(&job);
    if (!st)
        st = write_file(&job, &err);
    if (!st && !job.s->messages.quiet)
        print_table(&job);
    close_job(&job);
    if (st && job.percent % 100) /* a message gets a line of its own */
        fputc('\n', stderr);
    return st ? complain_error(&err) : EXIT_DONE;
}

static enum quern_status check_quantize(const void *settings, struct quern_error *err) {
    const struct quantize_settings *s = settings;
    if (!quantize_target_by_name(s->type))
        return fail(err, QUERN_RANGE, "TYPE: '%s' cannot be written (known: %s)", s->type,
                    quantize_target_names());
    return QUERN_OK;
}

const struct command command_quantize = {
    .name = "quantize",
    .summary = "convert the weights of a GGUF file to another type",
    .usage = "IN OUT TYPE [OPTION]...",
    .description =
        "Writes OUT with the matrices of IN as TYPE. Norms, biases, routers and other small tensors stay as "
        "they are; a matrix whose rows do not fit the type's blocks becomes F16. OUT is complete or absent, "
        "and never IN.\n"
        "\n"
        "  quern quantize model-f16.gguf model-q8_0.gguf Q8_0",
    .groups = quantize_groups,
    .n_groups = sizeof quantize_groups / sizeof *quantize_groups,
    .settings_bytes = sizeof(struct quantize_settings),
    .check = check_quantize,
    .run = run_quantize,
};
