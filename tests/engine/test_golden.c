/* test_golden.c - logits against references computed elsewhere.
 * SPDX-License-Identifier: MIT
 * books-7m: an independent float32 implementation (PyTorch), see its golden data. arch: the small models
 * of the Llama family. types: one small model per tensor type. */
#include "tests/engine/run.h"
#include "tests/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *member(const json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    if (!value)
        fail_msg("the reference has no '%s'", key);
    return value;
}

/* ---- books-7m ---- */

static const char *const f16_model = "models/books-7m-f16.gguf";

static void books_7m_f16_gives_the_reference_logits(void **state) {
    (void)state;
    const char *path = support_data(f16_model);
    if (!path) {
        print_message("SKIPPED: %s is not there\n", f16_model);
        skip();
    }
    json_t *tokens = support_read_json(support_data("books-7m/tokens.json"));
    size_t n, n_want, n_vocab;
    int32_t *ids = run_ids(member(tokens, "ids"), &n);
    float *want = support_read_f32(support_data("books-7m/logits-f32.f32"), &n_want);
    float *got = run_logits(path, ids, n, &(struct run_options){ .cache = QUERN_CACHE_F32 }, &n_vocab);
    assert_int_equal(n * n_vocab, n_want);
    struct support_distance all = support_compare(got, want, n_want);
    print_message("books-7m f16: max |difference| %.3g, relative RMS %.3g\n", all.max_abs, all.relative_rms);
    assert_true(all.max_abs < 2e-3);
    for (size_t t = 0; t < n; t++) {
        struct support_distance row = support_compare(got + t * n_vocab, want + t * n_vocab, n_vocab);
        assert_true(row.cosine > 0.999999);
    }
    free(got);
    free(want);
    free(ids);
    json_decref(tokens);
}

/* Q8_0 weights and 8-bit activations each move logits by about 0.3 %: a wrong operation moves them by
 * 10 % and more. */
static void bundled_model_stays_near_the_reference_logits(void **state) {
    (void)state;
    json_t *tokens = support_read_json(support_data("books-7m/tokens.json"));
    size_t n, n_want, n_vocab;
    int32_t *ids = run_ids(member(tokens, "ids"), &n);
    float *want = support_read_f32(support_data("books-7m/logits-f32.f32"), &n_want);
    float *got = run_logits(QUERN_SOURCE_DIR "/models/bundled/books-7m-q8_0.gguf", ids, n,
                            &(struct run_options){ .cache = QUERN_CACHE_F16 }, &n_vocab);
    struct support_distance all = support_compare(got, want, n_want);
    print_message("books-7m q8_0: relative RMS %.3g\n", all.relative_rms);
    assert_true(all.relative_rms < 0.02);
    free(got);
    free(want);
    free(ids);
    json_decref(tokens);
}

/* Rounding keys and values to 8 bits moves logits of the F16 model by 0.1 %; here it also flips roundings of
 * activations, which move them by 0.5 %. */
static void a_q8_0_cache_stays_near_an_f32_cache(void **state) {
    (void)state;
    json_t *tokens = support_read_json(support_data("books-7m/tokens.json"));
    size_t n, n_vocab;
    int32_t *ids = run_ids(member(tokens, "ids"), &n);
    const char *path = QUERN_SOURCE_DIR "/models/bundled/books-7m-q8_0.gguf";
    float *want = run_logits(path, ids, n, &(struct run_options){ .cache = QUERN_CACHE_F32 }, &n_vocab);
    float *got = run_logits(path, ids, n, &(struct run_options){ .cache = QUERN_CACHE_Q8_0 }, &n_vocab);
    struct support_distance all = support_compare(got, want, n * n_vocab);
    print_message("books-7m q8_0, Q8_0 cache: relative RMS %.3g\n", all.relative_rms);
    assert_true(all.relative_rms < 0.01);
    assert_true(all.relative_rms > 0); /* it was used */
    free(got);
    free(want);
    free(ids);
    json_decref(tokens);
}

/* Logits tolerance of a float32 path: no near-tie of the reference is closer to flipping than this. */
static const double greedy_margin = 2e-3;

static void compare_greedy(const char *path, const json_t *one) {
    size_t n_prompt, n_want, n_vocab;
    int32_t *prompt = run_ids(member(one, "prompt_ids"), &n_prompt),
            *want = run_ids(member(one, "ids"), &n_want);
    struct quern_model *model = NULL;
    struct quern_session *session = NULL;
    struct quern_session_options so;
    struct quern_error err = { 0 };
    quern_session_defaults(&so);
    so.cache_k = so.cache_v = QUERN_CACHE_F32;
    so.n_threads = 1;
    if (quern_model_open(path, NULL, &model, &err) || quern_session_open(model, &so, &session, &err))
        fail_msg("%s", err.text);
    n_vocab = quern_model_n_vocab(model);
    float *logits = malloc(n_vocab * sizeof *logits);
    enum quern_status st = quern_session_eval(session, prompt, n_prompt, logits, 1, &err);
    for (size_t i = 0; i < n_want && !st; i++) {
        size_t best = 0;
        for (size_t v = 1; v < n_vocab; v++)
            best = logits[v] > logits[best] ? v : best;
        if (json_number_value(json_array_get(member(one, "margin"), i)) < greedy_margin)
            break;
        if ((int32_t)best != want[i])
            fail_msg("step %zu: token %zu, expected %d", i, best, (int)want[i]);
        st = quern_session_eval(session, &want[i], 1, logits, 1, &err);
    }
    if (st)
        fail_msg("%s", err.text);
    free(logits);
    quern_session_close(session);
    quern_model_close(model);
    free(prompt);
    free(want);
}

