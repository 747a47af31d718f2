/* gguf_write.c - a GGUF v3 file as a stream: metadata and tensor infos are collected, then written, then
 * the data passes through.
 * SPDX-License-Identifier: MIT
 * Layout: formats/FORMAT.md. */
#include "formats/gguf_write.h"
#include "formats/atomic_file.h"
#include "formats/gguf_private.h"

#include <inttypes.h>
#include <search.h>
#include <stdlib.h>

/* Both lists are in file order. Their names are also in a search tree each, so that a copy of a file with
 * very many keys takes no quadratic time. As in the reader, a pointer to a name is a pointer to its owner. */
struct out_kv {
    struct gguf_kv kv; /* key and data are owned: name[], value */
    struct out_kv *next;
    uint8_t *value;
    char name[];
};

struct out_tensor {
    struct gguf_tensor t; /* file_offset counts from the data section; data is NULL */
    struct out_tensor *next;
    char name[];
};

struct gguf_writer {
    struct atomic_file *file;
    struct out_kv *kv, **kv_end; /* kv_end: where the next one is linked */
    void *kv_tree;
    uint64_t n_kv;
    struct out_tensor *tensors, **tensors_end;
    void *tensor_tree;
    uint64_t n_tensors;

    bool has_begun;
    size_t alignment;
    const struct out_tensor *current; /* whose data comes next; NULL: all written */
    size_t current_bytes;             /* of it, written */
};

static int compare_names(const void *a, const void *b) { return gguf_compare_names(a, b); }

/* Bytes to the next multiple of the alignment. */
static size_t padding(uint64_t position, size_t alignment) { return (size_t)(-position & (alignment - 1)); }

/* ---- Collecting ---- */

enum quern_status gguf_writer_open(const char *path, struct gguf_writer **out, struct quern_error *err) {
    struct gguf_writer *w = calloc(1, sizeof *w);
    if (!w)
        return fail_memory(err, sizeof *w);
    enum quern_status status = atomic_open(path, &w->file, err);
    if (status) {
        free(w);
        return status;
    }
    w->kv_end = &w->kv;
    w->tensors_end = &w->tensors;
    *out = w;
    return QUERN_OK;
}

const char *gguf_writer_part_path(const struct gguf_writer *w) { return atomic_part_path(w->file); }

static enum quern_status check_addable(const struct gguf_writer *w, struct gguf_string name, const char *what,
                                       struct quern_error *err) {
    const char *path = atomic_path(w->file);
    if (w->has_begun)
        return fail(err, QUERN_RANGE, "%s: %s '%s' comes after the data has begun", path, what,
                    gguf_show(name).text);
    if (name.bytes < 1 || name.bytes > GGUF_MAX_NAME_BYTES)
        return fail(err, QUERN_RANGE, "%s: the name of a %s has %zu bytes, allowed are 1 to %d", path, what,
                    name.bytes, GGUF_MAX_NAME_BYTES);
    return QUERN_OK;
}

static enum quern_status append_kv(struct gguf_writer *w, struct gguf_string key, struct out_kv **out,
                                   struct quern_error *err) {
    size_t bytes = sizeof(struct out_kv) + key.bytes; /* key.bytes was checked to be small */
    struct out_kv *o = calloc(1, bytes);
    if (!o)
        return fail_memory(err, bytes);
    memcpy(o->name, key.data, key.bytes);
    o->kv.key = (struct gguf_string){ .data = o->name, .bytes = key.bytes };
    if (!tsearch(&o->kv.key, &w->kv_tree, compare_names)) {
        free(o);
        return fail_memory(err, bytes);
    }
    *w->kv_end = o;
    w->kv_end = &o->next;
    w->n_kv++;
    *out = o;
    return QUERN_OK;
}

static struct out_kv *find_kv(const struct gguf_writer *w, struct gguf_string key) {
    /* A node begins with the pointer that tsearch() was given. */
    struct out_kv *const *node = tfind(&key, &w->kv_tree, compare_names);
    return node ? *node : NULL;
}

