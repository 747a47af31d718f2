/* inspect.c - quern inspect: what a GGUF file is and holds.
 * SPDX-License-Identifier: MIT */
#include "apps/command.h"
#include "apps/inspect_report.h"
#include "apps/json_output.h"
#include "apps/messages.h"
#include "apps/settings.h"
#include "apps/signals.h"
#include "apps/text_output.h"

#include <stdlib.h>

struct inspect_settings {
    const char *path;
    int64_t n_ctx;
    bool tensors, all, strict, json;
};

#define AT(member) .offset = offsetof(struct inspect_settings, member)

static const struct option inspect_options[] = {
    { .names = { "MODEL", "-m", "--model" },
      .kind = OPTION_TEXT,
      .required = true,
      .metavar = "FILE",
      AT(path),
      .help = "a GGUF file of any kind; of a split one its first part" },
    { .names = { "--tensors" }, .kind = OPTION_FLAG, AT(tensors), .help = "list all tensors" },
    { .names = { "--all" },
      .kind = OPTION_FLAG,
      AT(all),
      .help = "print long strings and arrays to their end" },
    { .names = { "-c", "--ctx-size" },
      .kind = OPTION_INTEGER,
      .metavar = "N",
      AT(n_ctx),
      .max = INT32_MAX,
      .help = "tell the memory needed for a context of N tokens; 0: what the model was trained for, at most "
              "4096" },
    { .names = { "--strict" },
      .kind = OPTION_FLAG,
      AT(strict),
      .help =
          "read all data: numbers and scales that are NaN or infinite are named, and the exit status is 1 if "
          "anything is wrong" },
    { .names = { "--json" },
      .kind = OPTION_FLAG,
      AT(json),
      .help = "print one JSON object; memory and sizes are in bytes" },
};

#undef AT

static const struct option_group inspect_groups[] = {
    { "Options", inspect_options, sizeof inspect_options / sizeof *inspect_options, 0 },
};

/* ---- The report as text ---- */

enum { LEFT = 16 }; /* width of the column of names */

static const char *text_of(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "-";
}

