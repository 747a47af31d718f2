/* normalize.h - text as SentencePiece's models want it before they look for pieces.
 * SPDX-License-Identifier: MIT
 * SentencePiece would do the same from the rules in its model file, but it trusts them: their trie is
 * walked without bounds. Here every step is checked. */
#ifndef QUERN_TOKENIZER_NORMALIZE_H
#define QUERN_TOKENIZER_NORMALIZE_H

#include "tokenizer/buffer.h"
#include "tokenizer/special.h"

struct normalizer {
    const uint8_t *units; /* [n_units] of 4 bytes: trie from text to an offset into the pool; NULL: none */
    size_t n_units;
    const char *pool; /* [pool_bytes]: replacements, each ended by NUL */
    size_t pool_bytes;
    bool add_prefix;               /* a space in front */
    bool remove_extra_whitespaces; /* none at the ends, one between words */
    bool replace_invalid;          /* bytes that are no character become U+FFFD, one each */
    struct special_table kept;     /* user-defined tokens are not changed by rules */
};

/* Fill *nz from v, into which it points; normalizer_free() also after an error.
 * Errors: QUERN_FORMAT (the rules), QUERN_MEMORY. */
enum quern_status normalizer_build(const struct vocab *v, const char *path, struct normalizer *nz,
                                   struct quern_error *err);
void normalizer_free(struct normalizer *nz);

/* Append the normal form of text [bytes] to *out, spaces as U+2581. Running out of memory sets
 * out->failed. */
void normalize(const struct normalizer *nz, const char *text, size_t bytes, struct buffer *out);

#endif
