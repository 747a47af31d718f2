/* test_inspect.c - quern inspect: any GGUF file is told about, also one that does not run.
 * SPDX-License-Identifier: MIT */
#include "tests/apps/run_quern.h"
#include "tests/formats/gguf_build.h"
#include "tests/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct folder {
    char *path, file[4200];
};

static int make_folder(void **state) {
    struct folder *f = malloc(sizeof *f);
    assert_non_null(f);
    f->path = support_temporary_folder();
    snprintf(f->file, sizeof f->file, "%s/file.gguf", f->path);
    *state = f;
    return 0;
}

static int remove_folder(void **state) {
    struct folder *f = *state;
    support_remove_folder(f->path);
    free(f);
    return 0;
}

static void write_build(const char *path, struct gguf_build *b) {
    build_data(b);
    support_write(path, b->data, b->bytes);
    build_free(b);
}

static void a_model_is_told_with_types_memory_and_tensors(void **state) {
    (void)state;
    struct result r =
        run_quern(&(struct run){ .args = { "inspect", bundled_model(), "--tensors", "-c", "512" } });
    assert_status(r, 0);
    static const char *const parts[] = { "llama",
                                         "Q8_0",
                                         "8.51 bits each",
                                         "with a context of 512",
                                         "Tensor types",
                                         "tokenizer.ggml.tokens (array of 4096 string): \"<unk>\", \"<s>\"",
                                         "blk.7.ffn_down.weight",
                                         "256 x 4096" };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_contains(r.out, parts[i]);
    assert_string_equal(r.err, "");
    free_result(&r);
}

static void json_tells_the_same(void **state) {
    (void)state;
    struct result r = run_quern(&(struct run){
        .args = { "inspect", "--json", "--tensors", "--all", "--strict", "-m", bundled_model() } });
    assert_status(r, 0);
    json_t *json = result_json(&r);
    const json_t *memory = json_object_get(json, "memory"), *metadata = json_object_get(json, "metadata");
    const json_t *tokens = json_object_get(metadata, "tokenizer.ggml.tokens");
    assert_string_equal(json_string_value(json_object_get(json, "architecture")), "llama");
    assert_string_equal(json_string_value(json_object_get(json, "file_type")), "Q8_0");
    assert_true(json_is_true(json_object_get(json, "runs")));
    assert_int_equal(json_integer_value(json_object_get(memory, "total")),
                     json_integer_value(json_object_get(memory, "weights")) +
                         json_integer_value(json_object_get(memory, "cache")) +
                         json_integer_value(json_object_get(memory, "work")));
    assert_int_equal(json_array_size(json_object_get(tokens, "value")), 4096);
    assert_int_equal(json_array_size(json_object_get(json, "tensors")), 74);
    assert_int_equal(json_array_size(json_object_get(json, "problems")), 0);
    json_decref(json);
    free_result(&r);
}

static void a_file_that_does_not_run_is_told_with_the_reason(void **state) {
    const char *path = ((struct folder *)*state)->file;
    static const struct {
        const char *architecture, *type, *says;
    } cases[] = {
        { "llama", "adapter", "an adapter (LoRA)" },
        { "llama", "imatrix", "an importance matrix" },
        { "clip", "mmproj", "image or audio part" },
        { "flamingo", "model", "flamingo" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gguf_build b = { .alignment = 32 };
        build_header(&b, 1, 2);
        build_string(&b, "general.architecture", cases[i].architecture);
        build_string(&b, "general.type", cases[i].type);
        build_tensor(&b, "a.weight", TYPE_F32, 2, (const uint64_t[]){ 4, 2 });
        write_build(path, &b);
        struct result r = run_quern(&(struct run){ .args = { "inspect", path } });
        assert_status(r, 0);
        assert_contains(r.out, cases[i].says);
        assert_contains(r.out, "does not run");
        free_result(&r);
    }
}

static void text_of_a_file_cannot_steer_the_terminal(void **state) {
    const char *path = ((struct folder *)*state)->file;
    struct gguf_build b = { .alignment = 32 };
    build_header(&b, 1, 2);
    build_string(&b, "general.architecture", "a\033[2Jb\n\x9b");
    build_string(&b, "k\033]0;x\a", "tab\there");
    build_tensor(&b, "t\033[1m", TYPE_F32, 1, (const uint64_t[]){ 4 });
    write_build(path, &b);
    struct result r = run_quern(&(struct run){ .args = { "inspect", path, "--tensors", "--all" } });
    assert_status(r, 0);
    assert_contains(r.out, "a\\x1B[2Jb\\n");
    for (size_t i = 0; i < r.out_bytes; i++)
        assert_true((unsigned char)r.out[i] >= 0x20 || r.out[i] == '\n');
    free_result(&r);
    r = run_quern(&(struct run){ .args = { "inspect", path, "--tensors", "--json" } });
    assert_status(r, 0);
    json_t *json = result_json(&r);
    json_decref(json);
    free_result(&r);
}

static void strict_names_the_number_that_is_none(void **state) {
    const char *path = ((struct folder *)*state)->file;
    struct gguf_build b = { .alignment = 32 };
    build_header(&b, 2, 1);
    build_string(&b, "general.architecture", "flamingo");
    build_tensor(&b, "plain.weight", TYPE_F32, 2, (const uint64_t[]){ 4, 2 });
    build_tensor(&b, "blocks.weight", TYPE_Q8_0, 2, (const uint64_t[]){ 64, 2 });
    build_data(&b);
    const float numbers[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    const size_t blocks_at = b.bytes - 4 * 34, plain_at = blocks_at - sizeof numbers;
    memcpy(b.data + plain_at, numbers, sizeof numbers);
    memset(b.data + blocks_at, 1, 136);
    support_write(path, b.data, b.bytes);
    struct result r = run_quern(&(struct run){ .args = { "inspect", path, "--strict" } });
    assert_status(r, 0);
    assert_contains(r.out, "Nothing is wrong");
    free_result(&r);

    memcpy(b.data + plain_at + 4 * 6, "\0\0\xC0\x7F", 4); /* NaN in row 1, column 2 */
    memcpy(b.data + blocks_at + 34 * 3, "\0\x7C", 2);     /* infinity for row 1, columns 32..63 */
    support_write(path, b.data, b.bytes);
    build_free(&b);
    r = run_quern(&(struct run){ .args = { "inspect", path, "--strict" } });
    assert_status(r, 1);
    assert_contains(r.err, "tensor 'plain.weight': element 6 (row 1, column 2) is NaN or infinite");
    assert_contains(r.err,
                    "tensor 'blocks.weight': the scale of element 96 (row 1, column 32) is NaN or infinite");
    free_result(&r);
    r = run_quern(&(struct run){ .args = { "inspect", path } }); /* not asked to read the data */
    assert_status(r, 0);
    free_result(&r);
}

static void what_is_no_gguf_is_refused(void **state) {
    const char *path = ((struct folder *)*state)->file;
    support_write(path, "<!DOCTYPE html><html>", 21);
    struct result r = run_quern(&(struct run){ .args = { "inspect", path } });
    assert_status(r, 1);
    assert_contains(r.err, "file.gguf");
    assert_true(is_one_line(r.err));
    free_result(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_model_is_told_with_types_memory_and_tensors),
        TEST(json_tells_the_same),
        TEST(a_file_that_does_not_run_is_told_with_the_reason),
        TEST(text_of_a_file_cannot_steer_the_terminal),
        TEST(strict_names_the_number_that_is_none),
        TEST(what_is_no_gguf_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
