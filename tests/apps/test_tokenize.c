/* test_tokenize.c - quern tokenize: its three forms of output, and the way back.
 * SPDX-License-Identifier: MIT */
#include "formats/gguf_write.h"
#include "tests/apps/run_quern.h"
#include "tests/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void lines_ids_and_json_agree(void **state) {
    (void)state;
    struct result lines = run_quern(&(struct run){ .args = { "tokenize", "-q", "-p", "The old\nman" } });
    struct result ids =
        run_quern(&(struct run){ .args = { "tokenize", "-q", "--ids", "-p", "The old\nman" } });
    struct result r =
        run_quern(&(struct run){ .args = { "tokenize", "-q", "--json", "-p", "The old\nman" } });
    assert_status(lines, 0);
    assert_status(ids, 0);
    assert_status(r, 0);
    json_t *json = result_json(&r), *list = json_loads(ids.out, 0, NULL);
    const json_t *pieces = json_object_get(json, "pieces");
    assert_true(json_equal(json_object_get(json, "ids"), list));
    assert_int_equal(json_integer_value(json_object_get(json, "n")), json_array_size(list));
    assert_int_equal(json_array_size(pieces), json_array_size(list));
    assert_string_equal(json_string_value(json_array_get(pieces, 0)), "<s>");
    assert_string_equal(json_string_value(json_array_get(pieces, 1)), "\xE2\x96\x81The");
    assert_contains(lines.out, " -> '<s>'\n");
    assert_contains(lines.out, " -> ' The'\n");
    assert_contains(lines.out, " -> '\\n'\n");
    size_t n_lines = 0;
    for (const char *p = lines.out; *p; p++)
        n_lines += *p == '\n';
    assert_int_equal(n_lines, json_array_size(list));
    json_decref(list);
    json_decref(json);
    free_result(&r);
    free_result(&ids);
    free_result(&lines);
}

static void flags_leave_out_bos_and_special_tokens(void **state) {
    (void)state;
    static const struct {
        const char *args[8], *ids;
    } cases[] = {
        { { "tokenize", "-q", "--ids", "-p", "</s>" }, "[1, 2]\n" },
        { { "tokenize", "-q", "--ids", "--no-bos", "-p", "</s>" }, "[2]\n" },
        { { "tokenize", "-q", "--ids", "-p", "" }, "[1]\n" },
        { { "tokenize", "-q", "--ids", "--no-bos", "-p", "" }, "[]\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run run = { 0 };
        memcpy(run.args, cases[i].args, sizeof cases[i].args);
        struct result r = run_quern(&run);
        assert_status(r, 0);
        assert_string_equal(r.out, cases[i].ids);
        free_result(&r);
    }
    struct result plain =
        run_quern(&(struct run){ .args = { "tokenize", "-q", "--ids", "--no-parse-special", "-p", "</s>" } });
    assert_status(plain, 0);
    assert_true(plain.out_bytes > strlen("[1, 2]\n"));
    free_result(&plain);
}

static void detokenizing_gives_the_bytes_back(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t n;
    } cases[] = {
        { "The old man walked.", 19 },
        { "", 0 },
        { " two  spaces ", 13 },
        { "line\r\nline\n\n\ttab", 16 },
        { "\xF0\x9F\x98\x80 \xE2\x82\xAC", 8 },
        { "a\0b", 3 },
        { "\xEF\xBB\xBFx", 4 },
        { "\xFF\xFE\x80", 3 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct result ids = run_quern(&(struct run){
            .args = { "tokenize", "-q", "--ids" }, .input = cases[i].text, .input_bytes = cases[i].n });
        assert_status(ids, 0);
        struct result json = run_quern(&(struct run){
            .args = { "tokenize", "-q", "--json" }, .input = cases[i].text, .input_bytes = cases[i].n });
        assert_status(json, 0);
        const struct result *forms[] = { &ids, &json };
        for (size_t k = 0; k < 2; k++) {
            struct result back = run_quern(
                &(struct run){ .args = { "tokenize", "-q", "--detokenize" }, .input = forms[k]->out });
            assert_status(back, 0);
            assert_int_equal(back.out_bytes, cases[i].n);
            assert_memory_equal(back.out, cases[i].text, cases[i].n);
            free_result(&back);
        }
        free_result(&json);
        free_result(&ids);
    }
}

static void special_tokens_are_written_only_if_asked_for(void **state) {
    (void)state;
    struct result without =
        run_quern(&(struct run){ .args = { "tokenize", "-q", "--detokenize", "-p", "1 2" } });
    struct result with =
        run_quern(&(struct run){ .args = { "tokenize", "-q", "--detokenize", "-sp", "-p", "1,2" } });
    assert_status(without, 0);
    assert_status(with, 0);
    assert_string_equal(without.out, "");
    assert_string_equal(with.out, "<s></s>");
    free_result(&with);
    free_result(&without);
}

static void what_is_no_id_is_named(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "1 2 x3", "the prompt: 'x3' at byte 4 is no token id" },
        { "-5", "'-5' at byte 0" },
        { "99999999999", "'99999999999' at byte 0" },
        { "3.5", "'3.5' at byte 0" },
        { "[1, \"a\"]", "ids[1] is no whole number" },
        { "[1, -1]", "ids[1] is -1 (allowed: 0..2147483647)" },
        { "[1, 2", "line 1" },
        { "{\"token\": [1]}", "no array of ids" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct result r =
            run_quern(&(struct run){ .args = { "tokenize", "-q", "--detokenize", "-p", cases[i].text } });
        assert_status(r, 1);
        assert_contains(r.err, cases[i].says);
        assert_true(is_one_line(r.err));
        free_result(&r);
    }
}

/* The bundled model's metadata alone. */
static void write_vocabulary(const char *path) {
    struct quern_error err;
    struct gguf *g = NULL;
    struct gguf_writer *w = NULL;
    assert_int_equal(gguf_open(bundled_model(), &g, &err), QUERN_OK);
    assert_int_equal(gguf_writer_open(path, &w, &err), QUERN_OK);
    for (size_t i = 0; i < gguf_n_kv(g); i++)
        assert_int_equal(gguf_copy_kv(w, gguf_kv(g, i), &err), QUERN_OK);
    assert_int_equal(gguf_begin_data(w, NULL, &err), QUERN_OK);
    assert_int_equal(gguf_commit(w, &err), QUERN_OK);
    gguf_close(g);
}

static void a_vocabulary_alone_is_enough(void **state) {
    (void)state;
    char *folder = support_temporary_folder(), path[4200];
    snprintf(path, sizeof path, "%s/vocab.gguf", folder);
    write_vocabulary(path);
    struct result r =
        run_quern(&(struct run){ .args = { "tokenize", "--ids", "-m", path, "-p", "The old man" } });
    struct result same =
        run_quern(&(struct run){ .args = { "tokenize", "-q", "--ids", "-p", "The old man" } });
    assert_status(r, 0);
    assert_string_equal(r.out, same.out);
    assert_string_equal(r.err, "");
    free_result(&same);
    free_result(&r);
    support_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_ids_and_json_agree),
        cmocka_unit_test(flags_leave_out_bos_and_special_tokens),
        cmocka_unit_test(detokenizing_gives_the_bytes_back),
        cmocka_unit_test(special_tokens_are_written_only_if_asked_for),
        cmocka_unit_test(what_is_no_id_is_named),
        cmocka_unit_test(a_vocabulary_alone_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
