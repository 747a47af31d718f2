/* pieces.c - what SentencePiece is told about each token.
 * SPDX-License-Identifier: MIT */
#include "tokenizer/pieces.h"

#include "tokenizer/utf8.h"

#include <math.h>
#include <stdlib.h>

/* What is wrong with a token, told once per kind. */
enum oddity { ODD_EMPTY, ODD_TEXT, ODD_REPEATED, ODD_UNKNOWN, ODD_BYTE, ODD_BYTE_KIND, N_ODDITIES };

static const char *const oddity_texts[N_ODDITIES] = {
    [ODD_EMPTY] = "tokens without text, which no text becomes",
    [ODD_TEXT] = "tokens that are not UTF-8 or contain NUL, which no text becomes",
    [ODD_REPEATED] = "tokens that repeat the text of another, which no text becomes",
    [ODD_UNKNOWN] = "tokens typed as unknown beside the unknown token, which no text becomes",
    [ODD_BYTE] = "tokens typed as bytes that are not '<0xNN>' or repeat one, which no text becomes",
    [ODD_BYTE_KIND] = "tokens '<0xNN>' typed as normal, taken as bytes",
};

struct oddities {
    size_t count[N_ODDITIES], first[N_ODDITIES];
};

static void odd(struct oddities *o, enum oddity kind, size_t id) {
    if (o->count[kind]++ == 0)
        o->first[kind] = id;
}

static void tell_oddities(const struct vocab *v, const struct oddities *o, const struct notes *notes) {
    for (size_t k = 0; k < N_ODDITIES; k++)
        if (o->count[k]) {
            const struct vocab_token *token = &v->tokens[o->first[k]];
            note(notes, "%s: %zu, first token %zu '%.*s'", oddity_texts[k], o->count[k], o->first[k],
                 (int)(token->bytes < 64 ? token->bytes : 64), token->text);
        }
}

/* Find the token of each byte. A vocabulary of normal tokens that has all 256 texts means them as bytes. */
static void settle_bytes(struct vocab *v, struct pieces *p, struct oddities *o) {
    int32_t normal_ids[256];
    size_t n_marked = 0, n_normal = 0;
    for (size_t i = 0; i < 256; i++)
        p->byte_ids[i] = normal_ids[i] = -1;
    for (size_t i = 0; i < v->n_tokens; i++) {
        struct vocab_token *token = &v->tokens[i];
        int value = vocab_byte_value(token->text, token->bytes);
        if (token->kind == TOKEN_BYTE) {
            if (value >= 0)
                token->byte = (uint8_t)value;
            else
                token->kind = TOKEN_UNUSED;
            if (value < 0 || p->byte_ids[value] >= 0) {
                odd(o, ODD_BYTE, i);
                continue;
            }
            p->byte_ids[value] = (int32_t)i;
            n_marked++;
        } else if (token->kind == TOKEN_NORMAL && value >= 0 && normal_ids[value] < 0) {
            normal_ids[value] = (int32_t)i;
            n_normal++;
        }
    }
    p->byte_fallback = n_marked > 0 || n_normal == 256;
    for (size_t i = 0; n_marked == 0 && n_normal == 256 && i < 256; i++) {
        struct vocab_token *token = &v->tokens[normal_ids[i]];
        token->kind = TOKEN_BYTE;
        token->byte = (uint8_t)i;
        p->byte_ids[i] = normal_ids[i];
        odd(o, ODD_BYTE_KIND, (size_t)normal_ids[i]);
    }
}

/* Whether text can become this token at all; if not, why. A NUL would end the text of the piece inside
 * SentencePiece's tries (all pieces of a unigram model, user-defined ones of any). */
static bool is_usable(const struct vocab *v, const struct vocab_token *token, enum oddity *why) {
    *why = token->bytes == 0 ? ODD_EMPTY : ODD_TEXT;
    bool in_trie = v->is_unigram || token->kind == TOKEN_USER_DEFINED;
    return token->bytes && utf8_is_valid(token->text, token->bytes) &&
           !(in_trie && memchr(token->text, 0, token->bytes));
}

/* User-defined tokens are written with plain spaces by some converters; SentencePiece compares with text
 * whose spaces are U+2581. */
static void escape_spaces(struct piece *piece, char **to) {
    char *start = *to;
    for (uint32_t i = 0; i < piece->bytes; i++) {
        bool is_space = piece->text[i] == ' ';
        memcpy(*to, is_space ? SPACE_SYMBOL : piece->text + i, is_space ? SPACE_SYMBOL_BYTES : 1);
        *to += is_space ? SPACE_SYMBOL_BYTES : 1;
    }
    piece->text = start;
    piece->bytes = (uint32_t)(*to - start);
}

