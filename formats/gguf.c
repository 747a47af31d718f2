/* gguf.c - opening GGUF files: header, metadata, tensor infos, index by name.
 * SPDX-License-Identifier: MIT
 * Layout: formats/FORMAT.md. All bytes are read through the bounded cursor of gguf_cursor.c. */
#include "formats/gguf_private.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

static const char magic[4] = { 'G', 'G', 'U', 'F' };

/* ---- Index by name ---- */

static_assert(offsetof(struct gguf_kv, key) == 0 && offsetof(struct gguf_tensor, name) == 0,
              "a pointer to the name is a pointer to its owner");

static int compare_names(const void *a, const void *b) {
    const struct gguf_string *x = *(const struct gguf_string *const *)a;
    const struct gguf_string *y = *(const struct gguf_string *const *)b;
    return gguf_compare_names(x, y);
}

/* Sort the names of n structs, stride bytes apart, into a new array *index [n]; NULL if n is 0. *twice
 * receives a name that occurs more than once, NULL if there is none. */
static enum quern_status index_names(const void *first, size_t stride, size_t n,
                                     const struct gguf_string ***index, const struct gguf_string **twice,
                                     struct quern_error *err) {
    *index = NULL;
    *twice = NULL;
    if (n == 0)
        return QUERN_OK;
    /* No overflow: n structs, larger than a pointer each, are in memory. */
    const struct gguf_string **names = malloc(n * sizeof *names);
    if (!names)
        return fail_memory(err, n * sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = (const struct gguf_string *)(const void *)((const char *)first + i * stride);
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 1; i < n && !*twice; i++)
        if (compare_names(&names[i - 1], &names[i]) == 0)
            *twice = names[i];
    *index = names;
    return QUERN_OK;
}

static const void *find_name(const struct gguf_string **index, size_t n, const char *text) {
    const struct gguf_string name = { .data = text, .bytes = strlen(text) };
    const struct gguf_string *wanted = &name;
    if (n == 0)
        return NULL;
    const struct gguf_string **found = bsearch(&wanted, index, n, sizeof *index, compare_names);
    return found ? *found : NULL;
}

const struct gguf_kv *gguf_find_kv(const struct gguf *g, const char *key) {
    return find_name(g->kv_index, g->n_kv, key);
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name) {
    return find_name(g->tensor_index, g->n_tensors, name);
}

static enum quern_status index_kv(struct gguf *g, struct quern_error *err) {
    const struct gguf_string *twice;
    enum quern_status status = index_names(g->kv, sizeof *g->kv, g->n_kv, &g->kv_index, &twice, err);
    if (status == QUERN_OK && twice)
        return fail(err, QUERN_FORMAT, "%s: key '%s' stands twice in the metadata", g->path,
                    gguf_show(*twice).text);
    return status;
}

static enum quern_status index_tensors(struct gguf *g, struct quern_error *err) {
    const struct gguf_string *twice;
    enum quern_status status =
        index_names(g->tensors, sizeof *g->tensors, g->n_tensors, &g->tensor_index, &twice, err);
    if (status == QUERN_OK && twice)
        return fail(err, QUERN_FORMAT, "%s: tensor '%s' stands twice in the %s", g->path,
                    gguf_show(*twice).text, g->n_maps > 1 ? "parts of the model" : "file");
    return status;
}

/* ---- Reading ---- */

static enum quern_status check_version(const struct gguf_cursor *c, uint32_t version) {
    if (version == 2 || version == 3)
        return QUERN_OK;
    if (version && (version & 0xffff) == 0) /* a small number with its bytes swapped */
        return fail(c->err, QUERN_UNSUPPORTED,
                    "%s: big-endian file (GGUF version %" PRIu32 "); only little-endian files can be used",
                    c->path, __builtin_bswap32(version));
    return fail(c->err, QUERN_UNSUPPORTED, "%s: GGUF version %" PRIu32 " unsupported (2-3)", c->path,
                version);
}

static enum quern_status fail_count(const struct gguf_cursor *c, uint64_t n, const char *what) {
    return fail(c->err, QUERN_FORMAT, "%s: header announces %" PRIu64 " %s, impossible in %zu bytes", c->path,
                n, what, c->bytes);
}

/* Magic, version and the two counts, which are checked against the bytes that follow: from here on, arrays
 * of that many structs are at most a few times the size of the file. */