/* value [kv->data_bytes] was allocated by the caller and is taken over, also on error. */
static enum quern_status set_value(struct gguf_writer *w, const struct gguf_kv *kv, uint8_t *value,
                                   struct quern_error *err) {
    struct out_kv *o = NULL;
    enum quern_status status = check_addable(w, kv->key, "key", err);
    if (status == QUERN_OK && !(o = find_kv(w, kv->key)))
        status = append_kv(w, kv->key, &o, err);
    if (status) {
        free(value);
        return status;
    }
    const struct gguf_string key = o->kv.key;
    free(o->value);
    o->kv = *kv;
    o->kv.key = key;
    o->kv.data = o->value = value;
    return QUERN_OK;
}

enum quern_status gguf_copy_kv(struct gguf_writer *w, const struct gguf_kv *kv, struct quern_error *err) {
    uint8_t *value = malloc(kv->data_bytes ? kv->data_bytes : 1);
    if (!value)
        return fail_memory(err, kv->data_bytes);
    if (kv->data_bytes)
        memcpy(value, kv->data, kv->data_bytes);
    return set_value(w, kv, value, err);
}

static enum quern_status set_scalar(struct gguf_writer *w, const char *key, enum gguf_value_type type,
                                    const void *value, size_t bytes, struct quern_error *err) {
    const struct gguf_kv kv = { .key = { .data = key, .bytes = strlen(key) },
                                .type = type,
                                .element = type,
                                .n = 1,
                                .data = value,
                                .data_bytes = bytes };
    return gguf_copy_kv(w, &kv, err);
}

enum quern_status gguf_set_u32(struct gguf_writer *w, const char *key, uint32_t v, struct quern_error *err) {
    return set_scalar(w, key, GGUF_U32, &v, sizeof v, err);
}

enum quern_status gguf_set_f32(struct gguf_writer *w, const char *key, float v, struct quern_error *err) {
    return set_scalar(w, key, GGUF_F32, &v, sizeof v, err);
}

enum quern_status gguf_set_bool(struct gguf_writer *w, const char *key, bool v, struct quern_error *err) {
    const uint8_t byte = v;
    return set_scalar(w, key, GGUF_BOOL, &byte, sizeof byte, err);
}

enum quern_status gguf_set_string(struct gguf_writer *w, const char *key, const char *v,
                                  struct quern_error *err) {
    const uint64_t length = strlen(v);
    if (length > GGUF_MAX_STRING_BYTES)
        return fail(err, QUERN_RANGE, "%s: the value of key '%s' has %" PRIu64 " bytes, allowed are %d",
                    atomic_path(w->file), key, length, GGUF_MAX_STRING_BYTES);
    const size_t bytes = sizeof length + (size_t)length;
    uint8_t *value = malloc(bytes);
    if (!value)
        return fail_memory(err, bytes);
    memcpy(value, &length, sizeof length);
    memcpy(value + sizeof length, v, (size_t)length);
    const struct gguf_kv kv = { .key = { .data = key, .bytes = strlen(key) },
                                .type = GGUF_STRING,
                                .element = GGUF_STRING,
                                .n = 1,
                                .data_bytes = bytes };
    return set_value(w, &kv, value, err);
}

enum quern_status gguf_add_tensor(struct gguf_writer *w, struct gguf_string name, uint32_t type,
                                  uint32_t n_dims, const uint64_t ne[GGUF_MAX_DIMS],
                                  struct quern_error *err) {
    const char *path = atomic_path(w->file);
    enum quern_status status = check_addable(w, name, "tensor", err);
    if (status)
        return status;
    struct gguf_tensor t = { .name = name, .type = type, .n_dims = n_dims };
    for (uint32_t i = 0; i < n_dims && i < GGUF_MAX_DIMS; i++)
        t.ne[i] = ne[i];
    if ((status = gguf_check_shape(path, &t, err)))
        return status;
    if (tfind(&name, &w->tensor_tree, compare_names))
        return fail(err, QUERN_RANGE, "%s: tensor '%s' is added twice", path, gguf_show(name).text);

    const size_t bytes = sizeof(struct out_tensor) + name.bytes;
    struct out_tensor *o = calloc(1, bytes);
    if (!o)
        return fail_memory(err, bytes);
    memcpy(o->name, name.data, name.bytes);
    o->t = t;
    o->t.name.data = o->name;
    if (!tsearch(&o->t.name, &w->tensor_tree, compare_names)) {
        free(o);
        return fail_memory(err, bytes);
    }
    *w->tensors_end = o;
    w->tensors_end = &o->next;
    w->n_tensors++;
    return QUERN_OK;
}

