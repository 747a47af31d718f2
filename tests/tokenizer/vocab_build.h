/* vocab_build.h - makes small GGUF files that hold a vocabulary and nothing else.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_TESTS_VOCAB_BUILD_H
#define QUERN_TESTS_VOCAB_BUILD_H

#include "tests/formats/gguf_build.h"

enum { VOCAB_ROOM = 300, NO_KEY = -1000 };

/* What stands in the file; the n_ are the lengths of the arrays there, 0 leaves the key out. */
struct vocab_sample {
    const char *model;             /* NULL: no key */
    const char *name;              /* general.name; NULL: no key */
    const char *texts[VOCAB_ROOM]; /* of the bytes: in byte_texts, so a sample is not copied */
    char byte_texts[256][8];
    float scores[VOCAB_ROOM];
    int32_t types[VOCAB_ROOM];
    uint64_t n_texts, n_scores, n_types;
    bool texts_are_numbers;
    int64_t bos, eos, unk;                          /* NO_KEY: no key */
    int remove_extra_whitespaces, add_space_prefix; /* NO_KEY: no key */
    const uint8_t *charsmap;
    size_t charsmap_bytes;
    struct gguf_lie lie;
};

/* Ids of the sample below. */
/* clang-format off */
enum {
    SAMPLE_UNK, SAMPLE_BOS, SAMPLE_EOS, SAMPLE_BYTES, SAMPLE_SPACE = SAMPLE_BYTES + 256, SAMPLE_A, SAMPLE_B,
    SAMPLE_AB, SAMPLE_SPACE_AB, SAMPLE_TOOL, SAMPLE_TOKENS,
};
/* clang-format on */

/* A sound vocabulary: <unk>, <s>, </s>, the 256 bytes, "\u2581", "a", "b", "ab", "\u2581ab", and <tool>,
 * which is user-defined. */
void vocab_sample_fill(struct vocab_sample *s, const char *model);

/* The file; build_free() releases it. */
void vocab_sample_build(const struct vocab_sample *s, struct gguf_build *b);

#endif
