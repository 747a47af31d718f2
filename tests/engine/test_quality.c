/* test_quality.c - what types, caches and rounded activations cost on the reference model and text.
 * SPDX-License-Identifier: MIT
 * Protocol: bench/quality.h; the reference's perplexity: golden/books-7m/perplexity.json. */
#include "bench/altered_model.h"
#include "bench/quality.h"
#include "tests/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const bundled = QUERN_SOURCE_DIR "/models/bundled/books-7m-q8_0.gguf";
static char *f16_model, *wiki; /* paths */

static struct quality_text read_text(size_t n_ctx, size_t n_chunks) {
    struct quality_text text;
    struct quern_error err = { 0 };
    if (quality_read(f16_model, wiki, n_ctx, n_chunks, &text, &err))
        fail_msg("%s", err.text);
    return text;
}

static struct quality_run default_run(const char *path, enum quern_cache_type cache) {
    struct quality_run run = { .path = path };
    quern_model_defaults(&run.model);
    quern_session_defaults(&run.session);
    run.session.cache_k = run.session.cache_v = cache;
    run.session.n_threads = quern_default_threads();
    return run;
}

static struct quality measure(const struct quality_text *text, const struct quality_run *run,
                              const struct quality_run *base) {
    struct quality q;
    struct quern_error err = { 0 };
    if (quality_measure(text, run, base, &q, &err))
        fail_msg("%s", err.text);
    return q;
}

static void free_text(const struct quality_text *text) { free((void *)(uintptr_t)text->ids); }

static void f16_has_the_reference_perplexity(void **state) {
    (void)state;
    const struct quality_text text = read_text(512, 100);
    const struct quality_run run = default_run(f16_model, QUERN_CACHE_F16);
    const double want = 72.782774, got = measure(&text, &run, NULL).perplexity;
    print_message("perplexity %.6f, the reference has %.6f\n", got, want);
    assert_true(fabs(got / want - 1) < 1e-4);
    free_text(&text);
}

static void a_q8_0_cache_costs_next_to_nothing(void **state) {
    (void)state;
    const struct quality_text text = read_text(1024, 4);
    const struct quality_run f16 = default_run(f16_model, QUERN_CACHE_F16),
                             q8_0 = default_run(f16_model, QUERN_CACHE_Q8_0);
    const double want = measure(&text, &f16, NULL).perplexity, got = measure(&text, &q8_0, NULL).perplexity;
    print_message("perplexity %.6f with a Q8_0 cache, %.6f with an F16 one\n", got, want);
    assert_true(fabs(got / want - 1) < 1e-3);
    assert_true(got != want); /* it was used */
    free_text(&text);
}

/* Mean KL over 20 chunks of a float model whose inputs are rounded from the same with float ones. */
static double cost(const char *path, enum quern_round_inputs round, float outliers) {
    const struct quality_text text = read_text(512, 20);
    const struct quality_run base = default_run(path, QUERN_CACHE_F32);
    struct quality_run run = base;
    run.model.round_inputs = round;
    run.model.outliers = outliers;
    const struct quality q = measure(&text, &run, &base);
    print_message("rounding %d, outliers beyond %g: mean KL %.4fe-3 +/- %.4fe-3\n", (int)round,
                  (double)outliers, q.kl * 1e3, q.kl_error * 1e3);
    free_text(&text);
    return q.kl;
}

static void rounded_activations_alone_cost_what_was_measured(void **state) {
    (void)state;
    assert_true(cost(f16_model, QUERN_ROUND_32, 0) < 0.09e-3);
    assert_true(cost(f16_model, QUERN_ROUND_256_16, 0) < 0.09e-3);
    assert_true(cost(f16_model, QUERN_ROUND_256_32, 0) < 0.09e-3);
    assert_true(cost(f16_model, QUERN_ROUND_INT8_ROW, 6) < 0.4e-3);
}

static void outliers_are_no_trouble_in_blocks_nor_left_out(void **state) {
    (void)state;
    struct quern_error err = { 0 };
    char *folder = support_temporary_folder(), path[4200];
    snprintf(path, sizeof path, "%s/outliers.gguf", folder);
    if (altered_model_write(f16_model, path, WITH_OUTLIERS, &err))
        fail_msg("%s", err.text);
    assert_true(cost(path, QUERN_ROUND_32, 0) < 12e-3);
    assert_true(cost(path, QUERN_ROUND_256_16, 0) < 12e-3);
    assert_true(cost(path, QUERN_ROUND_256_32, 0) < 12e-3);
    assert_true(cost(path, QUERN_ROUND_INT8_ROW, 0) > 25e-3);
    assert_true(cost(path, QUERN_ROUND_INT8_ROW, 6) < 1e-3);
    support_remove_folder(folder);
}

static void every_level_has_the_same_perplexity(void **state) {
    (void)state;
    const struct quality_text text = read_text(512, 1);
    struct quality_run run = default_run(bundled, QUERN_CACHE_F16);
    run.model.isa = "scalar";
    const double want = measure(&text, &run, NULL).nll;
    for (size_t l = 1; quern_isa_name(l); l++) {
        run.model.isa = quern_isa_name(l);
        if (!quern_isa_usable(run.model.isa))
            print_message("SKIPPED: this CPU cannot run level %s\n", run.model.isa);
        else
            assert_true(measure(&text, &run, NULL).nll == want);
    }
    free_text(&text);
}

int main(void) {
    f16_model = strdup(support_require_shared("models/books-7m-f16.gguf"));
    wiki = strdup(support_require_shared("text/wiki.test.raw"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f16_has_the_reference_perplexity),
        cmocka_unit_test(a_q8_0_cache_costs_next_to_nothing),
        cmocka_unit_test(rounded_activations_alone_cost_what_was_measured),
        cmocka_unit_test(outliers_are_no_trouble_in_blocks_nor_left_out),
        cmocka_unit_test(every_level_has_the_same_perplexity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
