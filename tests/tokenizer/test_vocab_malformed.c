/* test_vocab_malformed.c - vocabularies that break a rule are put right with a note, or refused with a line.
 * SPDX-License-Identifier: MIT */
#include "tests/formats/failing_malloc.h"
#include "tests/support.h"
#include "tests/tokenizer/token_text.h"
#include "tests/tokenizer/vocab_build.h"
#include "tokenizer/utf8.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char file_name[] = "vocab.gguf";

struct heard {
    size_t n;
    char text[4096]; /* the notes, a line each */
};

static void hear(void *user, const char *text) {
    struct heard *heard = user;
    size_t at = strlen(heard->text);
    assert_true(!strncmp(text, file_name, sizeof file_name - 1));
    for (const char *p = text; *p; p++)
        assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
    snprintf(heard->text + at, sizeof heard->text - at, "%s\n", text);
    heard->n++;
}

static enum quern_status open_bytes(const struct gguf_build *b, struct tokenizer **t, struct heard *heard,
                                    struct quern_error *err) {
    struct gguf *g = NULL;
    enum quern_status st = gguf_open_memory(b->data, b->bytes, file_name, &g, err);
    *t = NULL;
    *heard = (struct heard){ 0 };
    if (st == QUERN_OK)
        st = tokenizer_open(g, t, hear, heard, err);
    gguf_close(g);
    return st;
}

static enum quern_status open_sample(const struct vocab_sample *s, struct tokenizer **t, struct heard *heard,
                                     struct quern_error *err) {
    struct gguf_build b;
    vocab_sample_build(s, &b);
    enum quern_status st = open_bytes(&b, t, heard, err);
    build_free(&b);
    return st;
}

/* Whatever has been put right: text becomes ids that exist, and ids become text. */
static void use(const struct tokenizer *t) {
    static const char text[] = "ab  b</s>\xff<tool>\x00<s>\xe2\x96 <0x41>\xc3\xa9\xc3\xa9 A";
    for (int flags = 0; flags < 4; flags++) {
        size_t n;
        int32_t *ids = token_ids(t, text, sizeof text - 1, flags, &n);
        for (size_t i = 0; i < n; i++)
            assert_true(ids[i] >= 0 && (size_t)ids[i] < tokenizer_n_tokens(t));
        free(token_text(t, ids, n, (struct token_stream){ .write_special = flags & 1 }, false).data);
        free(ids);
    }
    for (int32_t id = 0; id < (int32_t)tokenizer_n_tokens(t); id++)
        free(token_text(t, &id, 1, (struct token_stream){ .write_special = true }, false).data);
}

/* ---- The table ---- */

