/* gguf_split.c - split models: <prefix>-00001-of-00003.gguf holds the metadata, and each part the infos and
 * data of some tensors.
 * SPDX-License-Identifier: MIT
 * Every part says its number (split.no, from 0) and how many there are (split.count); split.tensors.count
 * is the sum over all parts. */
#include "formats/gguf_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct split {
    int64_t no;        /* from 0 */
    int64_t count;     /* 0 or 1: not split; merging tools leave 0 behind */
    int64_t n_tensors; /* of all parts, -1 if the file does not say */
};

enum { TAIL_BYTES = sizeof "-00001-of-00003.gguf" - 1 };

static enum quern_status read_split(const struct gguf *g, struct split *s, struct quern_error *err) {
    *s = (struct split){ .n_tensors = -1 };
    enum quern_status status;
    bool found;
    if ((status = gguf_get_integer(g, "split.count", 0, GGUF_MAX_PARTS, &s->count, &found, err)) ||
        s->count <= 1)
        return status;
    if ((status = gguf_get_integer(g, "split.no", 0, s->count - 1, &s->no, &found, err)))
        return status;
    return gguf_get_integer(g, "split.tensors.count", 0, INT64_MAX, &s->n_tensors, &found, err);
}

/* Replace the number in path, the path of part s->no, by that of another part. False if path does not end
 * as the name of that part must. */
static bool rename_part(char *path, const struct split *s, int64_t no) {
    char tail[64];
    size_t bytes = strlen(path);
    snprintf(tail, sizeof tail, "-%05" PRId64 "-of-%05" PRId64 ".gguf", s->no + 1, s->count);
    if (bytes < TAIL_BYTES || strcmp(path + bytes - TAIL_BYTES, tail) != 0)
        return false;
    snprintf(tail, sizeof tail, "-%05" PRId64 "-of-%05" PRId64 ".gguf", no + 1, s->count);
    memcpy(path + bytes - TAIL_BYTES, tail, TAIL_BYTES);
    return true;
}

static char *copy_text(const char *text, struct quern_error *err) {
    size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);
    if (copy)
        memcpy(copy, text, bytes);
    else
        fail_memory(err, bytes);
    return copy;
}

static enum quern_status fail_not_first(const struct gguf *g, const struct split *s,
                                        struct quern_error *err) {
    char *first = copy_text(g->path, err);
    if (!first)
        return QUERN_MEMORY;
    const char *wanted = rename_part(first, s, 0) ? first : "its first part";
    enum quern_status status =
        fail(err, QUERN_FORMAT, "%s: is part %" PRId64 " of %" PRId64 " of a split model; open %s", g->path,
             s->no + 1, s->count, wanted);
    free(first);
    return status;
}

/* p was opened as part no of the model whose first part is g. */
static enum quern_status check_part(const struct gguf *g, const struct split *s, const struct gguf *p,
                                    int64_t no, struct quern_error *err) {
    struct split of;
    enum quern_status status = read_split(p, &of, err);
    if (status)
        return status;
    if (of.count != s->count || of.no != no)
        return fail(err, QUERN_FORMAT,
                    "%s: is part %" PRId64 " of %" PRId64 ", expected part %" PRId64 " of %" PRId64 " of %s",
                    p->path, of.no + 1, of.count, no + 1, s->count, g->path);
    if (of.n_tensors >= 0 && s->n_tensors >= 0 && of.n_tensors != s->n_tensors)
        return fail(err, QUERN_FORMAT,
                    "%s: belongs to a model of %" PRId64 " tensors, but %s to one of %" PRId64, p->path,
                    of.n_tensors, g->path, s->n_tensors);

    struct gguf_string mine = { .data = "" }, other = { .data = "" };
    bool has_mine, has_other;
    if ((status = gguf_get_string(g, "general.architecture", &mine, &has_mine, err)) ||
        (status = gguf_get_string(p, "general.architecture", &other, &has_other, err)))
        return status;
    if (has_mine && has_other &&
        (mine.bytes != other.bytes || memcmp(mine.data, other.data, mine.bytes) != 0))
        return fail(err, QUERN_FORMAT, "%s: belongs to a model of architecture '%s', but %s to one of '%s'",
                    p->path, gguf_show(other).text, g->path, gguf_show(mine).text);
    return QUERN_OK;
}

