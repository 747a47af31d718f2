/* encode.c - text to token ids.
 * SPDX-License-Identifier: MIT
 * Special tokens are cut out where asked for; what is between them is normalized, and what of that is UTF-8
 * goes to SentencePiece, in chunks. */
#include "tokenizer/tokenizer_private.h"

#include "tokenizer/utf8.h"

#include <stdlib.h>

/* SentencePiece takes some 200 bytes of memory per byte of text at once; with chunks that stay in the L2
 * cache it is three times as fast as with the whole of 5 MB. */
enum { CHUNK_BYTES = 16384 };

struct id_list {
    int32_t *ids;
    size_t n, room;
};

struct encoder {
    const struct tokenizer *t;
    struct id_list list;
    struct buffer normal; /* the normal form of one plain text */
    bool after_unknown;   /* the last id stands for unknown text that can still go on */
};

static enum quern_status push(struct encoder *e, int32_t id, struct quern_error *err) {
    struct id_list *list = &e->list;
    if (list->n == list->room) {
        size_t room, bytes;
        if (!size_mul(list->room, 2, &room) || !size_add(room, 64, &room) ||
            !size_mul(room, sizeof *list->ids, &bytes))
            return fail_memory(err, SIZE_MAX);
        int32_t *grown = realloc(list->ids, bytes);
        if (!grown)
            return fail_memory(err, bytes);
        list->ids = grown;
        list->room = room;
    }
    list->ids[list->n++] = id;
    return QUERN_OK;
}

/* A run of unknown text is one unknown token, as in SentencePiece, which sees only a part of the run. */
static enum quern_status push_unknown(struct encoder *e, struct quern_error *err) {
    int32_t unk = e->t->vocab.unk;
    if (unk < 0 || (e->after_unknown && !e->t->byte_fallback))
        return QUERN_OK;
    e->after_unknown = true;
    return push(e, unk, err);
}

static enum quern_status push_bytes(struct encoder *e, const char *text, size_t bytes,
                                    struct quern_error *err) {
    enum quern_status st = QUERN_OK;
    for (size_t i = 0; i < bytes && !st; i++) {
        int32_t id = e->t->byte_fallback ? e->t->byte_ids[(uint8_t)text[i]] : -1;
        if (id < 0) {
            st = push_unknown(e, err);
            continue;
        }
        e->after_unknown = false;
        st = push(e, id, err);
    }
    return st;
}

/* text: valid UTF-8, in normal form. */
static enum quern_status push_chunk(struct encoder *e, const char *text, size_t bytes,
                                    struct quern_error *err) {
    int32_t *ids = NULL;
    size_t n = 0;
    enum quern_status st = bytes ? spm_encode(e->t->spm, text, bytes, &ids, &n, err) : QUERN_OK;
    for (size_t i = 0; i < n && !st; i++) {
        bool is_known = (size_t)ids[i] < e->t->vocab.n_tokens && ids[i] != e->t->vocab.unk;
        if (!is_known) { /* or a piece that only SentencePiece has: a byte without a token */
            st = push_unknown(e, err);
            continue;
        }
        e->after_unknown = false;
        st = push(e, ids[i], err);
    }
    free(ids);
    return st;
}

/* How much of the text belongs to the broken character at its beginning. Judged by the first byte, as in
 * the reference engine: bytes that are cut off from their character take the next ones with them. */
static size_t broken_length(const char *text, size_t bytes) {
    uint8_t first = (uint8_t)text[0];
    size_t n = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    return n < bytes ? n : bytes;
}

static enum quern_status push_normal(struct encoder *e, const char *text, size_t bytes,
                                     struct quern_error *err) {
    enum quern_status st = QUERN_OK;
    uint32_t last = 0, code = 0;
    size_t start = 0; /* of the chunk */
    e->after_unknown = false;
    for (size_t i = 0, n; i < bytes && !st; i += n, last = code) {
        n = utf8_decode(text + i, bytes - i, &code);
        bool is_cut = n && i - start >= CHUNK_BYTES && !joints_may_join(&e->t->joints, last, code);
        if (n && !is_cut)
            continue;
        st = push_chunk(e, text + start, i - start, err);
        start = i;
        if (n || st)
            continue;
        n = broken_length(text + i, bytes - i);
        st = push_bytes(e, text + i, n, err);
        start = i + n;
    }
    return st ? st : push_chunk(e, text + start, bytes - start, err);
}

/* Text without special tokens. */
static enum quern_status push_plain(struct encoder *e, const char *text, size_t bytes,
                                    struct quern_error *err) {
    e->normal.n = 0;
    normalize(&e->t->normalizer, text, bytes, &e->normal);
    if (e->normal.failed)
        return fail_memory(err, e->normal.n);
    if (e->normal.n == 0)
        return QUERN_OK;
    return push_normal(e, e->normal.data, e->normal.n, err);
}

static bool is_white_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Each plain text between special tokens is normalized by itself, so it gets the space prefix too. */
static enum quern_status push_parsed(struct encoder *e, const char *text, size_t bytes,
                                     struct quern_error *err) {
    enum quern_status st = QUERN_OK;
    size_t start = 0, i = 0;
    while (i < bytes && !st) {
        size_t n = 1;
        int32_t id = special_match(&e->t->specials, text + i, bytes - i, &n);
        i += n;
        if (id < 0)
            continue;
        if ((st = push_plain(e, text + start, i - n - start, err)) || (st = push(e, id, err)))
            return st;
        while (e->t->vocab.tokens[id].strips_right && i < bytes && is_white_space(text[i]))
            i++;
        start = i;
    }
    return st ? st : push_plain(e, text + start, bytes - start, err);
}

enum quern_status tokenizer_encode(const struct tokenizer *t, const char *text, size_t bytes, int flags,
                                   int32_t **ids, size_t *n, struct quern_error *err) {
    struct encoder e = { .t = t };
    enum quern_status st = QUERN_OK;
    if (bytes > INT32_MAX)
        return fail(err, QUERN_RANGE, "a text of %zu bytes is too long to tokenize at once (at most %d)",
                    bytes, INT32_MAX);
    if ((flags & TOKENIZE_ADD_SPECIAL) && tokenizer_adds_bos(t) && (st = push(&e, t->vocab.bos, err)))
        goto done;
    if (bytes > 0) /* text may be NULL otherwise */
        st = flags & TOKENIZE_PARSE_SPECIAL ? push_parsed(&e, text, bytes, err)
                                            : push_plain(&e, text, bytes, err);
    if (st)
        goto done;
    if ((flags & TOKENIZE_ADD_SPECIAL) && tokenizer_adds_eos(t))
        st = push(&e, t->vocab.eos, err);
done:
    buffer_free(&e.normal);
    if (st || e.list.n == 0) {
        free(e.list.ids);
        e.list = (struct id_list){ 0 };
    }
    if (st)
        return st;
    *ids = e.list.ids;
    *n = e.list.n;
    return QUERN_OK;
}