static void nothing(struct vocab_sample *s) { (void)s; }
static void no_model(struct vocab_sample *s) { s->model = NULL; }
static void model_none(struct vocab_sample *s) { s->model = "none"; }
static void model_gpt2(struct vocab_sample *s) { s->model = "gpt2"; }
static void numbers_as_texts(struct vocab_sample *s) { s->texts_are_numbers = true; }
static void no_tokens(struct vocab_sample *s) { s->n_texts = s->n_scores = s->n_types = 0; }
static void short_scores(struct vocab_sample *s) { s->n_scores--; }
static void long_scores(struct vocab_sample *s) { s->n_scores++; }
static void short_types(struct vocab_sample *s) { s->n_types--; }
static void no_scores(struct vocab_sample *s) { s->n_scores = 0; }
static void no_types(struct vocab_sample *s) { s->n_types = 0; }
static void integer_scores(struct vocab_sample *s) {
    s->lie = (struct gguf_lie){ .field = "tokenizer.ggml.scores/element", .value = GGUF_I32 };
}
static void float_types(struct vocab_sample *s) {
    s->lie = (struct gguf_lie){ .field = "tokenizer.ggml.token_type/element", .value = GGUF_F32 };
}
static void nan_score(struct vocab_sample *s) { s->scores[SAMPLE_A] = NAN; }
static void infinite_score(struct vocab_sample *s) { s->scores[SAMPLE_AB] = INFINITY; }
static void nan_score_of_control(struct vocab_sample *s) { s->scores[SAMPLE_BOS] = NAN; }
static void long_text(struct vocab_sample *s) {
    static char text[5001];
    memset(text, 'x', sizeof text - 1);
    s->texts[SAMPLE_A] = text;
}
static void repeated(struct vocab_sample *s) { s->texts[SAMPLE_B] = "a"; }
static void repeated_byte(struct vocab_sample *s) { s->texts[SAMPLE_BYTES + 5] = "<0x04>"; }
static void normal_like_a_byte(struct vocab_sample *s) { s->texts[SAMPLE_B] = "<0x41>"; }
static void empty_texts(struct vocab_sample *s) {
    s->texts[SAMPLE_A] = s->texts[SAMPLE_B] = s->texts[SAMPLE_BOS] = "";
}
static void invalid_utf8(struct vocab_sample *s) { s->texts[SAMPLE_A] = "\xe2\x96"; }
static void invalid_utf8_defined(struct vocab_sample *s) { s->texts[SAMPLE_TOOL] = "\xe2"; }
static void no_unknown(struct vocab_sample *s) {
    s->types[SAMPLE_UNK] = TOKEN_CONTROL;
    s->texts[SAMPLE_UNK] = "<pad>";
    s->unk = NO_KEY;
}
static void unknown_as_control(struct vocab_sample *s) { s->types[SAMPLE_UNK] = TOKEN_CONTROL; }
static void many_unknown(struct vocab_sample *s) { s->types[SAMPLE_A] = s->types[SAMPLE_B] = TOKEN_UNKNOWN; }
static void no_bytes(struct vocab_sample *s) {
    for (size_t i = 0; i < 256; i++)
        s->types[SAMPLE_BYTES + i] = TOKEN_UNUSED;
}
static void some_bytes(struct vocab_sample *s) {
    for (size_t i = 0x40; i < 0x50; i++)
        s->types[SAMPLE_BYTES + i] = TOKEN_UNUSED;
}
static void bytes_as_normal(struct vocab_sample *s) {
    for (size_t i = 0; i < 256; i++)
        s->types[SAMPLE_BYTES + i] = TOKEN_NORMAL;
}
static void not_a_byte(struct vocab_sample *s) { s->texts[SAMPLE_BYTES + 7] = "<0xG7>"; }
static void no_unknown_no_bytes(struct vocab_sample *s) { no_unknown(s), no_bytes(s); }
static void no_unknown_some_bytes(struct vocab_sample *s) { no_unknown(s), some_bytes(s); }
static void odd_types(struct vocab_sample *s) { s->types[SAMPLE_A] = 0, s->types[SAMPLE_B] = 77; }
static void bos_out_of_range(struct vocab_sample *s) { s->bos = SAMPLE_TOKENS; }
static void eos_negative(struct vocab_sample *s) { s->eos = -1; }
static void end_as_normal(struct vocab_sample *s) { s->types[SAMPLE_EOS] = TOKEN_NORMAL; }
static void defined_with_spaces(struct vocab_sample *s) { s->texts[SAMPLE_TOOL] = "  "; }
static void single_normal(struct vocab_sample *s) {
    s->n_texts = s->n_scores = s->n_types = 1;
    s->texts[0] = "a";
    s->types[0] = TOKEN_NORMAL;
}
static void single_unknown(struct vocab_sample *s) { s->n_texts = s->n_scores = s->n_types = 1; }
static void only_control(struct vocab_sample *s) {
    for (size_t i = 1; i < SAMPLE_TOKENS; i++)
        s->types[i] = TOKEN_CONTROL;
}
static void huge_scores(struct vocab_sample *s) {
    for (size_t i = SAMPLE_SPACE; i < SAMPLE_TOKENS; i++)
        s->scores[i] = i % 2 ? 3e38f : -3e38f;
}