/* Move the tensors and the mapping of part p to g. */
static enum quern_status take_over(struct gguf *g, struct gguf *p, uint32_t no, struct quern_error *err) {
    /* No overflow: both arrays are in memory. */
    size_t bytes = (g->n_tensors + p->n_tensors) * sizeof *g->tensors;
    if (p->n_tensors) {
        struct gguf_tensor *tensors = realloc(g->tensors, bytes);
        if (!tensors)
            return fail_memory(err, bytes);
        g->tensors = tensors;
        memcpy(tensors + g->n_tensors, p->tensors, p->n_tensors * sizeof *p->tensors);
        for (size_t i = 0; i < p->n_tensors; i++)
            tensors[g->n_tensors + i].part = no;
    }
    struct file_map *maps = realloc(g->maps, (g->n_maps + 1) * sizeof *maps);
    if (!maps)
        return fail_memory(err, (g->n_maps + 1) * sizeof *maps);
    g->maps = maps;
    g->maps[g->n_maps++] = p->maps[0];
    g->n_tensors += p->n_tensors;
    g->file_bytes += p->file_bytes;
    p->n_maps = 0; /* its mapping is g's now */
    return QUERN_OK;
}

static enum quern_status open_part(struct gguf *g, const struct split *s, const char *path, int64_t no,
                                   struct quern_error *err) {
    if (access(path, F_OK) && errno == ENOENT)
        return fail(err, QUERN_IO, "%s: part %" PRId64 " of %" PRId64 " is missing: no file %s", g->path,
                    no + 1, s->count, path);
    struct gguf *p = NULL;
    enum quern_status status = gguf_open_single(path, &p, err);
    if (status)
        return status;
    if ((status = check_part(g, s, p, no, err)) == QUERN_OK)
        status = take_over(g, p, (uint32_t)no, err);
    gguf_close(p);
    return status;
}

static enum quern_status open_others(struct gguf *g, const struct split *s, struct quern_error *err) {
    char *path = copy_text(g->path, err);
    if (!path)
        return QUERN_MEMORY;
    enum quern_status status = QUERN_OK;
    struct split at = *s; /* the part that path names */
    if (!rename_part(path, &at, 0))
        status = fail(err, QUERN_FORMAT,
                      "%s: is part 1 of %" PRId64 ", but is not named <prefix>-00001-of-%05" PRId64
                      ".gguf, by which the other parts are found",
                      g->path, s->count, s->count);
    for (int64_t no = 1; status == QUERN_OK && no < s->count; no++) {
        rename_part(path, &at, no);
        at.no = no;
        status = open_part(g, s, path, no, err);
    }
    free(path);
    return status;
}

enum quern_status gguf_open_parts(struct gguf *g, struct quern_error *err) {
    struct split s;
    enum quern_status status = read_split(g, &s, err);
    if (status || s.count <= 1)
        return status;
    if (g->n_maps == 0)
        return fail(err, QUERN_UNSUPPORTED,
                    "%s: is part %" PRId64 " of %" PRId64 " of a split model, which cannot "
                    "be opened from memory",
                    g->path, s.no + 1, s.count);
    if (s.no != 0)
        return fail_not_first(g, &s, err);
    if ((status = open_others(g, &s, err)))
        return status;
    if (s.n_tensors >= 0 && (uint64_t)s.n_tensors != g->n_tensors)
        return fail(err, QUERN_FORMAT,
                    "%s: the %" PRId64 " parts hold %zu tensors, split.tensors.count is %" PRId64, g->path,
                    s.count, g->n_tensors, s.n_tensors);
    return QUERN_OK;
}
