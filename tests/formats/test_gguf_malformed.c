/* test_gguf_malformed.c - files with one lie are refused, with one line that says where.
 * SPDX-License-Identifier: MIT
 * The classes are those of a model file: cut off, absurd counts, wrong types, shapes, offsets. What a
 * fuzzer found is a row here too. */
#include "tests/formats/failing_malloc.h"
#include "tests/formats/gguf_build.h"
#include "tests/formats/gguf_walk.h"
#include "tests/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char file_name[] = "lie.gguf";

/* ---- Opening and judging ---- */

struct outcome {
    enum quern_status status;
    struct quern_error err;
    struct malloc_count malloc;
};

/* Open a copy that ends exactly where its allocation ends, walk it if it opens, close it. */
static struct outcome open_bytes(const void *data, size_t bytes, size_t fail_at) {
    struct outcome o = { .status = QUERN_OK };
    void *copy = malloc(bytes ? bytes : 1);
    struct gguf *g = NULL;
    assert_non_null(copy);
    memcpy(copy, data, bytes);
    failing_malloc_start(fail_at);
    o.status = gguf_open_memory(copy, bytes, file_name, &g, &o.err);
    o.malloc = failing_malloc_stop();
    if (o.status == QUERN_OK) {
        gguf_walk(g);
        gguf_close(g);
    } else {
        assert_null(g);
        assert_int_equal(o.malloc.live, 0);
    }
    free(copy);
    return o;
}