static const struct row {
    const char *what;
    void (*change)(struct vocab_sample *);
    const char *model; /* NULL: both */
    enum quern_status status;
    const char *line; /* in the error, or in the notes; NULL: no note at all */
} rows[] = {
    { "sound", nothing, NULL, QUERN_OK, NULL },
    { "no model key", no_model, NULL, QUERN_UNSUPPORTED, "has no tokenizer" },
    { "model none", model_none, NULL, QUERN_UNSUPPORTED, "has no tokenizer" },
    { "model gpt2", model_gpt2, NULL, QUERN_UNSUPPORTED, "'gpt2' is not supported (known: llama, t5)" },
    { "texts are numbers", numbers_as_texts, NULL, QUERN_FORMAT, "of strings expected" },
    { "no tokens", no_tokens, NULL, QUERN_FORMAT, "'tokenizer.ggml.tokens' has 0 entries" },
    { "a score too few", short_scores, NULL, QUERN_FORMAT, "has 264 entries, tokenizer.ggml.tokens has 265" },
    { "a score too many", long_scores, NULL, QUERN_FORMAT, "has 266 entries, tokenizer.ggml.tokens has 265" },
    { "a type too few", short_types, NULL, QUERN_FORMAT, "has 264 entries, tokenizer.ggml.tokens has 265" },
    { "no scores", no_scores, NULL, QUERN_FORMAT, "'tokenizer.ggml.scores' is missing" },
    { "no types", no_types, NULL, QUERN_OK, "has no 'tokenizer.ggml.token_type'" },
    { "scores of integers", integer_scores, NULL, QUERN_FORMAT, "of float32 expected" },
    { "types of floats", float_types, NULL, QUERN_FORMAT, "of int32 expected" },
    { "NaN", nan_score, NULL, QUERN_FORMAT, "the score of token 260 is nan" },
    { "infinity", infinite_score, NULL, QUERN_FORMAT, "the score of token 262 is inf" },
    { "NaN where no score is used", nan_score_of_control, NULL, QUERN_OK, NULL },
    { "text too long", long_text, NULL, QUERN_FORMAT, "token 260 has a text of 5000 bytes (at most 4096)" },
    { "repeated text", repeated, NULL, QUERN_OK, "repeat the text of another, which no text becomes: 1" },
    { "repeated byte", repeated_byte, NULL, QUERN_OK, "or repeat one, which no text becomes: 1" },
    { "normal token like a byte", normal_like_a_byte, NULL, QUERN_OK, "repeat the text of another" },
    { "empty texts", empty_texts, NULL, QUERN_OK, "without text, which no text becomes: 2, first token 260" },
    { "not UTF-8", invalid_utf8, NULL, QUERN_OK, "not UTF-8 or contain NUL, which no text becomes: 1" },
    { "user-defined not UTF-8", invalid_utf8_defined, NULL, QUERN_OK, "not UTF-8 or contain NUL" },
    { "no unknown token, all bytes", no_unknown, NULL, QUERN_OK, NULL },
    { "unknown token as control", unknown_as_control, NULL, QUERN_OK, NULL },
    { "three unknown tokens", many_unknown, NULL, QUERN_OK,
      "beside the unknown token, which no text becomes: 2" },
    { "no bytes", no_bytes, NULL, QUERN_OK, NULL },
    { "16 bytes missing", some_bytes, NULL, QUERN_OK,
      "16 of the 256 byte tokens are missing (first: <0x40>)" },
    { "bytes typed as normal", bytes_as_normal, NULL, QUERN_OK, "typed as normal, taken as bytes: 256" },
    { "byte without a number", not_a_byte, NULL, QUERN_OK, "that are not '<0xNN>'" },
    { "no unknown token, no bytes", no_unknown_no_bytes, NULL, QUERN_FORMAT, "neither an unknown token nor" },
    { "no unknown token, some bytes", no_unknown_some_bytes, NULL, QUERN_FORMAT,
      "neither an unknown token nor" },
    { "unknown types", odd_types, NULL, QUERN_OK,
      "of an unknown type, taken as normal ones: 2, first token 260" },
    { "BOS out of range", bos_out_of_range, NULL, QUERN_OK, "bos_token_id' is 265, not a token (0..264)" },
    { "EOS -1", eos_negative, NULL, QUERN_OK, "eos_token_id' is 4294967295, not a token" },
    { "</s> as normal", end_as_normal, NULL, QUERN_OK, "typed otherwise, taken as control tokens: 1" },
    { "user-defined token of spaces", defined_with_spaces, NULL, QUERN_OK, NULL },
    { "a normal token alone", single_normal, NULL, QUERN_FORMAT, "neither an unknown token nor" },
    { "an unknown token alone", single_unknown, "llama", QUERN_OK, "bos_token_id' is 1, not a token (0..0)" },
    { "an unknown token alone", single_unknown, "t5", QUERN_FORMAT, "none of the 1 tokens is a normal one" },
    { "no normal token", only_control, "llama", QUERN_OK, NULL },
    { "no normal token", only_control, "t5", QUERN_FORMAT, "none of the 265 tokens is a normal one" },
    { "scores at the end of float32", huge_scores, NULL, QUERN_OK, NULL },
};

