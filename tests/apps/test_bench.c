/* test_bench.c - quern bench: what it reports, that results do not depend on how it is run, and that nothing
 * of a random model is left behind. No speed is asserted. SPDX-License-Identifier: MIT */
#include "tests/apps/run_quern.h"
#include "tests/support.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char *text_of(const json_t *test, const char *key) {
    const char *text = json_string_value(json_object_get(test, key));
    assert_non_null(text);
    return text;
}

static json_int_t whole_of(const json_t *test, const char *key) {
    const json_t *v = json_object_get(test, key);
    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

static bool is_positive(const json_t *test, const char *key) {
    return json_number_value(json_object_get(test, key)) > 0;
}

static void json_has_every_field(void **state) {
    (void)state;
    static const char *const fields[] = {
        "build_commit",
        "cpu_info",
        "backends",
        "model_filename",
        "model_type",
        "model_size",
        "model_n_params",
        "n_batch",
        "n_ubatch",
        "n_threads",
        "n_threads_batch",
        "type_k",
        "type_v",
        "n_prompt",
        "n_gen",
        "n_depth",
        "test_time",
        "avg_ns",
        "stddev_ns",
        "avg_ts",
        "stddev_ts",
        "median_ts",
        "samples_ns",
        "samples_ts",
        "bandwidth_gbs",
        "bandwidth_share",
        "gmacs",
        "peak_share",
        "read_gbs_before",
        "read_gbs_after",
        "peak_instruction",
        "kernel_level",
        "logits_hash",
        "logits_finite",
        "load_ms",
        "resident_bytes",
        "peak_gmacs_after",
        "peak_gmacs_before",
        "limits_moved",
        "prefill",
    };
    struct result r = run_quern(
        &(struct run){ .args = { "bench", "-q", "-p", "8", "-n", "4", "-r", "2", "-t", "2", "--json" } });
    assert_status(r, 0);
    assert_string_equal(r.err, "");
    json_t *tests = result_json(&r);
    assert_int_equal(json_array_size(tests), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *t = json_array_get(tests, i);
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++)
            if (!json_object_get(t, fields[k]))
                fail_msg("test %zu has no field '%s'", i, fields[k]);
        assert_int_equal(whole_of(t, "n_prompt"), i == 0 ? 8 : 0);
        assert_int_equal(whole_of(t, "n_gen"), i == 0 ? 0 : 4);
        assert_int_equal(whole_of(t, "n_threads"), 2);
        assert_int_equal(json_array_size(json_object_get(t, "samples_ns")), 2);
        assert_true(json_is_true(json_object_get(t, "logits_finite")));
        assert_true(is_positive(t, "avg_ts") && is_positive(t, "median_ts") && is_positive(t, "avg_ns"));
        assert_true(is_positive(t, "read_gbs_before") && is_positive(t, "read_gbs_after"));
        assert_true(is_positive(t, i == 0 ? "gmacs" : "bandwidth_gbs"));
        assert_true(json_is_null(json_object_get(t, i == 0 ? "bandwidth_gbs" : "gmacs")));
        assert_int_equal(strlen(text_of(t, "logits_hash")), 16);
        assert_string_equal(text_of(t, "model_type"), "llama 7.3M Q8_0");
    }
    json_decref(tests);
    free_result(&r);
}

/* The hash of the only test of a run. */
static void hash_of(const struct run *run, char hash[17]) {
    struct result r = run_quern(run);
    assert_status(r, 0);
    json_t *test = result_json(&r); /* jsonl of one line */
    snprintf(hash, 17, "%s", text_of(test, "logits_hash"));
    json_decref(test);
    free_result(&r);
}

#define BENCH "bench", "-q", "--no-limits", "-r", "1", "-o", "jsonl"

