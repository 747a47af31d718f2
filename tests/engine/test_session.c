/* test_session.c - sessions and samplers: ranges, state after errors, choices by value.
 * SPDX-License-Identifier: MIT */
#include "engine/quern.h"
#include "tests/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_VOCAB = 272 }; /* of the models in types/ */

static struct quern_model *open_model(void) {
    struct quern_error err = { 0 };
    struct quern_model *model = NULL;
    if (quern_model_open(support_data("types/Q8_0.gguf"), NULL, &model, &err))
        fail_msg("%s", err.text);
    return model;
}

static struct quern_session *open_session(const struct quern_model *model, size_t n_ctx) {
    struct quern_error err = { 0 };
    struct quern_session *session = NULL;
    struct quern_session_options o;
    quern_session_defaults(&o);
    o.n_ctx = n_ctx;
    o.n_threads = 2;
    o.n_batch = 4;
    if (quern_session_open(model, &o, &session, &err))
        fail_msg("%s", err.text);
    return session;
}

static void must_refuse(enum quern_status expected, enum quern_status st, const struct quern_error *err,
                        const char *part) {
    assert_int_equal(st, expected);
    assert_int_equal(err->status, expected);
    if (!strstr(err->text, part))
        fail_msg("'%s' does not say '%s'", err->text, part);
}

static void eval_refuses_what_is_out_of_range_and_stays_as_it_was(void **state) {
    (void)state;
    struct quern_model *model = open_model();
    struct quern_session *session = open_session(model, 8);
    struct quern_error err;
    int32_t ids[9] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, bad[] = { 1, N_VOCAB }, negative[] = { -1 };
    float *logits = malloc(9 * N_VOCAB * sizeof *logits);
    must_refuse(QUERN_RANGE, quern_session_eval(session, ids, 0, NULL, 0, &err), &err, "0 tokens");
    must_refuse(QUERN_RANGE, quern_session_eval(session, ids, 1, logits, 2, &err), &err, "2 rows");
    must_refuse(QUERN_RANGE, quern_session_eval(session, bad, 2, logits, 1, &err), &err,
                "token 272 at index 1");
    must_refuse(QUERN_RANGE, quern_session_eval(session, negative, 1, logits, 1, &err), &err, "token -1");
    must_refuse(QUERN_CONTEXT, quern_session_eval(session, ids, 9, logits, 1, &err), &err,
                "9 tokens do not fit");
    assert_int_equal(quern_session_position(session), 0);
    assert_int_equal(quern_session_eval(session, ids, 8, logits, 8, NULL), QUERN_OK);
    assert_int_equal(quern_session_position(session), 8);
    must_refuse(QUERN_CONTEXT, quern_session_eval(session, ids, 1, logits, 1, &err), &err, "8 are in use");
    must_refuse(QUERN_RANGE, quern_session_rewind(session, 9, &err), &err, "position 9");
    free(logits);
    quern_session_close(session);
    quern_model_close(model);
}

static void rewinding_and_evaluating_again_gives_the_same_bits(void **state) {
    (void)state;
    struct quern_model *model = open_model();
    struct quern_session *session = open_session(model, 64);
    int32_t ids[40];
    float a[N_VOCAB], b[N_VOCAB];
    for (int32_t i = 0; i < 40; i++)
        ids[i] = i * 5 % N_VOCAB;
    assert_int_equal(quern_session_eval(session, ids, 40, a, 1, NULL), QUERN_OK);
    assert_int_equal(quern_session_rewind(session, 17, NULL), QUERN_OK);
    assert_int_equal(quern_session_eval(session, ids, 20, b, 1, NULL), QUERN_OK); /* something else */
    assert_int_equal(quern_session_rewind(session, 17, NULL), QUERN_OK);
    assert_int_equal(quern_session_eval(session, ids + 17, 23, b, 1, NULL), QUERN_OK);
    assert_memory_equal(a, b, sizeof a);
    quern_session_close(session);
    quern_model_close(model);
}

static void asking_for_fewer_logits_gives_the_last_rows(void **state) {
    (void)state;
    struct quern_model *model = open_model();
    struct quern_session *session = open_session(model, 64);
    int32_t ids[11] = { 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5 };
    static float all[11][N_VOCAB], some[6][N_VOCAB];
    assert_int_equal(quern_session_eval(session, ids, 11, all[0], 11, NULL), QUERN_OK);
    assert_int_equal(quern_session_rewind(session, 0, NULL), QUERN_OK);
    assert_int_equal(quern_session_eval(session, ids, 11, some[0], 6, NULL), QUERN_OK);
    assert_memory_equal(some, all[5], sizeof some);
    quern_session_close(session);
    quern_model_close(model);
}

static bool stop_at_once(void *user) { return ++*(int *)user >= 2; }