static void check_row(const struct row *row, const char *model) {
    struct vocab_sample s;
    struct tokenizer *t;
    struct heard heard;
    struct quern_error err = { 0 };
    vocab_sample_fill(&s, model);
    row->change(&s);
    enum quern_status st = open_sample(&s, &t, &heard, &err);
    if (st != row->status)
        fail_msg("%s (%s): status %d, expected %d: %s", row->what, model, (int)st, (int)row->status,
                 err.text);
    const char *told = st ? err.text : heard.text;
    if (row->line ? !strstr(told, row->line) : heard.n > 0)
        fail_msg("%s (%s): told '%s', expected '%s'", row->what, model, told,
                 row->line ? row->line : "nothing");
    if (st == QUERN_OK)
        use(t);
    else
        assert_null(t);
    tokenizer_close(t);
}

static void each_broken_rule_is_told(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].model || !strcmp(rows[i].model, "llama"))
            check_row(&rows[i], "llama");
        if (!rows[i].model || !strcmp(rows[i].model, "t5"))
            check_row(&rows[i], "t5");
    }
}

/* ---- What corrections do to tokens ---- */

static void expect_ids(const struct vocab_sample *s, const char *text, int flags, size_t n_want,
                       const int32_t *want) {
    struct tokenizer *t;
    struct heard heard;
    struct quern_error err = { 0 };
    size_t n;
    char line[2][512];
    if (open_sample(s, &t, &heard, &err))
        fail_msg("%s", err.text);
    int32_t *ids = token_ids(t, text, strlen(text), flags, &n);
    if (n != n_want || memcmp(ids, want, n * sizeof *ids) != 0)
        fail_msg("'%s': got %s, expected %s", text, token_print_ids(ids, n, line[0], sizeof line[0]),
                 token_print_ids(want, n_want, line[1], sizeof line[1]));
    free(ids);
    tokenizer_close(t);
}

/* "<s>" is put together from "<s" and ">" here, and the control token has the same text. */
static void texts_of_special_tokens_are_plain_text_unless_parsed(void **state) {
    (void)state;
    struct vocab_sample s;
    vocab_sample_fill(&s, "llama");
    s.add_space_prefix = false;
    s.texts[SAMPLE_TOKENS] = "<s";
    s.types[SAMPLE_TOKENS] = TOKEN_NORMAL;
    s.n_texts = s.n_scores = s.n_types = SAMPLE_TOKENS + 1;
    const int32_t bare[] = { SAMPLE_TOKENS, SAMPLE_BYTES + '>' };
    expect_ids(&s, "<s>", 0, 2, bare);
    s.texts[SAMPLE_TOKENS + 1] = "<s>";
    s.types[SAMPLE_TOKENS + 1] = TOKEN_NORMAL;
    s.n_texts = s.n_scores = s.n_types = SAMPLE_TOKENS + 2;
    expect_ids(&s, "<s>", 0, 1, (const int32_t[]){ SAMPLE_TOKENS + 1 });
    expect_ids(&s, "<s>", TOKENIZE_PARSE_SPECIAL, 1, (const int32_t[]){ SAMPLE_BOS });
}

static void missing_bytes_become_the_unknown_token(void **state) {
    (void)state;
    struct vocab_sample s;
    vocab_sample_fill(&s, "llama");
    some_bytes(&s);
    const int32_t want[] = { SAMPLE_SPACE, SAMPLE_BYTES + '?', SAMPLE_UNK, SAMPLE_BYTES + 'P' };
    expect_ids(&s, "?@P", 0, 4, want);
}

static void unknown_text_becomes_one_token_without_bytes(void **state) {
    (void)state;
    struct vocab_sample s;
    vocab_sample_fill(&s, "llama");
    no_bytes(&s);
    const int32_t want[] = { SAMPLE_SPACE_AB, SAMPLE_UNK, SAMPLE_A };
    expect_ids(&s, "abxyz\xff\xffzza", 0, 3, want); /* 0xff takes what follows with it */
}

static void user_defined_tokens_are_found_in_plain_text(void **state) {
    (void)state;
    struct vocab_sample s;
    vocab_sample_fill(&s, "llama");
    const int32_t plain[] = { SAMPLE_SPACE_AB, SAMPLE_TOOL, SAMPLE_AB };
    const int32_t parsed[] = { SAMPLE_SPACE_AB, SAMPLE_TOOL, SAMPLE_SPACE_AB }; /* the prefix comes again */
    expect_ids(&s, "ab<tool>ab", 0, 3, plain);
    expect_ids(&s, "ab<tool>ab", TOKENIZE_PARSE_SPECIAL, 3, parsed);
    defined_with_spaces(&s); /* written with plain spaces, as some converters do */
    const int32_t spaces[] = { SAMPLE_TOOL, SAMPLE_AB };
    expect_ids(&s, " ab", 0, 2, spaces);
}

