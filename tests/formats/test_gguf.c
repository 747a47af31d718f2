/* test_gguf.c - files that are as they should be: what the reader returns, and what it costs.
 * SPDX-License-Identifier: MIT */
#include "tests/formats/gguf_build.h"
#include "tests/formats/gguf_walk.h"
#include "tests/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATH_BYTES = 4096 };

static struct gguf *open_build(const struct gguf_build *b) {
    struct gguf *g = NULL;
    struct quern_error err = { .status = QUERN_OK };
    if (gguf_open_memory(b->data, b->bytes, "sample.gguf", &g, &err))
        fail_msg("%s", err.text);
    return g;
}

/* ---- What is in the file ---- */

static void header_and_tensors_read_back_as_built(void **state) {
    (void)state;
    struct gguf_build b = { .alignment = 32 };
    build_sample(&b);
    struct gguf *g = open_build(&b);
    assert_string_equal(gguf_path(g), "sample.gguf");
    assert_int_equal(gguf_version(g), 3);
    assert_int_equal(gguf_alignment(g), 32);
    assert_int_equal(gguf_n_parts(g), 1);
    assert_int_equal(gguf_file_bytes(g), b.bytes);
    assert_int_equal(gguf_n_kv(g), 17);
    assert_true(gguf_string_is(gguf_kv(g, 1)->key, "general.alignment"));
    assert_false(gguf_string_is(gguf_kv(g, 1)->key, "general.alignment2"));
    assert_false(gguf_string_is(gguf_kv(g, 1)->key, "general.alignmen"));

    assert_int_equal(gguf_n_tensors(g), 3);
    assert_null(gguf_find_tensor(g, "d.weight"));
    assert_null(gguf_find_tensor(g, ""));
    const struct gguf_tensor *t = gguf_find_tensor(g, "b.weight");
    assert_ptr_equal(t, gguf_tensor(g, 1));
    assert_true(gguf_string_is(t->name, "b.weight"));
    assert_int_equal(t->type, TYPE_Q4_0);
    assert_int_equal(t->n_dims, 2);
    assert_memory_equal(t->ne, ((const uint64_t[]){ 32, 2, 1, 1 }), sizeof t->ne);
    assert_int_equal(t->bytes, 36);
    assert_int_equal(t->part, 0);
    assert_int_equal(t->file_offset % 32, 0);
    assert_ptr_equal(t->data, b.data + t->file_offset);
    assert_int_equal(t->data[0], 33); /* build_data() counts, and 32 bytes are a.weight's */
    gguf_close(g);
    build_free(&b);
}

static void values_of_every_type_read_back_as_built(void **state) {
    (void)state;
    static const struct {
        const char *key;
        int64_t integer;
        double real;
    } expected[] = {
        { "x.u8", 250, 250 },
        { "x.i8", -1, -1 },
        { "x.u16", 65535, 65535 },
        { "x.i16", -32768, -32768 },
        { "x.u32", 4294967295, 4294967295 },
        { "x.i32", INT32_MIN, INT32_MIN },
        { "x.u64", INT64_MAX, 18446744073709551616.0 }, /* too large for int64_t: saturated */
        { "x.i64", INT64_MIN, -9223372036854775808.0 },
        { "x.bool", 1, 1 },
    };
    struct gguf_build b = { .alignment = 32 };
    build_sample(&b);
    struct gguf *g = open_build(&b);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const struct gguf_kv *kv = gguf_find_kv(g, expected[i].key);
        assert_non_null(kv);
        assert_int_equal(kv->n, 1);
        assert_int_equal(kv->type, kv->element);
        if (gguf_integer(kv, 0) != expected[i].integer || gguf_real(kv, 0) != expected[i].real)
            fail_msg("%s: %lld, %g", expected[i].key, (long long)gguf_integer(kv, 0), gguf_real(kv, 0));
    }
    assert_true(gguf_real(gguf_find_kv(g, "x.f32"), 0) == 0.25);
    assert_true(gguf_real(gguf_find_kv(g, "x.f64"), 0) == -1.5);

    const struct gguf_kv *numbers = gguf_find_kv(g, "x.numbers");
    assert_int_equal(numbers->type, GGUF_ARRAY);
    assert_int_equal(numbers->element, GGUF_I32);
    assert_int_equal(numbers->n, 3);
    assert_int_equal(gguf_integer(numbers, 0), -1);
    assert_true(gguf_real(numbers, 2) == 3);
    assert_int_equal(gguf_find_kv(g, "x.none")->n, 0);
    gguf_close(g);
    build_free(&b);
}

