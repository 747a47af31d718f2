/* test_gguf_split.c - models in several files: found, checked against each other, merged.
 * SPDX-License-Identifier: MIT */
#include "tests/formats/gguf_build.h"
#include "tests/formats/gguf_walk.h"
#include "tests/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATH_BYTES = 4096, MAX_TENSORS = 4 };

/* What one part says. */
struct part {
    unsigned no, count; /* from 0 */
    unsigned total;     /* split.tensors.count */
    const char *arch;   /* NULL: key left out; "": it is a number */
    const char *tensors[MAX_TENSORS];
};

static void write_part(const char *path, const struct part *p) {
    struct gguf_build b = { .alignment = 32 };
    unsigned n_tensors = 0;
    while (n_tensors < MAX_TENSORS && p->tensors[n_tensors])
        n_tensors++;
    build_header(&b, n_tensors, 3 + (p->arch != NULL));
    if (p->arch && !*p->arch)
        build_number(&b, "general.architecture", GGUF_U32, 7);
    else if (p->arch)
        build_string(&b, "general.architecture", p->arch);
    build_number(&b, "split.no", GGUF_U16, p->no);
    build_number(&b, "split.count", GGUF_U16, p->count);
    build_number(&b, "split.tensors.count", GGUF_I32, p->total);
    for (unsigned i = 0; i < n_tensors; i++)
        build_tensor(&b, p->tensors[i], TYPE_F32, 1, (const uint64_t[]){ 8 });
    build_data(&b);
    support_write(path, b.data, b.bytes);
    build_free(&b);
}

/* Three parts of one model; the first has the metadata and no tensor, as the splitting tools write it. */
static const struct part model[3] = {
    { .no = 0, .count = 3, .total = 3, .arch = "llama" },
    { .no = 1, .count = 3, .total = 3, .tensors = { "a", "b" } },
    { .no = 2, .count = 3, .total = 3, .tensors = { "c" } },
};

static char *part_path(const char *folder, unsigned no, unsigned count) {
    static char paths[4][PATH_BYTES];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_BYTES, "%s/m-%05u-of-%05u.gguf", folder, no + 1, count);
    return path;
}

static char *write_model(void) {
    char *folder = support_temporary_folder();
    for (unsigned i = 0; i < 3; i++)
        write_part(part_path(folder, i, 3), &model[i]);
    return folder;
}

static void check_refusal(const char *path, const char *expected, const char *also) {
    struct gguf *g = NULL;
    struct quern_error err = { .status = QUERN_OK };
    if (gguf_open(path, &g, &err) == QUERN_OK)
        fail_msg("%s was opened, expected '%s'", path, expected);
    if (!strstr(err.text, expected) || !strstr(err.text, also))
        fail_msg("got '%s', expected '%s' and '%s'", err.text, expected, also);
}

static void first_part_opens_all(void **state) {
    (void)state;
    char *folder = write_model();
    struct gguf *g = NULL;
    struct quern_error err = { .status = QUERN_OK };
    if (gguf_open(part_path(folder, 0, 3), &g, &err))
        fail_msg("%s", err.text);
    assert_int_equal(gguf_n_parts(g), 3);
    assert_int_equal(gguf_n_kv(g), 4);
    assert_int_equal(gguf_n_tensors(g), 3);
    assert_int_equal(gguf_find_tensor(g, "a")->part, 1);
    assert_int_equal(gguf_find_tensor(g, "b")->part, 1);
    assert_int_equal(gguf_find_tensor(g, "c")->part, 2);
    assert_int_equal(gguf_find_tensor(g, "b")->data[0], 33); /* see build_data() */
    assert_int_equal(gguf_find_tensor(g, "c")->data[0], 1);

    uint64_t file_bytes = 0;
    struct stat info;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(stat(part_path(folder, i, 3), &info), 0);
        file_bytes += (uint64_t)info.st_size;
    }
    assert_int_equal(gguf_file_bytes(g), file_bytes);
    gguf_walk(g);
    gguf_close(g);
    support_remove_folder(folder);
}

static void later_part_names_the_first(void **state) {
    (void)state;
    char *folder = write_model(), other[PATH_BYTES];
    check_refusal(part_path(folder, 2, 3), "is part 3 of 3 of a split model; open ", part_path(folder, 0, 3));
    snprintf(other, sizeof other, "%s/x", folder);
    assert_int_equal(rename(part_path(folder, 1, 3), other), 0);
    check_refusal(other, "is part 2 of 3 of a split model; open its first part", other);
    support_remove_folder(folder);
}

static void missing_part_is_named(void **state) {
    (void)state;
    char *folder = write_model();
    assert_int_equal(unlink(part_path(folder, 1, 3)), 0);
    check_refusal(part_path(folder, 0, 3), "part 2 of 3 is missing: no file ", part_path(folder, 1, 3));
    support_remove_folder(folder);
}

static void first_part_under_another_name_says_what_it_needs(void **state) {
    (void)state;
    char *folder = write_model(), other[PATH_BYTES];
    snprintf(other, sizeof other, "%s/model.gguf", folder);
    assert_int_equal(rename(part_path(folder, 0, 3), other), 0);
    check_refusal(other, "is part 1 of 3, but is not named <prefix>-00001-of-00003.gguf", other);
    support_remove_folder(folder);
}

