/* test_complete.c - quern complete: the text, its statistics, and every way it can end.
 * SPDX-License-Identifier: MIT */
#include "tests/apps/run_quern.h"
#include "tests/support.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PROMPT "The old man walked"

static long long count_in(const json_t *json, const char *key) {
    return json_integer_value(json_object_get(json, key));
}

static const char *text_in(const json_t *json, const char *key) {
    return json_string_value(json_object_get(json, key));
}

static void the_bundled_model_is_used_without_m(void **state) {
    (void)state;
    struct result r =
        run_quern(&(struct run){ .args = { "complete", "-p", PROMPT, "-n", "8", "--temp", "0" } });
    assert_status(r, 0);
    assert_int_equal(strncmp(r.out, PROMPT " ", sizeof PROMPT), 0);
    assert_int_equal(r.out[r.out_bytes - 1], '\n');
    assert_contains(r.err, "using the bundled model ");
    assert_contains(r.err, "tokens/s");
    assert_contains(r.err, "stopped by: length");
    free_result(&r);
}

static void quiet_prints_the_text_alone(void **state) {
    (void)state;
    struct result r = run_quern(
        &(struct run){ .args = { "complete", "-q", "-p", PROMPT, "-n", "4", "--no-display-prompt" } });
    assert_status(r, 0);
    assert_string_equal(r.err, "");
    assert_null(strstr(r.out, PROMPT));
    free_result(&r);
}

static void same_seed_gives_the_same_text_for_any_thread_count(void **state) {
    (void)state;
    const char *threads[] = { "1", "2", "3", "7" };
    struct result first = { 0 };
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        struct result r = run_quern(&(struct run){
            .args = { "complete", "-q", "-p", PROMPT, "-n", "24", "--seed", "42", "-t", threads[i] } });
        assert_status(r, 0);
        if (i == 0) {
            first = r;
            continue;
        }
        assert_string_equal(r.out, first.out);
        free_result(&r);
    }
    free_result(&first);
}

/* The sizes follow from the types: bytes per 32 values. */
static void a_cache_type_is_used_and_takes_its_size(void **state) {
    (void)state;
    static const struct {
        const char *name;
        json_int_t bytes;
    } types[] = { { "f32", 128 }, { "f16", 64 }, { "bf16", 64 }, { "q8_0", 34 }, { "q4_0", 18 } };
    json_int_t values = 0; /* in units of 32 */
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct result r =
            run_quern(&(struct run){ .args = { "complete", "-p", PROMPT, "-n", "2", "-c", "256", "--json",
                                               "-ctk", types[i].name, "-ctv", types[i].name } });
        assert_status(r, 0);
        json_t *o = result_json(&r);
        json_int_t bytes = json_integer_value(json_object_get(json_object_get(o, "memory"), "cache_bytes"));
        values = i ? values : bytes / types[i].bytes;
        assert_true(bytes > 0);
        assert_int_equal(bytes, values * types[i].bytes);
        json_decref(o);
        free_result(&r);
    }
}

static void prompts_from_argument_file_and_stdin_are_the_same(void **state) {
    (void)state;
    char *folder = support_temporary_folder(), path[4200];
    snprintf(path, sizeof path, "%s/prompt", folder);
    support_write(path, PROMPT, strlen(PROMPT));
    const struct run runs[] = {
        { .args = { "complete", "-q", "-n", "8", "--temp", "0", "-p", PROMPT } },
        { .args = { "complete", "-q", "-n", "8", "--temp", "0", "-f", path } },
        { .args = { "complete", "-q", "-n", "8", "--temp", "0" }, .input = PROMPT },
        { .args = { "complete", "-q", "-n", "8", "--temp", "0", "-f", "-" }, .input = PROMPT },
        { .args = { "complete", "-q", "-n", "8", "--temp", "0" }, .input = "\xEF\xBB\xBF" PROMPT },
        { .args = { "complete", "-q", "-n", "8", "--temp", "0", "-e", "-p", "The\\x20old man walked" } },
    };
    struct result first = run_quern(&runs[0]);
    assert_status(first, 0);
    for (size_t i = 1; i < sizeof runs / sizeof *runs; i++) {
        struct result r = run_quern(&runs[i]);
        assert_status(r, 0);
        assert_string_equal(r.out, first.out);
        free_result(&r);
    }
    free_result(&first);
    support_remove_folder(folder);
}