/* One line: the file's name first, no control character. Sizes are held against that of the file. */
static void check_refusal(const struct outcome *o, size_t bytes, const char *expected, const char *what) {
    if (o->status == QUERN_OK)
        fail_msg("%s: was opened, expected '%s'", what, expected);
    if (!strstr(o->err.text, expected))
        fail_msg("%s: got '%s', expected '%s'", what, o->err.text, expected);
    if (strncmp(o->err.text, file_name, sizeof file_name - 1) != 0)
        fail_msg("%s: does not name the file: '%s'", what, o->err.text);
    for (const char *p = o->err.text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            fail_msg("%s: control character in '%s'", what, o->err.text);
    assert_int_equal(o->err.status, o->status);
    if (o->malloc.bytes > 4 * bytes + 65536)
        fail_msg("%s: allocated %zu bytes for a file of %zu", what, o->malloc.bytes, bytes);
}

/* ---- One lie each ---- */

struct row {
    const char *what;
    struct gguf_lie lie;
    const char *expected;
};

static const struct row rows[] = {
    /* header */
    { "version 0", { "version", 0, NULL }, "GGUF version 0 unsupported (2-3)" },
    { "version 1", { "version", 1, NULL }, "GGUF version 1 unsupported (2-3)" },
    { "version 4", { "version", 4, NULL }, "GGUF version 4 unsupported (2-3)" },
    { "version of a big-endian file", { "version", 0x03000000, NULL }, "big-endian file (GGUF version 3)" },
    { "more tensors than bytes",
      { "n_tensors", 1000, NULL },
      "header announces 1000 tensors, impossible in" },
    { "2^63 tensors", { "n_tensors", 1ull << 63, NULL }, "announces 9223372036854775808 tensors" },
    { "2^64 - 1 tensors", { "n_tensors", UINT64_MAX, NULL }, "tensors, impossible in" },
    { "more keys than bytes", { "n_kv", 1000, NULL }, "header announces 1000 keys, impossible in" },
    { "2^64 - 1 keys", { "n_kv", UINT64_MAX, NULL }, "keys, impossible in" },
    { "one key too many", { "n_kv", 18, NULL }, "exceeds the file (236 bytes left), in tensor 0" },

    /* keys */
    { "key length past the end",
      { "x.u8/key_bytes", 1 << 20, NULL },
      "string length 1048576 at byte 102 exceeds" },
    { "key length 2^64 - 1", { "x.u8/key_bytes", UINT64_MAX, NULL }, "string length 18446744073709551615" },
    { "empty key", { "x.u8/key", 0, "" }, "the name of key 2 at byte 102 is empty" },
    { "duplicate key", { "x.u8/key", 0, "x.i8" }, "key 'x.i8' stands twice in the metadata" },
    { "unknown value type",
      { "x.u8/type", 13, NULL },
      "key 'x.u8': value type 13 at byte 114 is unknown (known" },
    { "value type 2^32 - 1", { "x.u8/type", UINT32_MAX, NULL }, "value type 4294967295 at byte" },

    /* strings and arrays */
    { "string length past the end",
      { "general.architecture/0_bytes", 5000, NULL },
      "string length 5000 at byte 56 exceeds the file" },
    { "string in an array past the end", { "x.words/2_bytes", 1 << 30, NULL }, "in key 'x.words'" },
    { "array longer than the file",
      { "x.numbers/n", 1 << 20, NULL },
      "key 'x.numbers': array length 1048576 at byte" },
    { "array length times 4 is 2^64",
      { "x.numbers/n", 1ull << 62, NULL },
      "array length 4611686018427387904" },
    { "array of strings longer than the file", { "x.words/n", 1 << 16, NULL }, "array length 65536 at byte" },
    { "unknown element type", { "x.numbers/element", 99, NULL }, "key 'x.numbers': element type 99 at byte" },
    { "array of arrays",
      { "x.numbers/element", GGUF_ARRAY, NULL },
      "key 'x.numbers' is an array of arrays at" },

    /* alignment */
    { "alignment 0",
      { "general.alignment/value", 0, NULL },
      "'general.alignment' is 0, allowed are 1 to 1048576" },
    { "alignment 48",
      { "general.alignment/value", 48, NULL },
      "'general.alignment' is 48, a power of two is needed" },
    { "alignment 2 MiB",
      { "general.alignment/value", 1 << 21, NULL },
      "'general.alignment' is 2097152, allowed" },
    { "alignment as float",
      { "general.alignment/type", GGUF_F32, NULL },
      "key 'general.alignment' is a real number, integer expected" },

    /* tensor infos */
    { "empty tensor name", { "b.weight/name", 0, "" }, "the name of tensor 1 at byte" },
    { "tensor name length past the end", { "b.weight/name_bytes", 1 << 20, NULL }, "in tensor 1" },
    { "duplicate tensor", { "b.weight/name", 0, "a.weight" }, "tensor 'a.weight' stands twice in the file" },
    { "0 dimensions",
      { "b.weight/n_dims", 0, NULL },
      "tensor 'b.weight' has 0 dimensions, allowed are 1 to 4" },
    { "5 dimensions",
      { "b.weight/n_dims", 5, NULL },
      "tensor 'b.weight' has 5 dimensions, allowed are 1 to 4" },
    { "2^32 - 1 dimensions", { "b.weight/n_dims", UINT32_MAX, NULL }, "has 4294967295 dimensions" },
    { "row of 0",
      { "b.weight/ne0", 0, NULL },
      "tensor 'b.weight' has the shape [0, 2], no dimension may be 0" },
    { "0 rows", { "b.weight/ne1", 0, NULL }, "tensor 'b.weight' has the shape [32, 0]" },
    { "2^64 - 1 rows",
      { "b.weight/ne1", UINT64_MAX, NULL },
      "tensor 'b.weight' of shape [32, 18446744073709551615] has more than 2^63 - 1 values" },
    { "2^63 values", { "c.weight/ne0", 1ull << 63, NULL }, "has more than 2^63 - 1 values" },
    { "2^62 values of 2 bytes", { "c.weight/ne0", 1ull << 62, NULL }, "has more than 2^63 - 1 bytes" },
    { "unknown type", { "c.weight/type", 1000, NULL }, "tensor 'c.weight': type 1000 " },
    { "removed type", { "c.weight/type", 31, NULL }, "was removed" },
    { "type of another engine", { "c.weight/type", 144, NULL }, "IQ4_KS" },
    { "row not a multiple of the block",
      { "b.weight/ne0", 100, NULL },
      "row 100 of tensor 'b.weight' is not a multiple of 32 (Q4_0)" },

    /* where the data lies */
    { "offset not aligned",
      { "b.weight/offset", 33, NULL },
      "tensor 'b.weight' at offset 33 is not aligned to a multiple of 32" },
    { "same offset",
      { "b.weight/offset", 0, NULL },
      "tensor 'b.weight' begins at byte 640 and overlaps tensor 'a.w" },
    { "overlap with the next",
      { "b.weight/offset", 64, NULL },
      "'c.weight' begins at byte 736 and overlaps" },
    { "offset beyond the file",
      { "c.weight/offset", 4096, NULL },
      "tensor 'c.weight' (offset 4096, 16 bytes) lies beyond the file (752 bytes), and tensor 'b.weight' "
      "before" },
    { "first offset beyond the file",
      { "a.weight/offset", 1 << 20, NULL },
      "tensor 'a.weight' (offset 1048576, 32" },
    { "offset 2^63", { "c.weight/offset", 1ull << 63, NULL }, "lies beyond the file" },
    { "offset 2^64 - 32", { "c.weight/offset", UINT64_MAX - 31, NULL }, "lies beyond the file" },
    { "2^62 values", { "b.weight/ne1", 1ull << 57, NULL }, "'c.weight' begins at byte 736 and overlaps" },
    { "2^61 values", { "c.weight/ne0", 1ull << 61, NULL }, "download incomplete, 0 % present" },
    { "2^63 - 1 bytes", { "c.weight/ne0", (1ull << 62) - 1, NULL }, "lies beyond the file" },

    /* cut off */
    { "no byte", { "file/bytes", 0, NULL }, "file is empty (0 bytes)" },
    { "half a magic number", { "file/bytes", 2, NULL }, "ends inside the header at byte 2" },
    { "cut in the header", { "file/bytes", 20, NULL }, "ends inside the header at byte 20" },
    { "cut in the data",
      { "file/bytes", 700, NULL },
      "tensor 'c.weight' ends at byte 752 but the file has 700 bytes; download incomplete, 93 % present" },
    { "cut in a key", { "file/bytes", 400, NULL }, "ends inside key 15 at byte 400" },
    { "cut in an element type", { "file/bytes", 374, NULL }, "ends inside key 'x.numbers' at byte 374" },
    { "cut in a value", { "file/bytes", 381, NULL }, "ends inside key 'x.numbers' at byte 381" },
    { "cut in a tensor info", { "file/bytes", 620, NULL }, "ends inside tensor 'c.weight' at byte 620" },
    { "cut before the data", { "file/bytes", 639, NULL }, "download incomplete, 84 % present" },
    { "last byte missing", { "file/bytes", 751, NULL }, "download incomplete, 99 % present" },
};

static void reader_refuses_each_lie_with_one_line(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct gguf_build b = { .lie = rows[i].lie };
        build_sample(&b);
        if (!b.has_lied)
            fail_msg("%s: no field '%s'", rows[i].what, rows[i].lie.field);
        struct outcome o = open_bytes(b.data, b.bytes, 0);
        check_refusal(&o, b.bytes, rows[i].expected, rows[i].what);
        build_free(&b);
    }
}

