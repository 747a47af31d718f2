/* gguf_tensors.c - tensor infos of a GGUF file: shapes, types, and where the data lies.
 * SPDX-License-Identifier: MIT */
#include "formats/gguf_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct shape_text {
    char text[GGUF_MAX_DIMS * 22 + 3];
};

static struct shape_text show_shape(const struct gguf_tensor *t) {
    struct shape_text shape;
    int used = snprintf(shape.text, sizeof shape.text, "[%" PRIu64, t->ne[0]);
    for (uint32_t i = 1; i < t->n_dims; i++)
        used += snprintf(shape.text + used, sizeof shape.text - (size_t)used, ", %" PRIu64, t->ne[i]);
    snprintf(shape.text + used, sizeof shape.text - (size_t)used, "]");
    return shape;
}

static enum quern_status fail_too_large(const char *path, const struct gguf_tensor *t, const char *what,
                                        struct quern_error *err) {
    return fail(err, QUERN_FORMAT, "%s: tensor '%s' of shape %s has more than 2^63 - 1 %s", path,
                gguf_show(t->name).text, show_shape(t).text, what);
}

enum quern_status gguf_check_shape(const char *path, struct gguf_tensor *t, struct quern_error *err) {
    if (t->n_dims < 1 || t->n_dims > GGUF_MAX_DIMS)
        return fail(err, QUERN_FORMAT, "%s: tensor '%s' has %" PRIu32 " dimensions, allowed are 1 to %d",
                    path, gguf_show(t->name).text, t->n_dims, GGUF_MAX_DIMS);
    uint64_t n_values = 1;
    for (uint32_t i = 0; i < t->n_dims; i++) {
        if (t->ne[i] == 0)
            return fail(err, QUERN_FORMAT, "%s: tensor '%s' has the shape %s, no dimension may be 0", path,
                        gguf_show(t->name).text, show_shape(t).text);
        if (__builtin_mul_overflow(n_values, t->ne[i], &n_values) || n_values > INT64_MAX)
            return fail_too_large(path, t, "values", err);
    }
    for (uint32_t i = t->n_dims; i < GGUF_MAX_DIMS; i++)
        t->ne[i] = 1;

    const struct type_info *type = type_info(t->type);
    if (!type)
        return fail(err, QUERN_UNSUPPORTED, "%s: tensor '%s': type %" PRIu32 " %s", path,
                    gguf_show(t->name).text, t->type, type_refusal(t->type));
    if (t->ne[0] % type->block_values)
        return fail(err, QUERN_FORMAT,
                    "%s: row %" PRIu64 " of tensor '%s' is not a multiple of %" PRIu32 " (%s)", path,
                    t->ne[0], gguf_show(t->name).text, type->block_values, type->name);
    if (!type_bytes(t->type, n_values, &t->bytes) || t->bytes > INT64_MAX)
        return fail_too_large(path, t, "bytes", err);
    return QUERN_OK;
}

enum quern_status gguf_read_tensor(struct gguf_cursor *c, struct gguf_tensor *t) {
    enum quern_status status;
    if ((status = gguf_take_name(c)))
        return status;
    t->name = c->name;
    if ((status = gguf_take_u32(c, &t->n_dims)))
        return status;
    /* More than GGUF_MAX_DIMS are not read; gguf_check_shape() refuses the number, unless the file ends
     * first, which is then the better message. */
    for (uint32_t i = 0; i < t->n_dims && i < GGUF_MAX_DIMS; i++)
        if ((status = gguf_take_u64(c, &t->ne[i])))
            return status;
    if ((status = gguf_take_u32(c, &t->type)) || (status = gguf_take_u64(c, &t->file_offset)))
        return status;
    return gguf_check_shape(c->path, t, c->err);
}

static int compare_offsets(const void *a, const void *b) {
    const struct gguf_tensor *x = *(const struct gguf_tensor *const *)a;
    const struct gguf_tensor *y = *(const struct gguf_tensor *const *)b;
    if (x->file_offset != y->file_offset)
        return x->file_offset < y->file_offset ? -1 : 1;
    return (x > y) - (x < y);
}