static enum quern_status assign_roles(const struct vocab *v, struct pieces *p, struct oddities *o,
                                      const char *path, struct quern_error *err) {
    size_t escaped_bytes = 0;
    for (size_t i = 0; i < v->n_tokens; i++)
        if (v->tokens[i].kind == TOKEN_USER_DEFINED)
            escaped_bytes += (size_t)v->tokens[i].bytes * SPACE_SYMBOL_BYTES; /* <= 3 * the file's bytes */
    char *to = p->escaped = malloc(escaped_bytes + 1);
    if (!to)
        return fail_memory(err, escaped_bytes + 1);
    for (size_t i = 0; i < v->n_tokens; i++) {
        const struct vocab_token *token = &v->tokens[i];
        struct piece *piece = &p->list[i];
        *piece = (struct piece){ .role = TOKEN_CONTROL };
        if (token->kind == TOKEN_CONTROL)
            continue;
        if (token->kind == TOKEN_UNKNOWN) {
            if ((int32_t)i == v->unk)
                piece->role = TOKEN_UNKNOWN;
            else
                odd(o, ODD_UNKNOWN, i);
            continue;
        }
        if (token->kind == TOKEN_BYTE) {
            if (p->byte_ids[token->byte] == (int32_t)i)
                *piece = (struct piece){ .role = TOKEN_BYTE, .byte = token->byte };
            continue;
        }
        enum oddity why;
        if (!is_usable(v, token, &why)) {
            odd(o, why, i);
            continue;
        }
        if (!isfinite(token->score))
            return fail(err, QUERN_FORMAT,
                        "%s: key 'tokenizer.ggml.scores': the score of token %zu is %f (finite expected)",
                        path, i, (double)token->score);
        *piece = (struct piece){
            .text = token->text, .bytes = token->bytes, .score = token->score, .role = token->kind
        };
        if (token->kind == TOKEN_USER_DEFINED)
            escape_spaces(piece, &to);
    }
    return QUERN_OK;
}

static uint64_t hash_text(const char *text, size_t bytes) {
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3;
    return hash ^ hash >> 32;
}

/* Of pieces with one text the first stays. A normal piece with the text of a byte piece would also be
 * taken for it. */
static enum quern_status drop_repeated(struct pieces *p, struct oddities *o, struct quern_error *err) {
    size_t n_slots = 64;
    while (n_slots < 2 * p->n)
        n_slots *= 2;
    uint32_t *slots = calloc(n_slots, sizeof *slots); /* index + 1 */
    if (!slots)
        return fail_memory(err, n_slots * sizeof *slots);
    for (size_t i = 0; i < p->n; i++) {
        struct piece *piece = &p->list[i];
        if (!piece_is_matched(piece))
            continue;
        size_t at = hash_text(piece->text, piece->bytes) & (n_slots - 1);
        int byte = vocab_byte_value(piece->text, piece->bytes);
        bool repeated = byte >= 0 && p->byte_fallback;
        for (; slots[at] && !repeated; at = (at + 1) & (n_slots - 1)) {
            const struct piece *other = &p->list[slots[at] - 1];
            repeated = other->bytes == piece->bytes && !memcmp(other->text, piece->text, piece->bytes);
        }
        if (!repeated) {
            slots[at] = (uint32_t)i + 1;
            continue;
        }
        *piece = (struct piece){ .role = TOKEN_CONTROL };
        odd(o, ODD_REPEATED, i);
    }
    free(slots);
    return QUERN_OK;
}

/* Append the pieces that SentencePiece insists on and the file lacks; their ids are none of the file's. */
static enum quern_status complete(const struct vocab *v, struct pieces *p, const struct notes *notes,
                                  struct quern_error *err) {
    size_t n_missing = 0, first_missing = 0, n_matched = 0;
    for (size_t i = 0; i < p->n; i++)
        n_matched += piece_is_matched(&p->list[i]);
    for (size_t i = 256; p->byte_fallback && i-- > 0;)
        if (p->byte_ids[i] < 0) {
            n_missing++;
            first_missing = i;
            p->list[p->n++] = (struct piece){ .role = TOKEN_BYTE, .byte = (uint8_t)i };
        }
    if (v->unk < 0) {
        if (!p->byte_fallback || n_missing)
            return fail(err, QUERN_FORMAT,
                        "%s: the vocabulary of %zu tokens has neither an unknown token nor all 256 bytes",
                        notes->path, v->n_tokens);
        p->list[p->n++] = (struct piece){ .role = TOKEN_UNKNOWN };
    }
    if (v->is_unigram && n_matched == 0)
        return fail(err, QUERN_FORMAT, "%s: none of the %zu tokens is a normal one", notes->path,
                    v->n_tokens);
    if (n_missing)
        note(notes, "%zu of the 256 byte tokens are missing (first: <0x%02X>); they become the unknown token",
             n_missing, (unsigned)first_missing);
    return QUERN_OK;
}

enum quern_status pieces_build(struct vocab *v, struct pieces *p, const struct notes *notes,
                               struct quern_error *err) {
    struct oddities o = { 0 };
    enum quern_status st;
    *p = (struct pieces){ .n = v->n_tokens };
    p->list = calloc(v->n_tokens + 256 + 1, sizeof *p->list); /* n_tokens <= INT32_MAX: no overflow */
    if (!p->list)
        return fail_memory(err, (v->n_tokens + 256 + 1) * sizeof *p->list);
    settle_bytes(v, p, &o);
    if ((st = assign_roles(v, p, &o, notes->path, err)) || (st = drop_repeated(p, &o, err)) ||
        (st = complete(v, p, notes, err)))
        return st;
    tell_oddities(v, &o, notes);
    return QUERN_OK;
}

void pieces_free(struct pieces *p) {
    free(p->list);
    free(p->escaped);
    *p = (struct pieces){ 0 };
}
