/* vocab.c - the tokenizer metadata of a GGUF file, read and checked.
 * SPDX-License-Identifier: MIT */
#include "tokenizer/vocab.h"

#include "tokenizer/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What each value of tokenizer.ggml.model means; defaults are those of the reference engine. */
static const struct model_row {
    const char *name;
    bool is_unigram, add_bos, add_eos;
    int32_t bos, eos, unk; /* where the file has no key */
} models[] = {
    { .name = "llama", .add_bos = true, .bos = 1, .eos = 2, .unk = 0 },
    { .name = "t5", .is_unigram = true, .add_eos = true, .bos = -1, .eos = 1, .unk = 2 },
};
enum { N_MODELS = sizeof models / sizeof *models };

/* Tokens with these texts end a generation, whatever the special ids say. */
/* clang-format off */
static const char *const end_texts[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
    "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
    "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>",
    "<\xef\xbd\x9c" "end" SPACE_SYMBOL "of" SPACE_SYMBOL "sentence\xef\xbd\x9c>",
};
/* clang-format on */
enum { N_END_TEXTS = sizeof end_texts / sizeof *end_texts };

void note(const struct notes *notes, const char *format, ...) {
    if (!notes->tell)
        return;
    char text[512], line[sizeof(struct quern_error)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(line, sizeof line, "%s: %s", notes->path, text);
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) /* token texts may hold anything */
            *p = '?';
    notes->tell(notes->user, line);
}

static int hex_digit(char c) {
    static const char digits[] = "0123456789ABCDEFabcdef";
    const char *at = memchr(digits, c, sizeof digits - 1);
    ptrdiff_t value = at ? at - digits : -1;
    return (int)(value < 16 ? value : value - 6);
}

