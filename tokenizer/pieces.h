/* pieces.h - what SentencePiece is told about each token.
 * SPDX-License-Identifier: MIT
 * SentencePiece refuses a model unless it has exactly one unknown piece, no empty and no repeated piece,
 * and with byte fallback all 256 byte pieces. Files in the wild break each of these rules (padding typed as
 * unknown, <unk> typed as control, two tokens with one text); the pieces made here never do. */
#ifndef QUERN_TOKENIZER_PIECES_H
#define QUERN_TOKENIZER_PIECES_H

#include "tokenizer/vocab.h"

struct piece {
    const char *text; /* in the vocabulary or in pieces.escaped; NULL for what is never matched by text */
    uint32_t bytes;
    float score;
    uint8_t role; /* enum token_kind. TOKEN_CONTROL: never produced from text. Exactly one is
                   * TOKEN_UNKNOWN; byte pieces are 256 or none */
    uint8_t byte; /* of TOKEN_BYTE */
};

struct pieces {
    struct piece *list; /* [n]: the tokens by id, then what SentencePiece needs and the file lacks */
    size_t n;
    char *escaped;
    bool byte_fallback;
    int32_t byte_ids[256]; /* -1: the file has no token for this byte */
};

/* Fill *p from v, and put right the kinds of byte tokens in v. pieces_free() also after an error; what p
 * holds points into v. Errors: QUERN_FORMAT, if no set of pieces can be made; QUERN_MEMORY. */
enum quern_status pieces_build(struct vocab *v, struct pieces *p, const struct notes *notes,
                               struct quern_error *err);
void pieces_free(struct pieces *p);

/* Whether text can become this piece. */
static inline bool piece_is_matched(const struct piece *piece) { return piece->text != NULL; }

#endif
