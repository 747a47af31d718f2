/* tokenizer.c - opening a tokenizer.
 * SPDX-License-Identifier: MIT
 * Text to ids: encode.c. Ids to text: stream.c. */
#include "tokenizer/tokenizer_private.h"

#include "tokenizer/spm_proto.h"

#include <stdlib.h>

static enum quern_status open_spm(struct tokenizer *t, const struct notes *notes, struct quern_error *err) {
    struct pieces pieces;
    struct buffer proto = { 0 };
    enum quern_status st = pieces_build(&t->vocab, &pieces, notes, err);
    if (st || (st = spm_proto_write(&pieces, t->vocab.is_unigram, notes->path, &proto, err)))
        goto done;
    joints_build(&pieces, &t->joints);
    t->byte_fallback = pieces.byte_fallback;
    memcpy(t->byte_ids, pieces.byte_ids, sizeof t->byte_ids);
    st = spm_open(proto.data, proto.n, notes->path, &t->spm, err);
done:
    buffer_free(&proto);
    pieces_free(&pieces);
    return st;
}

enum quern_status tokenizer_open(const struct gguf *g, struct tokenizer **out, tokenizer_note *tell,
                                 void *user, struct quern_error *err) {
    const struct notes notes = { .tell = tell, .user = user, .path = gguf_path(g) };
    const unsigned special_kinds = 1u << TOKEN_CONTROL | 1u << TOKEN_UNKNOWN | 1u << TOKEN_USER_DEFINED;
    enum quern_status st;
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return fail_memory(err, sizeof *t);
    if ((st = vocab_read(g, &t->vocab, &notes, err)))
        goto fail;
    if ((st = normalizer_build(&t->vocab, notes.path, &t->normalizer, err)))
        goto fail;
    if ((st = open_spm(t, &notes, err)))
        goto fail;
    if ((st = special_build(&t->vocab, special_kinds, &t->specials, err)))
        goto fail;
    *out = t;
    return QUERN_OK;
fail:
    tokenizer_close(t);
    return st;
}

void tokenizer_close(struct tokenizer *t) {
    if (!t)
        return;
    spm_close(t->spm);
    special_free(&t->specials);
    normalizer_free(&t->normalizer);
    vocab_free(&t->vocab);
    free(t);
}

size_t tokenizer_n_tokens(const struct tokenizer *t) { return t->vocab.n_tokens; }

int32_t tokenizer_bos(const struct tokenizer *t) { return t->vocab.bos; }

int32_t tokenizer_eos(const struct tokenizer *t) { return t->vocab.eos; }

bool tokenizer_adds_bos(const struct tokenizer *t) { return t->vocab.add_bos && t->vocab.bos >= 0; }

bool tokenizer_adds_eos(const struct tokenizer *t) { return t->vocab.add_eos && t->vocab.eos >= 0; }

bool tokenizer_is_eog(const struct tokenizer *t, int32_t id) {
    return id >= 0 && (size_t)id < t->vocab.n_tokens && t->vocab.tokens[id].is_eog;
}

enum token_kind tokenizer_kind(const struct tokenizer *t, int32_t id) { return t->vocab.tokens[id].kind; }

struct gguf_string tokenizer_piece(const struct tokenizer *t, int32_t id) {
    return (struct gguf_string){ t->vocab.tokens[id].text, t->vocab.tokens[id].bytes };
}