static void the_hash_depends_only_on_the_model_and_its_tokens(void **state) {
    (void)state;
    static const struct run runs[] = {
        { .args = { BENCH, "-p", "9", "-n", "0", "-t", "1" } },
        { .args = { BENCH, "-p", "9", "-n", "0", "-t", "1", "-tb", "3" } },
        { .args = { BENCH, "-p", "9", "-n", "0", "-t", "2" } },
        { .args = { BENCH, "-p", "9", "-n", "0", "-t", "1", "--isa", "scalar" } },
        { .args = { BENCH, "-p", "9", "-n", "0", "-b", "4", "--no-warmup" } },
        { .args = { BENCH, "-p", "0", "-n", "9", "-t", "2" } },
        { .args = { BENCH, "-p", "5", "-n", "0", "-d", "4" } },
        { .args = { BENCH, "-p", "0", "-n", "5", "-d", "4" } },
    };
    char first[17], hash[17];
    hash_of(&runs[0], first);
    for (size_t i = 1; i < sizeof runs / sizeof *runs; i++) {
        hash_of(&runs[i], hash);
        assert_string_equal(hash, first);
    }
    hash_of(&(struct run){ .args = { BENCH, "-p", "8", "-n", "0" } }, hash);
    assert_string_not_equal(hash, first);
}

/* In bf16 the threads share the same products, and what lacks bf16 says so instead of doing something else.
 */
static void prefill_in_bf16_does_not_depend_on_threads_or_is_refused(void **state) {
    (void)state;
    char one[17], two[17], direct[17];
    struct result refused = run_quern(
        &(struct run){ .args = { BENCH, "-p", "40", "-n", "0", "--prefill", "bf16", "--isa", "scalar" } });
    assert_status(refused, 1);
    assert_true(is_one_line(refused.err));
    assert_non_null(strstr(refused.err, "level scalar has none here (allowed: direct, auto)"));
    free_result(&refused);
    hash_of(&(struct run){ .args = { BENCH, "-p", "40", "-n", "0" } }, direct);
    hash_of(&(struct run){ .args = { BENCH, "-p", "40", "-n", "0", "--prefill", "auto", "--isa", "scalar" } },
            one);
    assert_string_equal(one, direct); /* there is nothing to choose */
    struct result r =
        run_quern(&(struct run){ .args = { BENCH, "-p", "40", "-n", "0", "--prefill", "bf16", "-t", "1" } });
    const bool has_bf16 = r.status == 0;
    free_result(&r);
    if (!has_bf16) {
        print_message("skipped: this CPU has no bf16 products\n");
        return;
    }
    hash_of(&(struct run){ .args = { BENCH, "-p", "40", "-n", "0", "--prefill", "bf16", "-t", "1" } }, one);
    hash_of(&(struct run){ .args = { BENCH, "-p", "40", "-n", "0", "--prefill", "bf16", "-t", "2" } }, two);
    assert_string_equal(one, two);
    assert_string_not_equal(one, direct);
}

static void every_type_makes_a_model_with_finite_logits_and_no_file_is_left(void **state) {
    (void)state;
    static const char *const types[] = {
        "F32",    "F16",    "BF16",   "Q4_0",   "Q4_1",   "Q5_0",    "Q5_1",    "q8-0",  "Q2_K",
        "Q2_K_S", "Q3_K",   "Q3_K_S", "Q3_K_L", "Q4_K_S", "q4_k_m",  "Q5_K_S",  "Q5_K",  "Q6_K",
        "IQ4_NL", "iq4-xs", "IQ3_M",  "IQ3_S",  "IQ3_XS", "IQ2_M",   "IQ3_XXS", "IQ2_S", "IQ2_XS",
        "IQ1_M",  "IQ1_S",  "TQ1_0",  "TQ2_0",  "MXFP4",  "IQ2_XXS",
    };
    char *folder = support_temporary_folder(), variable[4200], model[64];
    snprintf(variable, sizeof variable, "TMPDIR=%s", folder);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        snprintf(model, sizeof model, "llama-tiny:%s", types[i]);
        struct result r = run_quern(&(struct run){
            .args = { BENCH, "-t", "2", "-p", "8", "-n", "0", "--synthetic", model }, .env = { variable } });
        assert_status(r, 0);
        json_t *test = result_json(&r);
        if (!json_is_true(json_object_get(test, "logits_finite")))
            fail_msg("%s: logits are not finite", model);
        assert_int_equal(whole_of(test, "model_n_params"), 2492672);
        json_decref(test);
        free_result(&r);
    }
    assert_int_equal(rmdir(folder), 0); /* it is empty */
    free(folder);
}