static void white_space_after_special_tokens_goes_in_phi_3_only(void **state) {
    (void)state;
    struct vocab_sample s;
    vocab_sample_fill(&s, "llama");
    const int32_t kept[] = { SAMPLE_TOOL, SAMPLE_SPACE, SAMPLE_SPACE_AB, SAMPLE_EOS };
    const int32_t gone[] = { SAMPLE_TOOL, SAMPLE_SPACE_AB, SAMPLE_EOS };
    expect_ids(&s, "<tool> ab</s>", TOKENIZE_PARSE_SPECIAL, 4, kept);
    s.name = "My PHI-3 mini";
    expect_ids(&s, "<tool> \n\tab</s>\n", TOKENIZE_PARSE_SPECIAL, 3, gone);
}

/* ---- Normalization rules ---- */

enum { N_UNITS = 1024, RULES_BYTES = 4 + 4 * N_UNITS + 2 };

static void put_unit(uint8_t *rules, size_t i, uint32_t unit) { memcpy(rules + 4 + 4 * i, &unit, 4); }

/* One rule: "A" becomes "a". The layout: tokenizer/normalize.c. */
static void fill_rules(uint8_t rules[RULES_BYTES]) {
    const uint32_t trie_bytes = 4 * N_UNITS;
    memset(rules, 0, RULES_BYTES);
    memcpy(rules, &trie_bytes, 4);
    put_unit(rules, 0, 256 << 10);
    put_unit(rules, 256 ^ 'A', 512 << 10 | 1 << 8 | 'A');
    put_unit(rules, 256 ^ 'A' ^ 512, 0x80000000);
    rules[4 + 4 * N_UNITS] = 'a';
}

static void rules_of_the_file_are_applied(void **state) {
    (void)state;
    struct vocab_sample s;
    uint8_t rules[RULES_BYTES];
    fill_rules(rules);
    vocab_sample_fill(&s, "t5");
    s.charsmap = rules;
    s.charsmap_bytes = sizeof rules;
    s.remove_extra_whitespaces = true;
    const int32_t want[] = { SAMPLE_SPACE_AB, SAMPLE_SPACE_AB };
    expect_ids(&s, "  Ab   Ab ", 0, 2, want);
}

static void broken_rules_are_refused(void **state) {
    (void)state;
    static uint8_t long_pool[4 + 4 * N_UNITS + 300];
    uint8_t rules[RULES_BYTES];
    const struct {
        size_t bytes;
        uint32_t trie_bytes;
        uint8_t last;
        const char *line;
    } lies[] = {
        { 3, 4 * N_UNITS, 0, "a trie of 0 bytes in 3 bytes" },
        { RULES_BYTES, 0, 0, "a trie of 0 bytes" },
        { RULES_BYTES, 4 * N_UNITS + 1, 0, "a trie of 4097 bytes" },
        { RULES_BYTES, 4 * N_UNITS + 4, 0, "a trie of 4100 bytes" },
        { RULES_BYTES, UINT32_MAX - 3, 0, "a trie of 4294967292 bytes" },
        { RULES_BYTES, 4 * N_UNITS, 'x', "the last replacement has no end" },
        { sizeof long_pool, 4 * N_UNITS, 'x', "a replacement of more than 256 bytes" },
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct vocab_sample s;
        struct tokenizer *t;
        struct heard heard;
        struct quern_error err = { 0 };
        fill_rules(rules);
        memcpy(rules, &lies[i].trie_bytes, 4);
        rules[RULES_BYTES - 1] = lies[i].last;
        memset(long_pool, 'x', sizeof long_pool);
        memcpy(long_pool, rules, sizeof rules);
        vocab_sample_fill(&s, "t5");
        s.charsmap = long_pool;
        s.charsmap_bytes = lies[i].bytes;
        assert_int_equal(open_sample(&s, &t, &heard, &err), QUERN_FORMAT);
        if (!strstr(err.text, lies[i].line))
            fail_msg("got '%s', expected '%s'", err.text, lies[i].line);
    }
}