static void strings_are_walked_and_never_left(void **state) {
    (void)state;
    struct gguf_build b = { .alignment = 32 };
    build_sample(&b);
    struct gguf *g = open_build(&b);
    const struct gguf_kv *words = gguf_find_kv(g, "x.words");
    size_t cursor = 0;
    assert_int_equal(words->n, 3);
    assert_true(gguf_string_is(gguf_next_string(words, &cursor), "a"));
    assert_true(gguf_string_is(gguf_next_string(words, &cursor), ""));
    assert_true(gguf_string_is(gguf_next_string(words, &cursor), "b\xc3\xa9"));
    assert_int_equal(cursor, words->data_bytes);
    assert_int_equal(gguf_next_string(words, &cursor).bytes, 0);
    for (size_t wrong = 0; wrong < words->data_bytes + 20; wrong++) {
        cursor = wrong;
        struct gguf_string s = gguf_next_string(words, &cursor);
        assert_true(s.bytes <= words->data_bytes);
    }
    cursor = SIZE_MAX;
    assert_int_equal(gguf_next_string(words, &cursor).bytes, 0);
    cursor = 0; /* a number has no strings */
    assert_int_equal(gguf_next_string(gguf_find_kv(g, "x.u64"), &cursor).bytes, 0);
    gguf_close(g);
    build_free(&b);
}

static void version_2_reads_as_version_3(void **state) {
    (void)state;
    struct gguf_build b = { .lie = { "version", 2, NULL } };
    build_sample(&b);
    struct gguf *g = open_build(&b);
    assert_int_equal(gguf_version(g), 2);
    assert_int_equal(gguf_n_tensors(g), 3);
    gguf_close(g);
    build_free(&b);
}

static void vocabulary_without_tensors_needs_no_data(void **state) {
    (void)state;
    struct gguf_build b = { .alignment = 32 };
    build_header(&b, 0, 1);
    build_strings(&b, "tokens", 2, (const char *const[]){ "a", "b" });
    struct gguf *g = open_build(&b);
    assert_int_equal(gguf_n_tensors(g), 0);
    assert_null(gguf_find_tensor(g, "tokens"));
    gguf_close(g);
    build_free(&b);

    build_header(&b, 0, 0); /* nor keys */
    g = open_build(&b);
    assert_null(gguf_find_kv(g, "tokens"));
    gguf_close(g);
    build_free(&b);
}

static void any_nonzero_byte_is_true(void **state) {
    (void)state;
    struct gguf_build b = { .lie = { "x.bool/value", 200, NULL } };
    build_sample(&b);
    struct gguf *g = open_build(&b);
    bool v = false, found = false;
    assert_int_equal(gguf_get_bool(g, "x.bool", &v, &found, NULL), QUERN_OK);
    assert_true(v && found);
    gguf_close(g);
    build_free(&b);
}

/* ---- Typed getters ---- */

static void getters_return_values_of_any_width(void **state) {
    (void)state;
    struct gguf_build b = { .alignment = 32 };
    build_sample(&b);
    struct gguf *g = open_build(&b);
    int64_t integer = 7;
    double real = 7;
    struct gguf_string s = { .data = NULL };
    bool found = false;
    assert_int_equal(gguf_get_integer(g, "x.u16", 0, 65535, &integer, &found, NULL), QUERN_OK);
    assert_true(found && integer == 65535);
    assert_int_equal(gguf_get_real(g, "x.f32", 0, 1, &real, &found, NULL), QUERN_OK);
    assert_true(found && real == 0.25);
    assert_int_equal(gguf_get_real(g, "x.f64", -2, 1, &real, &found, NULL), QUERN_OK);
    assert_true(found && real == -1.5);
    assert_int_equal(gguf_get_real(g, "x.i8", -1, 1, &real, &found, NULL), QUERN_OK);
    assert_true(found && real == -1);
    assert_int_equal(gguf_get_string(g, "general.architecture", &s, &found, NULL), QUERN_OK);
    assert_true(found && gguf_string_is(s, "llama"));

    assert_int_equal(gguf_get_integer(g, "absent", 0, 0, &integer, &found, NULL), QUERN_OK);
    assert_true(!found && integer == 65535);
    gguf_close(g);
    build_free(&b);
}

