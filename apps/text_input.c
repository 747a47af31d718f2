/* text_input.c - reading what -p, -f and stdin give.
 * SPDX-License-Identifier: MIT */
#include "apps/text_input.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t text_limit = INT32_MAX; /* what a tokenizer takes */

/* ---- Bytes ---- */

static enum quern_status fail_too_long(const char *name, struct quern_error *err) {
    return fail(err, QUERN_RANGE, "%s: is longer than %zu bytes, the most that can be tokenized at once",
                name, text_limit);
}

/* Read fd to its end: files, pipes and terminals alike. room: a first guess at the size. */
static enum quern_status read_all(int fd, size_t room, struct text_input *text, struct quern_error *err) {
    for (;;) {
        if (text->n > text_limit)
            return fail_too_long(text->name, err);
        if (!text->bytes || text->n == room) {
            room = text->bytes ? 2 * room : room;
            char *bytes = realloc(text->bytes, room + 1);
            if (!bytes)
                return fail_memory(err, room + 1);
            text->bytes = bytes;
        }
        ssize_t n = read(fd, text->bytes + text->n, room - text->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(err, QUERN_IO, "%s: %s", text->name, strerror(errno));
        text->n += (size_t)n;
        if (n == 0) {
            text->bytes[text->n] = 0;
            return QUERN_OK;
        }
    }
}

static enum quern_status read_file(const char *path, struct text_input *text, struct quern_error *err) {
    enum { PIPE_ROOM = 4096 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info)) {
        int reason = errno;
        if (fd >= 0)
            close(fd);
        return fail(err, QUERN_IO, "%s: %s", path, strerror(reason));
    }
    size_t room = PIPE_ROOM;
    enum quern_status st = QUERN_OK;
    if (S_ISREG(info.st_mode) && info.st_size > (off_t)text_limit)
        st = fail_too_long(path, err);
    else if (S_ISREG(info.st_mode))
        room = (size_t)info.st_size + 1; /* the byte more lets the first read see the end */
    if (!st)
        st = read_all(fd, room, text, err);
    close(fd);
    return st;
}

