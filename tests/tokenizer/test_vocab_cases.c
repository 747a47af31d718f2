/* test_vocab_cases.c - the ids and texts of the reference data, for each SentencePiece vocabulary.
 * SPDX-License-Identifier: MIT
 * The files and the form of a case: vocabs/README.md of the reference data. */
#include "tests/support.h"
#include "tests/tokenizer/token_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct vocabulary {
    const char *name;
    struct tokenizer *t;
    json_t *json;
};

/* RFC 4648. */
static struct text decode_base64(const char *s) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct text text = { .data = malloc(strlen(s) + 1) };
    unsigned bits = 0, n_bits = 0;
    assert_non_null(text.data);
    for (; *s && *s != '='; s++) {
        const char *at = strchr(digits, *s);
        assert_non_null(at);
        bits = bits << 6 | (unsigned)(at - digits);
        n_bits += 6;
        if (n_bits >= 8)
            text.data[text.bytes++] = (char)(bits >> (n_bits -= 8));
    }
    text.data[text.bytes] = 0;
    return text;
}

/* The value of a key that may end in _b64, times `repeat`; data is NULL if there is neither. */
static struct text case_text(const json_t *object, const char *key, const char *b64_key, size_t repeat) {
    const json_t *plain = json_object_get(object, key), *b64 = json_object_get(object, b64_key);
    struct text text = { 0 };
    if (b64)
        return decode_base64(json_string_value(b64));
    if (!plain)
        return text;
    size_t bytes = json_string_length(plain);
    text.data = malloc(bytes * repeat + 1);
    assert_non_null(text.data);
    for (; repeat > 0; repeat--, text.bytes += bytes)
        memcpy(text.data + text.bytes, json_string_value(plain), bytes);
    text.data[text.bytes] = 0;
    return text;
}

static struct text case_input(const json_t *object) {
    const json_t *repeat = json_object_get(object, "repeat");
    return case_text(object, "text", "b64", repeat ? (size_t)json_integer_value(repeat) : 1);
}

static bool ids_are(const int32_t *got, size_t n, const json_t *array) {
    size_t n_want;
    int32_t *want = token_json_ids(array, &n_want);
    bool equal = n == n_want && (n == 0 || !memcmp(got, want, n * sizeof *got));
    free(want);
    return equal;
}

/* Whether the ids of a case are what the reference has under key, or one of its equals; prints if not. */
static bool check_ids(const struct vocabulary *v, size_t index, const json_t *object, const char *key,
                      int flags) {
    const json_t *want = json_object_get(object, key), *also = json_object_get(object, "also");
    const json_t *published = json_object_get(object, "published");
    if (!want)
        want = json_object_get(object, "ids"); /* where both are the same */
    if (!json_is_array(want))
        return true; /* no reference result */
    if (json_is_true(json_object_get(object, "parse_special")))
        flags |= TOKENIZE_PARSE_SPECIAL;
    struct text input = case_input(object);
    size_t n, n_want;
    int32_t *ids = token_ids(v->t, input.data, input.bytes, flags, &n);
    bool is_right =
        published && !(flags & TOKENIZE_ADD_SPECIAL) ? ids_are(ids, n, published) : ids_are(ids, n, want);
    /* An equal answer is given without special tokens. */
    if (!is_right && also) {
        size_t before = flags & TOKENIZE_ADD_SPECIAL && tokenizer_adds_bos(v->t);
        size_t after = flags & TOKENIZE_ADD_SPECIAL && tokenizer_adds_eos(v->t);
        is_right = ids_are(ids + before, n - before - after, also) || ids_are(ids, n, also);
    }
    if (!is_right) {
        char line[2][512];
        int32_t *reference = token_json_ids(want, &n_want);
        print_message("%s case %zu '%.80s' %s:\n  got      %s\n  expected %s\n", v->name, index, input.data,
                      key, token_print_ids(ids, n, line[0], sizeof line[0]),
                      token_print_ids(reference, n_want, line[1], sizeof line[1]));
        free(reference);
    }
    free(ids);
    free(input.data);
    return is_right;
}

/* The same for the text that the reference ids give. */
static bool check_text(const struct vocabulary *v, size_t index, const json_t *object, bool write_special) {
    struct text input = case_input(object);
    const json_t *ids_json = json_object_get(object, write_special ? "ids_no_special" : "ids");
    if (!ids_json)
        ids_json = json_object_get(object, "ids");
    if (!json_is_array(ids_json) || input.bytes > 1200) { /* texts are given for short inputs only */
        free(input.data);
        return true;
    }
    struct text want =
        write_special ? (struct text){ 0 } : case_text(object, "detok_plain", "detok_plain_b64", 1);
    if (!want.data)
        want = case_text(object, "detok", "detok_b64", 1);
    if (!want.data)
        want = case_input(object);
    size_t n;
    int32_t *ids = token_json_ids(ids_json, &n);
    /* The reference drops the prefix's space from the first token only, which is BOS where that is added. */
    struct token_stream start = { .write_special = write_special,
                                  .keep_prefix = !write_special && tokenizer_adds_bos(v->t) };
    struct text got = token_text(v->t, ids, n, start, !json_object_get(object, "b64"));
    bool is_right = want.data && got.bytes == want.bytes && !memcmp(got.data, want.data, got.bytes);
    if (!is_right)
        print_message("%s case %zu '%.80s' %s:\n  got      '%s'\n  expected '%s'\n", v->name, index,
                      input.data, write_special ? "detok" : "detok_plain", got.data, want.data);
    free(got.data);
    free(want.data);
    free(ids);
    free(input.data);
    return is_right;
}

