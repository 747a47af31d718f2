/* token_text.h - ids to a string, and what else the tokenizer's tests share.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_TESTS_TOKEN_TEXT_H
#define QUERN_TESTS_TOKEN_TEXT_H

#include "tokenizer/tokenizer.h"

#include <jansson.h>

struct text {
    char *data; /* with a 0 after the last byte */
    size_t bytes;
};

/* All of ids through one stream that begins as `start`. Fails the test if a call writes more than
 * tokenizer_max_text() or, when complete is set, anything that is not whole characters. free(data). */
struct text token_text(const struct tokenizer *t, const int32_t *ids, size_t n, struct token_stream start,
                       bool complete);

/* tokenizer_encode() that fails the test on error. free() it. */
int32_t *token_ids(const struct tokenizer *t, const char *text, size_t bytes, int flags, size_t *n);

/* The tokenizer of a file; ends the program if it cannot be opened. */
struct tokenizer *token_open(const char *path);

/* The tokenizer of the reference model: the bundled one, or the F16 file of the reference data. */
struct tokenizer *token_open_books(void);

/* A JSON file in which strings may hold NUL. */
json_t *token_read_json(const char *path);
/* An array of ids. free() it. */
int32_t *token_json_ids(const json_t *array, size_t *n);

/* Up to 40 ids for a message, into line [bytes]. */
const char *token_print_ids(const int32_t *ids, size_t n, char *line, size_t bytes);

#endif