/* Replace \n \r \t \\ \' \" \xHH in place; other backslashes stay. */
static void resolve_escapes(struct text_input *text) {
    static const char letters[] = "nrt\\'\"", values[] = "\n\r\t\\'\"";
    char *to = text->bytes;
    const char *end = text->bytes + text->n;
    for (const char *from = text->bytes; from < end;) {
        const char *letter = *from == '\\' && end - from > 1 && from[1] ? strchr(letters, from[1]) : NULL;
        if (letter) {
            *to++ = values[letter - letters];
            from += 2;
        } else if (end - from > 3 && from[0] == '\\' && from[1] == 'x' && isxdigit((unsigned char)from[2]) &&
                   isxdigit((unsigned char)from[3])) {
            const char digits[3] = { from[2], from[3], 0 };
            *to++ = (char)strtoul(digits, NULL, 16);
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    text->n = (size_t)(to - text->bytes);
    *to = 0;
}

static enum quern_status copy_argument(const char *argument, struct text_input *text,
                                       struct quern_error *err) {
    text->n = strlen(argument);
    text->bytes = malloc(text->n + 1);
    if (!text->bytes)
        return fail_memory(err, text->n + 1);
    memcpy(text->bytes, argument, text->n + 1);
    return QUERN_OK;
}

enum quern_status text_input_read(const struct text_settings *settings, struct text_input *text,
                                  struct quern_error *err) {
    *text = (struct text_input){ 0 };
    enum quern_status st;
    if (settings->prompt) {
        text->name = "the prompt";
        st = copy_argument(settings->prompt, text, err);
    } else if (settings->file && strcmp(settings->file, "-")) {
        text->name = settings->file;
        st = read_file(settings->file, text, err);
    } else {
        enum { STDIN_ROOM = 4096 };
        text->name = "standard input";
        st = read_all(STDIN_FILENO, STDIN_ROOM, text, err);
    }
    if (st)
        text_input_free(text);
    else if (settings->escape)
        resolve_escapes(text);
    return st;
}

enum quern_status text_input_as_prompt(struct text_input *text, bool *had_mark, struct quern_error *err) {
    *had_mark = text->n >= 3 && !memcmp(text->bytes, "\xEF\xBB\xBF", 3);
    if (*had_mark) {
        text->n -= 3;
        memmove(text->bytes, text->bytes + 3, text->n + 1);
    }
    if (text->n >= 2 && (!memcmp(text->bytes, "\xFF\xFE", 2) || !memcmp(text->bytes, "\xFE\xFF", 2)))
        return fail(err, QUERN_FORMAT, "%s: looks like UTF-16; convert it to UTF-8", text->name);
    return QUERN_OK;
}

void text_input_free(struct text_input *text) {
    free(text->bytes);
    *text = (struct text_input){ 0 };
}

/* ---- Ids ---- */

static enum quern_status ids_from_json(const struct text_input *text, int32_t *ids, size_t *n,
                                       struct quern_error *err) {
    json_error_t at;
    json_t *root = json_loadb(text->bytes, text->n, 0, &at);
    if (!root)
        return fail(err, QUERN_FORMAT, "%s: line %d, column %d: %s", text->name, at.line, at.column, at.text);
    const json_t *list = json_is_object(root) ? json_object_get(root, "ids") : root;
    if (!list)
        list = json_object_get(root, "tokens"); /* as servers and reference files call them */
    enum quern_status st = QUERN_OK;
    if (!json_is_array(list))
        st = fail(err, QUERN_FORMAT, "%s: no array of ids; expected {\"ids\": [1, 2, 3]} or [1, 2, 3]",
                  text->name);
    *n = json_array_size(list);
    for (size_t i = 0; i < *n && !st; i++) {
        const json_t *value = json_array_get(list, i);
        json_int_t id = json_integer_value(value);
        if (!json_is_integer(value))
            st = fail(err, QUERN_FORMAT, "%s: ids[%zu] is no whole number", text->name, i);
        else if (id < 0 || id > INT32_MAX)
            st = fail(err, QUERN_FORMAT, "%s: ids[%zu] is %lld (allowed: 0..%d)", text->name, i,
                      (long long)id, INT32_MAX);
        else
            ids[i] = (int32_t)id;
    }
    json_decref(root);
    return st;
}

static enum quern_status ids_from_numbers(const struct text_input *text, int32_t *ids, size_t *n,
                                          struct quern_error *err) {
    const char *p = text->bytes, *end = text->bytes + text->n;
    for (;;) {
        while (p < end && (isspace((unsigned char)*p) || *p == ','))
            p++;
        if (p == end)
            return QUERN_OK;
        char *after;
        errno = 0;
        long id = strtol(p, &after, 10);
        if (after == p || errno || id < 0 || id > INT32_MAX ||
            (after < end && !isspace((unsigned char)*after) && *after != ','))
            return fail(err, QUERN_FORMAT, "%s: '%.*s' at byte %td is no token id (allowed: 0..%d)",
                        text->name, (int)strcspn(p, " ,\n\t\r"), p, p - text->bytes, INT32_MAX);
        ids[(*n)++] = (int32_t)id;
        p = after;
    }
}

enum quern_status text_input_ids(const struct text_input *text, int32_t **ids, size_t *n,
                                 struct quern_error *err) {
    *ids = NULL;
    *n = 0;
    /* Each id takes a digit and a separator, so the text bounds their number. */
    size_t room = text->n / 2 + 1;
    int32_t *list = malloc(room * sizeof *list);
    if (!list)
        return fail_memory(err, room * sizeof *list);
    const char *first = text->bytes + strspn(text->bytes, " \t\r\n");
    bool is_json = *first == '[' || *first == '{';
    enum quern_status st = is_json ? ids_from_json(text, list, n, err) : ids_from_numbers(text, list, n, err);
    if (st || *n == 0) {
        free(list);
        return st;
    }
    *ids = list;
    return QUERN_OK;
}