/* Offsets out of the trie, loops in it, replacements out of the pool: nothing but other text comes of it. */
static void rules_that_lead_anywhere_do_no_harm(void **state) {
    uint64_t random = *(const uint64_t *)*state;
    for (size_t round = 0; round < 200; round++) {
        struct vocab_sample s;
        struct tokenizer *t;
        struct heard heard;
        struct quern_error err = { 0 };
        uint8_t *rules = malloc(RULES_BYTES); /* its own block, so that a sanitizer sees its end */
        assert_non_null(rules);
        fill_rules(rules);
        for (size_t i = 0; i < N_UNITS && round > 0; i++) { /* a label that fits leads on from anywhere */
            uint64_t bits = support_random(&random);
            uint32_t offset = (uint32_t)(bits >> 32) & (round % 2 ? 0x7fffff00 : 0x000fff00);
            put_unit(rules, i, offset | (uint8_t)bits);
        }
        vocab_sample_fill(&s, "t5");
        s.charsmap = rules;
        s.charsmap_bytes = RULES_BYTES;
        assert_int_equal(open_sample(&s, &t, &heard, &err), QUERN_OK);
        use(t);
        char text[1000];
        size_t n;
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (char)support_random(&random);
        free(token_ids(t, text, sizeof text, 0, &n));
        tokenizer_close(t);
        free(rules);
    }
}

/* ---- Memory ---- */

/* Texts with NUL cannot be built from C strings: one is put into the file afterwards. */
static void nul_in_a_token_is_told_where_it_matters(void **state) {
    (void)state;
    static const char *const models[] = { "llama", "t5" };
    for (size_t i = 0; i < 2; i++) {
        struct vocab_sample s;
        struct gguf_build b;
        struct tokenizer *t;
        struct heard heard;
        struct quern_error err = { 0 };
        vocab_sample_fill(&s, models[i]);
        s.texts[SAMPLE_B] = "q!q";
        vocab_sample_build(&s, &b);
        for (size_t at = 0; at + 3 <= b.bytes; at++)
            if (!memcmp(b.data + at, "q!q", 3))
                b.data[at + 1] = 0;
        assert_int_equal(open_bytes(&b, &t, &heard, &err), QUERN_OK);
        assert_int_equal(heard.n, i); /* BPE compares with lengths */
        use(t);
        tokenizer_close(t);
        build_free(&b);
    }
}

static void each_failed_allocation_is_a_status(void **state) {
    (void)state;
    struct vocab_sample s;
    struct gguf_build b;
    struct gguf *g = NULL;
    struct quern_error err = { 0 };
    vocab_sample_fill(&s, "t5");
    vocab_sample_build(&s, &b);
    assert_int_equal(gguf_open_memory(b.data, b.bytes, file_name, &g, &err), QUERN_OK);
    for (size_t fail_at = 1;; fail_at++) {
        struct tokenizer *t = NULL;
        int32_t *ids = NULL;
        size_t n = 0;
        failing_malloc_start(fail_at);
        enum quern_status st = tokenizer_open(g, &t, NULL, NULL, &err);
        if (st == QUERN_OK)
            st = tokenizer_encode(t, "ab <s>b ", 8, TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL, &ids, &n,
                                  &err);
        free(ids);
        tokenizer_close(t);
        struct malloc_count count = failing_malloc_stop();
        assert_int_equal(count.live, 0);
        if (count.calls < fail_at) {
            assert_int_equal(st, QUERN_OK);
            assert_true(fail_at > 10);
            break;
        }
        assert_int_equal(st, QUERN_MEMORY);
    }
    gguf_close(g);
    build_free(&b);
}

int main(int argc, char **argv) {
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20240607;
    print_message("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_broken_rule_is_told),
        cmocka_unit_test(texts_of_special_tokens_are_plain_text_unless_parsed),
        cmocka_unit_test(missing_bytes_become_the_unknown_token),
        cmocka_unit_test(unknown_text_becomes_one_token_without_bytes),
        cmocka_unit_test(user_defined_tokens_are_found_in_plain_text),
        cmocka_unit_test(white_space_after_special_tokens_goes_in_phi_3_only),
        cmocka_unit_test(rules_of_the_file_are_applied),
        cmocka_unit_test(broken_rules_are_refused),
        cmocka_unit_test_prestate(rules_that_lead_anywhere_do_no_harm, &seed),
        cmocka_unit_test(nul_in_a_token_is_told_where_it_matters),
        cmocka_unit_test(each_failed_allocation_is_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