enum check { CHECK_IDS, CHECK_IDS_NO_SPECIAL, CHECK_DETOK, CHECK_DETOK_PLAIN };

static bool check_case(const struct vocabulary *v, size_t index, const json_t *object, enum check check) {
    switch (check) {
    case CHECK_IDS: return check_ids(v, index, object, "ids", TOKENIZE_ADD_SPECIAL);
    case CHECK_IDS_NO_SPECIAL: return check_ids(v, index, object, "ids_no_special", 0);
    default: return check_text(v, index, object, check == CHECK_DETOK);
    }
}

static void check_cases(const struct vocabulary *v, enum check check) {
    size_t index, n_right = 0;
    const json_t *object, *cases = json_object_get(v->json, "cases");
    json_array_foreach(cases, index, object) n_right += check_case(v, index, object, check);
    print_message("%s: %zu of %zu cases\n", v->name, n_right, json_array_size(cases));
    assert_true(json_array_size(cases) > 0);
    assert_int_equal(n_right, json_array_size(cases));
}

static void ids_with_special_tokens_are_the_reference_ones(void **state) { check_cases(*state, CHECK_IDS); }

static void ids_without_special_tokens_are_the_reference_ones(void **state) {
    check_cases(*state, CHECK_IDS_NO_SPECIAL);
}

static void text_with_special_tokens_is_the_reference_one(void **state) { check_cases(*state, CHECK_DETOK); }

static void text_without_special_tokens_is_the_reference_one(void **state) {
    check_cases(*state, CHECK_DETOK_PLAIN);
}

static void special_ids_and_flags_are_the_reference_ones(void **state) {
    const struct vocabulary *v = *state;
    const json_t *info = json_object_get(v->json, "info");
    assert_int_equal(tokenizer_n_tokens(v->t), json_integer_value(json_object_get(info, "n_tokens")));
    assert_int_equal(tokenizer_bos(v->t), json_integer_value(json_object_get(info, "bos")));
    assert_int_equal(tokenizer_eos(v->t), json_integer_value(json_object_get(info, "eos")));
    assert_int_equal(tokenizer_adds_bos(v->t), json_is_true(json_object_get(info, "add_bos")));
    assert_int_equal(tokenizer_adds_eos(v->t), json_is_true(json_object_get(info, "add_eos")));
    size_t n;
    int32_t *eog = token_json_ids(json_object_get(info, "eog"), &n);
    for (int32_t id = 0; id < (int32_t)tokenizer_n_tokens(v->t); id++) {
        bool expected = false;
        for (size_t i = 0; i < n; i++)
            expected = expected || eog[i] == id;
        if (tokenizer_is_eog(v->t, id) != expected)
            fail_msg("%s: id %d: end of generation is %d", v->name, (int)id, !expected);
    }
    free(eog);
}

int main(void) {
    static struct vocabulary vocabularies[] = {
        { .name = "llama-spm" }, { .name = "phi-3" },   { .name = "baichuan" },
        { .name = "tiny-spm" },  { .name = "tiny-t5" },
    };
    int n_failed = 0;
    for (size_t i = 0; i < sizeof vocabularies / sizeof *vocabularies; i++) {
        struct vocabulary *v = &vocabularies[i];
        char relative[64];
        snprintf(relative, sizeof relative, "vocabs/%s.gguf", v->name);
        v->t = token_open(support_require_shared(relative));
        snprintf(relative, sizeof relative, "vocabs/%s.cases.json", v->name);
        v->json = token_read_json(support_require_shared(relative));
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate(ids_with_special_tokens_are_the_reference_ones, v),
            cmocka_unit_test_prestate(ids_without_special_tokens_are_the_reference_ones, v),
            cmocka_unit_test_prestate(text_with_special_tokens_is_the_reference_one, v),
            cmocka_unit_test_prestate(text_without_special_tokens_is_the_reference_one, v),
            cmocka_unit_test_prestate(special_ids_and_flags_are_the_reference_ones, v),
        };
        n_failed += cmocka_run_group_tests_name(v->name, tests, NULL, NULL);
        tokenizer_close(v->t);
        json_decref(v->json);
    }
    return n_failed != 0;
}
