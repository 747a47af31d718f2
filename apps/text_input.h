/* text_input.h - reading what -p, -f and stdin give.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_TEXT_INPUT_H
#define QUERN_APPS_TEXT_INPUT_H

#include "apps/settings.h"

struct text_input {
    char *bytes; /* [n] and a zero after it; NULs inside are kept */
    size_t n;
    const char *name; /* for messages: "the prompt", the file's path, "standard input" */
};

/* The text of -p, else of the file of -f ("-" is stdin), else of stdin; escapes resolved if asked for.
 * Bytes are taken as they are. On success text_input_free() releases it. Errors: QUERN_IO, QUERN_MEMORY,
 * QUERN_RANGE (more bytes than a tokenizer takes). */
enum quern_status text_input_read(const struct text_settings *settings, struct text_input *text,
                                  struct quern_error *err);

/* Make it a prompt: a UTF-8 byte order mark at the beginning is dropped (*had_mark tells), UTF-16 is
 * refused (QUERN_FORMAT). */
enum quern_status text_input_as_prompt(struct text_input *text, bool *had_mark, struct quern_error *err);

void text_input_free(struct text_input *text); /* accepts a zeroed one */

/* The token ids in a text: a JSON array, a JSON object whose `ids` or `tokens` is one, or numbers separated
 * by white space or commas. *ids [*n]: allocated, NULL when *n is 0. Errors: QUERN_FORMAT (what is no id
 * in 0..2^31-1, and where), QUERN_MEMORY. */
enum quern_status text_input_ids(const struct text_input *text, int32_t **ids, size_t *n,
                                 struct quern_error *err);

#endif