/* ---- Files that are something else ---- */

struct foreign {
    const char *what;
    const char *bytes;
    size_t n;
    const char *expected;
};

#define BYTES(literal) literal, sizeof(literal) - 1

static const struct foreign foreigners[] = {
    { "safetensors", BYTES("\x40\0\0\0\0\0\0\0{\"a\":{}}"), "is a safetensors file" },
    { "zip", BYTES("PK\003\004archive/data.pkl"), "is a zip archive" },
    { "pickle 2", BYTES("\200\002}q"), "is a Python pickle" },
    { "pickle 4", BYTES("\200\004\225"), "is a Python pickle" },
    { "Git LFS pointer", BYTES("version https://git-lfs.github.com/spec/v1\noid sha256:0"),
      "is a Git LFS pointer" },
    { "web page", BYTES("\n <!DOCTYPE html><html>"), "is a web page" },
    { "web page with a byte order mark", BYTES("\xef\xbb\xbf<HTML>"), "is a web page" },
    { "ggml", BYTES("lmgg\0\0\0\0"), "is a GGML file from before August 2023" },
    { "ggmf", BYTES("fmgg\1\0\0\0"), "is a GGML file from before August 2023" },
    { "ggjt", BYTES("tjgg\3\0\0\0"), "is a GGML file from before August 2023" },
    { "ggla", BYTES("algg\1\0\0\0"), "is a GGML LoRA adapter" },
    { "gzip", BYTES("\037\213\010\0"), "is a compressed file" },
    { "xz", BYTES("\3757zXZ\0"), "is a compressed file" },
    { "zstd", BYTES("\050\265\057\375\0"), "is a compressed file" },
    { "magic with its bytes swapped", BYTES("FUGG\0\0\0\3"), "is a big-endian GGUF file" },
    { "zeros", BYTES("\0\0\0\0\0\0\0\0\0\0"), "begins with zeros" },
    { "text", BYTES("Access denied\n"), "is a text file" },
    { "lower case", BYTES("gguf\3\0\0\0"), "begins with 67 67 75 66, not with 47 47 55 46" },
    { "one byte", BYTES("\1"), "begins with 01 00 00 00" },
};
#undef BYTES