static enum quern_status read_header(struct gguf *g, struct gguf_cursor *c) {
    if (c->bytes == 0)
        return fail(c->err, QUERN_FORMAT, "%s: file is empty (0 bytes)", c->path);
    size_t seen = c->bytes < sizeof magic ? c->bytes : sizeof magic;
    if (memcmp(c->data, magic, seen) != 0)
        return gguf_fail_not_gguf(c->path, c->data, c->bytes, c->err);

    enum quern_status status;
    const uint8_t *skipped;
    uint64_t n_tensors, n_kv;
    if ((status = gguf_take(c, sizeof magic, &skipped)) || (status = gguf_take_u32(c, &g->version)) ||
        (status = check_version(c, g->version)) || (status = gguf_take_u64(c, &n_tensors)) ||
        (status = gguf_take_u64(c, &n_kv)))
        return status;
    size_t left = gguf_left(c);
    if (n_kv > left / GGUF_MIN_KV_BYTES)
        return fail_count(c, n_kv, "keys");
    if (n_tensors > (left - n_kv * GGUF_MIN_KV_BYTES) / GGUF_MIN_TENSOR_BYTES)
        return fail_count(c, n_tensors, "tensors");
    g->n_kv = (size_t)n_kv;
    g->n_tensors = (size_t)n_tensors;
    return QUERN_OK;
}

static enum quern_status fail_value_type(const struct gguf_cursor *c, const char *what, uint32_t type) {
    return fail(c->err, QUERN_FORMAT,
                "%s: key '%s': %s type %" PRIu32 " at byte %zu is unknown (known: 0-%d)", c->path,
                gguf_show(c->name).text, what, type, c->position - sizeof type, GGUF_VALUE_TYPES - 1);
}

static enum quern_status read_array_head(struct gguf_cursor *c, struct gguf_kv *kv) {
    enum quern_status status;
    uint32_t element;
    if ((status = gguf_take_u32(c, &element)))
        return status;
    if (element >= GGUF_VALUE_TYPES)
        return fail_value_type(c, "element", element);
    if (element == GGUF_ARRAY)
        return fail(c->err, QUERN_UNSUPPORTED,
                    "%s: key '%s' is an array of arrays at byte %zu, elements must be numbers, bools or "
                    "strings",
                    c->path, gguf_show(c->name).text, c->position - sizeof element);
    if ((status = gguf_take_u64(c, &kv->n)))
        return status;
    kv->element = (enum gguf_value_type)element;
    size_t least = element == GGUF_STRING ? GGUF_MIN_STRING_BYTES : gguf_value_info[element].bytes;
    if (kv->n > gguf_left(c) / least)
        return fail(c->err, QUERN_FORMAT,
                    "%s: key '%s': array length %" PRIu64 " at byte %zu exceeds the file (%zu bytes left)",
                    c->path, gguf_show(c->name).text, kv->n, c->position - sizeof kv->n, gguf_left(c));
    return QUERN_OK;
}

static enum quern_status read_kv(struct gguf_cursor *c, struct gguf_kv *kv) {
    enum quern_status status;
    uint32_t type;
    if ((status = gguf_take_name(c)) || (status = gguf_take_u32(c, &type)))
        return status;
    if (type >= GGUF_VALUE_TYPES)
        return fail_value_type(c, "value", type);
    *kv = (struct gguf_kv){
        .key = c->name, .type = (enum gguf_value_type)type, .element = (enum gguf_value_type)type, .n = 1
    };
    if (type == GGUF_ARRAY && (status = read_array_head(c, kv)))
        return status;

    size_t start = c->position;
    if (kv->element == GGUF_STRING) {
        struct gguf_string s;
        for (uint64_t i = 0; i < kv->n; i++)
            if ((status = gguf_take_string(c, &s)))
                return status;
    } else {
        const uint8_t *values;
        /* No overflow: n is 1, or was compared with the bytes left. */
        if ((status = gguf_take(c, (size_t)kv->n * gguf_value_info[kv->element].bytes, &values)))
            return status;
    }
    kv->data = c->data + start;
    kv->data_bytes = c->position - start;
    return QUERN_OK;
}

static enum quern_status read_alignment(struct gguf *g, struct quern_error *err) {
    int64_t alignment = GGUF_DEFAULT_ALIGNMENT;
    bool found;
    enum quern_status status =
        gguf_get_integer(g, "general.alignment", 1, GGUF_MAX_ALIGNMENT, &alignment, &found, err);
    if (status)
        return status;
    if (alignment & (alignment - 1))
        return fail(err, QUERN_FORMAT, "%s: key 'general.alignment' is %" PRId64 ", a power of two is needed",
                    g->path, alignment);
    g->alignment = (size_t)alignment;
    return QUERN_OK;
}

