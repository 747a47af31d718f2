/* test_row8.c - activations with one scale per token, and what rounding activations costs.
 * SPDX-License-Identifier: MIT */
#include "bench/altered_model.h"
#include "bench/quality.h"
#include "engine/model.h"
#include "tests/engine/run.h"
#include "tests/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const bundled = QUERN_SOURCE_DIR "/models/bundled/books-7m-q8_0.gguf";

/* Altered copies of the bundled model, and a text. */
static char *folder, outlier_model[4200], one_scale_model[4200];
static int32_t *ids;
static size_t n_ids;

static int make_models(void **state) {
    (void)state;
    struct quern_error err = { 0 };
    folder = support_temporary_folder();
    snprintf(outlier_model, sizeof outlier_model, "%s/outliers.gguf", folder);
    snprintf(one_scale_model, sizeof one_scale_model, "%s/one_scale.gguf", folder);
    if (altered_model_write(bundled, outlier_model, WITH_OUTLIERS, &err) ||
        altered_model_write(bundled, one_scale_model, ONE_SCALE_PER_ROW, &err))
        fail_msg("%s", err.text);
    json_t *tokens = support_read_json(support_data("books-7m/tokens.json"));
    ids = run_ids(json_object_get(tokens, "ids"), &n_ids);
    json_decref(tokens);
    return 0;
}

static int remove_models(void **state) {
    (void)state;
    support_remove_folder(folder);
    free(ids);
    return 0;
}

static struct quern_model *open_model(const char *path, const struct quern_model_options *options) {
    struct quern_error err = { 0 };
    struct quern_model *model = NULL;
    if (quern_model_open(path, options, &model, &err))
        fail_msg("%s", err.text);
    return model;
}

static struct quern_model_options int8_row(float outliers) {
    struct quern_model_options o;
    quern_model_defaults(&o);
    o.act = QUERN_ACT_INT8_ROW;
    o.outliers = outliers;
    return o;
}

/* ---- The same bits ---- */

static void compare_runs(const char *path, struct run_options plain, size_t n) {
    static const struct {
        unsigned n_threads;
        size_t split, n_batch;
    } tries[] = { { 1, 0, 64 }, { 2, 1, 1 }, { 3, 5, 7 }, { 7, 37, 33 } };
    size_t n_vocab;
    plain.isa = "scalar";
    float *want = run_logits(path, ids, n, &plain, &n_vocab);
    for (size_t l = 0; quern_isa_name(l); l++) {
        struct run_options o = plain;
        o.isa = quern_isa_name(l);
        if (!quern_isa_usable(o.isa)) {
            print_message("SKIPPED: this CPU cannot run level %s\n", o.isa);
            continue;
        }
        for (size_t i = l ? 0 : 1; i < sizeof tries / sizeof *tries; i += l ? 1 : 3) { /* scalar: few */
            o.n_threads = tries[i].n_threads;
            o.split = tries[i].split;
            o.n_batch = tries[i].n_batch;
            float *got = run_logits(path, ids, n, &o, &n_vocab);
            size_t at = support_first_difference(got, want, n * n_vocab);
            if (at < n * n_vocab)
                fail_msg("%s, outliers beyond %g, %s, %u threads, %zu at once: logit %zu is %a, expected %a",
                         path, (double)o.outliers, o.isa, o.n_threads, o.split, at, (double)got[at],
                         (double)want[at]);
            free(got);
        }
    }
    free(want);
}