static void interrupting_leaves_the_session_as_before(void **state) {
    (void)state;
    struct quern_model *model = open_model();
    struct quern_session *session = NULL;
    struct quern_session_options o;
    struct quern_error err;
    int n_asked = 0;
    int32_t ids[16] = { 0 };
    quern_session_defaults(&o);
    o.n_batch = 4;
    o.n_threads = 2;
    o.interrupt = stop_at_once;
    o.interrupt_user = &n_asked;
    assert_int_equal(quern_session_open(model, &o, &session, NULL), QUERN_OK);
    must_refuse(QUERN_INTERRUPTED, quern_session_eval(session, ids, 16, NULL, 0, &err), &err, "interrupted");
    assert_int_equal(n_asked, 2);
    assert_int_equal(quern_session_position(session), 0);
    quern_session_close(session);
    quern_model_close(model);
}

static void threads_for_batches_default_to_those_given(void **state) {
    (void)state;
    static const struct {
        unsigned given, given_batch, want, want_batch;
    } cases[] = { { 3, 0, 3, 3 }, { 1, 4, 1, 4 }, { 5, 2, 5, 2 } };
    struct quern_model *model = open_model();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct quern_session *session = NULL;
        struct quern_session_options o;
        quern_session_defaults(&o);
        o.n_threads = cases[i].given;
        o.n_threads_batch = cases[i].given_batch;
        assert_int_equal(quern_session_open(model, &o, &session, NULL), QUERN_OK);
        assert_int_equal(quern_session_n_threads(session), cases[i].want);
        assert_int_equal(quern_session_n_threads_batch(session), cases[i].want_batch);
        quern_session_close(session);
    }
    quern_model_close(model);
}

static void session_options_out_of_range_are_refused(void **state) {
    (void)state;
    struct quern_model *model = open_model();
    struct quern_session *session = NULL;
    struct quern_session_options o;
    struct quern_error err;
    uint64_t cache, work;
    quern_session_defaults(&o);
    o.n_batch = 0;
    must_refuse(QUERN_RANGE, quern_session_open(model, &o, &session, &err), &err, "n_batch = 0");
    quern_session_defaults(&o);
    o.n_ctx = (size_t)1 << 40;
    must_refuse(QUERN_RANGE, quern_session_memory(model, &o, &cache, &work, &err), &err, "n_ctx");
    quern_session_defaults(&o);
    o.n_threads = 100000;
    must_refuse(QUERN_RANGE, quern_session_open(model, &o, &session, &err), &err, "n_threads");
    quern_session_defaults(&o);
    o.n_threads_batch = 100000;
    must_refuse(QUERN_RANGE, quern_session_open(model, &o, &session, &err), &err, "n_threads_batch");
    quern_session_defaults(&o);
    o.cache_v = QUERN_CACHE_Q8_0; /* heads of 16 */
    must_refuse(QUERN_UNSUPPORTED, quern_session_open(model, &o, &session, &err), &err, "multiple of 32");
    assert_null(session);
    quern_model_close(model);
}

static void unknown_kernel_levels_are_errors_not_replaced(void **state) {
    (void)state;
    struct quern_model *model = NULL;
    struct quern_model_options o;
    struct quern_error err;
    quern_model_defaults(&o);
    o.isa = "avx1024";
    must_refuse(QUERN_RANGE, quern_model_open(support_data("types/Q8_0.gguf"), &o, &model, &err), &err,
                "'avx1024' is not in this build");
    assert_null(model);
}

/* ---- Sampling ---- */

static int32_t draw_with(const struct quern_sampler_options *o, const float *logits, size_t n) {
    struct quern_sampler *sampler = NULL;
    struct quern_error err = { 0 };
    int32_t id = -1;
    if (quern_sampler_open(n, o, &sampler, &err) || quern_sampler_draw(sampler, logits, &id, &err))
        fail_msg("%s", err.text);
    quern_sampler_close(sampler);
    return id;
}

/* Which of 4 tokens come up in 4000 draws. */
static void draw_many(const struct quern_sampler_options *o, const float logits[4], int counts[4]) {
    struct quern_sampler *sampler = NULL;
    memset(counts, 0, 4 * sizeof *counts);
    assert_int_equal(quern_sampler_open(4, o, &sampler, NULL), QUERN_OK);
    for (int i = 0; i < 4000; i++) {
        int32_t id = -1;
        assert_int_equal(quern_sampler_draw(sampler, logits, &id, NULL), QUERN_OK);
        assert_in_range(id, 0, 3);
        counts[id]++;
    }
    quern_sampler_close(sampler);
}

static void temperature_zero_takes_the_largest_logit_and_the_smaller_id(void **state) {
    (void)state;
    struct quern_sampler_options o;
    quern_sampler_defaults(&o);
    o.temperature = 0;
    assert_int_equal(draw_with(&o, (float[]){ 1, 3, 3, 2 }, 4), 1);
    assert_int_equal(draw_with(&o, (float[]){ -INFINITY, -INFINITY, -5 }, 3), 2);
}