static void getters_say_which_key_is_wrong_and_how(void **state) {
    (void)state;
    struct gguf_build b = { .alignment = 32 };
    build_sample(&b);
    struct gguf *g = open_build(&b);
    struct quern_error err;
    int64_t integer = 7;
    double real = 7;
    bool truth = true, found = true;
    struct gguf_string s = { .data = "kept", .bytes = 4 };

    assert_int_equal(gguf_get_integer(g, "general.architecture", 0, 9, &integer, &found, &err), QUERN_FORMAT);
    assert_string_equal(err.text, "sample.gguf: key 'general.architecture' is a string, integer expected");
    assert_int_equal(gguf_get_real(g, "general.architecture", 0, 9, &real, &found, &err), QUERN_FORMAT);
    assert_string_equal(err.text, "sample.gguf: key 'general.architecture' is a string, number expected");
    assert_int_equal(gguf_get_integer(g, "x.f32", 0, 9, &integer, &found, &err), QUERN_FORMAT);
    assert_string_equal(err.text, "sample.gguf: key 'x.f32' is a real number, integer expected");
    assert_int_equal(gguf_get_integer(g, "x.numbers", 0, 9, &integer, &found, &err), QUERN_FORMAT);
    assert_string_equal(err.text, "sample.gguf: key 'x.numbers' is an array, integer expected");
    assert_int_equal(gguf_get_integer(g, "x.bool", 0, 9, &integer, &found, &err), QUERN_FORMAT);
    assert_string_equal(err.text, "sample.gguf: key 'x.bool' is a bool, integer expected");
    assert_int_equal(gguf_get_bool(g, "x.u8", &truth, &found, &err), QUERN_FORMAT);
    assert_string_equal(err.text, "sample.gguf: key 'x.u8' is an integer, bool expected");
    assert_int_equal(gguf_get_string(g, "x.words", &s, &found, &err), QUERN_FORMAT);
    assert_string_equal(err.text, "sample.gguf: key 'x.words' is an array, string expected");

    assert_int_equal(gguf_get_integer(g, "x.u8", 0, 249, &integer, &found, &err), QUERN_FORMAT);
    assert_string_equal(err.text, "sample.gguf: key 'x.u8' is 250, allowed are 0 to 249");
    assert_int_equal(gguf_get_integer(g, "x.u64", 0, INT64_MAX - 1, &integer, &found, &err), QUERN_FORMAT);
    assert_int_equal(gguf_get_real(g, "x.f32", 0.5, 1, &real, &found, &err), QUERN_FORMAT);
    assert_string_equal(err.text, "sample.gguf: key 'x.f32' is 0.25, allowed are 0.5 to 1");
    assert_int_equal(gguf_get_real(g, "x.nan", -HUGE_VAL, HUGE_VAL, &real, &found, &err), QUERN_FORMAT);

    assert_false(found);
    assert_true(integer == 7 && real == 7 && truth && s.bytes == 4);
    gguf_close(g);
    build_free(&b);
}

/* ---- Size ---- */

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Bytes of this process that are in memory; 0 where the system does not tell. */
static size_t resident_bytes(void) {
    unsigned long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%lu %lu", &total, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void opening_8_gib_reads_only_the_header(void **state) {
    (void)state;
    enum { GIB = 1 << 30, N_TENSORS = 16, LIMIT_BYTES = 1 << 20 };
    char *folder = support_temporary_folder(), path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/big.gguf", folder);

    struct gguf_build b = { .alignment = 32 };
    build_header(&b, N_TENSORS, 0);
    for (char name[2] = "a"; name[0] < 'a' + N_TENSORS; name[0]++) {
        build_tensor(&b, name, TYPE_F16, 2, (const uint64_t[]){ 4096, GIB / 2 / 4096 / 2 });
    }
    uint64_t file_bytes = (b.bytes + 31) / 32 * 32 + b.data_bytes;
    support_write(path, b.data, b.bytes);
    build_free(&b);
    assert_int_equal(truncate(path, (off_t)file_bytes), 0); /* a hole: takes no disk space */

    struct gguf *g = NULL;
    struct quern_error err = { .status = QUERN_OK };
    size_t before = resident_bytes();
    double start = seconds();
    if (gguf_open(path, &g, &err))
        fail_msg("%s", err.text);
    double took = seconds() - start;
    size_t after = resident_bytes();
    print_message("%.1f GiB opened in %.3f ms, %.0f KiB more in memory\n", (double)file_bytes / GIB,
                  1e3 * took, ((double)after - (double)before) / 1024);
    assert_int_equal(gguf_file_bytes(g), file_bytes);
    if (before)
        assert_true(after <= before + LIMIT_BYTES);
    else
        print_message("skipped: resident size (no /proc/self/statm)\n");
    gguf_close(g);
    support_remove_folder(folder);
}

static void many_keys_and_tensors_open_in_a_moment(void **state) {
    (void)state;
    enum { N = 200000 };
    static const uint64_t one = 1;
    char name[16];
    struct gguf_build b = { .alignment = 1 };
    build_header(&b, N, N + 1);
    build_number(&b, "general.alignment", GGUF_U8, 1);
    for (unsigned i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%x", i * 2654435761u);
        build_number(&b, name, GGUF_U8, i % 256);
    }
    for (unsigned i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%x", i * 2654435761u);
        build_tensor(&b, name, TYPE_I8, 1, &one);
    }
    build_data(&b);
    double start = seconds();
    struct gguf *g = open_build(&b);
    double took = seconds() - start;
    print_message("%d keys and tensors in %.0f ms\n", 2 * N, 1e3 * took);
    assert_true(took < 30); /* comparing each name with each would take many minutes */
    for (unsigned i = 0; i < N; i += 997) {
        snprintf(name, sizeof name, "%x", i * 2654435761u);
        assert_int_equal(gguf_integer(gguf_find_kv(g, name), 0), i % 256);
        assert_ptr_equal(gguf_find_tensor(g, name), gguf_tensor(g, i));
    }
    gguf_close(g);
    build_free(&b);
}