/* ---- Header ---- */

static enum quern_status choose_alignment(struct gguf_writer *w, struct quern_error *err) {
    static const char key[] = "general.alignment";
    w->alignment = GGUF_DEFAULT_ALIGNMENT;
    const struct out_kv *o = find_kv(w, (struct gguf_string){ .data = key, .bytes = sizeof key - 1 });
    if (!o)
        return QUERN_OK;
    if (gguf_value_info[o->kv.type].kind != GGUF_KIND_INTEGER)
        return fail(err, QUERN_RANGE, "%s: key '%s' is %s, integer expected", atomic_path(w->file), key,
                    gguf_value_info[o->kv.type].name);
    const int64_t v = gguf_integer(&o->kv, 0);
    if (v < 1 || v > GGUF_MAX_ALIGNMENT || (v & (v - 1)))
        return fail(err, QUERN_RANGE, "%s: key '%s' is %" PRId64 ", allowed are powers of two up to %d",
                    atomic_path(w->file), key, v, GGUF_MAX_ALIGNMENT);
    w->alignment = (size_t)v;
    return QUERN_OK;
}

/* Bytes of header, metadata and infos. All of it but a few words per entry is in memory, so no overflow. */
static uint64_t header_bytes(const struct gguf_writer *w) {
    uint64_t bytes = 4 + 4 + 8 + 8;
    for (const struct out_kv *o = w->kv; o; o = o->next)
        bytes += 8 + o->kv.key.bytes + 4 + (o->kv.type == GGUF_ARRAY ? 4 + 8 : 0) + o->kv.data_bytes;
    for (const struct out_tensor *o = w->tensors; o; o = o->next)
        bytes += 8 + o->t.name.bytes + 4 + 8 * (uint64_t)o->t.n_dims + 4 + 8;
    return bytes;
}

/* Lay the tensors out one after the other; *file_bytes receives where the last one's padding ends. */
static enum quern_status place_tensors(struct gguf_writer *w, uint64_t *file_bytes, struct quern_error *err) {
    uint64_t data_start = header_bytes(w);
    data_start += padding(data_start, w->alignment);
    uint64_t end = 0;
    for (struct out_tensor *o = w->tensors; o; o = o->next) {
        /* end stays up to 2^62, a tensor below 2^63: no overflow. */
        o->t.file_offset = end;
        end += o->t.bytes;
        end += padding(end, w->alignment);
        if (end > UINT64_C(1) << 62)
            return fail(err, QUERN_RANGE, "%s: tensor '%s' ends past 2^62 bytes", atomic_path(w->file),
                        gguf_show(o->t.name).text);
    }
    *file_bytes = data_start + end;
    return QUERN_OK;
}

/* The numbers of the header. After an error the file repeats it, so one check at the end is enough. */
static void put_bytes(struct gguf_writer *w, const void *data, size_t bytes) {
    atomic_write(w->file, data, bytes, NULL);
}

static void put_u32(struct gguf_writer *w, uint32_t v) { put_bytes(w, &v, sizeof v); }
static void put_u64(struct gguf_writer *w, uint64_t v) { put_bytes(w, &v, sizeof v); }

static void put_string(struct gguf_writer *w, struct gguf_string s) {
    put_u64(w, s.bytes);
    put_bytes(w, s.data, s.bytes);
}

static void put_zeros(struct gguf_writer *w, size_t bytes) {
    static const uint8_t zeros[4096];
    for (; bytes > sizeof zeros; bytes -= sizeof zeros)
        put_bytes(w, zeros, sizeof zeros);
    put_bytes(w, zeros, bytes);
}

