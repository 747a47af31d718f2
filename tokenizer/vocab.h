/* vocab.h - the tokenizer metadata of a GGUF file, read and checked.
 * SPDX-License-Identifier: MIT
 * Keys: general.name, tokenizer.ggml.{model, pre, tokens, scores, token_type, *_token_id, add_*,
 * remove_extra_whitespaces, precompiled_charsmap}. */
#ifndef QUERN_TOKENIZER_VOCAB_H
#define QUERN_TOKENIZER_VOCAB_H

#include "tokenizer/tokenizer.h"

/* The longest text a token may have. The longest known ones have some hundred bytes; matching special
 * tokens and the search for the best path take time in proportion to it. */
enum { MAX_TOKEN_BYTES = 4096 };

struct vocab_token {
    const char *text; /* in vocab.texts */
    uint32_t bytes;
    float score;  /* log probability, or minus the rank of the merge */
    uint8_t kind; /* enum token_kind: the file's, put right where it contradicts the rest */
    uint8_t byte; /* of TOKEN_BYTE */
    bool is_eog;
    bool strips_right; /* white space after it is dropped when special tokens are parsed */
};

struct vocab {
    struct vocab_token *tokens; /* [n_tokens] */
    size_t n_tokens;            /* 1..INT32_MAX */
    char *texts;
    size_t max_token_bytes;
    int32_t bos, eos, unk; /* -1: none */
    bool is_unigram;       /* t5; otherwise BPE by score */
    bool add_bos, add_eos;
    bool add_space_prefix;
    bool remove_extra_whitespaces;
    uint8_t *charsmap; /* [charsmap_bytes]: normalization rules (normalize.h); NULL: none */
    size_t charsmap_bytes;
};

/* Where corrections are told: at most one line per kind of correction. */
struct notes {
    tokenizer_note *tell; /* may be NULL */
    void *user;
    const char *path; /* begins each line */
};

void note(const struct notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Fill *v. vocab_free() also after an error. Errors as in tokenizer_open(). */
enum quern_status vocab_read(const struct gguf *g, struct vocab *v, const struct notes *notes,
                             struct quern_error *err);
void vocab_free(struct vocab *v);

/* The value of "<0xNN>" (either case), -1 for any other text. */
int vocab_byte_value(const char *text, size_t bytes);

#endif