int vocab_byte_value(const char *text, size_t bytes) {
    if (bytes != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
        return -1;
    int high = hex_digit(text[3]), low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool text_is(const struct vocab_token *token, const char *text) {
    return token->bytes == strlen(text) && !memcmp(token->text, text, token->bytes);
}

static enum quern_status find_model(const struct gguf *g, const struct model_row **out,
                                    struct quern_error *err) {
    struct gguf_string name = { 0 };
    bool found = false;
    enum quern_status st = gguf_get_string(g, "tokenizer.ggml.model", &name, &found, err);
    if (st)
        return st;
    if (!found)
        return fail(err, QUERN_UNSUPPORTED, "%s: has no tokenizer (key 'tokenizer.ggml.model' is missing)",
                    gguf_path(g));
    for (size_t i = 0; i < N_MODELS; i++)
        if (gguf_string_is(name, models[i].name)) {
            *out = &models[i];
            return QUERN_OK;
        }
    if (gguf_string_is(name, "none") || gguf_string_is(name, "no_vocab"))
        return fail(err, QUERN_UNSUPPORTED, "%s: has no tokenizer (tokenizer.ggml.model is '%.*s')",
                    gguf_path(g), (int)name.bytes, name.data);
    return fail(err, QUERN_UNSUPPORTED, "%s: tokenizer '%.*s' is not supported (known: llama, t5)",
                gguf_path(g), (int)(name.bytes < 64 ? name.bytes : 64), name.data);
}

/* An array under a key of the tokenizer: NULL in *out if the key is absent. n: the length it must have;
 * 0: any. */
static enum quern_status find_array(const struct gguf *g, const char *key, enum gguf_value_type element,
                                    enum gguf_value_type or_element, uint64_t n, const char *allowed,
                                    const struct gguf_kv **out, struct quern_error *err) {
    const struct gguf_kv *kv = gguf_find_kv(g, key);
    *out = kv;
    if (!kv)
        return QUERN_OK;
    if (kv->type != GGUF_ARRAY)
        return fail(err, QUERN_FORMAT, "%s: key '%s' has value type %d, an array of %s expected",
                    gguf_path(g), key, (int)kv->type, allowed);
    if (kv->element != element && kv->element != or_element)
        return fail(err, QUERN_FORMAT, "%s: key '%s' is an array of value type %d, of %s expected",
                    gguf_path(g), key, (int)kv->element, allowed);
    if (n && kv->n != n)
        return fail(err, QUERN_FORMAT, "%s: key '%s' has %llu entries, tokenizer.ggml.tokens has %llu",
                    gguf_path(g), key, (unsigned long long)kv->n, (unsigned long long)n);
    return QUERN_OK;
}

static enum quern_status read_texts(const struct gguf *g, struct vocab *v, struct quern_error *err) {
    const struct gguf_kv *kv;
    enum quern_status st =
        find_array(g, "tokenizer.ggml.tokens", GGUF_STRING, GGUF_STRING, 0, "strings", &kv, err);
    if (st)
        return st;
    if (!kv || kv->n == 0 || kv->n > INT32_MAX)
        return fail(err, QUERN_FORMAT, "%s: key 'tokenizer.ggml.tokens' has %llu entries (1..%d expected)",
                    gguf_path(g), kv ? (unsigned long long)kv->n : 0ULL, INT32_MAX);
    /* The reader has seen that n strings, each with a length field, fit into data_bytes. */
    v->n_tokens = (size_t)kv->n;
    v->tokens = calloc(v->n_tokens, sizeof *v->tokens);
    v->texts = malloc(kv->data_bytes);
    if (!v->tokens || !v->texts)
        return fail_memory(err, v->n_tokens * sizeof *v->tokens + kv->data_bytes);
    char *to = v->texts;
    size_t cursor = 0;
    for (size_t i = 0; i < v->n_tokens; i++) {
        struct gguf_string s = gguf_next_string(kv, &cursor);
        if (s.bytes > MAX_TOKEN_BYTES)
            return fail(err, QUERN_FORMAT, "%s: token %zu has a text of %zu bytes (at most %d)", gguf_path(g),
                        i, s.bytes, MAX_TOKEN_BYTES);
        if (s.bytes)
            memcpy(to, s.data, s.bytes);
        v->tokens[i].text = to;
        v->tokens[i].bytes = (uint32_t)s.bytes;
        to += s.bytes;
        if (s.bytes > v->max_token_bytes)
            v->max_token_bytes = s.bytes;
    }
    return QUERN_OK;
}

static enum quern_status read_scores(const struct gguf *g, struct vocab *v, struct quern_error *err) {
    const struct gguf_kv *kv;
    enum quern_status st =
        find_array(g, "tokenizer.ggml.scores", GGUF_F32, GGUF_F32, v->n_tokens, "float32", &kv, err);
    if (st)
        return st;
    if (!kv)
        return fail(err, QUERN_FORMAT, "%s: key 'tokenizer.ggml.scores' is missing (one float32 per token)",
                    gguf_path(g));
    for (size_t i = 0; i < v->n_tokens; i++)
        v->tokens[i].score = load_f32(kv->data + 4 * i);
    return QUERN_OK;
}

/* Types as the file has them. Without the array they are read off the texts. */
static enum quern_status read_kinds(const struct gguf *g, struct vocab *v, const struct notes *notes,
                                    struct quern_error *err) {
    const struct gguf_kv *kv;
    enum quern_status st =
        find_array(g, "tokenizer.ggml.token_type", GGUF_I32, GGUF_U32, v->n_tokens, "int32", &kv, err);
    if (st)
        return st;
    size_t n_odd = 0, first_odd = 0;
    for (size_t i = 0; i < v->n_tokens; i++) {
        struct vocab_token *token = &v->tokens[i];
        uint32_t kind = TOKEN_NORMAL;
        if (kv)
            kind = load_le32(kv->data + 4 * i);
        else if (vocab_byte_value(token->text, token->bytes) >= 0)
            kind = TOKEN_BYTE;
        else if (text_is(token, "<s>") || text_is(token, "</s>"))
            kind = TOKEN_CONTROL;
        if ((kind < TOKEN_NORMAL || kind > TOKEN_BYTE) && n_odd++ == 0)
            first_odd = i;
        token->kind = kind < TOKEN_NORMAL || kind > TOKEN_BYTE ? TOKEN_NORMAL : (uint8_t)kind;
    }
    if (!kv)
        note(notes, "has no 'tokenizer.ggml.token_type'; types are taken from the texts of the tokens");
    if (n_odd)
        note(notes, "tokens of an unknown type, taken as normal ones: %zu, first token %zu (known: 1-6)",
             n_odd, first_odd);
    return QUERN_OK;
}

/* A token id under a key, `absent` if there is no key, -1 if it names no token. */
static enum quern_status read_id(const struct gguf *g, const struct vocab *v, const char *key, int32_t absent,
                                 int32_t *id, bool *is_given, const struct notes *notes,
                                 struct quern_error *err) {
    int64_t value = absent;
    enum quern_status st = gguf_get_integer(g, key, INT64_MIN, INT64_MAX, &value, is_given, err);
    if (st)
        return st;
    bool fits = value >= 0 && (uint64_t)value < v->n_tokens;
    if (*is_given && !fits)
        note(notes, "key '%s' is %lld, not a token (0..%zu); taken as absent", key, (long long)value,
             v->n_tokens - 1);
    *is_given = *is_given && fits;
    *id = fits ? (int32_t)value : -1;
    return QUERN_OK;
}

/* Which token stands for what has no other: the one that the file names, unless it is an ordinary one;
 * else the first that has the type; else "<unk>". */
static int32_t find_unknown(const struct vocab *v, int32_t named, bool is_given) {
    if (is_given && v->tokens[named].kind != TOKEN_NORMAL && v->tokens[named].kind != TOKEN_BYTE)
        return named;
    for (size_t i = 0; i < v->n_tokens; i++)
        if (v->tokens[i].kind == TOKEN_UNKNOWN)
            return (int32_t)i;
    for (size_t i = 0; i < v->n_tokens; i++)
        if (text_is(&v->tokens[i], "<unk>"))
            return (int32_t)i;
    return -1;
}

static void mark_end_texts(struct vocab *v, const struct notes *notes) {
    size_t n_odd = 0, first_odd = 0;
    for (size_t i = 0; i < v->n_tokens; i++) {
        struct vocab_token *token = &v->tokens[i];
        for (size_t k = 0; k < N_END_TEXTS && !token->is_eog; k++)
            token->is_eog = text_is(token, end_texts[k]);
        if (token->is_eog && token->kind != TOKEN_CONTROL) {
            token->kind = TOKEN_CONTROL;
            if (n_odd++ == 0)
                first_odd = i;
        }
    }
    if (n_odd)
        note(notes,
             "end-of-text tokens typed otherwise, taken as control tokens: %zu, first token %zu '%.*s'",
             n_odd, first_odd, (int)v->tokens[first_odd].bytes, v->tokens[first_odd].text);
}

static enum quern_status read_ids(const struct gguf *g, struct vocab *v, const struct model_row *model,
                                  const struct notes *notes, struct quern_error *err) {
    int32_t eot, eom, named;
    bool given;
    enum quern_status st;
    if ((st = read_id(g, v, "tokenizer.ggml.bos_token_id", model->bos, &v->bos, &given, notes, err)) ||
        (st = read_id(g, v, "tokenizer.ggml.eos_token_id", model->eos, &v->eos, &given, notes, err)) ||
        (st = read_id(g, v, "tokenizer.ggml.eot_token_id", -1, &eot, &given, notes, err)) ||
        (st = read_id(g, v, "tokenizer.ggml.eom_token_id", -1, &eom, &given, notes, err)) ||
        (st = read_id(g, v, "tokenizer.ggml.unknown_token_id", model->unk, &named, &given, notes, err)))
        return st;
    mark_end_texts(v, notes);
    const int32_t ends[] = { v->eos, eot, eom };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends[i] >= 0)
            v->tokens[ends[i]].is_eog = true;
    v->unk = find_unknown(v, named, given);
    if (v->unk >= 0)
        v->tokens[v->unk].kind = TOKEN_UNKNOWN;
    return QUERN_OK;
}

static enum quern_status read_flags(const struct gguf *g, struct vocab *v, const struct model_row *model,
                                    struct quern_error *err) {
    const struct {
        const char *key;
        bool *flag, absent;
    } flags[] = {
        { "tokenizer.ggml.add_bos_token", &v->add_bos, model->add_bos },
        { "tokenizer.ggml.add_eos_token", &v->add_eos, model->add_eos },
        { "tokenizer.ggml.add_space_prefix", &v->add_space_prefix, true },
        { "tokenizer.ggml.remove_extra_whitespaces", &v->remove_extra_whitespaces, false },
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        bool found;
        *flags[i].flag = flags[i].absent;
        enum quern_status st = gguf_get_bool(g, flags[i].key, flags[i].flag, &found, err);
        if (st)
            return st;
    }
    return QUERN_OK;
}

static enum quern_status read_charsmap(const struct gguf *g, struct vocab *v, struct quern_error *err) {
    const struct gguf_kv *kv;
    enum quern_status st =
        find_array(g, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, GGUF_I8, 0, "uint8", &kv, err);
    if (st || !kv || kv->n == 0)
        return st;
    v->charsmap_bytes = kv->data_bytes;
    v->charsmap = malloc(v->charsmap_bytes);
    if (!v->charsmap)
        return fail_memory(err, v->charsmap_bytes);
    memcpy(v->charsmap, kv->data, v->charsmap_bytes);
    return QUERN_OK;
}

static bool contains_phi_3(struct gguf_string s) {
    for (size_t i = 0; i + 4 <= s.bytes; i++)
        if ((s.data[i] | 0x20) == 'p' && (s.data[i + 1] | 0x20) == 'h' && (s.data[i + 2] | 0x20) == 'i' &&
            (s.data[i + 3] == '3' || (i + 5 <= s.bytes && s.data[i + 3] == '-' && s.data[i + 4] == '3')))
            return true;
    return false;
}

/* The Phi-3 family was trained with templates whose line ends after special tokens were dropped; GGUF has
 * no key for that, so the name decides, as in the reference engine. */
static enum quern_status read_strips(const struct gguf *g, struct vocab *v, struct quern_error *err) {
    static const char *const keys[] = { "general.name", "tokenizer.ggml.pre" };
    bool is_phi_3 = false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct gguf_string s = { 0 };
        bool found;
        enum quern_status st = gguf_get_string(g, keys[i], &s, &found, err);
        if (st)
            return st;
        is_phi_3 = is_phi_3 || contains_phi_3(s);
    }
    for (size_t i = 0; is_phi_3 && i < v->n_tokens; i++) {
        struct vocab_token *token = &v->tokens[i];
        bool is_special =
            token->kind == TOKEN_CONTROL || token->kind == TOKEN_USER_DEFINED || token->kind == TOKEN_UNKNOWN;
        token->strips_right = is_special && !text_is(token, "<unk>") && !text_is(token, "<s>") &&
                              !text_is(token, "<|endoftext|>");
    }
    return QUERN_OK;
}

enum quern_status vocab_read(const struct gguf *g, struct vocab *v, const struct notes *notes,
                             struct quern_error *err) {
    const struct model_row *model = &models[0]; /* until the file says */
    enum quern_status st;
    *v = (struct vocab){ 0 };
    if ((st = find_model(g, &model, err)))
        return st;
    v->is_unigram = model->is_unigram;
    if ((st = read_texts(g, v, err)) || (st = read_scores(g, v, err)) ||
        (st = read_kinds(g, v, notes, err)) || (st = read_ids(g, v, model, notes, err)) ||
        (st = read_flags(g, v, model, err)) || (st = read_charsmap(g, v, err)))
        return st;
    return read_strips(g, v, err);
}

void vocab_free(struct vocab *v) {
    free(v->tokens);
    free(v->texts);
    free(v->charsmap);
    *v = (struct vocab){ 0 };
}
