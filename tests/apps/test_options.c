/* test_options.c - help, version, wrong usage: what the table of options promises.
 * SPDX-License-Identifier: MIT */
#include "tests/apps/run_quern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Every flag of every command. A new flag is added here too: the help is where users look. */
static const struct {
    const char *command, *flags[36];
} commands[] = {
    { "complete",
      { "-m, --model",
        "-p, --prompt",
        "-f, --file",
        "-e, --escape, --no-escape",
        "-n, --predict, --n-predict",
        "--ignore-eos",
        "--display-prompt, --no-display-prompt",
        "-sp, --special",
        "--json",
        "-s, --seed",
        "--temp",
        "--top-k",
        "--top-p",
        "--min-p",
        "--repeat-penalty",
        "--repeat-last-n",
        "-c, --ctx-size",
        "-ctk, --cache-type-k",
        "-ctv, --cache-type-v",
        "-t, --threads",
        "-tb, --threads-batch",
        "-b, --batch-size",
        "--isa",
        "--numa",
        "--act",
        "--outliers",
        "--prefill",
        "-q, --quiet",
        "-v, --verbose",
        "default 256",
        "0..100" } },
    { "tokenize",
      { "-m, --model", "-p, --prompt", "-f, --file", "-e, --escape, --no-escape", "--ids", "--json",
        "--bos, --no-bos", "--parse-special, --no-parse-special", "--detokenize", "-sp, --special",
        "-q, --quiet" } },
    { "logits",
      { "-m, --model", "--ids", "-o, --output", "--split", "-c, --ctx-size", "-ctk, --cache-type-k",
        "-ctv, --cache-type-v", "--json", "-t, --threads", "-tb, --threads-batch", "-b, --batch-size",
        "--isa", "--numa", "--act", "--outliers", "--prefill", "-q, --quiet", "-v, --verbose" } },
    { "inspect", { "MODEL, -m, --model", "--tensors", "--all", "-c, --ctx-size", "--strict", "--json" } },
    { "quantize", { "IN", "OUT", "TYPE", "--allow-requantize", "-t, --threads", "-q, --quiet" } },
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void help_lists_every_command(void **state) {
    (void)state;
    struct result r = run_quern(&(struct run){ .args = { "--help" } });
    assert_status(r, 0);
    for (size_t i = 0; i < N_COMMANDS; i++)
        assert_contains(r.out, commands[i].command);
    assert_string_equal(r.err, "");
    free_result(&r);
}

static void help_of_a_command_names_every_flag(void **state) {
    (void)state;
    for (size_t i = 0; i < N_COMMANDS; i++) {
        struct result r = run_quern(&(struct run){ .args = { commands[i].command, "--help" } });
        struct result same = run_quern(&(struct run){ .args = { "help", commands[i].command } });
        assert_status(r, 0);
        assert_contains(r.out, "Usage: quern ");
        for (size_t k = 0; commands[i].flags[k]; k++)
            assert_contains(r.out, commands[i].flags[k]);
        assert_string_equal(r.out, same.out);
        free_result(&same);
        free_result(&r);
    }
}

static void help_fits_a_narrow_terminal(void **state) {
    (void)state;
    for (size_t i = 0; i < N_COMMANDS; i++) {
        struct result r =
            run_quern(&(struct run){ .args = { "help", commands[i].command }, .env = { "COLUMNS=40" } });
        assert_status(r, 0);
        for (char *line = strtok(r.out, "\n"); line; line = strtok(NULL, "\n"))
            if (strlen(line) > 40 && strncmp(line, "  quern ", 8)) /* examples are to be copied */
                fail_msg("help of %s: a line of %zu columns: %s", commands[i].command, strlen(line), line);
        free_result(&r);
    }
}

static void version_tells_the_usable_levels(void **state) {
    (void)state;
    struct result r = run_quern(&(struct run){ .args = { "--version" } });
    assert_status(r, 0);
    assert_contains(r.out, "quern ");
    assert_contains(r.out, "scalar");
    free_result(&r);
}

static void no_command_is_wrong_usage_and_shows_help(void **state) {
    (void)state;
    struct result r = run_quern(&(struct run){ .args = { NULL } });
    assert_status(r, 2);
    assert_string_equal(r.out, "");
    assert_contains(r.err, "Usage: quern COMMAND");
    free_result(&r);
}

static void wrong_usage_is_one_line_that_helps(void **state) {
    (void)state;
    static const struct {
        const char *args[8], *says;
    } cases[] = {
        { { "complte" }, "unknown command 'complte'; did you mean 'complete'?" },
        { { "--verson" }, "unknown option '--verson'" },
        { { "zzzzzz" }, "unknown command 'zzzzzz'" },
        { { "help", "tokenise" }, "did you mean 'tokenize'?" },
        { { "complete", "--tmep", "1" }, "unknown option '--tmep'; did you mean '--temp'?" },
        { { "complete", "--top_k", "1" }, "did you mean '--top-k'?" },
        { { "complete", "--mirostat", "2" }, "unknown option '--mirostat'" },
        { { "complete", "--temp", "abc" }, "--temp: 'abc' is not a number (allowed: 0..100)" },
        { { "complete", "--temp=nan" }, "--temp: 'nan' is not a number" },
        { { "complete", "--temp", "-1" }, "--temp: '-1' is out of range (allowed: 0..100)" },
        { { "complete", "--temp=1e9" }, "--temp: '1e9' is out of range" },
        { { "complete", "-n", "12x" }, "-n: '12x' is not a whole number" },
        { { "complete", "-n", "-2" }, "-n: '-2' is out of range (allowed: -1.." },
        { { "complete", "-n", "99999999999999999999" }, "is out of range" },
        { { "complete", "-n" }, "-n needs a value" },
        { { "complete", "-ctk", "q9_0" }, "-ctk: 'q9_0' is not known (allowed: f16, f32, q8_0, bf16, q4_0)" },
        { { "complete", "--act", "int4" }, "--act: 'int4' is not known (allowed: block, int8-row)" },
        { { "complete", "--act=int8-row", "--outliers", "-1" }, "--outliers: '-1' is out of range" },
        { { "complete", "--act=int8-row", "--outliers", "nan" }, "--outliers: 'nan' is not a number" },
        { { "complete", "--outliers", "3" }, "--outliers goes with --act int8-row" },
        { { "complete", "--json=maybe" }, "--json: 'maybe' is not known (allowed: on, off)" },
        { { "complete", "--no-escape=on" }, "--no-escape takes no value" },
        { { "complete", "--isa", "avx9" }, "--isa: 'avx9' is no level of this build" },
        { { "complete", "--prefill", "int4" }, "--prefill: 'int4' is not known (allowed: direct, bf16, auto)" },
        { { "complete", "-p", "a", "-f", "b" }, "-p and -f both give the text" },
        { { "complete", "model.gguf" }, "unexpected argument 'model.gguf'" },
        { { "inspect" }, "MODEL is missing" },
        { { "logits" }, "--ids is missing" },
        { { "quantize", "a", "b" }, "TYPE is missing" },
        { { "quantize", "a", "b", "Q9_9" }, "'Q9_9' cannot be written (known: Q8_0, F16, BF16, F32)" },
        { { "tokenize", "--detokenize", "--json" }, "--detokenize prints text; leave --json out" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run run = { 0 };
        memcpy(run.args, cases[i].args, sizeof cases[i].args);
        struct result r = run_quern(&run);
        assert_status(r, 2);
        assert_contains(r.err, cases[i].says);
        assert_true(is_one_line(r.err));
        assert_string_equal(r.out, "");
        free_result(&r);
    }
}

static void the_last_of_repeated_flags_counts(void **state) {
    (void)state;
    struct result r =
        run_quern(&(struct run){ .args = { "complete", "-p", "The", "--seed=1", "-n", "3", "-n=2", "--temp",
                                           "0", "--json", "--json=off", "--seed", "5", "--json=on" } });
    assert_status(r, 0);
    json_t *json = result_json(&r);
    assert_int_equal(json_integer_value(json_object_get(json, "n_generated")), 2);
    assert_int_equal(json_integer_value(json_object_get(json, "seed")), 5);
    json_decref(json);
    free_result(&r);
}

static void after_two_dashes_nothing_is_a_flag(void **state) {
    (void)state;
    struct result r = run_quern(&(struct run){ .args = { "inspect", "--", "--strict" } });
    assert_status(r, 1);
    assert_contains(r.err, "quern: --strict: No such file");
    free_result(&r);
}

static void bad_variables_are_named(void **state) {
    (void)state;
    static const struct {
        const char *variable, *says;
    } cases[] = {
        { "QUERN_THREADS=many", "QUERN_THREADS is 'many' (allowed: 1..1024)" },
        { "QUERN_THREADS=0", "QUERN_THREADS is '0'" },
        { "QUERN_ISA=avx9", "QUERN_ISA: 'avx9' is no level of this build" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct result r = run_quern(&(struct run){ .args = { "complete", "-q", "-p", "The", "-n", "1" },
                                                   .env = { cases[i].variable } });
        assert_status(r, 1);
        assert_contains(r.err, cases[i].says);
        free_result(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_lists_every_command),
        cmocka_unit_test(help_of_a_command_names_every_flag),
        cmocka_unit_test(help_fits_a_narrow_terminal),
        cmocka_unit_test(version_tells_the_usable_levels),
        cmocka_unit_test(no_command_is_wrong_usage_and_shows_help),
        cmocka_unit_test(wrong_usage_is_one_line_that_helps),
        cmocka_unit_test(the_last_of_repeated_flags_counts),
        cmocka_unit_test(after_two_dashes_nothing_is_a_flag),
        cmocka_unit_test(bad_variables_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