/* Check all of a file but its tensor data, which is not touched. On error g is half-filled. */
static enum quern_status read_file(struct gguf *g, const void *data, size_t bytes, struct quern_error *err) {
    struct gguf_cursor c = { .path = g->path, .data = data, .bytes = bytes, .what = "header", .err = err };
    enum quern_status status;
    g->file_bytes = bytes;
    if ((status = read_header(g, &c)))
        return status;

    if (g->n_kv && !(g->kv = calloc(g->n_kv, sizeof *g->kv)))
        return fail_memory(err, g->n_kv * sizeof *g->kv);
    for (size_t i = 0; i < g->n_kv; i++) {
        gguf_enter(&c, "key", i);
        if ((status = read_kv(&c, &g->kv[i])))
            return status;
    }
    if ((status = index_kv(g, err)) || (status = read_alignment(g, err)))
        return status;

    if (g->n_tensors && !(g->tensors = calloc(g->n_tensors, sizeof *g->tensors)))
        return fail_memory(err, g->n_tensors * sizeof *g->tensors);
    for (size_t i = 0; i < g->n_tensors; i++) {
        gguf_enter(&c, "tensor", i);
        if ((status = gguf_read_tensor(&c, &g->tensors[i])))
            return status;
    }
    return gguf_place_tensors(g, &c);
}

/* ---- Opening and closing ---- */

static struct gguf *new_gguf(const char *path) {
    struct gguf *g = calloc(1, sizeof *g);
    size_t bytes = strlen(path) + 1;
    if (!g)
        return NULL;
    if (!(g->path = malloc(bytes))) {
        free(g);
        return NULL;
    }
    memcpy(g->path, path, bytes);
    return g;
}

enum quern_status gguf_open_single(const char *path, struct gguf **out, struct quern_error *err) {
    enum quern_status status;
    struct gguf *g = new_gguf(path);
    if (!g || !(g->maps = calloc(1, sizeof *g->maps))) {
        status = fail_memory(err, sizeof *g);
        goto fail;
    }
    if ((status = file_map(path, &g->maps[0], err)))
        goto fail;
    g->n_maps = 1;
    if ((status = read_file(g, g->maps[0].data, g->maps[0].bytes, err)))
        goto fail;
    *out = g;
    return QUERN_OK;
fail:
    gguf_close(g);
    return status;
}

enum quern_status gguf_open(const char *path, struct gguf **out, struct quern_error *err) {
    struct gguf *g = NULL;
    enum quern_status status = gguf_open_single(path, &g, err);
    if (status || (status = gguf_open_parts(g, err)) || (status = index_tensors(g, err))) {
        gguf_close(g);
        return status;
    }
    *out = g;
    return QUERN_OK;
}

enum quern_status gguf_open_memory(const void *data, size_t bytes, const char *name, struct gguf **out,
                                   struct quern_error *err) {
    struct gguf *g = new_gguf(name);
    if (!g)
        return fail_memory(err, sizeof *g);
    enum quern_status status;
    if ((status = read_file(g, data, bytes, err)) || (status = gguf_open_parts(g, err)) ||
        (status = index_tensors(g, err))) {
        gguf_close(g);
        return status;
    }
    *out = g;
    return QUERN_OK;
}

void gguf_close(struct gguf *g) {
    if (!g)
        return;
    for (size_t i = 0; i < g->n_maps; i++)
        file_unmap(&g->maps[i]);
    free(g->maps);
    free(g->tensor_index);
    free(g->tensors);
    free(g->kv_index);
    free(g->kv);
    free(g->path);
    free(g);
}

/* ---- What is in it ---- */

const char *gguf_path(const struct gguf *g) { return g->path; }
uint32_t gguf_version(const struct gguf *g) { return g->version; }
size_t gguf_alignment(const struct gguf *g) { return g->alignment; }
size_t gguf_n_parts(const struct gguf *g) { return g->n_maps ? g->n_maps : 1; }
uint64_t gguf_file_bytes(const struct gguf *g) { return g->file_bytes; }
size_t gguf_n_kv(const struct gguf *g) { return g->n_kv; }
size_t gguf_n_tensors(const struct gguf *g) { return g->n_tensors; }

const struct gguf_kv *gguf_kv(const struct gguf *g, size_t i) {
    assert(i < g->n_kv);
    return &g->kv[i];
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, size_t i) {
    assert(i < g->n_tensors);
    return &g->tensors[i];
}
