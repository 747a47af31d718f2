/* test_books_tokens.c - the reference model's tokenizer gives SentencePiece's ids and texts.
 * SPDX-License-Identifier: MIT
 * tests/data/books-7m/tokenizer.json: made with SentencePiece 0.1.97; ids without BOS and EOS. */
#include "tests/support.h"
#include "tests/tokenizer/token_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct books {
    struct tokenizer *t;
    json_t *json;
};

static void expect_text(const struct tokenizer *t, const json_t *ids_json, const json_t *want, size_t index) {
    size_t n;
    int32_t *ids = token_json_ids(ids_json, &n);
    struct text got = token_text(t, ids, n, (struct token_stream){ 0 }, true);
    if (got.bytes != json_string_length(want) || memcmp(got.data, json_string_value(want), got.bytes) != 0)
        fail_msg("case %zu: got '%s', expected '%s'", index, got.data, json_string_value(want));
    free(got.data);
    free(ids);
}

static void ids_are_sentencepieces(void **state) {
    const struct books *b = *state;
    const json_t *object, *cases = json_object_get(b->json, "cases");
    size_t index;
    assert_int_equal(json_array_size(cases), 269);
    json_array_foreach(cases, index, object) {
        const json_t *text = json_object_get(object, "text");
        size_t n, n_want;
        int32_t *want = token_json_ids(json_object_get(object, "ids"), &n_want);
        int32_t *ids = token_ids(b->t, json_string_value(text), json_string_length(text), 0, &n);
        char line[2][512];
        if (n != n_want || (n && memcmp(ids, want, n * sizeof *ids) != 0))
            fail_msg("case %zu '%s': got %s, expected %s", index, json_string_value(text),
                     token_print_ids(ids, n, line[0], sizeof line[0]),
                     token_print_ids(want, n_want, line[1], sizeof line[1]));
        free(ids);
        free(want);
    }
}

static void decoding_gives_sentencepieces_text(void **state) {
    const struct books *b = *state;
    const json_t *object;
    size_t index;
    json_array_foreach(json_object_get(b->json, "cases"), index, object)
        expect_text(b->t, json_object_get(object, "ids"), json_object_get(object, "decoded"), index);
}

static void hand_made_ids_give_sentencepieces_text(void **state) {
    const struct books *b = *state;
    const json_t *object, *lists = json_object_get(b->json, "pieces_to_text");
    size_t index;
    assert_true(json_array_size(lists) > 0);
    json_array_foreach(lists, index, object)
        expect_text(b->t, json_object_get(object, "ids"), json_object_get(object, "text"), index);
}

int main(void) {
    struct books b = { .t = token_open_books(),
                       .json = token_read_json(support_data("books-7m/tokenizer.json")) };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(ids_are_sentencepieces, &b),
        cmocka_unit_test_prestate(decoding_gives_sentencepieces_text, &b),
        cmocka_unit_test_prestate(hand_made_ids_give_sentencepieces_text, &b),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    tokenizer_close(b.t);
    json_decref(b.json);
    return n_failed != 0;
}