static void reader_says_what_a_foreign_file_is(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof foreigners / sizeof *foreigners; i++) {
        const struct foreign *f = &foreigners[i];
        struct outcome o = open_bytes(f->bytes, f->n, 0);
        check_refusal(&o, f->n, f->expected, f->what);
    }
}

/* ---- Names in messages ---- */

static void hostile_names_are_harmless_in_messages(void **state) {
    (void)state;
    static const struct {
        const char *name, *shown;
    } names[] = {
        { "a\n\033[2J\r\177b", "key 'a??[2J??b':" },
        { "C1 \xc2\x9b here", "key 'C1 ? here':" }, /* U+009B begins an escape sequence too */
        { "good \xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\xbe",
          "key 'good \xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\xbe':" },
        { "overlong \xc0\xaf \xe0\x80\xaf \xf0\x80\x80\xaf.", "key 'overlong ?? ??? ????.':" },
        { "surrogate \xed\xa0\x80, beyond \xf4\x90\x80\x80 \xff", "key 'surrogate ???, beyond ???? ?':" },
        { "cut \xe2", "key 'cut ?':" },
        { "%s%n%d", "key '%s%n%d':" },
        { "0123456789012345678901234567890123456789012345678901234567890123456789012345678\xe2\x82\xac",
          "key '0123456789012345678901234567890123456789012345678901234567890123456789012345678...':" },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct gguf_build b = { .alignment = 32 };
        build_header(&b, 0, 1);
        build_number(&b, names[i].name, (enum gguf_value_type)0, 0);
        size_t type_at = b.bytes - 1 - 4;
        b.data[type_at] = 99;
        struct outcome o = open_bytes(b.data, b.bytes, 0);
        check_refusal(&o, b.bytes, names[i].shown, names[i].shown);
        build_free(&b);
    }
}

/* ---- Limits: the last value that opens, and the first that does not ---- */

/* n times 'k'. free() it. */
static char *long_text(size_t n) {
    char *text = malloc(n + 1);
    assert_non_null(text);
    memset(text, 'k', n);
    text[n] = 0;
    return text;
}

static void limit_key(struct gguf_build *b, bool past) {
    char *key = long_text(past ? 65537 : 65536);
    build_header(b, 0, 1);
    build_number(b, key, GGUF_U8, 1);
    build_data(b);
    free(key);
}

static void limit_tensor_name(struct gguf_build *b, bool past) {
    char *name = long_text(past ? 65537 : 65536);
    build_header(b, 1, 0);
    build_tensor(b, name, TYPE_I8, 1, (const uint64_t[]){ 1 });
    build_data(b);
    free(name);
}

static void limit_string(struct gguf_build *b, bool past) {
    char *text = long_text((1 << 26) + past);
    build_header(b, 0, 1);
    build_string(b, "k", text);
    build_data(b);
    free(text);
}

static void limit_alignment(struct gguf_build *b, bool past) {
    b->alignment = past ? 1 << 21 : 1 << 20;
    build_header(b, 1, 1);
    build_number(b, "general.alignment", GGUF_U64, b->alignment);
    build_tensor(b, "t", TYPE_I8, 1, (const uint64_t[]){ 1 });
    build_data(b);
}

static void limit_least_alignment(struct gguf_build *b, bool past) {
    b->alignment = 1;
    build_header(b, 2, 1);
    build_number(b, "general.alignment", GGUF_I8, past ? 0xff : 1); /* -1 */
    build_tensor(b, "t", TYPE_I8, 1, (const uint64_t[]){ 1 });
    build_tensor(b, "u", TYPE_I16, 1, (const uint64_t[]){ 1 }); /* at an odd address */
    build_data(b);
}

static void limit_dimensions(struct gguf_build *b, bool past) {
    build_header(b, 1, 0);
    build_tensor(b, "t", TYPE_Q8_0, past ? 5 : 4, (const uint64_t[]){ 64, 3, 2, 2, 1 });
    build_data(b);
}

