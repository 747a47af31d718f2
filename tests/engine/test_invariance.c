/* test_invariance.c - nothing about how a text is evaluated shows in its logits.
 * SPDX-License-Identifier: MIT
 * Batch splits, internal batch size, threads and kernel levels must give the same bits; compared with
 * memcmp semantics for every tensor type and for the bundled model. */
#include "tests/engine/run.h"
#include "tests/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const bundled = QUERN_SOURCE_DIR "/models/bundled/books-7m-q8_0.gguf";

static void must_equal(const char *what, const float *got, const float *want, size_t n) {
    size_t i = support_first_difference(got, want, n);
    if (i < n)
        fail_msg("%s: logit %zu is %a, expected %a", what, i, (double)got[i], (double)want[i]);
}

/* The variations that are tried against one call, one thread, scalar kernels; cache types up to the last. */
static void compare_variations(const char *path, const int32_t *ids, size_t n, enum quern_cache_type last) {
    static const unsigned threads[] = { 1, 2, 3, 7 };
    static const size_t splits[] = { 1, 5, 37 }, batches[] = { 1, 7, 64 };
    size_t n_vocab;
    char *own = strdup(path), what[256]; /* path may be overwritten by the next look-up */
    for (int cache = QUERN_CACHE_F16; cache <= (int)last; cache++) {
        struct run_options plain = { .isa = "scalar", .cache = (enum quern_cache_type)cache };
        float *want = run_logits(own, ids, n, &plain, &n_vocab);
        for (size_t l = 0; quern_isa_name(l); l++) {
            struct run_options o = plain;
            o.isa = quern_isa_name(l);
            if (!quern_isa_usable(o.isa)) {
                print_message("SKIPPED: this CPU cannot run level %s\n", o.isa);
                continue;
            }
            for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
                o.n_threads = threads[i];
                o.n_threads_batch = i == 1 ? 3 : 0;
                o.split = i < 3 ? splits[i] : 0;
                o.n_batch = batches[(i + l) % 3];
                float *got = run_logits(own, ids, n, &o, &n_vocab);
                snprintf(what, sizeof what, "%s, %s, %u threads, %zu tokens a call, batches of %zu", own,
                         o.isa, o.n_threads, o.split, o.n_batch);
                must_equal(what, got, want, n * n_vocab);
                free(got);
            }
        }
        free(want);
    }
    free(own);
}

static void bundled_model_gives_the_same_bits_however_it_is_run(void **state) {
    (void)state;
    json_t *tokens = support_read_json(support_data("books-7m/tokens.json"));
    size_t n;
    int32_t *ids = run_ids(json_object_get(tokens, "ids"), &n);
    compare_variations(bundled, ids, n < 80 ? n : 80, QUERN_CACHE_Q8_0);
    free(ids);
    json_decref(tokens);
}

static void every_tensor_type_gives_the_same_bits_however_it_is_run(void **state) {
    (void)state;
    json_t *decoded = support_read_json(support_data("types/decoded.json")), *about;
    const char *name;
    json_object_foreach(json_object_get(decoded, "types"), name, about) {
        char file[128];
        size_t n;
        int32_t *ids = run_ids(json_object_get(about, "tokens"), &n);
        snprintf(file, sizeof file, "types/%s", json_string_value(json_object_get(about, "file")));
        compare_variations(support_data(file), ids, n, QUERN_CACHE_F32);
        free(ids);
    }
    json_decref(decoded);
}

static void experts_give_the_same_bits_however_they_are_run(void **state) {
    (void)state;
    json_t *about = support_read_json(support_data("arch/mixtral.json"));
    size_t n;
    int32_t *ids = run_ids(json_object_get(about, "tokens"), &n);
    compare_variations(support_data("arch/mixtral.gguf"), ids, n, QUERN_CACHE_F32);
    free(ids);
    json_decref(about);
}

/* Over 1024 positions attention is merged from chunks; the text is the token list over and over. */
static void long_contexts_give_the_same_bits_for_any_split(void **state) {
    (void)state;
    enum { N = 1100 };
    json_t *about = support_read_json(support_data("types/decoded.json"));
    size_t n, n_vocab;
    int32_t *few =
        run_ids(json_object_get(json_object_get(json_object_get(about, "types"), "Q8_0"), "tokens"), &n);
    int32_t *ids = malloc(N * sizeof *ids);
    for (size_t i = 0; i < N; i++)
        ids[i] = few[(i * 7 + i / n) % n];
    const char *path = support_data("types/Q8_0.gguf");
    float *want = run_logits(path, ids, N, &(struct run_options){ .isa = "scalar" }, &n_vocab);
    for (size_t l = 0; quern_isa_name(l); l++) {
        if (!quern_isa_usable(quern_isa_name(l)))
            continue;
        /* Token by token, a chunk is an item of work of its own. */
        const struct run_options tries[] = { { .n_threads = 3, .split = 333 },
                                             { .n_threads = 2, .split = 1 } };
        for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
            struct run_options o = tries[i];
            o.isa = quern_isa_name(l);
            float *got = run_logits(path, ids, N, &o, &n_vocab);
            must_equal(o.isa, got, want, N * n_vocab);
            free(got);
        }
    }
    free(want);
    free(ids);
    free(few);
    json_decref(about);
}

/* An argument is a pattern of names to leave out, for machines that are emulated. */
int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bundled_model_gives_the_same_bits_however_it_is_run),
        cmocka_unit_test(every_tensor_type_gives_the_same_bits_however_it_is_run),
        cmocka_unit_test(experts_give_the_same_bits_however_they_are_run),
        cmocka_unit_test(long_contexts_give_the_same_bits_for_any_split),
    };
    if (argc > 1) {
        print_message("left out: %s\n", argv[1]);
        cmocka_set_skip_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
