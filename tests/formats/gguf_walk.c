/* gguf_walk.c - reads all that an open GGUF file promises to be readable.
 * SPDX-License-Identifier: MIT */
#include "tests/formats/gguf_walk.h"

#include <assert.h>
#include <stdlib.h>

enum { MAX_BLOCK_VALUES = 256 };

static uint64_t sum_bytes(const void *data, size_t bytes) {
    const uint8_t *p = data;
    uint64_t sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum = sum * 31 + p[i];
    return sum;
}

static uint64_t walk_values(const struct gguf_kv *kv) {
    uint64_t sum = sum_bytes(kv->data, kv->data_bytes);
    size_t cursor = 0;
    for (uint64_t i = 0; i < kv->n; i++) {
        if (kv->element == GGUF_STRING) {
            struct gguf_string s = gguf_next_string(kv, &cursor);
            sum += sum_bytes(s.data, s.bytes);
        } else {
            sum += gguf_real(kv, i) > 0;
            if (kv->element != GGUF_F32 && kv->element != GGUF_F64)
                sum += (uint64_t)gguf_integer(kv, i);
        }
    }
    if (kv->element == GGUF_STRING && (cursor != kv->data_bytes || gguf_next_string(kv, &cursor).bytes))
        abort(); /* the strings must fill the value, and nothing may follow them */
    return sum;
}

static uint64_t walk_getters(const struct gguf *g, const char *key) {
    int64_t integer = 0;
    double real = 0;
    bool truth = false, found;
    struct gguf_string s = { .data = "" };
    gguf_get_integer(g, key, INT64_MIN, INT64_MAX, &integer, &found, NULL);
    gguf_get_real(g, key, -1e300, 1e300, &real, &found, NULL);
    gguf_get_bool(g, key, &truth, &found, NULL);
    gguf_get_string(g, key, &s, &found, NULL);
    return (uint64_t)integer + (real > 0) + truth + sum_bytes(s.data, s.bytes);
}

static uint64_t walk_tensor(const struct gguf_tensor *t) {
    float values[MAX_BLOCK_VALUES];
    const struct type_info *type = type_info(t->type);
    if (!type || type->block_values > MAX_BLOCK_VALUES || t->bytes < type->block_bytes || t->n_dims < 1)
        abort();
    if (type->decode) {
        type->decode(t->data, values, 1);
        return sum_bytes(values, type->block_values * sizeof *values) + t->data[t->bytes - 1];
    }
    return t->data[0] + t->data[t->bytes - 1];
}

/* A terminated copy, as the functions that find things want it; NULL if the name holds a NUL. */
static char *terminated(struct gguf_string name) {
    char *text = memchr(name.data, 0, name.bytes) ? NULL : malloc(name.bytes + 1);
    if (text) {
        memcpy(text, name.data, name.bytes);
        text[name.bytes] = 0;
    }
    return text;
}

uint64_t gguf_walk(const struct gguf *g) {
    uint64_t sum = 0;
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv(g, i);
        sum += walk_values(kv);
        char *key = terminated(kv->key);
        if (!key)
            continue;
        if (gguf_find_kv(g, key) != kv)
            abort();
        sum += walk_getters(g, key);
        free(key);
    }
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        sum += walk_tensor(t);
        char *name = terminated(t->name);
        if (name && gguf_find_tensor(g, name) != t)
            abort();
        free(name);
    }
    return sum;
}
