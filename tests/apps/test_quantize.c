/* test_quantize.c - quern quantize: what it writes, and that it never loses or half-writes a file.
 * SPDX-License-Identifier: MIT */
#include "tests/apps/run_quern.h"
#include "tests/formats/gguf_build.h"
#include "tests/support.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct folder {
    char *path, in[4200], out[4200];
};

static int make_folder(void **state) {
    struct folder *f = malloc(sizeof *f);
    assert_non_null(f);
    f->path = support_temporary_folder();
    snprintf(f->in, sizeof f->in, "%s/in.gguf", f->path);
    snprintf(f->out, sizeof f->out, "%s/out.gguf", f->path);
    *state = f;
    return 0;
}

static int remove_folder(void **state) {
    struct folder *f = *state;
    support_remove_folder(f->path);
    free(f);
    return 0;
}

static size_t n_files(const char *folder) {
    DIR *d = opendir(folder);
    assert_non_null(d);
    size_t n = 0;
    for (const struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* A matrix that is converted, one whose rows are no multiple of 32, and three that stay. rows: of the
 * first. Returns the offset of its data; values are small. */
static size_t write_input(const char *path, uint32_t type, uint64_t rows, float first_value) {
    struct gguf_build b = { .alignment = 32 };
    build_header(&b, 5, 2);
    build_string(&b, "general.architecture", "flamingo");
    build_number(&b, "general.file_type", GGUF_U32, 0);
    build_tensor(&b, "blk.0.ffn_up.weight", type, 2, (const uint64_t[]){ 64, rows });
    build_tensor(&b, "blk.0.odd.weight", TYPE_F32, 2, (const uint64_t[]){ 20, 2 });
    build_tensor(&b, "blk.0.ffn_gate_inp.weight", TYPE_F32, 2, (const uint64_t[]){ 64, 2 });
    build_tensor(&b, "blk.0.attn_norm.weight", TYPE_F32, 1, (const uint64_t[]){ 64 });
    build_tensor(&b, "blk.0.ffn_up.scale", TYPE_F32, 2, (const uint64_t[]){ 32, 1 });
    build_data(&b);
    struct quern_error err;
    struct gguf *g = NULL;
    assert_int_equal(gguf_open_memory(b.data, b.bytes, "built", &g, &err), QUERN_OK);
    const size_t offset = (size_t)gguf_tensor(g, 0)->file_offset;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        for (size_t k = 0; t->type == TYPE_F32 && k < t->bytes / sizeof(float); k++) {
            float v = k || i ? 0.01f * (float)(k % 100) - 0.3f : first_value;
            memcpy(b.data + t->file_offset + k * sizeof v, &v, sizeof v);
        }
    }
    gguf_close(g);
    support_write(path, b.data, b.bytes);
    build_free(&b);
    return offset;
}

static void each_tensor_gets_the_type_it_should(void **state) {
    const struct folder *f = *state;
    static const struct {
        const char *target;
        uint32_t converted, odd;
        int64_t file_type;
    } cases[] = {
        { "q8_0", TYPE_Q8_0, TYPE_F16, 7 },
        { "F16", TYPE_F16, TYPE_F16, 1 },
        { "bf16", TYPE_BF16, TYPE_BF16, 32 },
        { "F32", TYPE_F32, TYPE_F32, 0 },
    };
    write_input(f->in, TYPE_F32, 3, 0.5f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct result r = run_quern(&(struct run){ .args = { "quantize", f->in, f->out, cases[i].target } });
        assert_status(r, 0);
        if (cases[i].converted == TYPE_Q8_0)
            assert_contains(r.err, "note: tensor 'blk.0.odd.weight': its rows of 20 are no multiple of 32");
        struct quern_error err;
        struct gguf *g = NULL;
        int64_t file_type, version;
        bool found;
        assert_int_equal(gguf_open(f->out, &g, &err), QUERN_OK);
        assert_int_equal(gguf_find_tensor(g, "blk.0.ffn_up.weight")->type, cases[i].converted);
        assert_int_equal(gguf_find_tensor(g, "blk.0.odd.weight")->type, cases[i].odd);
        assert_int_equal(gguf_find_tensor(g, "blk.0.ffn_gate_inp.weight")->type, TYPE_F32);
        assert_int_equal(gguf_find_tensor(g, "blk.0.attn_norm.weight")->type, TYPE_F32);
        assert_int_equal(gguf_find_tensor(g, "blk.0.ffn_up.scale")->type, TYPE_F32);
        assert_int_equal(gguf_get_integer(g, "general.file_type", 0, 99, &file_type, &found, &err), QUERN_OK);
        assert_int_equal(gguf_get_integer(g, "general.quantization_version", 0, 9, &version, &found, &err),
                         QUERN_OK);
        assert_int_equal(file_type, cases[i].file_type);
        assert_int_equal(version, 2);
        gguf_close(g);
        free_result(&r);
    }
}

static void the_bytes_do_not_depend_on_the_threads(void **state) {
    const struct folder *f = *state;
    uint8_t *first = NULL;
    size_t first_bytes = 0;
    write_input(f->in, TYPE_F32, 40000, 0.5f);
    for (int i = 0; i < 3; i++) {
        const char *threads[] = { "1", "2", "5" };
        struct result r =
            run_quern(&(struct run){ .args = { "quantize", f->in, f->out, "Q8_0", "-q", "-t", threads[i] } });
        assert_status(r, 0);
        assert_string_equal(r.out, "");
        free_result(&r);
        size_t bytes;
        uint8_t *out = support_read(f->out, &bytes);
        if (i > 0) {
            assert_int_equal(bytes, first_bytes);
            assert_memory_equal(out, first, bytes);
            free(out);
        } else {
            first = out;
            first_bytes = bytes;
        }
    }
    free(first);
}

static void a_quantized_input_needs_a_flag(void **state) {
    const struct folder *f = *state;
    struct result r = run_quern(&(struct run){ .args = { "quantize", bundled_model(), f->out, "F16" } });
    assert_status(r, 1);
    assert_contains(r.err, "is quantized already (Q8_0)");
    assert_contains(r.err, "--allow-requantize");
    assert_int_equal(n_files(f->path), 0);
    free_result(&r);
    r = run_quern(
        &(struct run){ .args = { "quantize", bundled_model(), f->out, "F16", "--allow-requantize" } });
    assert_status(r, 0);
    assert_int_equal(n_files(f->path), 1);
    free_result(&r);
}

static void the_input_is_never_the_output(void **state) {
    const struct folder *f = *state;
    char links[3][4200];
    snprintf(links[0], sizeof links[0], "%s/symbolic", f->path);
    snprintf(links[1], sizeof links[1], "%s/hard", f->path);
    snprintf(links[2], sizeof links[2], "%s/./in.gguf", f->path);
    write_input(f->in, TYPE_F32, 3, 0.5f);
    assert_int_equal(symlink(f->in, links[0]), 0);
    assert_int_equal(link(f->in, links[1]), 0);
    size_t before_bytes, after_bytes;
    uint8_t *before = support_read(f->in, &before_bytes);
    for (size_t i = 0; i < 3; i++) {
        struct result r = run_quern(&(struct run){ .args = { "quantize", f->in, links[i], "Q8_0" } });
        assert_status(r, 1);
        assert_contains(r.err, "is the input");
        assert_true(is_one_line(r.err));
        free_result(&r);
    }
    uint8_t *after = support_read(f->in, &after_bytes);
    assert_int_equal(after_bytes, before_bytes);
    assert_memory_equal(after, before, before_bytes);
    free(after);
    free(before);
}

static void a_value_that_cannot_be_written_is_named(void **state) {
    const struct folder *f = *state;
    static const struct {
        float value;
        const char *target, *says;
    } cases[] = {
        { 0.0f / 0.0f, "Q8_0", "tensor 'blk.0.ffn_up.weight': row 0, column 0" },
        { 1.0f / 0.0f, "BF16", "is no finite number" },
        { 70000.0f, "F16", "too large" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_input(f->in, TYPE_F32, 3, cases[i].value);
        struct result r =
            run_quern(&(struct run){ .args = { "quantize", "-q", f->in, f->out, cases[i].target } });
        assert_status(r, 1);
        assert_contains(r.err, cases[i].says);
        assert_true(is_one_line(r.err));
        assert_int_equal(n_files(f->path), 1);
        free_result(&r);
    }
}

static void no_file_is_left_when_the_disk_is_full(void **state) {
    const struct folder *f = *state;
    write_input(f->in, TYPE_F32, 40000, 0.5f);
    struct result r = run_quern(
        &(struct run){ .args = { "quantize", "-q", f->in, f->out, "Q8_0" }, .file_limit = 1000000 });
    assert_status(r, 1);
    assert_contains(r.err, "out.gguf");
    assert_true(is_one_line(r.err));
    assert_int_equal(n_files(f->path), 1);
    free_result(&r);
}

static void an_old_output_stays_until_the_new_one_is_complete(void **state) {
    const struct folder *f = *state;
    write_input(f->in, TYPE_F32, 3, 0.0f / 0.0f);
    support_write(f->out, "old", 3);
    struct result r = run_quern(&(struct run){ .args = { "quantize", "-q", f->in, f->out, "Q8_0" } });
    assert_status(r, 1);
    size_t bytes;
    uint8_t *out = support_read(f->out, &bytes);
    assert_string_equal((const char *)out, "old");
    free(out);
    free_result(&r);
}

static void no_file_is_left_when_interrupted(void **state) {
    const struct folder *f = *state;
    /* Half a gigabyte of zeros that take no room: long enough to be interrupted. */
    struct gguf_build b = { .alignment = 32 };
    build_header(&b, 1, 1);
    build_string(&b, "general.architecture", "flamingo");
    build_tensor(&b, "a.weight", TYPE_F16, 2, (const uint64_t[]){ 1 << 14, 1 << 14 });
    support_write(f->in, b.data, b.bytes);
    const size_t header_bytes = (b.bytes + 31) / 32 * 32;
    build_free(&b);
    assert_int_equal(truncate(f->in, (off_t)(header_bytes + ((size_t)2 << 28))), 0);

    struct child child =
        start_quern(&(struct run){ .args = { "quantize", f->in, f->out, "Q8_0", "-t", "1" }, .pipes = true });
    for (int i = 0; i < 1000 && n_files(f->path) < 2; i++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000 * 1000 }, NULL);
    assert_int_equal(n_files(f->path), 2); /* the input, and the output's beginning */
    kill(child.pid, SIGINT);
    struct result r = end_quern(&child);
    close(child.in);
    assert_status(r, 130);
    assert_string_equal(r.err, "quern: interrupted\n");
    assert_int_equal(n_files(f->path), 1);
    free_result(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_tensor_gets_the_type_it_should),
        TEST(the_bytes_do_not_depend_on_the_threads),
        TEST(a_quantized_input_needs_a_flag),
        TEST(the_input_is_never_the_output),
        TEST(a_value_that_cannot_be_written_is_named),
        TEST(no_file_is_left_when_the_disk_is_full),
        TEST(an_old_output_stays_until_the_new_one_is_complete),
        TEST(no_file_is_left_when_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