static void limit_n_kv(struct gguf_build *b, bool past) {
    build_header(b, 0, past ? 41 : 40);
    for (char key[2] = "A"; key[0] < 'A' + 40; key[0]++)
        build_number(b, key, GGUF_U8, 1);
}

/* With an alignment of 1, one tensor of one byte takes its info and that byte, and nothing is left over. */
static void limit_n_tensors(struct gguf_build *b, bool past) {
    b->alignment = 1;
    build_header(b, past ? 2 : 1, 1);
    build_number(b, "general.alignment", GGUF_U8, 1);
    build_tensor(b, "t", TYPE_I8, 1, (const uint64_t[]){ 1 });
    build_data(b);
}

static void limit_array(struct gguf_build *b, bool past) {
    static const uint8_t values[100];
    b->lie = (struct gguf_lie){ "k/n", past ? 51 : 50, NULL };
    build_header(b, 0, 1);
    build_array(b, "k", GGUF_U16, 50, values);
}

static void limit_string_end(struct gguf_build *b, bool past) {
    b->lie = (struct gguf_lie){ "k/1_bytes", past ? 4 : 3, NULL };
    build_header(b, 0, 1);
    build_strings(b, "k", 2, (const char *const[]){ "a", "abc" });
}

static void limit_overlap(struct gguf_build *b, bool past) {
    b->lie = (struct gguf_lie){ "u/offset", past ? 32 : 64, NULL };
    build_header(b, 2, 0);
    build_tensor(b, "t", TYPE_I8, 1, (const uint64_t[]){ 64 });
    build_tensor(b, "u", TYPE_I8, 1, (const uint64_t[]){ 64 });
    build_data(b);
}

static void limit_data_end(struct gguf_build *b, bool past) {
    build_header(b, 1, 0);
    build_tensor(b, "t", TYPE_I8, 1, (const uint64_t[]){ 33 });
    build_data(b);
    b->bytes -= past;
}

static const struct limit {
    const char *what;
    void (*build)(struct gguf_build *b, bool past);
    const char *expected;
} limits[] = {
    { "key of 64 KiB", limit_key, "the name of key 0 at byte 24 has 65537 bytes, allowed are 65536" },
    { "tensor name of 64 KiB", limit_tensor_name, "the name of tensor 0 at byte 24 has 65537 bytes" },
    { "string of 64 MiB", limit_string,
      "string length 67108865 at byte 37 exceeds the limit of 67108864 bytes" },
    { "alignment of 1 MiB", limit_alignment, "key 'general.alignment' is 2097152, allowed are 1 to 1048576" },
    { "alignment of 1", limit_least_alignment, "key 'general.alignment' is -1, allowed are 1 to 1048576" },
    { "4 dimensions", limit_dimensions, "tensor 't' has 5 dimensions, allowed are 1 to 4" },
    { "as many keys as fit", limit_n_kv, "header announces 41 keys, impossible in 584 bytes" },
    { "as many tensors as fit", limit_n_tensors, "header announces 2 tensors, impossible in 88 bytes" },
    { "array to the last byte", limit_array, "key 'k': array length 51 at byte 41 exceeds the file" },
    { "string to the last byte", limit_string_end, "string length 4 at byte 58 exceeds the file" },
    { "tensors side by side", limit_overlap, "overlaps tensor 't'" },
    { "data to the last byte", limit_data_end, "download incomplete" },
};

static void each_limit_opens_at_it_and_fails_just_past_it(void **state) {
    (void)state;
    for (size_t i = 0; i < 2 * (sizeof limits / sizeof *limits); i++) {
        const struct limit *limit = &limits[i / 2];
        bool past = i % 2;
        struct gguf_build b = { .alignment = 32 };
        limit->build(&b, past);
        struct outcome o = open_bytes(b.data, b.bytes, 0);
        if (past)
            check_refusal(&o, b.bytes, limit->expected, limit->what);
        else if (o.status != QUERN_OK)
            fail_msg("%s: not opened: %s", limit->what, o.err.text);
        assert_true(o.malloc.bytes <= 4 * b.bytes + 65536);
        build_free(&b);
    }
}

/* ---- Damage anywhere ---- */

