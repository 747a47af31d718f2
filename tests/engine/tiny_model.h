/* tiny_model.h - a complete Llama model of a few kilobytes, made in memory, with one thing wrong.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_TESTS_TINY_MODEL_H
#define QUERN_TESTS_TINY_MODEL_H

#include "tests/formats/gguf_build.h"

/* What is wrong. All zero: nothing. */
struct tiny_twist {
    const char *omit;                         /* this key or tensor is left out */
    struct gguf_lie lie;                      /* this field lies */
    void (*add_kv)(struct gguf_build *b);     /* writes one more key */
    void (*add_tensor)(struct gguf_build *b); /* writes one more tensor */
};

/* One layer, n_embd 32, 4 heads of 8, 2 kv heads, n_ff 64, 8 tokens; matrices F16, norms F32. All values
 * are finite. Release with build_free(). */
struct gguf_build tiny_model(const struct tiny_twist *twist);

#endif