static void recipes_mix_types_as_files_of_that_name_do(void **state) {
    (void)state;
    /* Bytes: 4 layers of q 256x256, k and v 256x64, o 256x256, three of 256x512, and 1024x256 in Q6_K; in
     * Q4_K_M v and down of the layers 2 and 3 are Q6_K too. Norms: 9 x 256 in F32. */
    enum { Q4 = 144, Q6 = 210, LAYER_BLOCKS = 256 + 64 + 64 + 256 + 3 * 512, MORE_BLOCKS = 64 + 512 };
    const long norms = 9 * 256 * 4, output = 1024 * Q6;
    const long uniform = 4 * LAYER_BLOCKS * Q4 + output + norms;
    struct result r = run_quern(
        &(struct run){ .args = { BENCH, "-p", "1", "-n", "0", "--synthetic", "llama-tiny:Q4_K_M" } });
    assert_status(r, 0);
    json_t *test = result_json(&r);
    assert_int_equal(whole_of(test, "model_size"), uniform + 2 * MORE_BLOCKS * (Q6 - Q4));
    assert_int_equal(whole_of(test, "token_bytes"), whole_of(test, "model_size"));
    assert_int_equal(whole_of(test, "token_macs"), 4 * LAYER_BLOCKS * 256);
    assert_string_equal(text_of(test, "model_type"), "llama 2.5M Q4_K_M");
    json_decref(test);
    free_result(&r);
}

static size_t count(const char *text, char c) {
    size_t n = 0;
    for (; *text; text++)
        n += *text == c;
    return n;
}

static void tables_have_a_line_for_each_test(void **state) {
    (void)state;
    struct result r = run_quern(&(struct run){
        .args = { "bench", "-q", "--no-limits", "-r", "1", "-p", "4", "-n", "2", "-d", "3" } });
    assert_status(r, 0);
    assert_true(!strncmp(r.out, "| model ", 8));
    assert_contains(r.out, " pp4 @ d3 |");
    assert_contains(r.out, " tg2 @ d3 |");
    free_result(&r);

    r = run_quern(&(struct run){
        .args = { "bench", "-q", "--no-limits", "-r", "1", "-p", "4", "-n", "2", "-o", "csv" } });
    assert_status(r, 0);
    assert_int_equal(count(r.out, '\n'), 3);
    char *names = strtok(r.out, "\n"), *values = strtok(NULL, "\n");
    assert_contains(names, "\"n_prompt\",\"n_gen\",\"n_depth\",\"test_time\",\"avg_ns\"");
    assert_int_equal(count(names, '"'), count(values, '"'));
    free_result(&r);
}