static void part_of_another_model_is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        unsigned place; /* which part is replaced */
        struct part part;
        const char *expected;
    } wrong[] = {
        { 1,
          { .no = 2, .count = 3, .total = 3, .tensors = { "c" } },
          "is part 3 of 3, expected part 2 of 3" },
        { 2,
          { .no = 2, .count = 4, .total = 3, .tensors = { "c" } },
          "is part 3 of 4, expected part 3 of 3" },
        { 2,
          { .no = 0, .count = 1, .total = 3, .tensors = { "c" } },
          "is part 1 of 1, expected part 3 of 3" },
        { 2,
          { .no = 2, .count = 3, .total = 9, .tensors = { "c" } },
          "belongs to a model of 9 tensors, but" },
        { 2,
          { .no = 2, .count = 3, .total = 3, .arch = "qwen3", .tensors = { "c" } },
          "belongs to a model of architecture 'qwen3', but" },
        { 2,
          { .no = 2, .count = 3, .total = 3, .arch = "", .tensors = { "c" } },
          "key 'general.architecture' is an integer, string expected" },
        { 2,
          { .no = 5, .count = 3, .total = 3, .tensors = { "c" } },
          "key 'split.no' is 5, allowed are 0 to 2" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *folder = write_model();
        const char *path = part_path(folder, wrong[i].place, 3);
        write_part(path, &wrong[i].part);
        check_refusal(part_path(folder, 0, 3), wrong[i].expected, path);
        support_remove_folder(folder);
    }
}

static void damaged_part_is_refused_by_name(void **state) {
    (void)state;
    char *folder = write_model(), *path = part_path(folder, 2, 3);
    support_write(path, "GGUF", 4);
    check_refusal(part_path(folder, 0, 3), "ends inside the header at byte 4", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    check_refusal(part_path(folder, 0, 3), "is a directory", path);
    support_remove_folder(folder);
}

static void tensor_in_two_parts_is_refused(void **state) {
    (void)state;
    static const struct part again = { .no = 2, .count = 3, .total = 3, .tensors = { "a" } };
    char *folder = write_model();
    write_part(part_path(folder, 2, 3), &again);
    check_refusal(part_path(folder, 0, 3), "tensor 'a' stands twice in the parts of the model", "");
    support_remove_folder(folder);
}

static void count_of_tensors_must_be_that_of_all_parts(void **state) {
    (void)state;
    static const struct part more = { .no = 2, .count = 3, .total = 3, .tensors = { "c", "d" } };
    char *folder = write_model();
    write_part(part_path(folder, 2, 3), &more);
    check_refusal(part_path(folder, 0, 3), "the 3 parts hold 4 tensors, split.tensors.count is 3", "");
    support_remove_folder(folder);
}

static void merged_model_with_leftover_keys_opens(void **state) {
    (void)state;
    for (unsigned count = 0; count < 2; count++) {
        const struct part merged = { .no = 2, .count = count, .total = 3, .tensors = { "a", "b", "c" } };
        char *folder = support_temporary_folder(), path[PATH_BYTES];
        snprintf(path, sizeof path, "%s/merged.gguf", folder);
        write_part(path, &merged);
        struct gguf *g = NULL;
        assert_int_equal(gguf_open(path, &g, NULL), QUERN_OK);
        assert_int_equal(gguf_n_parts(g), 1);
        gguf_close(g);
        support_remove_folder(folder);
    }
}

static void thousand_parts_open_and_one_more_does_not(void **state) {
    (void)state;
    enum { MANY = 1000 };
    char *folder = support_temporary_folder();
    for (unsigned i = 0; i < MANY; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%u", i);
        const struct part p = { .no = i, .count = MANY, .total = MANY, .tensors = { name } };
        write_part(part_path(folder, i, MANY), &p);
    }
    struct gguf *g = NULL;
    struct quern_error err = { .status = QUERN_OK };
    if (gguf_open(part_path(folder, 0, MANY), &g, &err))
        fail_msg("%s", err.text);
    assert_int_equal(gguf_n_parts(g), MANY);
    assert_int_equal(gguf_find_tensor(g, "t999")->part, 999);
    gguf_walk(g);
    gguf_close(g);

    const struct part beyond = { .no = 0, .count = MANY + 1, .total = 1, .tensors = { "t" } };
    const char *path = part_path(folder, 0, MANY + 1);
    write_part(path, &beyond);
    check_refusal(path, "key 'split.count' is 1001, allowed are 0 to 1000", path);
    support_remove_folder(folder);
}

static void split_model_in_memory_is_refused(void **state) {
    (void)state;
    char *folder = write_model();
    size_t bytes;
    uint8_t *data = support_read(part_path(folder, 0, 3), &bytes);
    struct gguf *g = NULL;
    struct quern_error err;
    assert_int_equal(gguf_open_memory(data, bytes, "m.gguf", &g, &err), QUERN_UNSUPPORTED);
    assert_string_equal(err.text,
                        "m.gguf: is part 1 of 3 of a split model, which cannot be opened from memory");
    free(data);
    support_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_part_opens_all),
        cmocka_unit_test(later_part_names_the_first),
        cmocka_unit_test(missing_part_is_named),
        cmocka_unit_test(first_part_under_another_name_says_what_it_needs),
        cmocka_unit_test(part_of_another_model_is_refused_by_name),
        cmocka_unit_test(damaged_part_is_refused_by_name),
        cmocka_unit_test(tensor_in_two_parts_is_refused),
        cmocka_unit_test(count_of_tensors_must_be_that_of_all_parts),
        cmocka_unit_test(merged_model_with_leftover_keys_opens),
        cmocka_unit_test(thousand_parts_open_and_one_more_does_not),
        cmocka_unit_test(split_model_in_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
