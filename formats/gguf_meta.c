/* gguf_meta.c - metadata of an open GGUF file: finding keys, reading their values.
 * SPDX-License-Identifier: MIT */
#include "formats/gguf_private.h"

#include <assert.h>
#include <inttypes.h>

const struct gguf_value_info gguf_value_info[GGUF_VALUE_TYPES] = {
    [GGUF_U8] = { "an integer", 1, GGUF_KIND_INTEGER, false },
    [GGUF_I8] = { "an integer", 1, GGUF_KIND_INTEGER, true },
    [GGUF_U16] = { "an integer", 2, GGUF_KIND_INTEGER, false },
    [GGUF_I16] = { "an integer", 2, GGUF_KIND_INTEGER, true },
    [GGUF_U32] = { "an integer", 4, GGUF_KIND_INTEGER, false },
    [GGUF_I32] = { "an integer", 4, GGUF_KIND_INTEGER, true },
    [GGUF_F32] = { "a real number", 4, GGUF_KIND_REAL, true },
    [GGUF_BOOL] = { "a bool", 1, GGUF_KIND_BOOL, false },
    [GGUF_STRING] = { "a string", 0, GGUF_KIND_STRING, false },
    [GGUF_ARRAY] = { "an array", 0, GGUF_KIND_ARRAY, false },
    [GGUF_U64] = { "an integer", 8, GGUF_KIND_INTEGER, false },
    [GGUF_I64] = { "an integer", 8, GGUF_KIND_INTEGER, true },
    [GGUF_F64] = { "a real number", 8, GGUF_KIND_REAL, true },
};

bool gguf_string_is(struct gguf_string s, const char *text) {
    return s.bytes == strlen(text) && memcmp(s.data, text, s.bytes) == 0;
}

int64_t gguf_integer(const struct gguf_kv *kv, uint64_t i) {
    const struct gguf_value_info *info = &gguf_value_info[kv->element];
    assert(i < kv->n && (info->kind & (GGUF_KIND_INTEGER | GGUF_KIND_BOOL)));
    uint64_t v = 0;
    memcpy(&v, kv->data + i * info->bytes, info->bytes);
    if (info->kind == GGUF_KIND_BOOL)
        return v != 0;
    if (info->is_signed) { /* move the sign bit to the top and back; >> of a negative number keeps it */
        unsigned shift = 64 - 8 * (unsigned)info->bytes;
        return (int64_t)(v << shift) >> shift;
    }
    return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

double gguf_real(const struct gguf_kv *kv, uint64_t i) {
    assert(i < kv->n);
    if (kv->element == GGUF_F32)
        return (double)load_f32(kv->data + i * sizeof(float));
    if (kv->element == GGUF_U64)
        return (double)load_le64(kv->data + i * sizeof(uint64_t));
    if (kv->element != GGUF_F64)
        return (double)gguf_integer(kv, i);
    double v;
    memcpy(&v, kv->data + i * sizeof v, sizeof v);
    return v;
}

struct gguf_string gguf_next_string(const struct gguf_kv *kv, size_t *cursor) {
    static const struct gguf_string empty = { .data = "", .bytes = 0 };
    /* Called as documented, the lengths are those that were checked at opening. Called once too often or
     * with another cursor, the bounds below still hold. */
    if (kv->element != GGUF_STRING || *cursor > kv->data_bytes || kv->data_bytes - *cursor < 8)
        return empty;
    uint64_t bytes = load_le64(kv->data + *cursor);
    if (bytes > kv->data_bytes - *cursor - 8)
        return empty;
    struct gguf_string s = { .data = (const char *)kv->data + *cursor + 8, .bytes = (size_t)bytes };
    *cursor += 8 + s.bytes;
    return s;
}

/* The value of key if its type is one of kinds (flags of enum gguf_kind); NULL in *kv if it is absent. */
static enum quern_status find_value(const struct gguf *g, const char *key, unsigned kinds,
                                    const char *expected, const struct gguf_kv **kv,
                                    struct quern_error *err) {
    *kv = gguf_find_kv(g, key);
    if (*kv && !(gguf_value_info[(*kv)->type].kind & kinds))
        return fail(err, QUERN_FORMAT, "%s: key '%s' is %s, %s expected", gguf_path(g), key,
                    gguf_value_info[(*kv)->type].name, expected);
    return QUERN_OK;
}

enum quern_status gguf_get_integer(const struct gguf *g, const char *key, int64_t min, int64_t max,
                                   int64_t *out, bool *found, struct quern_error *err) {
    const struct gguf_kv *kv;
    *found = false;
    enum quern_status status = find_value(g, key, GGUF_KIND_INTEGER, "integer", &kv, err);
    if (status || !kv)
        return status;
    int64_t v = gguf_integer(kv, 0);
    if (v < min || v > max)
        return fail(err, QUERN_FORMAT, "%s: key '%s' is %" PRId64 ", allowed are %" PRId64 " to %" PRId64,
                    gguf_path(g), key, v, min, max);
    *out = v;
    *found = true;
    return QUERN_OK;
}

enum quern_status gguf_get_real(const struct gguf *g, const char *key, double min, double max, double *out,
                                bool *found, struct quern_error *err) {
    const struct gguf_kv *kv;
    *found = false;
    enum quern_status status = find_value(g, key, GGUF_KIND_INTEGER | GGUF_KIND_REAL, "number", &kv, err);
    if (status || !kv)
        return status;
    double v = gguf_real(kv, 0);
    if (!(v >= min && v <= max)) /* so written, NaN is refused too */
        return fail(err, QUERN_FORMAT, "%s: key '%s' is %g, allowed are %g to %g", gguf_path(g), key, v, min,
                    max);
    *out = v;
    *found = true;
    return QUERN_OK;
}

enum quern_status gguf_get_bool(const struct gguf *g, const char *key, bool *out, bool *found,
                                struct quern_error *err) {
    const struct gguf_kv *kv;
    *found = false;
    enum quern_status status = find_value(g, key, GGUF_KIND_BOOL, "bool", &kv, err);
    if (status || !kv)
        return status;
    *out = gguf_integer(kv, 0) != 0;
    *found = true;
    return QUERN_OK;
}

enum quern_status gguf_get_string(const struct gguf *g, const char *key, struct gguf_string *out, bool *found,
                                  struct quern_error *err) {
    const struct gguf_kv *kv;
    *found = false;
    enum quern_status status = find_value(g, key, GGUF_KIND_STRING, "string", &kv, err);
    if (status || !kv)
        return status;
    size_t cursor = 0;
    *out = gguf_next_string(kv, &cursor);
    *found = true;
    return QUERN_OK;
}