static void a_byte_order_mark_is_left_out_and_told(void **state) {
    (void)state;
    struct result r =
        run_quern(&(struct run){ .args = { "complete", "-n", "1" }, .input = "\xEF\xBB\xBFThe" });
    assert_status(r, 0);
    assert_contains(r.err, "note: standard input: left out the byte order mark");
    free_result(&r);
}

static void utf16_is_refused(void **state) {
    (void)state;
    struct result r =
        run_quern(&(struct run){ .args = { "complete", "-q" }, .input = "\xFF\xFEh\0i\0", .input_bytes = 6 });
    assert_status(r, 1);
    assert_string_equal(r.err, "quern: standard input: looks like UTF-16; convert it to UTF-8\n");
    free_result(&r);
}

static void a_prompt_may_hold_any_bytes(void **state) {
    (void)state;
    static const char bytes[] = "a\0b\xC3\x28\xFF c";
    struct result r = run_quern(&(struct run){ .args = { "complete", "-q", "-n", "1", "--temp", "0" },
                                               .input = bytes,
                                               .input_bytes = sizeof bytes - 1 });
    assert_status(r, 0);
    assert_true(r.out_bytes >= sizeof bytes - 1);
    assert_memory_equal(r.out, bytes, sizeof bytes - 1);
    free_result(&r);
}

static void an_empty_prompt_begins_a_text(void **state) {
    (void)state;
    struct result r = run_quern(
        &(struct run){ .args = { "complete", "-q", "-p", "", "-n", "4", "--temp", "0", "--json" } });
    assert_status(r, 0);
    json_t *json = result_json(&r);
    assert_int_equal(count_in(json, "n_prompt"), 1);
    assert_true(strlen(text_in(json, "text")) > 0);
    assert_int_not_equal(text_in(json, "text")[0], ' ');
    json_decref(json);
    free_result(&r);
}

static void json_is_one_object_with_everything(void **state) {
    (void)state;
    struct result r = run_quern(&(struct run){ .args = { "complete", "-p", "A \xFF", "-n", "5", "--seed", "7",
                                                         "-t", "1", "--isa", "scalar", "--json" } });
    assert_status(r, 0);
    json_t *json = result_json(&r);
    const json_t *timings = json_object_get(json, "timings"), *memory = json_object_get(json, "memory");
    assert_string_equal(text_in(json, "prompt"), "A \xEF\xBF\xBD");
    assert_int_equal(count_in(json, "n_generated"), 5);
    assert_int_equal(json_array_size(json_object_get(json, "ids")), 5);
    assert_string_equal(text_in(json, "stop"), "length");
    assert_int_equal(count_in(json, "seed"), 7);
    assert_string_equal(text_in(json, "isa"), "scalar");
    assert_int_equal(count_in(json, "threads"), 1);
    assert_true(json_number_value(json_object_get(timings, "prompt_ms")) > 0);
    assert_true(json_number_value(json_object_get(timings, "tokens_per_second")) > 0);
    assert_true(count_in(memory, "cache_bytes") > 0);
    assert_true(count_in(memory, "peak_resident_bytes") > 0);
    json_decref(json);
    free_result(&r);
}

static void quern_isa_caps_the_level_and_the_flag_wins(void **state) {
    (void)state;
    static const struct run run = {
        .args = { "complete", "-q", "-p", "A", "-n", "1", "--json" },
        .env = { "QUERN_ISA=scalar", "QUERN_THREADS=3" },
    };
    struct result r = run_quern(&run);
    assert_status(r, 0);
    json_t *json = result_json(&r);
    assert_string_equal(text_in(json, "isa"), "scalar");
    assert_int_equal(count_in(json, "threads"), 3);
    json_decref(json);
    free_result(&r);
}

static void a_special_token_in_a_prompt_is_text_unless_asked_for(void **state) {
    (void)state;
    long long n[2];
    for (int i = 0; i < 2; i++) {
        struct result r = run_quern(&(struct run){
            .args = { "complete", "-q", "-n", "1", "--json", "-p", "<s>The", i ? "--special" : NULL } });
        assert_status(r, 0);
        json_t *json = result_json(&r);
        n[i] = count_in(json, "n_prompt");
        json_decref(json);
        free_result(&r);
    }
    assert_true(n[0] > 2);     /* <, s, > and so on */
    assert_int_equal(n[1], 2); /* one BOS, not two */
}

