/* token_text.c - ids to a string, and what else the tokenizer's tests share.
 * SPDX-License-Identifier: MIT */
#include "tests/tokenizer/token_text.h"

#include "tests/support.h"
#include "tokenizer/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct text token_text(const struct tokenizer *t, const int32_t *ids, size_t n, struct token_stream start,
                       bool complete) {
    size_t room = tokenizer_max_text(t);
    struct token_stream stream = start;
    struct text text = { .data = malloc((n + 1) * room + 1) };
    assert_non_null(text.data);
    for (size_t i = 0; i < n; i++) {
        char *to = text.data + text.bytes;
        size_t bytes = tokenizer_stream(t, &stream, ids[i], to);
        assert_true(bytes <= room);
        if (complete && !utf8_is_valid(to, bytes))
            fail_msg("token %zu, id %d: wrote a part of a character", i, (int)ids[i]);
        text.bytes += bytes;
    }
    text.bytes += tokenizer_stream_end(&stream, text.data + text.bytes);
    text.data[text.bytes] = 0;
    return text;
}

int32_t *token_ids(const struct tokenizer *t, const char *text, size_t bytes, int flags, size_t *n) {
    int32_t *ids = NULL;
    struct quern_error err = { 0 };
    if (tokenizer_encode(t, text, bytes, flags, &ids, n, &err))
        fail_msg("%s", err.text);
    if ((*n == 0) != (ids == NULL))
        fail_msg("%zu ids at %p", *n, (void *)ids);
    return ids;
}

struct tokenizer *token_open(const char *path) {
    struct gguf *g = NULL;
    struct tokenizer *t = NULL;
    struct quern_error err = { 0 };
    if (gguf_open(path, &g, &err) || tokenizer_open(g, &t, NULL, NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    gguf_close(g); /* a tokenizer keeps nothing of it */
    return t;
}

struct tokenizer *token_open_books(void) {
    static const char bundled[] = QUERN_SOURCE_DIR "/models/bundled/books-7m-q8_0.gguf";
    return token_open(access(bundled, R_OK) == 0 ? bundled
                                                 : support_require_shared("models/books-7m-f16.gguf"));
}

json_t *token_read_json(const char *path) {
    size_t bytes;
    json_error_t error;
    char *data = (char *)support_read(path, &bytes);
    json_t *json = json_loadb(data, bytes, JSON_ALLOW_NUL, &error);
    free(data);
    if (!json) {
        fprintf(stderr, "%s:%d: %s\n", path, error.line, error.text);
        exit(1);
    }
    return json;
}

int32_t *token_json_ids(const json_t *array, size_t *n) {
    *n = json_array_size(array);
    int32_t *ids = malloc(*n * sizeof *ids + 1);
    assert_non_null(ids);
    for (size_t i = 0; i < *n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return ids;
}

const char *token_print_ids(const int32_t *ids, size_t n, char *line, size_t bytes) {
    size_t at = (size_t)snprintf(line, bytes, "[%zu]", n);
    for (size_t i = 0; i < n && i < 40 && at < bytes; i++)
        at += (size_t)snprintf(line + at, bytes - at, " %d", (int)ids[i]);
    return line;
}