static void equal_seeds_draw_equal_tokens(void **state) {
    (void)state;
    struct quern_sampler_options o;
    quern_sampler_defaults(&o);
    static float logits[1000];
    uint64_t random = 7;
    for (size_t i = 0; i < 1000; i++)
        logits[i] = 4 * support_random_unit(&random);
    for (o.seed = 0; o.seed < 20; o.seed++)
        assert_int_equal(draw_with(&o, logits, 1000), draw_with(&o, logits, 1000));
}

static void stages_keep_what_their_definition_says(void **state) {
    (void)state;
    /* Probabilities 0.5, 0.25, 0.15, 0.1 */
    const float logits[4] = { logf(0.15f), logf(0.5f), logf(0.1f), logf(0.25f) };
    struct quern_sampler_options off = { .temperature = 1, .top_p = 1, .repeat_penalty = 1 }, o;
    int n[4];
    draw_many(&off, logits, n);
    assert_in_range(n[1], 1850, 2150); /* 2000, standard deviation 32 */
    assert_in_range(n[3], 880, 1120);
    assert_in_range(n[0], 500, 700);
    assert_in_range(n[2], 300, 500);
    o = off, o.top_k = 2;
    draw_many(&o, logits, n);
    assert_true(n[1] && n[3] && !n[0] && !n[2]);
    o = off, o.top_p = 0.76f; /* 0.5 + 0.25 < 0.76 <= 0.5 + 0.25 + 0.15 */
    draw_many(&o, logits, n);
    assert_true(n[1] && n[3] && n[0] && !n[2]);
    o = off, o.min_p = 0.4f; /* 0.25 >= 0.4 * 0.5 > 0.15 */
    draw_many(&o, logits, n);
    assert_true(n[1] && n[3] && !n[0] && !n[2]);
    o = off, o.top_p = 0;
    draw_many(&o, logits, n);
    assert_int_equal(n[1], 4000);
}

static void repetition_penalty_divides_positive_and_multiplies_negative_logits(void **state) {
    (void)state;
    struct quern_sampler_options o = {
        .temperature = 0, .top_p = 1, .repeat_penalty = 2, .repeat_last_n = 2
    };
    struct quern_sampler *sampler = NULL;
    const float positive[3] = { 4, 3, 1 }, negative[3] = { -2, -3, -10 };
    int32_t id;
    assert_int_equal(quern_sampler_open(3, &o, &sampler, NULL), QUERN_OK);
    assert_int_equal(quern_sampler_accept(sampler, 0, NULL), QUERN_OK);
    assert_int_equal(quern_sampler_accept(sampler, 0, NULL), QUERN_OK); /* counted once */
    quern_sampler_draw(sampler, positive, &id, NULL);
    assert_int_equal(id, 1); /* 4 / 2 < 3 */
    quern_sampler_draw(sampler, negative, &id, NULL);
    assert_int_equal(id, 1); /* -2 * 2 < -3 */
    quern_sampler_accept(sampler, 2, NULL);
    quern_sampler_accept(sampler, 2, NULL); /* token 0 leaves the last two */
    quern_sampler_draw(sampler, positive, &id, NULL);
    assert_int_equal(id, 0);
    quern_sampler_close(sampler);
}

static void sampler_refuses_bad_options_and_logits(void **state) {
    (void)state;
    struct quern_sampler *sampler = NULL;
    struct quern_sampler_options o;
    struct quern_error err;
    int32_t id;
    quern_sampler_defaults(&o);
    o.temperature = NAN;
    must_refuse(QUERN_RANGE, quern_sampler_open(3, &o, &sampler, &err), &err, "temperature");
    quern_sampler_defaults(&o);
    o.repeat_penalty = 0;
    must_refuse(QUERN_RANGE, quern_sampler_open(3, &o, &sampler, &err), &err, "repeat_penalty");
    assert_int_equal(quern_sampler_open(3, NULL, &sampler, NULL), QUERN_OK);
    must_refuse(QUERN_RANGE, quern_sampler_draw(sampler, (float[]){ 0, NAN, 0 }, &id, &err), &err, "logit 1");
    must_refuse(QUERN_RANGE, quern_sampler_accept(sampler, 3, &err), &err, "token 3");
    quern_sampler_close(sampler);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eval_refuses_what_is_out_of_range_and_stays_as_it_was),
        cmocka_unit_test(rewinding_and_evaluating_again_gives_the_same_bits),
        cmocka_unit_test(asking_for_fewer_logits_gives_the_last_rows),
        cmocka_unit_test(interrupting_leaves_the_session_as_before),
        cmocka_unit_test(threads_for_batches_default_to_those_given),
        cmocka_unit_test(session_options_out_of_range_are_refused),
        cmocka_unit_test(unknown_kernel_levels_are_errors_not_replaced),
        cmocka_unit_test(temperature_zero_takes_the_largest_logit_and_the_smaller_id),
        cmocka_unit_test(equal_seeds_draw_equal_tokens),
        cmocka_unit_test(stages_keep_what_their_definition_says),
        cmocka_unit_test(repetition_penalty_divides_positive_and_multiplies_negative_logits),
        cmocka_unit_test(sampler_refuses_bad_options_and_logits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