static void what_cannot_be_is_refused_with_what_can(void **state) {
    (void)state;
    static const struct {
        const char *args[8], *says;
    } cases[] = {
        { { "bench", "--synthetic", "llama-1:q8_0" }, "did you mean 'llama-1b'?" },
        { { "bench", "--synthetic", "gpt:q8_0" }, "(known: llama-tiny, llama-1b, llama-3b" },
        { { "bench", "--synthetic", "llama-tiny:q4_k_n" },
          "type 'q4_k_n' is not known, did you mean 'Q4_K_" },
        { { "bench", "--synthetic", "llama-tiny:zebra" }, "(known: F32, F16, BF16, Q4_0" },
        { { "bench", "--synthetic", "llama-tiny" }, "has no ':' (expected SHAPE:TYPE" },
        { { "bench", "--synthetic", "llama-tiny:f16", "-m", "x.gguf" }, "leave one out" },
        { { "bench", "--save", "x.gguf" }, "give its shape and type with --synthetic" },
        { { "bench", "-p", "0", "-n", "0" }, "nothing to test" },
        { { "bench", "-o", "xml" }, "(allowed: md, csv, json, jsonl)" },
        { { "bench", "-o", "csv", "--json" }, "exclude each other" },
        { { "bench", "-r", "0" }, "-r: '0' is out of range" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run run = { 0 };
        memcpy(run.args, cases[i].args, sizeof cases[i].args);
        struct result r = run_quern(&run);
        assert_status(r, 2);
        assert_contains(r.err, cases[i].says);
        assert_true(is_one_line(r.err));
        free_result(&r);
    }
}

static void a_full_disk_is_told_and_no_file_is_left(void **state) {
    (void)state;
    char *folder = support_temporary_folder(), variable[4200];
    snprintf(variable, sizeof variable, "TMPDIR=%s", folder);
    struct result r = run_quern(&(struct run){
        .args = { "bench", "--synthetic", "llama-tiny:f16" }, .env = { variable }, .file_limit = 1000000 });
    assert_status(r, 1);
    assert_true(is_one_line(r.err));
    assert_contains(r.err, "quern-bench-");
    assert_int_equal(rmdir(folder), 0);
    free(folder);
    free_result(&r);
}

#if defined(__has_feature)
#    define HAS_FEATURE(x) __has_feature(x)
#else
#    define HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || HAS_FEATURE(address_sanitizer) ||       \
    HAS_FEATURE(thread_sanitizer)
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

/* A model of 300 MB: large beside the program, small enough to be written for a test. */
static void resident_memory_is_what_inspect_tells(void **state) {
    (void)state;
    if (IS_SANITIZED) {
        print_message("SKIPPED: a sanitizer has memory of its own\n");
        return;
    }
    char *folder = support_temporary_folder(), file[4200];
    snprintf(file, sizeof file, "%s/saved.gguf", folder);
    struct result r = run_quern(&(struct run){ .args = { BENCH, "-t", "2", "--synthetic", "llama-1b:tq2_0",
                                                         "--save", file, "-p", "128", "-n", "0" } });
    assert_status(r, 0);
    json_t *test = result_json(&r);
    const double resident = (double)whole_of(test, "resident_bytes");
    free_result(&r);
    r = run_quern(&(struct run){ .args = { "inspect", file, "-c", "128", "--json" } });
    assert_status(r, 0);
    json_t *told = result_json(&r);
    const json_t *memory = json_object_get(told, "memory");
    const double weights = (double)whole_of(memory, "weights"), cache = (double)whole_of(memory, "cache"),
                 total = (double)whole_of(memory, "total");
    assert_true(weights > 300e6);
    if (resident < weights || resident > 1.03 * (weights + cache + (64 << 20)))
        fail_msg("%.1f MB resident with %.1f MB of weights and %.1f MB of cache", resident * 1e-6,
                 weights * 1e-6, cache * 1e-6);
    /* The program and its libraries take some 12 MB. */
    if (resident > 1.03 * total + (16 << 20) || resident < 0.97 * total)
        fail_msg("%.1f MB resident, inspect told %.1f MB", resident * 1e-6, total * 1e-6);
    json_decref(told);
    json_decref(test);
    free_result(&r);
    support_remove_folder(folder);
}

static void an_interrupt_ends_in_good_order(void **state) {
    (void)state;
    char *folder = support_temporary_folder(), variable[4200];
    snprintf(variable, sizeof variable, "TMPDIR=%s", folder);
    struct child child = start_quern(&(struct run){
        .args = { "bench", "-q", "--synthetic", "llama-tiny:q8_0", "-p", "0", "-n", "100000", "-r", "1000" },
        .env = { variable } });
    nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
    kill(child.pid, SIGINT);
    struct result r = end_quern(&child);
    assert_status(r, 130);
    assert_int_equal(rmdir(folder), 0);
    free(folder);
    free_result(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_every_field),
        cmocka_unit_test(the_hash_depends_only_on_the_model_and_its_tokens),
        cmocka_unit_test(prefill_in_bf16_does_not_depend_on_threads_or_is_refused),
        cmocka_unit_test(every_type_makes_a_model_with_finite_logits_and_no_file_is_left),
        cmocka_unit_test(recipes_mix_types_as_files_of_that_name_do),
        cmocka_unit_test(tables_have_a_line_for_each_test),
        cmocka_unit_test(what_cannot_be_is_refused_with_what_can),
        cmocka_unit_test(a_full_disk_is_told_and_no_file_is_left),
        cmocka_unit_test(resident_memory_is_what_inspect_tells),
        cmocka_unit_test(an_interrupt_ends_in_good_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