static void put_header(struct gguf_writer *w) {
    put_bytes(w, "GGUF", 4);
    put_u32(w, 3);
    put_u64(w, w->n_tensors);
    put_u64(w, w->n_kv);
    for (const struct out_kv *o = w->kv; o; o = o->next) {
        put_string(w, o->kv.key);
        put_u32(w, o->kv.type);
        if (o->kv.type == GGUF_ARRAY) {
            put_u32(w, o->kv.element);
            put_u64(w, o->kv.n);
        }
        put_bytes(w, o->kv.data, o->kv.data_bytes);
    }
    for (const struct out_tensor *o = w->tensors; o; o = o->next) {
        put_string(w, o->t.name);
        put_u32(w, o->t.n_dims);
        for (uint32_t i = 0; i < o->t.n_dims; i++)
            put_u64(w, o->t.ne[i]);
        put_u32(w, o->t.type);
        put_u64(w, o->t.file_offset);
    }
    put_zeros(w, padding(header_bytes(w), w->alignment));
}

enum quern_status gguf_begin_data(struct gguf_writer *w, uint64_t *file_bytes, struct quern_error *err) {
    if (w->has_begun)
        return fail(err, QUERN_RANGE, "%s: the data has already begun", atomic_path(w->file));
    enum quern_status status;
    uint64_t total = 0;
    if ((status = choose_alignment(w, err)) || (status = place_tensors(w, &total, err)))
        return status;
    if (file_bytes)
        *file_bytes = total;
    if ((status = atomic_need_room(w->file, total, err)))
        return status;
    w->has_begun = true;
    w->current = w->tensors;
    put_header(w);
    return atomic_write(w->file, NULL, 0, err);
}

/* ---- Data ---- */

enum quern_status gguf_write_data(struct gguf_writer *w, const void *data, size_t bytes,
                                  struct quern_error *err) {
    const char *path = atomic_path(w->file);
    const struct out_tensor *o = w->current;
    if (!w->has_begun)
        return fail(err, QUERN_RANGE, "%s: data comes before gguf_begin_data()", path);
    if (bytes == 0)
        return QUERN_OK;
    if (!o)
        return fail(err, QUERN_RANGE, "%s: %zu bytes of data come after the last tensor", path, bytes);
    if (bytes > o->t.bytes - w->current_bytes)
        return fail(err, QUERN_RANGE,
                    "%s: tensor '%s' has %zu bytes, %zu were written and %zu more are given", path,
                    gguf_show(o->t.name).text, o->t.bytes, w->current_bytes, bytes);
    put_bytes(w, data, bytes);
    w->current_bytes += bytes;
    if (w->current_bytes == o->t.bytes) {
        put_zeros(w, padding(o->t.bytes, w->alignment));
        w->current = o->next;
        w->current_bytes = 0;
    }
    return atomic_write(w->file, NULL, 0, err);
}

static void release(struct gguf_writer *w) {
    for (struct out_kv *o; (o = w->kv);) {
        w->kv = o->next;
        tdelete(&o->kv.key, &w->kv_tree, compare_names);
        free(o->value);
        free(o);
    }
    for (struct out_tensor *o; (o = w->tensors);) {
        w->tensors = o->next;
        tdelete(&o->t.name, &w->tensor_tree, compare_names);
        free(o);
    }
    free(w);
}

static enum quern_status check_complete(const struct gguf_writer *w, struct quern_error *err) {
    enum quern_status status = atomic_write(w->file, NULL, 0, err); /* did an earlier one fail? */
    if (status)
        return status;
    if (!w->has_begun)
        return fail(err, QUERN_RANGE, "%s: committed before gguf_begin_data()", atomic_path(w->file));
    if (w->current)
        return fail(err, QUERN_RANGE, "%s: tensor '%s' has %zu bytes, only %zu were written",
                    atomic_path(w->file), gguf_show(w->current->t.name).text, w->current->t.bytes,
                    w->current_bytes);
    return QUERN_OK;
}

enum quern_status gguf_commit(struct gguf_writer *w, struct quern_error *err) {
    enum quern_status status = check_complete(w, err);
    if (status)
        atomic_abandon(w->file);
    else
        status = atomic_commit(w->file, err);
    release(w);
    return status;
}

void gguf_abandon(struct gguf_writer *w) {
    if (!w)
        return;
    atomic_abandon(w->file);
    release(w);
}
