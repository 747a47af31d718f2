/* test_logits.c - quern logits: the same bits however it is run, and files that are whole.
 * SPDX-License-Identifier: MIT */
#include "tests/apps/run_quern.h"
#include "tests/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define IDS "{\"ids\": [1, 353, 692, 455, 2000, 17, 4095, 353, 353, 1, 5]}"
enum { N_IDS = 11, N_VOCAB = 4096 };

static void the_result_depends_neither_on_split_nor_threads_nor_batch(void **state) {
    (void)state;
    static const struct run runs[] = {
        { .args = { "logits", "-q", "--ids", "-", "-t", "1" }, .input = IDS },
        { .args = { "logits", "-q", "--ids", "-", "-t", "1", "--split", "1" }, .input = IDS },
        { .args = { "logits", "-q", "--ids", "-", "-t", "2", "--split", "4" }, .input = IDS },
        { .args = { "logits", "-q", "--ids", "-", "-t", "7", "-b", "3", "-c", "64" }, .input = IDS },
        { .args = { "logits", "-q", "--ids", "-", "-t", "3", "--split", "1000" }, .input = IDS },
        { .args = { "logits", "-q", "--ids", "-" }, .input = "1 353 692 455 2000 17,4095\n353 353 1 5\n" },
        { .args = { "logits", "-q", "--ids", "-" },
          .input = "{\"tokens\": [1, 353, 692, 455, 2000, 17, 4095, 353, 353, 1, 5]}" },
    };
    struct result first = run_quern(&runs[0]);
    assert_status(first, 0);
    assert_contains(first.out, "11 positions of 4096 float32 logits, fnv1a64 ");
    for (size_t i = 1; i < sizeof runs / sizeof *runs; i++) {
        struct result r = run_quern(&runs[i]);
        assert_status(r, 0);
        assert_string_equal(r.out, first.out);
        free_result(&r);
    }
    free_result(&first);
}

/* Where there are memory nodes to ask; a machine without them, or a build without libnuma, says so. */
static void every_numa_mode_is_told_and_gives_the_same(void **state) {
    (void)state;
    static const char *const modes[] = { "none", "distribute", "isolate", "mirror" };
    struct result first = run_quern(&(struct run){ .args = { "logits", "-q", "--ids", "-" }, .input = IDS });
    assert_status(first, 0);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct result r = run_quern(&(struct run){
            .args = { "logits", "-m", bundled_model(), "--ids", "-", "--numa", modes[i], "-t", "2" },
            .input = IDS });
        if (r.status == 1 && (strstr(r.err, "without libnuma") || strstr(r.err, "numa: this system"))) {
            print_message("SKIPPED: %s", r.err);
        } else {
            assert_status(r, 0);
            assert_string_equal(r.out, first.out);
            assert_int_equal(strstr(r.err, "quern: numa: ") != NULL, i > 0);
        }
        free_result(&r);
    }
    free_result(&first);
}

static void more_threads_than_cpus_are_noted(void **state) {
    (void)state;
    char n[32];
    snprintf(n, sizeof n, "%ld", sysconf(_SC_NPROCESSORS_ONLN) + 1);
    struct result r = run_quern(
        &(struct run){ .args = { "logits", "-m", bundled_model(), "--ids", "-", "-t", n }, .input = IDS });
    assert_status(r, 0);
    assert_contains(r.err, "more than CPUs are not faster");
    free_result(&r);
}

static void the_file_holds_what_the_summary_says(void **state) {
    (void)state;
    char *folder = support_temporary_folder(), path[4200];
    snprintf(path, sizeof path, "%s/out.f32", folder);
    struct result r = run_quern(
        &(struct run){ .args = { "logits", "-q", "--ids", "-", "-o", path, "--json" }, .input = IDS });
    assert_status(r, 0);
    json_t *json = result_json(&r);
    size_t n;
    float *logits = support_read_f32(path, &n);
    assert_int_equal(n, N_IDS * N_VOCAB);
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < n * sizeof *logits; i++)
        hash = (hash ^ ((const uint8_t *)logits)[i]) * 0x100000001b3;
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    assert_string_equal(json_string_value(json_object_get(json, "fnv1a64")), text);
    assert_int_equal(json_integer_value(json_object_get(json, "n")), N_IDS);
    assert_int_equal(json_integer_value(json_object_get(json, "n_vocab")), N_VOCAB);
    for (size_t i = 0; i < N_IDS; i++) {
        size_t best = 0;
        for (size_t k = 0; k < N_VOCAB; k++)
            if (logits[i * N_VOCAB + k] > logits[i * N_VOCAB + best])
                best = k;
        assert_int_equal(json_integer_value(json_array_get(json_object_get(json, "argmax"), i)), best);
        assert_true((float)json_real_value(json_array_get(json_object_get(json, "max"), i)) ==
                    logits[i * N_VOCAB + best]);
    }
    free(logits);
    json_decref(json);
    free_result(&r);
    support_remove_folder(folder);
}

