/* vocab_build.c - makes small GGUF files that hold a vocabulary and nothing else.
 * SPDX-License-Identifier: MIT */
#include "tests/tokenizer/vocab_build.h"

#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

#include <stdio.h>

static void set(struct vocab_sample *s, size_t id, const char *text, enum token_kind kind, float score) {
    s->texts[id] = text;
    s->types[id] = (int32_t)kind;
    s->scores[id] = score;
}

void vocab_sample_fill(struct vocab_sample *s, const char *model) {
    *s = (struct vocab_sample){ .model = model,
                                .bos = SAMPLE_BOS,
                                .eos = SAMPLE_EOS,
                                .unk = SAMPLE_UNK,
                                .n_texts = SAMPLE_TOKENS,
                                .n_scores = SAMPLE_TOKENS,
                                .n_types = SAMPLE_TOKENS,
                                .remove_extra_whitespaces = NO_KEY,
                                .add_space_prefix = NO_KEY };
    set(s, SAMPLE_UNK, "<unk>", TOKEN_UNKNOWN, 0);
    set(s, SAMPLE_BOS, "<s>", TOKEN_CONTROL, 0);
    set(s, SAMPLE_EOS, "</s>", TOKEN_CONTROL, 0);
    for (size_t i = 0; i < 256; i++) {
        snprintf(s->byte_texts[i], sizeof s->byte_texts[i], "<0x%02X>", (unsigned)i);
        set(s, SAMPLE_BYTES + i, s->byte_texts[i], TOKEN_BYTE, 0);
    }
    set(s, SAMPLE_SPACE, SPACE_SYMBOL, TOKEN_NORMAL, -3);
    set(s, SAMPLE_A, "a", TOKEN_NORMAL, -4);
    set(s, SAMPLE_B, "b", TOKEN_NORMAL, -5);
    set(s, SAMPLE_AB, "ab", TOKEN_NORMAL, -1);
    set(s, SAMPLE_SPACE_AB, SPACE_SYMBOL "ab", TOKEN_NORMAL, -2);
    set(s, SAMPLE_TOOL, "<tool>", TOKEN_USER_DEFINED, 0);
    for (size_t i = SAMPLE_TOKENS; i < VOCAB_ROOM; i++)
        set(s, i, "", TOKEN_UNUSED, -100);
}

void vocab_sample_build(const struct vocab_sample *s, struct gguf_build *b) {
    const struct {
        const char *key;
        enum gguf_value_type type;
        int64_t value;
    } numbers[] = {
        { "tokenizer.ggml.bos_token_id", GGUF_U32, s->bos },
        { "tokenizer.ggml.eos_token_id", GGUF_U32, s->eos },
        { "tokenizer.ggml.unknown_token_id", GGUF_U32, s->unk },
        { "tokenizer.ggml.add_space_prefix", GGUF_BOOL, s->add_space_prefix },
        { "tokenizer.ggml.remove_extra_whitespaces", GGUF_BOOL, s->remove_extra_whitespaces },
    };
    uint64_t n_kv = 0;
    *b = (struct gguf_build){ .alignment = 32, .lie = s->lie };
    build_header(b, 0, 0);
    if (s->model)
        build_string(b, "tokenizer.ggml.model", s->model), n_kv++;
    if (s->name)
        build_string(b, "general.name", s->name), n_kv++;
    if (s->texts_are_numbers)
        build_array(b, "tokenizer.ggml.tokens", GGUF_I32, s->n_texts, s->types), n_kv++;
    else
        build_strings(b, "tokenizer.ggml.tokens", s->n_texts, s->texts), n_kv++;
    if (s->n_scores)
        build_array(b, "tokenizer.ggml.scores", GGUF_F32, s->n_scores, s->scores), n_kv++;
    if (s->n_types)
        build_array(b, "tokenizer.ggml.token_type", GGUF_I32, s->n_types, s->types), n_kv++;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].value != NO_KEY)
            build_number(b, numbers[i].key, numbers[i].type, (uint64_t)numbers[i].value), n_kv++;
    if (s->charsmap)
        build_array(b, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, s->charsmap_bytes, s->charsmap),
            n_kv++;
    memcpy(b->data + 16, &n_kv, sizeof n_kv); /* the header's last field */
    build_data(b);
}
