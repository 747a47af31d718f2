/* fuzz_tokenizer.c - any bytes as a text, or as normalization rules and a text.
 * SPDX-License-Identifier: MIT
 * First byte: bit 0 BOS and EOS, bit 1 special tokens are parsed, bit 2 unigram, bit 3 no space prefix,
 * bit 4 no extra white space, bit 5 the first half of the rest are rules. What is asserted: ids exist; plain
 * text comes back from a BPE vocabulary; a valid text comes in whole characters. */
#include "tests/fuzz/fuzz.h"
#include "tests/tokenizer/vocab_build.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

#include <stdlib.h>

static void must(bool is_so) {
    if (!is_so)
        abort();
}

/* U+2581 and a space are one thing to SentencePiece. */
static size_t fold_spaces(char *text, size_t bytes) {
    size_t n = 0;
    for (size_t i = 0; i < bytes; n++) {
        bool is_space =
            bytes - i >= SPACE_SYMBOL_BYTES && !memcmp(text + i, SPACE_SYMBOL, SPACE_SYMBOL_BYTES);
        text[n] = is_space ? ' ' : text[i];
        i += is_space ? SPACE_SYMBOL_BYTES : 1;
    }
    return n;
}

static void check_text(const struct tokenizer *t, const int32_t *ids, size_t n, const char *text,
                       size_t bytes) {
    bool is_valid = utf8_is_valid(text, bytes);
    struct token_stream stream = { 0 };
    char *got = malloc((n + 1) * tokenizer_max_text(t)), *want = malloc(bytes + 1);
    must(got && want);
    memcpy(want, text, bytes);
    size_t n_got = 0;
    for (size_t i = 0; i < n; i++) {
        size_t written = tokenizer_stream(t, &stream, ids[i], got + n_got);
        must(written <= tokenizer_max_text(t));
        must(!is_valid || utf8_is_valid(got + n_got, written));
        n_got += written;
    }
    n_got += tokenizer_stream_end(&stream, got + n_got);
    n_got = fold_spaces(got, n_got);
    must(n_got == fold_spaces(want, bytes) && !memcmp(got, want, n_got));
    free(got);
    free(want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes == 0)
        return 0;
    unsigned bits = *data++;
    size_t rules_bytes = bits & 32 ? (bytes - 1) / 2 : 0;
    size_t text_bytes = bytes - 1 - rules_bytes;
    struct vocab_sample sample;
    struct gguf_build file;
    struct gguf *g = NULL;
    struct tokenizer *t = NULL;
    struct quern_error err;
    vocab_sample_fill(&sample, bits & 4 ? "t5" : "llama");
    sample.add_space_prefix = !(bits & 8);
    sample.remove_extra_whitespaces = (bits & 16) != 0;
    sample.charsmap = rules_bytes ? data : NULL;
    sample.charsmap_bytes = rules_bytes;
    vocab_sample_build(&sample, &file);
    must(gguf_open_memory(file.data, file.bytes, "fuzz", &g, &err) == QUERN_OK);
    enum quern_status st = tokenizer_open(g, &t, NULL, NULL, &err);
    gguf_close(g);
    build_free(&file);
    must(st == QUERN_OK || (st == QUERN_FORMAT && rules_bytes));
    if (st)
        return 0;
    const char *text = (const char *)data + rules_bytes;
    int32_t *ids = NULL;
    size_t n = 0;
    st = tokenizer_encode(t, text, text_bytes, (int)(bits & 3), &ids, &n, &err);
    must(st == QUERN_OK);
    for (size_t i = 0; i < n; i++)
        must(ids[i] >= 0 && (size_t)ids[i] < tokenizer_n_tokens(t));
    bool comes_back = !(bits & (2 | 4 | 16)) && rules_bytes == 0; /* not parsed, BPE, not normalized */
    if (comes_back)
        check_text(t, ids, n, text, text_bytes);
    free(ids);
    tokenizer_close(t);
    return 0;
}