static uint64_t count_of(const json_t *o, const char *key) {
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

static double number_of(const json_t *o, const char *key) {
    return json_number_value(json_object_get(o, key));
}

static void print_row(const char *name, const char *text) {
    printf("  %-*s", LEFT, name);
    print_escaped(text, strlen(text), SIZE_MAX);
    putchar('\n');
}

static void print_summary(const json_t *o) {
    char size[SIZE_TEXT], cache[SIZE_TEXT], work[SIZE_TEXT], total[SIZE_TEXT];
    const json_t *memory = json_object_get(o, "memory");
    print_escaped(text_of(o, "file"), strlen(text_of(o, "file")), SIZE_MAX);
    putchar('\n');
    print_row("what", text_of(o, "what"));
    print_row("architecture", text_of(o, "architecture"));
    print_row("name", text_of(o, "name"));
    print_row("file type", text_of(o, "file_type"));
    printf("  %-*s%s, %zu part%s, GGUF version %zu\n", LEFT, "size",
           size_text(count_of(o, "file_bytes"), size), (size_t)count_of(o, "n_parts"),
           count_of(o, "n_parts") == 1 ? "" : "s", (size_t)count_of(o, "gguf_version"));
    printf("  %-*s%.2f million in %zu tensors, %.2f bits each\n", LEFT, "parameters",
           (double)count_of(o, "n_params") * 1e-6, (size_t)count_of(o, "n_tensors"),
           number_of(o, "bits_per_weight"));
    if (json_is_true(json_object_get(o, "runs")))
        printf("  %-*s%zu tokens, vocabulary of %zu\n", LEFT, "trained context",
               (size_t)count_of(o, "n_ctx_train"), (size_t)count_of(o, "n_vocab"));
    if (memory)
        printf("  %-*sweights %s + cache %s + working %s = %s with a context of %zu\n", LEFT, "memory",
               size_text(count_of(memory, "weights"), size), size_text(count_of(memory, "cache"), cache),
               size_text(count_of(memory, "work"), work), size_text(count_of(memory, "total"), total),
               (size_t)count_of(memory, "n_ctx"));
    else if (json_object_get(o, "memory_refusal"))
        print_row("memory", text_of(o, "memory_refusal"));
    if (json_object_get(o, "refusal"))
        print_row("does not run", text_of(o, "refusal"));
}

static void print_types(const json_t *types) {
    char size[SIZE_TEXT];
    if (json_array_size(types) == 0)
        return;
    printf("\nTensor types\n  %-10s%8s%16s%14s%12s\n", "type", "tensors", "values", "size", "bits each");
    for (size_t i = 0; i < json_array_size(types); i++) {
        const json_t *o = json_array_get(types, i);
        printf("  %-10s%8zu%16zu%14s%12.4f\n", text_of(o, "type"), (size_t)count_of(o, "n_tensors"),
               (size_t)count_of(o, "n_values"), size_text(count_of(o, "bytes"), size),
               number_of(o, "bits_per_weight"));
    }
}

static void print_value(const json_t *value, size_t max_bytes) {
    if (json_is_string(value)) {
        putchar('"');
        print_escaped(json_string_value(value), json_string_length(value), max_bytes);
        putchar('"');
    } else if (json_is_integer(value)) {
        printf("%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        printf("%.7g", json_real_value(value));
    } else if (json_is_boolean(value)) {
        fputs(json_is_true(value) ? "true" : "false", stdout);
    } else {
        fputs("not a number", stdout);
    }
}

static void print_metadata(json_t *metadata, bool all) {
    enum { LONG_STRING = 70, LONG_ELEMENT = 20 };
    const char *key;
    json_t *kv;
    printf("\nMetadata: %zu keys\n", json_object_size(metadata));
    json_object_foreach(metadata, key, kv) {
        const json_t *value = json_object_get(kv, "value");
        printf("  ");
        print_escaped(key, strlen(key), SIZE_MAX);
        if (!json_is_array(value)) {
            printf(" (%s): ", text_of(kv, "type"));
            print_value(value, all ? SIZE_MAX : LONG_STRING);
            putchar('\n');
            continue;
        }
        printf(" (%s of %zu %s): ", text_of(kv, "type"), (size_t)count_of(kv, "n"), text_of(kv, "element"));
        for (size_t i = 0; i < json_array_size(value); i++) {
            printf("%s", i ? ", " : "");
            print_value(json_array_get(value, i), all ? SIZE_MAX : LONG_ELEMENT);
        }
        printf("%s\n", json_array_size(value) < count_of(kv, "n") ? ", ..." : "");
    }
}

static void print_tensors(const json_t *tensors) {
    printf("\nTensors: type, shape (row length first), offset in the file, bytes, bits each, name\n");
    for (size_t i = 0; i < json_array_size(tensors); i++) {
        const json_t *o = json_array_get(tensors, i), *shape = json_object_get(o, "shape");
        char text[100];
        size_t used = 0;
        for (size_t d = 0; d < json_array_size(shape) && used < sizeof text; d++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%lld", d ? " x " : "",
                                     (long long)json_integer_value(json_array_get(shape, d)));
        printf("  %-8s%-20s%14zu%14zu%9.4f  ", text_of(o, "type"), text, (size_t)count_of(o, "offset"),
               (size_t)count_of(o, "bytes"), number_of(o, "bits_per_weight"));
        print_escaped(text_of(o, "name"), strlen(text_of(o, "name")), SIZE_MAX);
        putchar('\n');
    }
}

static void print_report(json_t *o, const struct inspect_settings *s) {
    print_summary(o);
    print_types(json_object_get(o, "types"));
    print_metadata(json_object_get(o, "metadata"), s->all);
    if (s->tensors)
        print_tensors(json_object_get(o, "tensors"));
    if (s->strict && json_array_size(json_object_get(o, "problems")) == 0)
        printf("\nNothing is wrong: all numbers and scales are finite.\n");
}

/* ---- The command ---- */

/* Each problem as a line on stderr; returns their number. */
static size_t complain_problems(const json_t *o, const char *path) {
    const json_t *problems = json_object_get(o, "problems");
    for (size_t i = 0; i < json_array_size(problems); i++) {
        const char *line = json_string_value(json_array_get(problems, i));
        bool names_file = !strncmp(line, path, strlen(path)); /* the engine's lines do */
        complain("%s%s%s", names_file ? "" : path, names_file ? "" : ": ", line);
    }
    return json_array_size(problems);
}

static int run_inspect(const void *settings) {
    const struct inspect_settings *s = settings;
    const struct report_options options = {
        .n_ctx = s->n_ctx, .tensors = s->tensors, .all = s->all, .strict = s->strict
    };
    struct gguf *g = NULL;
    json_t *report = NULL;
    struct quern_error err;
    size_t n_problems = 0;
    mapped_file_watch(s->path);
    interrupt_catch();
    enum quern_status st = gguf_open(s->path, &g, &err);
    if (!st)
        st = inspect_report(g, &options, &report, &err);
    if (!st) {
        if (!s->json)
            print_report(report, s);
        n_problems = complain_problems(report, s->path);
        if (s->json)
            st = json_print(report, false, &err);
        else
            json_decref(report);
    }
    gguf_close(g);
    if (st)
        return complain_error(&err);
    return n_problems ? EXIT_FAILED : EXIT_DONE;
}

const struct command command_inspect = {
    .name = "inspect",
    .summary = "tell what a GGUF file is, holds and needs",
    .usage = "MODEL [OPTION]...",
    .description =
        "Prints what the file is, its size, the memory that running it takes, its tensor types and its "
        "metadata. Files that quern cannot run are told about too, with the reason.\n"
        "\n"
        "  quern inspect model.gguf --tensors -c 8192\n"
        "  quern inspect model.gguf --strict",
    .groups = inspect_groups,
    .n_groups = sizeof inspect_groups / sizeof *inspect_groups,
    .settings_bytes = sizeof(struct inspect_settings),
    .run = run_inspect,
};