static void file_cut_at_any_byte_is_refused(void **state) {
    (void)state;
    struct gguf_build b = { .alignment = 32 };
    build_sample(&b);
    for (size_t bytes = 0; bytes < b.bytes; bytes++) {
        struct outcome o = open_bytes(b.data, bytes, 0);
        check_refusal(&o, bytes, bytes < 640 ? "" : "incomplete", "cut");
    }
    build_free(&b);
}

static void bytes_after_the_data_are_ignored(void **state) {
    (void)state;
    struct gguf_build b = { .lie = { "file/bytes", 5000, NULL } };
    build_sample(&b);
    struct outcome o = open_bytes(b.data, b.bytes, 0);
    assert_int_equal(o.status, QUERN_OK);
    build_free(&b);
}

static void file_with_any_one_byte_changed_is_safe_to_open(void **state) {
    (void)state;
    static const uint8_t masks[] = { 0xff, 0x80, 0x01, 0x02, 0x20 };
    struct gguf_build b = { .alignment = 32 };
    build_sample(&b);
    for (size_t at = 0; at < b.bytes; at++) {
        uint8_t kept = b.data[at];
        for (size_t i = 0; i < sizeof masks + 2; i++) {
            b.data[at] = (uint8_t)(i < sizeof masks ? kept ^ masks[i] : kept + (i == sizeof masks ? 1 : -1));
            struct outcome o = open_bytes(b.data, b.bytes, 0);
            if (o.status != QUERN_OK)
                check_refusal(&o, b.bytes, "", "one byte changed");
        }
        b.data[at] = kept;
    }
    build_free(&b);
}

static void any_allocation_may_fail(void **state) {
    (void)state;
    struct gguf_build b = { .alignment = 32 };
    build_sample(&b);
    size_t n_calls = open_bytes(b.data, b.bytes, 0).malloc.calls;
    assert_true(n_calls >= 5);
    for (size_t i = 1; i <= n_calls; i++) {
        struct outcome o = open_bytes(b.data, b.bytes, i);
        assert_int_equal(o.status, QUERN_MEMORY);
        assert_non_null(strstr(o.err.text, "out of memory"));
    }
    build_free(&b);
}

/* The first part has its metadata, the second one tensor. */
static void write_part(const char *path, unsigned no) {
    struct gguf_build b = { .alignment = 32 };
    build_header(&b, no, 2);
    build_number(&b, "split.no", GGUF_U16, no);
    build_number(&b, "split.count", GGUF_U16, 2);
    if (no)
        build_tensor(&b, "t", TYPE_F32, 1, (const uint64_t[]){ 8 });
    build_data(&b);
    support_write(path, b.data, b.bytes);
    build_free(&b);
}

static void any_allocation_may_fail_while_parts_are_opened(void **state) {
    (void)state;
    char *folder = support_temporary_folder(), first[4096], second[4096];
    snprintf(first, sizeof first, "%s/m-00001-of-00002.gguf", folder);
    snprintf(second, sizeof second, "%s/m-00002-of-00002.gguf", folder);
    write_part(first, 0);
    write_part(second, 1);
    enum quern_status status = QUERN_MEMORY;
    size_t fail_at = 0;
    while (status == QUERN_MEMORY) {
        struct gguf *g = NULL;
        failing_malloc_start(++fail_at);
        status = gguf_open(first, &g, NULL);
        gguf_close(g);
        assert_int_equal(failing_malloc_stop().live, 0);
    }
    assert_int_equal(status, QUERN_OK);
    assert_true(fail_at > 10);

    status = QUERN_MEMORY;
    for (fail_at = 1; status == QUERN_MEMORY; fail_at++) { /* the message too needs memory */
        struct gguf *g = NULL;
        failing_malloc_start(fail_at);
        status = gguf_open(second, &g, NULL);
        assert_int_equal(failing_malloc_stop().live, 0);
    }
    assert_int_equal(status, QUERN_FORMAT);
    support_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader_refuses_each_lie_with_one_line),
        cmocka_unit_test(reader_says_what_a_foreign_file_is),
        cmocka_unit_test(hostile_names_are_harmless_in_messages),
        cmocka_unit_test(each_limit_opens_at_it_and_fails_just_past_it),
        cmocka_unit_test(file_cut_at_any_byte_is_refused),
        cmocka_unit_test(bytes_after_the_data_are_ignored),
        cmocka_unit_test(file_with_any_one_byte_changed_is_safe_to_open),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(any_allocation_may_fail_while_parts_are_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