/* ---- Paths ---- */

static void check_path_error(const char *path, const char *expected) {
    struct gguf *g = NULL;
    struct quern_error err = { .status = QUERN_OK };
    assert_int_not_equal(gguf_open(path, &g, &err), QUERN_OK);
    assert_null(g);
    if (strncmp(err.text, path, strlen(path)) != 0 || !strstr(err.text, expected))
        fail_msg("got '%s', expected '%s'", err.text, expected);
}

static void path_that_is_no_file_is_refused_with_its_kind(void **state) {
    (void)state;
    char *folder = support_temporary_folder(), path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/missing.gguf", folder);
    check_path_error(path, ": No such file or directory");
    check_path_error("/dev/null", ": is a device, a regular file is needed");

    snprintf(path, sizeof path, "%s/pipe.gguf", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    alarm(20); /* opening a pipe must not wait for a writer */
    check_path_error(path, ": is a pipe, a regular file is needed");
    alarm(0);

    snprintf(path, sizeof path, "%s/empty.gguf", folder);
    support_write(path, "", 0);
    check_path_error(path, ": file is empty (0 bytes)");

    snprintf(path, sizeof path, "%s/unreadable.gguf", folder);
    support_write(path, "GGUF", 4);
    assert_int_equal(chmod(path, 0), 0);
    if (access(path, R_OK))
        check_path_error(path, ": Permission denied");
    else
        print_message("skipped: unreadable file (this user may read all)\n");
    support_remove_folder(folder);
}

static void directory_is_refused_with_the_files_in_it(void **state) {
    (void)state;
    static const char *const names[] = { "g.gguf", "c.gguf", "a.gguf", "notes.txt", "f.gguf",
                                         "b.gguf", "e.gguf", "d.gguf", ".gguf" };
    char *folder = support_temporary_folder(), path[PATH_BYTES];
    check_path_error(folder, ": is a directory without .gguf files, a file is needed");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        support_write(path, "", 0);
        if (i == 3)
            check_path_error(folder, "a file is needed; it holds a.gguf, c.gguf, g.gguf");
    }
    check_path_error(folder, "it holds a.gguf, b.gguf, c.gguf, d.gguf, e.gguf and 2 more");
    support_remove_folder(folder);
}

/* ---- Files that other programs wrote ---- */

static void reference_files_open(void **state) {
    (void)state;
    static const char *const files[] = {
        "types/F32.gguf",     "types/BF16.gguf",  "types/Q4_0.gguf",   "types/Q4_K.gguf",
        "types/IQ2_XXS.gguf", "types/MXFP4.gguf", "arch/mixtral.gguf", "arch/llama-yarn.gguf",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = support_data(files[i]);
        if (!path)
            fail_msg("%s is not there", files[i]);
        struct gguf *g = NULL;
        struct quern_error err = { .status = QUERN_OK };
        if (gguf_open(path, &g, &err))
            fail_msg("%s", err.text);
        struct gguf_string arch = { .data = "" };
        bool found = false;
        assert_int_equal(gguf_get_string(g, "general.architecture", &arch, &found, &err), QUERN_OK);
        assert_true(found && arch.bytes > 0 && gguf_n_tensors(g) > 0);
        assert_non_null(gguf_find_tensor(g, "token_embd.weight"));
        gguf_walk(g);
        gguf_close(g);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_and_tensors_read_back_as_built),
        cmocka_unit_test(values_of_every_type_read_back_as_built),
        cmocka_unit_test(strings_are_walked_and_never_left),
        cmocka_unit_test(version_2_reads_as_version_3),
        cmocka_unit_test(vocabulary_without_tensors_needs_no_data),
        cmocka_unit_test(any_nonzero_byte_is_true),
        cmocka_unit_test(getters_return_values_of_any_width),
        cmocka_unit_test(getters_say_which_key_is_wrong_and_how),
        cmocka_unit_test(opening_8_gib_reads_only_the_header),
        cmocka_unit_test(many_keys_and_tensors_open_in_a_moment),
        cmocka_unit_test(path_that_is_no_file_is_refused_with_its_kind),
        cmocka_unit_test(directory_is_refused_with_the_files_in_it),
        cmocka_unit_test(reference_files_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