static void the_input_is_never_the_output(void **state) {
    (void)state;
    char *folder = support_temporary_folder(), ids[4200], link_path[4200];
    snprintf(ids, sizeof ids, "%s/ids.json", folder);
    snprintf(link_path, sizeof link_path, "%s/link", folder);
    support_write(ids, IDS, strlen(IDS));
    assert_int_equal(symlink(ids, link_path), 0);
    const char *outputs[] = { ids, link_path, bundled_model() };
    for (size_t i = 0; i < 3; i++) {
        struct result r =
            run_quern(&(struct run){ .args = { "logits", "-q", "--ids", ids, "-o", outputs[i] } });
        assert_status(r, 1);
        assert_contains(r.err, "is the input");
        free_result(&r);
    }
    size_t bytes;
    uint8_t *text = support_read(ids, &bytes);
    assert_string_equal((const char *)text, IDS);
    free(text);
    support_remove_folder(folder);
}

static void no_file_is_left_when_the_disk_is_full(void **state) {
    (void)state;
    char *folder = support_temporary_folder(), path[4200];
    snprintf(path, sizeof path, "%s/out.f32", folder);
    struct result r = run_quern(&(struct run){
        .args = { "logits", "-q", "--ids", "-", "-o", path }, .input = IDS, .file_limit = 100000 });
    assert_status(r, 1);
    assert_contains(r.err, "out.f32");
    assert_int_equal(rmdir(folder), 0); /* it is empty */
    free(folder);
    free_result(&r);
}

static void wrong_ids_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *ids, *n_ctx, *says;
        int status;
    } cases[] = {
        { "{\"ids\": []}", "0", "holds no ids", 1 },
        { "[1, 4096]", "0", "4096", 1 },
        { "[1, 2, 3]", "2", "has 3 ids, the context 2; use -c 3", 3 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct result r = run_quern(&(struct run){
            .args = { "logits", "-q", "--ids", "-", "-c", cases[i].n_ctx }, .input = cases[i].ids });
        assert_status(r, cases[i].status);
        assert_contains(r.err, cases[i].says);
        assert_true(is_one_line(r.err));
        free_result(&r);
    }
}

static void outliers_are_told_on_request(void **state) {
    (void)state;
    static const struct run runs[] = {
        { .args = { "logits", "-v", "--ids", "-", "--act", "int8-row", "--outliers", "2" }, .input = IDS },
        { .args = { "logits", "-v", "--ids", "-", "--act", "int8-row", "--outliers", "2", "-t", "3",
                    "--split", "2" },
          .input = IDS },
    };
    struct result a = run_quern(&runs[0]), b = run_quern(&runs[1]);
    assert_status(a, 0);
    assert_status(b, 0);
    assert_string_equal(a.out, b.out);
    assert_string_equal(strstr(a.err, "quern: outliers: "), strstr(b.err, "quern: outliers: "));
    assert_contains(a.err, " % of 137984 input values, in ");
    assert_contains(a.err, "of the values that blk.7.");
    struct result block = run_quern(&(struct run){ .args = { "logits", "-v", "--ids", "-" }, .input = IDS });
    assert_status(block, 0);
    assert_null(strstr(block.err, "outliers"));
    assert_true(strcmp(block.out, a.out) != 0);
    free_result(&block);
    free_result(&b);
    free_result(&a);
}

static void a_scale_per_token_wants_q8_0(void **state) {
    (void)state;
    struct result r = run_quern(&(struct run){
        .args = { "logits", "-q", "--ids", "-", "--act", "int8-row", "-m", support_data("types/Q4_0.gguf") },
        .input = "1 2 3" });
    assert_status(r, 1);
    assert_contains(r.err, "has type Q4_0; activations with one scale per token need Q8_0");
    assert_true(is_one_line(r.err));
    free_result(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_result_depends_neither_on_split_nor_threads_nor_batch),
        cmocka_unit_test(every_numa_mode_is_told_and_gives_the_same),
        cmocka_unit_test(more_threads_than_cpus_are_noted),
        cmocka_unit_test(the_file_holds_what_the_summary_says),
        cmocka_unit_test(the_input_is_never_the_output),
        cmocka_unit_test(no_file_is_left_when_the_disk_is_full),
        cmocka_unit_test(wrong_ids_are_refused),
        cmocka_unit_test(outliers_are_told_on_request),
        cmocka_unit_test(a_scale_per_token_wants_q8_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