static void a_prompt_longer_than_the_context_is_status_3(void **state) {
    (void)state;
    struct result r = run_quern(&(struct run){ .args = { "complete", "-q", "-c", "3", "-p", PROMPT } });
    assert_status(r, 3);
    assert_contains(r.err, "the prompt has 5 tokens, the context 3; use -c ");
    assert_true(is_one_line(r.err));
    assert_string_equal(r.out, "");
    free_result(&r);
}

static void a_full_context_ends_the_text_with_a_reason(void **state) {
    (void)state;
    static const struct {
        const char *n_ctx;
        long long n_generated; /* the last token needs no place */
    } cases[] = { { "8", 4 }, { "5", 1 } };
    for (size_t i = 0; i < 2; i++) {
        struct result r =
            run_quern(&(struct run){ .args = { "complete", "-q", "-c", cases[i].n_ctx, "-n", "-1",
                                               "--ignore-eos", "-p", PROMPT, "--json" } });
        assert_status(r, 0);
        json_t *json = result_json(&r);
        assert_string_equal(text_in(json, "stop"), "context");
        assert_int_equal(count_in(json, "n_generated"), cases[i].n_generated);
        json_decref(json);
        free_result(&r);
    }
}

static void no_token_is_written_for_n_0(void **state) {
    (void)state;
    struct result r = run_quern(&(struct run){ .args = { "complete", "-q", "-n", "0", "-p", PROMPT } });
    assert_status(r, 0);
    assert_string_equal(r.out, PROMPT "\n");
    free_result(&r);
}

static void what_cannot_be_read_is_one_line(void **state) {
    (void)state;
    static const struct {
        const char *args[6], *says;
    } cases[] = {
        { { "complete", "-m", "/nonexistent.gguf", "-p", "a" }, "/nonexistent.gguf" },
        { { "complete", "-m", "/", "-p", "a" }, "directory" },
        { { "complete", "-m", "/dev/null", "-p", "a" }, "/dev/null" },
        { { "complete", "-q", "-f", "/nonexistent" }, "quern: /nonexistent: No such file" },
        { { "complete", "-q", "-f", "/" }, "quern: /: Is a directory" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run run = { 0 };
        memcpy(run.args, cases[i].args, sizeof cases[i].args);
        struct result r = run_quern(&run);
        assert_status(r, 1);
        assert_contains(r.err, cases[i].says);
        assert_true(is_one_line(r.err));
        assert_string_equal(r.out, "");
        free_result(&r);
    }
}

/* ---- Ends from outside ---- */

static const struct run endless = {
    .args = { "complete", "-p", PROMPT, "-n", "-1", "-c", "100000", "--ignore-eos", "-t", "1" },
    .pipes = true,
};

static void ctrl_c_ends_in_good_order(void **state) {
    (void)state;
    struct child child = start_quern(&endless);
    char begun[64];
    size_t n = 0;
    while (n < sizeof begun) {
        ssize_t got = read(child.out, begun + n, sizeof begun - n);
        assert_true(got > 0);
        n += (size_t)got;
    }
    kill(child.pid, SIGINT);
    struct result r = end_quern(&child);
    close(child.in);
    assert_status(r, 130);
    assert_memory_equal(begun, PROMPT, strlen(PROMPT));
    assert_int_equal(r.out[r.out_bytes - 1], '\n');
    assert_contains(r.err, "stopped by: interrupted");
    free_result(&r);
}

static void ctrl_c_while_the_prompt_is_evaluated_is_heard(void **state) {
    (void)state;
    enum { N = 60000 };
    char *folder = support_temporary_folder(), path[4200];
    snprintf(path, sizeof path, "%s/long", folder);
    char *text = malloc(N);
    assert_non_null(text);
    for (size_t i = 0; i < N; i++)
        text[i] = i % 2 ? ' ' : (char)('a' + i / 2 % 26);
    support_write(path, text, N);
    struct run run = { .args = { "complete", "-f", path, "-n", "1", "-c", "100000", "-t", "1", "--isa",
                                 "scalar" },
                       .pipes = true };
    struct child child = start_quern(&run);
    size_t n = 0;
    while (n < N) { /* the prompt is printed before it is evaluated */
        ssize_t got = read(child.out, text, N - n);
        assert_true(got > 0);
        n += (size_t)got;
    }
    nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 * 1000 }, NULL);
    kill(child.pid, SIGINT);
    struct result r = end_quern(&child);
    close(child.in);
    assert_status(r, 130);
    assert_string_equal(r.out, "\n");
    assert_contains(r.err, "written: 0 tokens");
    free_result(&r);
    free(text);
    support_remove_folder(folder);
}