static void a_scale_per_token_gives_the_same_bits_however_it_is_run(void **state) {
    (void)state;
    const struct {
        const char *path;
        float outliers;
    } cases[] = { { bundled, 0 }, { bundled, 2 }, { one_scale_model, 2 }, { one_scale_model, 6 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        compare_runs(cases[i].path,
                     (struct run_options){ .act = QUERN_ACT_INT8_ROW, .outliers = cases[i].outliers }, 36);
}

static void rounded_inputs_give_the_same_bits_however_they_are_run(void **state) {
    (void)state;
    static const enum quern_round_inputs roundings[] = { QUERN_ROUND_256_16, QUERN_ROUND_INT8_ROW };
    for (size_t i = 0; i < 2; i++)
        compare_runs(outlier_model, (struct run_options){ .round_inputs = roundings[i], .outliers = 6 }, 9);
}

static void rows_of_one_scale_are_found_in_the_data(void **state) {
    (void)state;
    const struct quern_model_options o = int8_row(6);
    const char *const paths[] = { bundled, one_scale_model };
    for (size_t i = 0; i < 2; i++) {
        struct quern_model *model = open_model(paths[i], &o), *usual = open_model(paths[i], NULL);
        for (size_t k = 0; k < model->n_matrices; k++) {
            assert_int_equal(model->matrices[k]->is_one_scale, i == 1);
            assert_false(usual->matrices[k]->is_one_scale); /* nobody asked, so nobody looked */
        }
        quern_model_close(usual);
        quern_model_close(model);
    }
}

static void float_matrices_do_not_change(void **state) {
    (void)state;
    size_t n_vocab;
    float *want = run_logits(outlier_model, ids, 9, &(struct run_options){ .n_threads = 1 }, &n_vocab);
    float *got = run_logits(outlier_model, ids, 9,
                            &(struct run_options){ .act = QUERN_ACT_INT8_ROW, .outliers = 6 }, &n_vocab);
    assert_memory_equal(got, want, 9 * n_vocab * sizeof *got);
    free(got);
    free(want);
}

/* ---- What is refused ---- */

static void must_refuse(const char *path, const struct quern_model_options *o, enum quern_status expected,
                        const char *part) {
    struct quern_error err = { 0 };
    struct quern_model *model = NULL;
    assert_int_equal(quern_model_open(path, o, &model, &err), expected);
    assert_null(model);
    if (!strstr(err.text, part))
        fail_msg("'%s' does not say '%s'", err.text, part);
}

static void quantized_matrices_of_other_types_are_refused_by_name(void **state) {
    (void)state;
    const struct quern_model_options o = int8_row(6);
    must_refuse(support_data("types/Q4_K.gguf"), &o, QUERN_UNSUPPORTED, "' has type Q4_K");
    must_refuse(support_data("types/Q4_K.gguf"), &o, QUERN_UNSUPPORTED, "need Q8_0");
    must_refuse(support_data("types/IQ2_XXS.gguf"), &o, QUERN_UNSUPPORTED, "has type");
    quern_model_close(open_model(support_data("types/BF16.gguf"), &o));
}

static void options_out_of_range_are_refused(void **state) {
    (void)state;
    const float bad[] = { -1, NAN, INFINITY };
    struct quern_model_options o;
    for (size_t i = 0; i < 3; i++) {
        o = int8_row(bad[i]);
        must_refuse(bundled, &o, QUERN_RANGE, "outliers beyond");
    }
    o = int8_row(6);
    o.act = (enum quern_act)QUERN_ACTS;
    must_refuse(bundled, &o, QUERN_RANGE, "unknown kind of activations 2");
    o = int8_row(6);
    o.round_inputs = (enum quern_round_inputs)QUERN_ROUNDINGS;
    must_refuse(bundled, &o, QUERN_RANGE, "unknown rounding of inputs 5");
}

/* ---- Statistics ---- */

static struct quern_session *run_session(const struct quern_model *model, size_t split, unsigned n_threads) {
    struct quern_session_options o;
    struct quern_session *session = NULL;
    struct quern_error err = { 0 };
    quern_session_defaults(&o);
    o.n_threads = n_threads;
    enum quern_status st = quern_session_open(model, &o, &session, &err);
    for (size_t i = 0; i < 60 && !st; i += split)
        st = quern_session_eval(session, ids + i, split, NULL, 0, &err);
    if (st)
        fail_msg("%s", err.text);
    return session;
}

static void outliers_are_counted_whatever_the_split(void **state) {
    (void)state;
    const struct quern_model_options o = int8_row(2);
    struct quern_model *model = open_model(bundled, &o);
    struct quern_session *whole = run_session(model, 60, 1), *parts = run_session(model, 5, 3);
    struct quern_outliers a, b;
    uint64_t n_outliers = 0;
    size_t n = 0;
    for (; quern_session_outliers(whole, n, &a); n++) {
        assert_true(quern_session_outliers(parts, n, &b));
        assert_int_equal(a.n_values, b.n_values);
        assert_int_equal(a.n_outliers, b.n_outliers);
        assert_int_equal(a.n_affected, b.n_affected);
        assert_true(a.n_values == 0 || a.n_values == 60 * a.n_columns);
        assert_true(a.n_affected <= a.n_columns && a.n_affected <= a.n_outliers);
        n_outliers += a.n_outliers;
    }
    assert_int_equal(n, model->n_matrices);
    assert_true(n_outliers > 0);
    quern_session_close(parts);
    quern_session_close(whole);
    quern_model_close(model);
}

static void sessions_without_outliers_count_none(void **state) {
    (void)state;
    const struct quern_model_options none = int8_row(0), *options[] = { NULL, &none };
    for (size_t i = 0; i < 2; i++) {
        struct quern_outliers out;
        struct quern_model *model = open_model(bundled, options[i]);
        struct quern_session *session = run_session(model, 60, 1);
        assert_false(quern_session_outliers(session, 0, &out));
        quern_session_close(session);
        quern_model_close(model);
    }
}

/* ---- What rounding costs ---- */

/* Mean KL of a model with rounded inputs from the same with float ones, over the text of 192 tokens. */
static double cost(const char *path, enum quern_round_inputs round, float outliers) {
    const struct quality_text text = { ids, n_ids, 1 };
    struct quality_run run = { .path = path }, base;
    struct quality q;
    struct quern_error err = { 0 };
    quern_model_defaults(&run.model);
    quern_session_defaults(&run.session);
    run.session.cache_k = run.session.cache_v = QUERN_CACHE_F32;
    base = run;
    run.model.round_inputs = round;
    run.model.outliers = outliers;
    if (quality_measure(&text, &run, &base, &q, &err))
        fail_msg("%s", err.text);
    print_message("rounding %d, outliers beyond %g: mean KL %.3fe-3, perplexity %.2f\n", (int)round,
                  (double)outliers, q.kl * 1e3, q.perplexity);
    return q.kl;
}

/* The bounds of 20 chunks of 512 tokens (test_quality.c) hold for these 95 predictions too. */
static void outliers_ruin_a_scale_per_token_unless_they_are_left_out(void **state) {
    (void)state;
    assert_true(cost(outlier_model, QUERN_ROUND_NONE, 0) < 1e-9);
    assert_true(cost(outlier_model, QUERN_ROUND_32, 0) < 12e-3);
    assert_true(cost(outlier_model, QUERN_ROUND_256_32, 0) < 12e-3);
    assert_true(cost(outlier_model, QUERN_ROUND_INT8_ROW, 0) > 20e-3);
    assert_true(cost(outlier_model, QUERN_ROUND_INT8_ROW, 6) < 1e-3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scale_per_token_gives_the_same_bits_however_it_is_run),
        cmocka_unit_test(rounded_inputs_give_the_same_bits_however_they_are_run),
        cmocka_unit_test(rows_of_one_scale_are_found_in_the_data),
        cmocka_unit_test(float_matrices_do_not_change),
        cmocka_unit_test(quantized_matrices_of_other_types_are_refused_by_name),
        cmocka_unit_test(options_out_of_range_are_refused),
        cmocka_unit_test(outliers_are_counted_whatever_the_split),
        cmocka_unit_test(sessions_without_outliers_count_none),
        cmocka_unit_test(outliers_ruin_a_scale_per_token_unless_they_are_left_out),
    };
    return cmocka_run_group_tests(tests, make_models, remove_models);
}
