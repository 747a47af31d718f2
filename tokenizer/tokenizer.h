/* tokenizer.h - text to token ids and back.
 * SPDX-License-Identifier: MIT
 * A tokenizer is built from the `tokenizer.ggml.*` metadata of a GGUF file. It is immutable: any number
 * of threads may use one. `tokenizer.ggml.model` = llama and t5 go through the SentencePiece library, so
 * the tokens are SentencePiece's own; any other model is refused by name. */
#ifndef QUERN_TOKENIZER_TOKENIZER_H
#define QUERN_TOKENIZER_TOKENIZER_H

#include "formats/gguf.h"

struct tokenizer;

/* One line about something in the file that was put right; called any number of times during open. */
typedef void tokenizer_note(void *user, const char *text);

/* Build from metadata. Keeps no pointer into g. note may be NULL.
 * Errors: QUERN_UNSUPPORTED (no tokenizer in the file, unknown model), QUERN_FORMAT (lengths or types of
 * the token arrays), QUERN_MEMORY. */
enum quern_status tokenizer_open(const struct gguf *g, struct tokenizer **out, tokenizer_note *note,
                                 void *user, struct quern_error *err);
void tokenizer_close(struct tokenizer *t); /* accepts NULL */

enum token_kind {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN,
    TOKEN_CONTROL,
    TOKEN_USER_DEFINED,
    TOKEN_UNUSED,
    TOKEN_BYTE,
};

size_t tokenizer_n_tokens(const struct tokenizer *t);
int32_t tokenizer_bos(const struct tokenizer *t); /* -1: none; so for the others */
int32_t tokenizer_eos(const struct tokenizer *t);
bool tokenizer_adds_bos(const struct tokenizer *t);
bool tokenizer_adds_eos(const struct tokenizer *t);
/* Ids that end a generation: EOS, end-of-turn, end-of-message and tokens with a well-known end text
 * (FEATURES: `<|eot_id|>`, `<|im_end|>`, `<|end|>`, ...). */
bool tokenizer_is_eog(const struct tokenizer *t, int32_t id);
enum token_kind tokenizer_kind(const struct tokenizer *t, int32_t id); /* id in range */
/* The token's text as the file has it ("▁the", "<0x0A>", "</s>"). */
struct gguf_string tokenizer_piece(const struct tokenizer *t, int32_t id);

enum { TOKENIZE_ADD_SPECIAL = 1, /* BOS and EOS where the vocabulary wants them */
       TOKENIZE_PARSE_SPECIAL = 2 /* texts of control and user-defined tokens become those tokens */ };

/* text [bytes]: any bytes; NUL and invalid UTF-8 are tokenized as bytes. *ids [*n]: allocated, the
 * caller frees it (NULL when *n is 0). Errors: QUERN_MEMORY, QUERN_RANGE (over 2^31 - 1 bytes). */
enum quern_status tokenizer_encode(const struct tokenizer *t, const char *text, size_t bytes, int flags,
                                   int32_t **ids, size_t *n, struct quern_error *err);

/* Detokenizing as a stream. Zero it before the first token. */
struct token_stream {
    uint8_t held[4]; /* the beginning of a UTF-8 character whose rest has not come yet */
    uint8_t n_held;
    bool started;         /* a token that stands for text has passed: no space prefix to drop */
    bool keep_prefix;     /* set by the caller: keep the space that the space prefix added */
    bool write_special;   /* set by the caller: control tokens are written as their text */
};

/* The longest text a token can write, in bytes, with what a stream may hold back. */
size_t tokenizer_max_text(const struct tokenizer *t);

/* Text of one token in its place in the stream into out [tokenizer_max_text], returned length in bytes;
 * not terminated. Complete UTF-8 characters only: bytes of an unfinished one are held. Bytes that can
 * be no part of a character are written as they are. An id that has no token writes "<id N>". */
size_t tokenizer_stream(const struct tokenizer *t, struct token_stream *s, int32_t id, char *out);
/* What is still held, as it is; at the end of the text. out [4]. */
size_t tokenizer_stream_end(struct token_stream *s, char *out);

#endif