static void a_closed_pipe_ends_it_without_a_word(void **state) {
    (void)state;
    struct run run = endless;
    memcpy(&run.args[10], (const char *[]){ "-q", NULL }, 2 * sizeof *run.args);
    struct child child = start_quern(&run);
    char c;
    assert_int_equal(read(child.out, &c, 1), 1);
    close(child.out);
    child.out = -1;
    struct result r = end_quern(&child);
    close(child.in);
    assert_status(r, 128 + SIGPIPE);
    assert_string_equal(r.err, "");
    free_result(&r);
}

static void output_that_cannot_be_written_is_told(void **state) {
    (void)state;
    enum { LIMIT = 4096 }; /* of stdout, stderr and what OpenMP writes for itself */
    char text[LIMIT + 100];
    memset(text, 'a', sizeof text);
    struct result r = run_quern(&(struct run){ .args = { "complete", "-q", "-c", "8192" },
                                               .input = text,
                                               .input_bytes = sizeof text,
                                               .file_limit = LIMIT });
    assert_status(r, 1);
    assert_string_equal(r.err, "quern: standard output: File too large\n");
    free_result(&r);
}

#if defined(__linux__)
/* Whether the process has the file mapped. */
static int has_mapped(pid_t pid, const char *path) {
    char maps[64], line[8192];
    snprintf(maps, sizeof maps, "/proc/%d/maps", (int)pid);
    FILE *f = fopen(maps, "r");
    int found = 0;
    while (f && fgets(line, sizeof line, f))
        found |= strstr(line, path) != NULL;
    if (f)
        fclose(f);
    return found;
}

static void a_model_cut_off_while_in_use_is_one_line(void **state) {
    (void)state;
    char *folder = support_temporary_folder(), path[4200];
    size_t bytes;
    uint8_t *model = support_read(bundled_model(), &bytes);
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    support_write(path, model, bytes);
    free(model);
    struct run run = { .args = { "complete", "-m", path, "-n", "4" }, .pipes = true };
    struct child child = start_quern(&run);
    for (int i = 0; i < 1000 && !has_mapped(child.pid, path); i++)
        nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000 * 1000 }, NULL);
    nanosleep(&(struct timespec){ .tv_nsec = 300 * 1000 * 1000 }, NULL); /* it now waits for the prompt */
    assert_int_equal(truncate(path, 4096), 0);
    assert_int_equal(write(child.in, PROMPT, strlen(PROMPT)), strlen(PROMPT));
    close(child.in);
    struct result r = end_quern(&child);
    assert_status(r, 1);
    assert_contains(r.err, "model.gguf: was changed while in use\n");
    assert_true(is_one_line(r.err));
    free_result(&r);
    support_remove_folder(folder);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bundled_model_is_used_without_m),
        cmocka_unit_test(quiet_prints_the_text_alone),
        cmocka_unit_test(same_seed_gives_the_same_text_for_any_thread_count),
        cmocka_unit_test(a_cache_type_is_used_and_takes_its_size),
        cmocka_unit_test(prompts_from_argument_file_and_stdin_are_the_same),
        cmocka_unit_test(a_byte_order_mark_is_left_out_and_told),
        cmocka_unit_test(utf16_is_refused),
        cmocka_unit_test(a_prompt_may_hold_any_bytes),
        cmocka_unit_test(an_empty_prompt_begins_a_text),
        cmocka_unit_test(json_is_one_object_with_everything),
        cmocka_unit_test(quern_isa_caps_the_level_and_the_flag_wins),
        cmocka_unit_test(a_special_token_in_a_prompt_is_text_unless_asked_for),
        cmocka_unit_test(a_prompt_longer_than_the_context_is_status_3),
        cmocka_unit_test(a_full_context_ends_the_text_with_a_reason),
        cmocka_unit_test(no_token_is_written_for_n_0),
        cmocka_unit_test(what_cannot_be_read_is_one_line),
        cmocka_unit_test(ctrl_c_ends_in_good_order),
        cmocka_unit_test(ctrl_c_while_the_prompt_is_evaluated_is_heard),
        cmocka_unit_test(a_closed_pipe_ends_it_without_a_word),
        cmocka_unit_test(output_that_cannot_be_written_is_told),
#if defined(__linux__)
        cmocka_unit_test(a_model_cut_off_while_in_use_is_one_line),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
