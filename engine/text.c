/* text.c - the public face of a model's tokenizer.
 * SPDX-License-Identifier: MIT */
#include "engine/model.h"

#include <assert.h>
#include <stdlib.h>

enum quern_status quern_tokenizer_check(const struct quern_model *m, struct quern_error *err) {
    if (m->tokenizer)
        return QUERN_OK;
    if (err)
        *err = m->tokenizer_error;
    return m->tokenizer_error.status;
}

enum quern_status quern_tokenize(const struct quern_model *m, const char *text, size_t bytes, int flags,
                                 int32_t **ids, size_t *n, struct quern_error *err) {
    static_assert((int)QUERN_ADD_SPECIAL == (int)TOKENIZE_ADD_SPECIAL, "the flags are handed on");
    static_assert((int)QUERN_PARSE_SPECIAL == (int)TOKENIZE_PARSE_SPECIAL, "the flags are handed on");
    enum quern_status st = quern_tokenizer_check(m, err);
    return st ? st : tokenizer_encode(m->tokenizer, text, bytes, flags, ids, n, err);
}

int32_t quern_token_bos(const struct quern_model *m) {
    return m->tokenizer ? tokenizer_bos(m->tokenizer) : -1;
}
int32_t quern_token_eos(const struct quern_model *m) {
    return m->tokenizer ? tokenizer_eos(m->tokenizer) : -1;
}
bool quern_adds_bos(const struct quern_model *m) { return m->tokenizer && tokenizer_adds_bos(m->tokenizer); }
bool quern_token_is_eog(const struct quern_model *m, int32_t id) {
    return m->tokenizer && tokenizer_is_eog(m->tokenizer, id);
}

struct quern_text {
    const struct tokenizer *tokenizer;
    struct token_stream stream;
    char text[];
};

enum quern_status quern_text_open(const struct quern_model *m, int flags, struct quern_text **out,
                                  struct quern_error *err) {
    enum quern_status st = quern_tokenizer_check(m, err);
    if (st)
        return st;
    size_t bytes;
    if (!size_add(sizeof(struct quern_text), tokenizer_max_text(m->tokenizer), &bytes))
        return fail_memory(err, SIZE_MAX);
    struct quern_text *text = calloc(1, bytes);
    if (!text)
        return fail_memory(err, bytes);
    text->tokenizer = m->tokenizer;
    text->stream.write_special = flags & QUERN_TEXT_SPECIAL;
    text->stream.keep_prefix = flags & QUERN_TEXT_KEEP_PREFIX;
    *out = text;
    return QUERN_OK;
}

const char *quern_text_add(struct quern_text *text, int32_t id, size_t *bytes) {
    *bytes = tokenizer_stream(text->tokenizer, &text->stream, id, text->text);
    return text->text;
}

const char *quern_text_end(struct quern_text *text, size_t *bytes) {
    *bytes = tokenizer_stream_end(&text->stream, text->text);
    return text->text;
}

void quern_text_close(struct quern_text *text) { free(text); }
