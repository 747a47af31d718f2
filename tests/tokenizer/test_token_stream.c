/* test_token_stream.c - detokenizing as a stream, and that any bytes come back.
 * SPDX-License-Identifier: MIT
 * The seed of the random tests is printed and can be given as the first argument. */
#include "tests/support.h"
#include "tests/tokenizer/token_text.h"
#include "tokenizer/tokenizer_private.h"
#include "tokenizer/utf8.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct subject {
    struct tokenizer *t;
    uint64_t seed;
};

/* Ids of the reference model: "\u2581the", "the". */
enum { ID_BOS = 1, ID_EOS = 2, ID_SPACE_THE = 263, ID_THE = 984 };

static void expect(const struct tokenizer *t, const int32_t *ids, size_t n, struct token_stream start,
                   const char *want) {
    struct text got = token_text(t, ids, n, start, false);
    assert_string_equal(got.data, want);
    free(got.data);
}

static void space_of_the_prefix_is_dropped_unless_kept(void **state) {
    const struct subject *s = *state;
    const int32_t words[] = { ID_BOS, ID_SPACE_THE, ID_SPACE_THE };
    expect(s->t, words, 3, (struct token_stream){ 0 }, "the the");
    expect(s->t, words, 3, (struct token_stream){ .keep_prefix = true }, " the the");
    const int32_t bare[] = { ID_THE, ID_SPACE_THE };
    expect(s->t, bare, 2, (struct token_stream){ 0 }, "the the");
}

static void control_tokens_are_silent_unless_asked_for(void **state) {
    const struct subject *s = *state;
    const int32_t ids[] = { ID_BOS, ID_THE, ID_EOS };
    expect(s->t, ids, 3, (struct token_stream){ 0 }, "the");
    expect(s->t, ids, 3, (struct token_stream){ .write_special = true }, "<s>the</s>");
}

static void ids_without_a_token_are_named(void **state) {
    const struct subject *s = *state;
    const int32_t ids[] = { ID_THE, (int32_t)tokenizer_n_tokens(s->t), -1, INT32_MIN, INT32_MAX };
    expect(s->t, ids, 5, (struct token_stream){ 0 }, "the<id 4096><id -1><id -2147483648><id 2147483647>");
}

/* Every sequence of up to four bytes that stand for all ranges of the UTF-8 table: what is written are the
 * same bytes, whole characters at a time, and nothing is held that no character begins with. */
