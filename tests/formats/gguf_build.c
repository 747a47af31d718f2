/* gguf_build.c - makes GGUF files in memory that are correct but for one lie.
 * SPDX-License-Identifier: MIT */
#include "tests/formats/gguf_build.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- Bytes ---- */

static void append(struct gguf_build *b, const void *data, size_t bytes) {
    if (bytes > b->capacity - b->bytes) {
        b->capacity = 2 * (b->bytes + bytes);
        b->data = realloc(b->data, b->capacity);
        if (!b->data)
            abort();
    }
    if (bytes)
        memcpy(b->data + b->bytes, data, bytes);
    b->bytes += bytes;
}

/* ---- Fields ---- */

static bool is_lie(struct gguf_build *b, const char *owner, const char *field) {
    char name[256];
    snprintf(name, sizeof name, "%s%s%s", owner, *owner ? "/" : "", field);
    if (!b->lie.field || strcmp(name, b->lie.field) != 0)
        return false;
    b->has_lied = true;
    return true;
}

static void put(struct gguf_build *b, const char *owner, const char *field, uint64_t value, size_t bytes) {
    if (is_lie(b, owner, field))
        value = b->lie.value;
    append(b, &value, bytes);
}

static void put_text(struct gguf_build *b, const char *owner, const char *field, const char *text) {
    char length_field[32];
    snprintf(length_field, sizeof length_field, "%s_bytes", field);
    if (is_lie(b, owner, field))
        text = b->lie.text;
    put(b, owner, length_field, strlen(text), 8);
    append(b, text, strlen(text));
}

static size_t value_bytes(enum gguf_value_type type) {
    static const uint8_t bytes[GGUF_VALUE_TYPES] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
        [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
    };
    return bytes[type];
}

/* ---- Parts of a file ---- */

void build_header(struct gguf_build *b, uint64_t n_tensors, uint64_t n_kv) {
    append(b, is_lie(b, "", "magic") ? b->lie.text : "GGUF", 4);
    put(b, "", "version", 3, 4);
    put(b, "", "n_tensors", n_tensors, 8);
    put(b, "", "n_kv", n_kv, 8);
}

static void put_key(struct gguf_build *b, const char *key, enum gguf_value_type type) {
    put_text(b, key, "key", key);
    put(b, key, "type", type, 4);
}

void build_number(struct gguf_build *b, const char *key, enum gguf_value_type type, uint64_t bits) {
    put_key(b, key, type);
    put(b, key, "value", bits, value_bytes(type));
}

void build_f32(struct gguf_build *b, const char *key, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    build_number(b, key, GGUF_F32, bits);
}

void build_string(struct gguf_build *b, const char *key, const char *v) {
    put_key(b, key, GGUF_STRING);
    put_text(b, key, "0", v);
}

static void put_array_head(struct gguf_build *b, const char *key, enum gguf_value_type element, uint64_t n) {
    put_key(b, key, GGUF_ARRAY);
    put(b, key, "element", element, 4);
    put(b, key, "n", n, 8);
}

void build_array(struct gguf_build *b, const char *key, enum gguf_value_type element, uint64_t n,
                 const void *values) {
    put_array_head(b, key, element, n);
    append(b, values, n * value_bytes(element));
}

void build_strings(struct gguf_build *b, const char *key, uint64_t n, const char *const *v) {
    put_array_head(b, key, GGUF_STRING, n);
    for (uint64_t i = 0; i < n; i++) {
        char field[24];
        snprintf(field, sizeof field, "%u", (unsigned)i);
        put_text(b, key, field, v[i]);
    }
}

static uint64_t padded(uint64_t n, size_t alignment) { return (n + alignment - 1) / alignment * alignment; }

void build_tensor(struct gguf_build *b, const char *name, uint32_t type, uint32_t n_dims,
                  const uint64_t *ne) {
    put_text(b, name, "name", name);
    put(b, name, "n_dims", n_dims, 4);
    uint64_t n_values = 1;
    for (uint32_t i = 0; i < n_dims; i++) {
        char field[16];
        snprintf(field, sizeof field, "ne%u", i);
        put(b, name, field, ne[i], 8);
        n_values *= ne[i];
    }
    put(b, name, "type", type, 4);
    b->data_bytes = padded(b->data_bytes, b->alignment);
    put(b, name, "offset", b->data_bytes, 8);
    const struct type_info *info = type_info(type);
    b->data_bytes += n_values / info->block_values * info->block_bytes;
}

void build_data(struct gguf_build *b) {
    static const uint8_t zero = 0;
    if (b->data_bytes > 0)
        while (b->bytes % b->alignment)
            append(b, &zero, 1);
    for (uint64_t i = 0; i < b->data_bytes; i++) {
        uint8_t byte = (uint8_t)(i % 60 + 1); /* below 0x3d: no NaN in any type */
        append(b, &byte, 1);
    }
    if (is_lie(b, "file", "bytes")) {
        while (b->bytes < b->lie.value)
            append(b, &zero, 1);
        b->bytes = b->lie.value;
    }
}

void build_free(struct gguf_build *b) {
    free(b->data);
    b->data = NULL;
    b->bytes = b->capacity = 0;
}

void build_sample(struct gguf_build *b) {
    static const int32_t numbers[] = { -1, 2, 3 };
    static const char *const words[] = { "a", "", "b\xc3\xa9" };
    static const struct {
        const char *key;
        enum gguf_value_type type;
        uint64_t bits;
    } scalars[] = {
        { "x.u8", GGUF_U8, 250 },
        { "x.i8", GGUF_I8, 0xff },
        { "x.u16", GGUF_U16, 65535 },
        { "x.i16", GGUF_I16, 0x8000 },
        { "x.u32", GGUF_U32, 0xffffffff },
        { "x.i32", GGUF_I32, 0x80000000 },
        { "x.u64", GGUF_U64, UINT64_MAX },
        { "x.i64", GGUF_I64, 1ull << 63 },
        { "x.f64", GGUF_F64, 0xbff8000000000000 }, /* -1.5 */
        { "x.bool", GGUF_BOOL, 1 },
        { "x.nan", GGUF_F32, 0x7fc00000 },
    };
    enum { N_SCALARS = sizeof scalars / sizeof *scalars };
    b->alignment = 32;
    build_header(b, 3, N_SCALARS + 6);
    build_string(b, "general.architecture", "llama");
    build_number(b, "general.alignment", GGUF_U32, 32);
    for (size_t i = 0; i < N_SCALARS; i++)
        build_number(b, scalars[i].key, scalars[i].type, scalars[i].bits);
    build_f32(b, "x.f32", 0.25f);
    build_array(b, "x.numbers", GGUF_I32, 3, numbers);
    build_strings(b, "x.words", 3, words);
    build_array(b, "x.none", GGUF_F32, 0, NULL);
    build_tensor(b, "a.weight", TYPE_F32, 2, (const uint64_t[]){ 4, 2 });
    build_tensor(b, "b.weight", TYPE_Q4_0, 2, (const uint64_t[]){ 32, 2 });
    build_tensor(b, "c.weight", TYPE_F16, 1, (const uint64_t[]){ 8 });
    build_data(b);
}