static void greedy_text_is_the_reference_text_up_to_a_near_tie(void **state) {
    (void)state;
    const char *path = support_data(f16_model);
    if (!path) {
        print_message("SKIPPED: %s is not there\n", f16_model);
        skip();
    }
    char *copy = strdup(path);
    json_t *greedy = support_read_json(support_data("books-7m/greedy.json")), *one;
    size_t i;
    json_array_foreach(member(greedy, "cases"), i, one) compare_greedy(copy, one);
    json_decref(greedy);
    free(copy);
}

/* ---- arch: the Llama family ---- */

static const char *const llama_family[] = { "llama-tied",    "llama-untied", "llama-rope-freqs",
                                            "llama-linear",  "llama-yarn",   "llama-attn-bias",
                                            "llama-headdim", "mistral",      "mixtral" };

static void check_arch(const char *name, enum quern_cache_type cache, const char *tolerance) {
    char file[128];
    snprintf(file, sizeof file, "arch/%s.json", name);
    json_t *about = support_read_json(support_data(file));
    const json_t *limits = member(member(about, "tolerance"), tolerance);
    /* A window in the file is honoured: then the reference is the one of the original definition. */
    const json_t *alternative = json_object_get(about, "alternative_logits");
    snprintf(file, sizeof file, "arch/%s",
             json_string_value(alternative ? member(alternative, "file") : member(about, "logits")));
    size_t n, n_want, n_vocab;
    float *want = support_read_f32(support_data(file), &n_want);
    int32_t *ids = run_ids(member(about, "tokens"), &n);
    snprintf(file, sizeof file, "arch/%s.gguf", name);
    float *got = run_logits(support_data(file), ids, n, &(struct run_options){ .cache = cache, .n_ctx = 256 },
                            &n_vocab);
    assert_int_equal(n * n_vocab, n_want);
    struct support_distance all = support_compare(got, want, n_want);
    double min_cosine = 1;
    for (size_t t = 0; t < n; t++) {
        double cosine = support_compare(got + t * n_vocab, want + t * n_vocab, n_vocab).cosine;
        min_cosine = cosine < min_cosine ? cosine : min_cosine;
    }
    print_message("%s, %s: relative RMS %.3g, smallest cosine %.9f\n", name, tolerance, all.relative_rms,
                  min_cosine);
    assert_true(all.relative_rms <= json_number_value(member(limits, "rel_rms")));
    assert_true(min_cosine >= json_number_value(member(limits, "min_cosine")));
    free(got);
    free(want);
    free(ids);
    json_decref(about);
}

static void llama_family_is_within_strict_tolerance_with_f32_cache(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof llama_family / sizeof *llama_family; i++)
        check_arch(llama_family[i], QUERN_CACHE_F32, "strict");
}

static void llama_family_is_within_loose_tolerance_with_f16_cache(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof llama_family / sizeof *llama_family; i++)
        check_arch(llama_family[i], QUERN_CACHE_F16, "loose");
}

/* ---- types ---- */

static void every_tensor_type_runs_within_its_tolerance(void **state) {
    (void)state;
    json_t *decoded = support_read_json(support_data("types/decoded.json")), *about;
    const char *name;
    json_object_foreach(member(decoded, "types"), name, about) {
        char file[128];
        size_t n, n_want, n_vocab;
        int32_t *ids = run_ids(member(about, "tokens"), &n);
        snprintf(file, sizeof file, "types/%s", json_string_value(member(about, "logits")));
        float *want = support_read_f32(support_data(file), &n_want);
        snprintf(file, sizeof file, "types/%s", json_string_value(member(about, "file")));
        float *got = run_logits(support_data(file), ids, n, &(struct run_options){ .cache = QUERN_CACHE_F32 },
                                &n_vocab);
        assert_int_equal(n * n_vocab, n_want);
        bool is_float = !strcmp(name, "F32") || !strcmp(name, "F16") || !strcmp(name, "BF16");
        const json_t *limit =
            member(member(about, "tolerance"),
                   is_float ? "float32 activations" : "activations quantized to 8 bit blocks");
        double rms = support_compare(got, want, n_want).relative_rms;
        print_message("%s: relative RMS %.3g (allowed %g)\n", name, rms,
                      json_number_value(member(limit, "rel_rms")));
        assert_true(rms <= json_number_value(member(limit, "rel_rms")));
        free(got);
        free(want);
        free(ids);
    }
    json_decref(decoded);
}

/* An argument is a pattern of names to leave out, for machines that are emulated. */
int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(books_7m_f16_gives_the_reference_logits),
        cmocka_unit_test(bundled_model_stays_near_the_reference_logits),
        cmocka_unit_test(a_q8_0_cache_stays_near_an_f32_cache),
        cmocka_unit_test(greedy_text_is_the_reference_text_up_to_a_near_tie),
        cmocka_unit_test(llama_family_is_within_strict_tolerance_with_f32_cache),
        cmocka_unit_test(llama_family_is_within_loose_tolerance_with_f16_cache),
        cmocka_unit_test(every_tensor_type_runs_within_its_tolerance),
    };
    if (argc > 1) {
        print_message("left out: %s\n", argv[1]);
        cmocka_set_skip_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
