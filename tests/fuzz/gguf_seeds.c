/* gguf_seeds.c - the small files that the fuzzing of the GGUF reader starts from.
 * SPDX-License-Identifier: MIT
 * Usage: gguf_seeds write FOLDER   makes them; the result is committed as tests/fuzz/corpus/gguf
 *        gguf_seeds check FOLDER   fails if a committed one differs */
#include "tests/formats/gguf_build.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>

/* One block of each type in the list, which ends with a negative number. */
static void types_seed(struct gguf_build *b, const int *types) {
    uint64_t n = 0;
    while (types[n] >= 0)
        n++;
    b->alignment = 2;
    build_header(b, n, 1);
    build_number(b, "general.alignment", GGUF_U32, 2);
    for (uint64_t i = 0; i < n; i++) {
        const struct type_info *type = type_info((uint32_t)types[i]);
        build_tensor(b, type->name, (uint32_t)types[i], 1, (const uint64_t[]){ type->block_values });
    }
    build_data(b);
}

static void empty_seed(struct gguf_build *b) { build_header(b, 0, 0); }

static void version_2_seed(struct gguf_build *b) {
    b->lie = (struct gguf_lie){ "version", 2, NULL };
    build_sample(b);
}

static void cut_seed(struct gguf_build *b) {
    b->lie = (struct gguf_lie){ "file/bytes", 700, NULL };
    build_sample(b);
}

static void split_seed(struct gguf_build *b) {
    build_header(b, 1, 3);
    build_number(b, "split.no", GGUF_U16, 0);
    build_number(b, "split.count", GGUF_U16, 2);
    build_number(b, "split.tensors.count", GGUF_I32, 2);
    build_tensor(b, "t", TYPE_F32, 1, (const uint64_t[]){ 1 });
    build_data(b);
}

/* A vocabulary, as a tokenizer wants it. */
static void vocabulary_seed(struct gguf_build *b) {
    static const char *const tokens[] = { "<unk>", "<s>", "</s>", "<0x0A>", "\xe2\x96\x81", "a", "" };
    static const float scores[] = { 0, 0, 0, 0, -1, -2, -3 };
    static const int32_t types[] = { 2, 3, 3, 6, 1, 1, 5 };
    build_header(b, 0, 7);
    build_string(b, "general.architecture", "llama");
    build_string(b, "tokenizer.ggml.model", "llama");
    build_strings(b, "tokenizer.ggml.tokens", 7, tokens);
    build_array(b, "tokenizer.ggml.scores", GGUF_F32, 7, scores);
    build_array(b, "tokenizer.ggml.token_type", GGUF_I32, 7, types);
    build_number(b, "tokenizer.ggml.bos_token_id", GGUF_U32, 1);
    build_number(b, "tokenizer.ggml.add_bos_token", GGUF_BOOL, 1);
}

/* Tensors out of order, with a hole, four dimensions, a wide alignment. */
static void layout_seed(struct gguf_build *b) {
    b->alignment = 64;
    b->lie = (struct gguf_lie){ "hole/offset", 192, NULL };
    build_header(b, 2, 1);
    build_number(b, "general.alignment", GGUF_U64, 64);
    build_tensor(b, "hole", TYPE_F16, 4, (const uint64_t[]){ 2, 1, 2, 1 });
    b->data_bytes = 0;
    build_tensor(b, "first", TYPE_Q8_0, 2, (const uint64_t[]){ 32, 2 });
    b->data_bytes = 256;
    build_data(b);
}

static const struct seed {
    const char *name;
    void (*build)(struct gguf_build *b); /* or, if NULL: */
    int types[10];
} seeds[] = {
    { "empty", empty_seed, { 0 } },
    { "sample", build_sample, { 0 } },
    { "version-2", version_2_seed, { 0 } },
    { "cut", cut_seed, { 0 } },
    { "split", split_seed, { 0 } },
    { "vocabulary", vocabulary_seed, { 0 } },
    { "layout", layout_seed, { 0 } },
    { "plain", NULL, { TYPE_F32, TYPE_F16, TYPE_BF16, TYPE_F64, TYPE_I8, TYPE_I16, TYPE_I32, TYPE_I64, -1 } },
    { "legacy",
      NULL,
      { TYPE_Q4_0, TYPE_Q4_1, TYPE_Q5_0, TYPE_Q5_1, TYPE_Q8_0, TYPE_Q8_1, TYPE_IQ4_NL, TYPE_MXFP4, -1 } },
    { "k-low", NULL, { TYPE_Q2_K, TYPE_Q3_K, TYPE_Q4_K, -1 } },
    { "k-high", NULL, { TYPE_Q5_K, TYPE_Q6_K, TYPE_Q8_K, -1 } },
    { "iq", NULL, { TYPE_IQ2_XXS, TYPE_IQ2_XS, TYPE_IQ2_S, TYPE_IQ1_S, TYPE_IQ1_M, TYPE_IQ4_XS, -1 } },
    { "iq3-ternary", NULL, { TYPE_IQ3_XXS, TYPE_IQ3_S, TYPE_TQ1_0, TYPE_TQ2_0, -1 } },
    { "new", NULL, { TYPE_NVFP4, TYPE_Q1_0, TYPE_Q2_0, -1 } },
};

int main(int argc, char **argv) {
    bool is_check = argc == 3 && strcmp(argv[1], "check") == 0;
    if (!is_check && (argc != 3 || strcmp(argv[1], "write") != 0)) {
        fprintf(stderr, "usage: %s write|check FOLDER\n", argv[0]);
        return 2;
    }
    int result = 0;
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        struct gguf_build b = { .alignment = 32 };
        char path[4096];
        snprintf(path, sizeof path, "%s/%s.gguf", argv[2], seeds[i].name);
        if (seeds[i].build)
            seeds[i].build(&b);
        else
            types_seed(&b, seeds[i].types);
        if (is_check) {
            size_t bytes;
            uint8_t *data = support_read(path, &bytes);
            if (bytes != b.bytes || memcmp(data, b.data, bytes) != 0) {
                fprintf(stderr, "%s: differs; make it again with: gguf_seeds write FOLDER\n", path);
                result = 1;
            }
            free(data);
        } else {
            support_write(path, b.data, b.bytes);
        }
        build_free(&b);
    }
    return result;
}
