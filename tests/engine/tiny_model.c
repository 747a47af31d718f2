/* tiny_model.c - a complete Llama model of a few kilobytes.
 * SPDX-License-Identifier: MIT */
#include "tests/engine/tiny_model.h"

#include <string.h>

static const struct {
    const char *key;
    enum gguf_value_type type; /* U32 or F32 */
    double value;
} numbers[] = {
    { "llama.context_length", GGUF_U32, 64 },
    { "llama.embedding_length", GGUF_U32, 32 },
    { "llama.block_count", GGUF_U32, 1 },
    { "llama.feed_forward_length", GGUF_U32, 64 },
    { "llama.attention.head_count", GGUF_U32, 4 },
    { "llama.attention.head_count_kv", GGUF_U32, 2 },
    { "llama.attention.layer_norm_rms_epsilon", GGUF_F32, 1e-5 },
    { "llama.rope.dimension_count", GGUF_U32, 8 },
    { "llama.rope.freq_base", GGUF_F32, 10000 },
    { "tokenizer.ggml.bos_token_id", GGUF_U32, 1 },
    { "tokenizer.ggml.eos_token_id", GGUF_U32, 2 },
};

static const struct {
    const char *name;
    uint32_t type, n_dims;
    uint64_t ne[4];
} tensors[] = {
    { "token_embd.weight", TYPE_F16, 2, { 32, 8 } },
    { "output_norm.weight", TYPE_F32, 1, { 32 } },
    { "blk.0.attn_norm.weight", TYPE_F32, 1, { 32 } },
    { "blk.0.attn_q.weight", TYPE_F16, 2, { 32, 32 } },
    { "blk.0.attn_k.weight", TYPE_F16, 2, { 32, 16 } },
    { "blk.0.attn_v.weight", TYPE_F16, 2, { 32, 16 } },
    { "blk.0.attn_output.weight", TYPE_F16, 2, { 32, 32 } },
    { "blk.0.ffn_norm.weight", TYPE_F32, 1, { 32 } },
    { "blk.0.ffn_gate.weight", TYPE_F16, 2, { 32, 64 } },
    { "blk.0.ffn_up.weight", TYPE_F16, 2, { 32, 64 } },
    { "blk.0.ffn_down.weight", TYPE_F16, 2, { 64, 32 } },
};

static const char *const tokens[8] = {
    "<unk>", "<s>", "</s>", "\xe2\x96\x81", "a", "b", "\xe2\x96\x81\x61", /* the same before an a */
    "ab"
};
static const float scores[8] = { 0, 0, 0, -3, -4, -5, -1, -2 };
static const int32_t token_types[8] = { 2, 3, 3, 1, 1, 1, 1, 1 };

enum {
    N_NUMBERS = sizeof numbers / sizeof *numbers,
    N_TENSORS = sizeof tensors / sizeof *tensors,
    N_OTHERS = 5
};

static bool is_kept(const struct tiny_twist *twist, const char *name) {
    return !twist->omit || strcmp(twist->omit, name);
}

static bool names_key(const struct tiny_twist *twist) {
    if (!twist->omit)
        return false;
    for (size_t i = 0; i < N_TENSORS; i++)
        if (!strcmp(twist->omit, tensors[i].name))
            return false;
    return true;
}

struct gguf_build tiny_model(const struct tiny_twist *twist) {
    struct gguf_build b = { .lie = twist->lie, .alignment = 32 };
    bool omits_key = names_key(twist), omits_tensor = twist->omit && !omits_key;
    uint64_t n_tensors = N_TENSORS + (uint64_t)(twist->add_tensor != NULL) - (uint64_t)omits_tensor;
    uint64_t n_kv = N_NUMBERS + N_OTHERS + (uint64_t)(twist->add_kv != NULL) - (uint64_t)omits_key;
    build_header(&b, n_tensors, n_kv);
    if (is_kept(twist, "general.architecture"))
        build_string(&b, "general.architecture", "llama");
    for (size_t i = 0; i < N_NUMBERS; i++) {
        if (!is_kept(twist, numbers[i].key))
            continue;
        if (numbers[i].type == GGUF_F32)
            build_f32(&b, numbers[i].key, (float)numbers[i].value);
        else
            build_number(&b, numbers[i].key, GGUF_U32, (uint64_t)numbers[i].value);
    }
    if (is_kept(twist, "tokenizer.ggml.model"))
        build_string(&b, "tokenizer.ggml.model", "llama");
    if (is_kept(twist, "tokenizer.ggml.tokens"))
        build_strings(&b, "tokenizer.ggml.tokens", 8, tokens);
    if (is_kept(twist, "tokenizer.ggml.scores"))
        build_array(&b, "tokenizer.ggml.scores", GGUF_F32, 8, scores);
    if (is_kept(twist, "tokenizer.ggml.token_type"))
        build_array(&b, "tokenizer.ggml.token_type", GGUF_I32, 8, token_types);
    if (twist->add_kv)
        twist->add_kv(&b);
    for (size_t i = 0; i < N_TENSORS; i++)
        if (is_kept(twist, tensors[i].name))
            build_tensor(&b, tensors[i].name, tensors[i].type, tensors[i].n_dims, tensors[i].ne);
    if (twist->add_tensor)
        twist->add_tensor(&b);
    build_data(&b);
    return b;
}