/* What ends where t should begin, for messages: the tensor before it, or the header. */
static struct gguf_shown show_before(const struct gguf_tensor *before) {
    struct gguf_shown shown = { "the header" };
    if (before)
        snprintf(shown.text, sizeof shown.text, "tensor '%.83s'", gguf_show(before->name).text);
    return shown;
}

/* sorted [n_tensors] by file_offset, which counts from data_start here. */
static enum quern_status check_layout(const struct gguf *g, const struct gguf_cursor *c, uint64_t data_start,
                                      struct gguf_tensor *const *sorted) {
    const struct gguf_tensor *before = NULL, *last = sorted[g->n_tensors - 1];
    uint64_t end = data_start; /* of the tensors so far, a file offset up to INT64_MAX */
    for (size_t i = 0; i < g->n_tensors; before = sorted[i++]) {
        const struct gguf_tensor *t = sorted[i];
        if (t->file_offset % g->alignment)
            return fail(c->err, QUERN_FORMAT,
                        "%s: tensor '%s' at offset %" PRIu64 " is not aligned to a multiple of %zu", c->path,
                        gguf_show(t->name).text, t->file_offset, g->alignment);

        bool is_sane =
            t->file_offset <= INT64_MAX - data_start && t->bytes <= INT64_MAX - data_start - t->file_offset;
        uint64_t start = is_sane ? data_start + t->file_offset : INT64_MAX;
        if (start < end)
            return fail(c->err, QUERN_FORMAT,
                        "%s: tensor '%s' begins at byte %" PRIu64
                        " and overlaps %s, which ends at byte %" PRIu64,
                        c->path, gguf_show(t->name).text, start, show_before(before).text, end);
        /* Written files have no holes, so a tensor past the end that stands apart has a wrong offset; one
         * that follows its neighbour was cut off, see below. */
        bool stands_apart = start - end >= g->alignment;
        if (!is_sane || (stands_apart && start + t->bytes > c->bytes))
            return fail(c->err, QUERN_FORMAT,
                        "%s: tensor '%s' (offset %" PRIu64 ", %zu bytes) lies beyond the file (%zu bytes), "
                        "and %s before it ends at byte %" PRIu64,
                        c->path, gguf_show(t->name).text, t->file_offset, t->bytes, c->bytes,
                        show_before(before).text, end);
        end = start + t->bytes;
    }
    if (end > c->bytes)
        return fail(c->err, QUERN_FORMAT,
                    "%s: tensor '%s' ends at byte %" PRIu64
                    " but the file has %zu bytes; download incomplete, %d %% present",
                    c->path, gguf_show(last->name).text, end, c->bytes,
                    (int)(100.0 * (double)c->bytes / (double)end));
    return QUERN_OK;
}

enum quern_status gguf_place_tensors(struct gguf *g, const struct gguf_cursor *c) {
    if (g->n_tensors == 0) /* a vocabulary alone; its data section may be missing */
        return QUERN_OK;
    /* Cannot overflow: a position in a mapping is far below SIZE_MAX. */
    size_t data_start = (c->position + g->alignment - 1) / g->alignment * g->alignment;

    struct gguf_tensor **sorted = malloc(g->n_tensors * sizeof(struct gguf_tensor *));
    if (!sorted)
        return fail_memory(c->err, g->n_tensors * sizeof(struct gguf_tensor *));
    for (size_t i = 0; i < g->n_tensors; i++)
        sorted[i] = &g->tensors[i];
    qsort(sorted, g->n_tensors, sizeof(struct gguf_tensor *), compare_offsets);
    enum quern_status status = check_layout(g, c, data_start, sorted);
    free(sorted);
    if (status)
        return status;

    for (size_t i = 0; i < g->n_tensors; i++) {
        struct gguf_tensor *t = &g->tensors[i];
        t->file_offset += data_start;
        t->data = c->data + t->file_offset;
    }
    return QUERN_OK;
}
