/* special.h - finding the texts of special tokens in a text.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_TOKENIZER_SPECIAL_H
#define QUERN_TOKENIZER_SPECIAL_H

#include "tokenizer/vocab.h"

struct special_entry {
    const char *text;
    uint32_t bytes;
    int32_t id;
};

struct special_table {
    struct special_entry *entries; /* [n]: sorted by text, each text once */
    size_t n;
    size_t first[257]; /* entries that begin with byte b: first[b] .. first[b + 1] */
};

/* Fill *s with the tokens whose kind is in kinds, a set of bits 1 << kind; texts point into v.
 * special_free() also after an error. Errors: QUERN_MEMORY. */
enum quern_status special_build(const struct vocab *v, unsigned kinds, struct special_table *s,
                                struct quern_error *err);
void special_free(struct special_table *s);

/* The longest token that text [bytes] begins with: its id and its length in *matched; -1 if there is none.
 * Searching from left to right and taking the longest is what SentencePiece does with user-defined pieces;
 * it differs from searching the longest token first through the whole text only where tokens overlap. */
int32_t special_match(const struct special_table *s, const char *text, size_t bytes, size_t *matched);

#endif