static void every_split_of_bytes_comes_back_in_whole_characters(void **state) {
    static const uint8_t bytes[] = { 0x00, 'A',  0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2,
                                     0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff };
    enum { N = sizeof bytes };
    const struct subject *s = *state;
    char *out = malloc(tokenizer_max_text(s->t));
    assert_non_null(out);
    for (size_t code = 0; code < (size_t)N * N * N * N; code++) {
        struct token_stream stream = { 0 };
        char want[4], got[8];
        size_t n = 0, n_got = 0, rest = code;
        for (; n < 4; n++, rest /= N)
            want[n] = (char)bytes[rest % N];
        bool is_valid = utf8_is_valid(want, n);
        for (size_t i = 0; i < n; i++) {
            size_t written = tokenizer_stream(s->t, &stream, s->t->byte_ids[(uint8_t)want[i]], out);
            assert_true(written <= 4 && n_got + written <= i + 1);
            assert_true(!is_valid || utf8_is_valid(out, written));
            assert_true(stream.n_held == i + 1 - n_got - written && stream.n_held < 4);
            assert_true(stream.n_held == 0 || utf8_length(stream.held[0]) > stream.n_held);
            memcpy(got + n_got, out, written);
            n_got += written;
        }
        assert_true(!is_valid || stream.n_held == 0);
        n_got += tokenizer_stream_end(&stream, got + n_got);
        assert_int_equal(stream.n_held, 0);
        assert_int_equal(n_got, n);
        assert_memory_equal(got, want, n);
    }
    free(out);
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

/* A text of one of several kinds: any bytes, UTF-8 of any range, few different characters. */
static size_t random_text(uint64_t *random, char *text, size_t room) {
    /* clang-format off */
    static const char *const parts[] = {
        " ", "  ", "a", "the ", "\n", "1", "<s>", "</s>", SPACE_SYMBOL, "\xc3\xa9", "\xe2\x82\xac",
        "\xf0\x9f\x98\x80", "\xf0\x9f", "\xe2\x96", "\xff",
    };
    /* clang-format on */
    size_t kind = support_random(random) % 3, length = support_random(random) % (room - 4), n = 0;
    while (n < length) {
        uint64_t bits = support_random(random);
        if (kind == 0) {
            text[n++] = (char)(bits >> 8);
        } else if (kind == 1) {
            uint32_t code = (uint32_t)(bits >> 8) % (bits % 2 ? 0x110000 : 0x800);
            if (code < 0x80) {
                text[n++] = (char)code;
            } else if (code < 0x800) {
                text[n++] = (char)(0xc0 | code >> 6);
                text[n++] = (char)(0x80 | (code & 0x3f));
            } else {
                if (code >= 0x10000) {
                    text[n++] = (char)(0xf0 | code >> 18);
                    text[n++] = (char)(0x80 | (code >> 12 & 0x3f));
                } else {
                    text[n++] = (char)(0xe0 | code >> 12); /* surrogates too: not valid */
                }
                text[n++] = (char)(0x80 | (code >> 6 & 0x3f));
                text[n++] = (char)(0x80 | (code & 0x3f));
            }
        } else {
            const char *part = parts[bits % (sizeof parts / sizeof *parts)];
            while (*part && n < room)
                text[n++] = *part++;
        }
    }
    return n;
}

static void any_bytes_come_back_from_their_tokens(void **state) {
    const struct subject *s = *state;
    uint64_t random = s->seed;
    char text[400];
    for (size_t round = 0; round < 3000; round++) {
        size_t n, bytes = random_text(&random, text, sizeof text);
        int32_t *ids = token_ids(s->t, text, bytes, TOKENIZE_ADD_SPECIAL, &n);
        struct text got = token_text(s->t, ids, n, (struct token_stream){ 0 }, utf8_is_valid(text, bytes));
        got.bytes = fold_spaces(got.data, got.bytes);
        bytes = fold_spaces(text, bytes);
        if (got.bytes != bytes || memcmp(got.data, text, bytes) != 0)
            fail_msg("round %zu: %zu bytes became %zu tokens and %zu bytes", round, bytes, n, got.bytes);
        free(got.data);
        free(ids);
    }
}

/* Tokenizing goes in chunks; the tokens are those of the whole at once. */
static void long_texts_give_the_tokens_of_the_whole(void **state) {
    const struct subject *s = *state;
    enum { BYTES = 300000 };
    uint64_t random = s->seed;
    char *text = malloc(BYTES);
    assert_non_null(text);
    for (unsigned spacing = 0; spacing < 3; spacing++) {
        for (size_t i = 0; i < BYTES; i++) {
            uint64_t bits = support_random(&random);
            bool is_space = spacing && bits % 6 == 0;
            text[i] = (char)(is_space ? ' ' : 'a' + bits / 6 % (spacing == 2 ? 3 : 26));
        }
        struct buffer normal = { 0 };
        int32_t *want = NULL;
        size_t n, n_want = 0;
        struct quern_error err = { 0 };
        normalize(&s->t->normalizer, text, BYTES, &normal);
        assert_false(normal.failed);
        assert_int_equal(spm_encode(s->t->spm, normal.data, normal.n, &want, &n_want, &err), QUERN_OK);
        int32_t *ids = token_ids(s->t, text, BYTES, 0, &n);
        assert_int_equal(n, n_want);
        assert_memory_equal(ids, want, n * sizeof *ids);
        free(ids);
        free(want);
        buffer_free(&normal);
    }
    free(text);
}

/* A quadratic step would need hours. */
static void a_line_of_a_megabyte_takes_no_hours(void **state) {
    static const char *const units[] = { "a", " ", "\xc3\xa9", "\xff", "<", "</s", "\n" };
    const struct subject *s = *state;
    enum { BYTES = 1 << 20 };
    char *text = malloc(BYTES);
    assert_non_null(text);
    for (size_t k = 0; k < sizeof units / sizeof *units; k++) {
        size_t n, unit = strlen(units[k]);
        for (size_t i = 0; i < BYTES; i++)
            text[i] = units[k][i % unit];
        int32_t *ids = token_ids(s->t, text, BYTES, TOKENIZE_PARSE_SPECIAL, &n);
        struct text got = token_text(s->t, ids, n, (struct token_stream){ .write_special = true }, false);
        assert_int_equal(got.bytes, BYTES);
        assert_memory_equal(got.data, text, BYTES);
        free(got.data);
        free(ids);
    }
    free(text);
}

static void a_text_of_two_gigabytes_is_out_of_range(void **state) {
    const struct subject *s = *state;
    struct quern_error err = { 0 };
    int32_t *ids = NULL;
    size_t n = 0;
    /* The length alone decides; the text is not looked at. */
    assert_int_equal(tokenizer_encode(s->t, "", (size_t)INT32_MAX + 1, 0, &ids, &n, &err), QUERN_RANGE);
    assert_non_null(strstr(err.text, "2147483648 bytes"));
    assert_null(ids);
}

int main(int argc, char **argv) {
    struct subject s = { .t = token_open_books(), .seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20240607 };
    print_message("seed %" PRIu64 "\n", s.seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(space_of_the_prefix_is_dropped_unless_kept, &s),
        cmocka_unit_test_prestate(control_tokens_are_silent_unless_asked_for, &s),
        cmocka_unit_test_prestate(ids_without_a_token_are_named, &s),
        cmocka_unit_test_prestate(every_split_of_bytes_comes_back_in_whole_characters, &s),
        cmocka_unit_test_prestate(any_bytes_come_back_from_their_tokens, &s),
        cmocka_unit_test_prestate(long_texts_give_the_tokens_of_the_whole, &s),
        cmocka_unit_test_prestate(a_line_of_a_megabyte_takes_no_hours, &s),
        cmocka_unit_test_prestate(a_text_of_two_gigabytes_is_out_of_range, &s),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    tokenizer_close(s.t);
    return n_failed != 0;
}
