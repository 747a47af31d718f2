/* test_malformed.c - models that contradict themselves: one clear line each, or a note.
 * SPDX-License-Identifier: MIT
 * One row per class. The container's own classes are in tests/formats/test_gguf_malformed.c. */
#include "engine/quern.h"
#include "tests/engine/tiny_model.h"
#include "tests/formats/failing_malloc.h"
#include "tests/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- Things to add ---- */

static void type_adapter(struct gguf_build *b) { build_string(b, "general.type", "adapter"); }
static void type_imatrix(struct gguf_build *b) { build_string(b, "general.type", "imatrix"); }
static void old_blocks(struct gguf_build *b) { build_number(b, "general.quantization_version", GGUF_U32, 1); }
static void arch_lama(struct gguf_build *b) { build_string(b, "general.architecture", "lama"); }
static void arch_number(struct gguf_build *b) { build_number(b, "general.architecture", GGUF_U32, 7); }
static void eps_zero(struct gguf_build *b) { build_f32(b, "llama.attention.layer_norm_rms_epsilon", 0); }
static void eps_nan(struct gguf_build *b) { build_f32(b, "llama.attention.layer_norm_rms_epsilon", NAN); }
static void heads_text(struct gguf_build *b) { build_string(b, "llama.attention.head_count", "four"); }
static void kv_heads_array(struct gguf_build *b) {
    build_array(b, "llama.attention.head_count_kv", GGUF_U32, 3, (const uint32_t[]){ 2, 2, 2 });
}
static void kv_heads_floats(struct gguf_build *b) {
    build_array(b, "llama.attention.head_count_kv", GGUF_F32, 1, (const float[]){ 2 });
}
static void kv_heads_zero(struct gguf_build *b) {
    build_array(b, "llama.attention.head_count_kv", GGUF_U32, 1, (const uint32_t[]){ 0 });
}
static void kv_heads_good_array(struct gguf_build *b) {
    build_array(b, "llama.attention.head_count_kv", GGUF_I32, 1, (const int32_t[]){ 2 });
}
static void rope_su(struct gguf_build *b) { build_string(b, "llama.rope.scaling.type", "su"); }
static void rope_factor_zero(struct gguf_build *b) { build_f32(b, "llama.rope.scaling.factor", 0); }
static void rope_base_negative(struct gguf_build *b) { build_f32(b, "llama.rope.freq_base", -1); }
static void key_length_big(struct gguf_build *b) {
    build_number(b, "llama.attention.key_length", GGUF_U32, 4096);
}
static void experts_without_count(struct gguf_build *b) {
    build_number(b, "llama.expert_count", GGUF_U32, 4);
}
static void bos_far_out(struct gguf_build *b) {
    build_number(b, "tokenizer.ggml.bos_token_id", GGUF_U32, 4000000000u);
}
static void tokenizer_gpt2(struct gguf_build *b) { build_string(b, "tokenizer.ggml.model", "gpt2"); }
static void scores_short(struct gguf_build *b) {
    build_array(b, "tokenizer.ggml.scores", GGUF_F32, 2, (const float[]){ 0, 0 });
}
static void scores_as_integers(struct gguf_build *b) {
    build_array(b, "tokenizer.ggml.scores", GGUF_I8, 8, "\0\0\0\0\0\0\0");
}
static void tokens_as_numbers(struct gguf_build *b) {
    build_array(b, "tokenizer.ggml.tokens", GGUF_I8, 8, "\0\0\0\0\0\0\0");
}
static void nine_tokens(struct gguf_build *b) {
    build_strings(b, "tokenizer.ggml.tokens", 9,
                  (const char *const[]){ "<unk>", "<s>", "</s>", "a", "b", "c", "d", "e", "f" });
}
static void k_bias(struct gguf_build *b) {
    build_tensor(b, "blk.0.attn_k.bias", TYPE_F32, 1, (const uint64_t[]){ 17 });
}
static void extra_tensor(struct gguf_build *b) {
    build_tensor(b, "blk.0.surprise.weight", TYPE_F32, 1, (const uint64_t[]){ 5 });
}
static void half_norm(struct gguf_build *b) {
    build_tensor(b, "output_norm.weight", TYPE_F16, 1, (const uint64_t[]){ 32 });
}
static void q8_1_matrix(struct gguf_build *b) {
    build_tensor(b, "blk.0.attn_q.weight", TYPE_Q8_1, 2, (const uint64_t[]){ 32, 32 });
}
static void integer_matrix(struct gguf_build *b) {
    build_tensor(b, "blk.0.attn_q.weight", TYPE_I32, 2, (const uint64_t[]){ 32, 32 });
}
static void undecodable_norm(struct gguf_build *b) {
    build_tensor(b, "output_norm.weight", TYPE_Q2_0, 1, (const uint64_t[]){ 64 });
}
static void embedding_3d(struct gguf_build *b) {
    build_tensor(b, "token_embd.weight", TYPE_F16, 3, (const uint64_t[]){ 32, 8, 2 });
}
static void narrow_q(struct gguf_build *b) {
    build_tensor(b, "blk.0.attn_q.weight", TYPE_F16, 2, (const uint64_t[]){ 32, 16 });
}
static void rope_freqs_short(struct gguf_build *b) {
    build_tensor(b, "rope_freqs.weight", TYPE_F32, 1, (const uint64_t[]){ 3 });
}

/* ---- The table ---- */

#define LLAMA(key) "llama." key

static const struct {
    const char *name;
    struct tiny_twist twist;
    const char *expected; /* part of the line; of a note if it starts with "note: " */
} rows[] = {
    { "M19 no architecture", { .omit = "general.architecture" }, "general.architecture is missing" },
    { "M19 architecture is a number",
      { .omit = "general.architecture", .add_kv = arch_number },
      "general.architecture" },
    { "M20 unknown architecture",
      { .omit = "general.architecture", .add_kv = arch_lama },
      "did you mean 'llama'" },
    { "M21 key missing", { .omit = LLAMA("block_count") }, "llama.block_count is missing" },
    { "M21 heads missing",
      { .omit = LLAMA("attention.head_count") },
      "llama.attention.head_count is missing" },
    { "M11 wrong kind", { .omit = LLAMA("attention.head_count"), .add_kv = heads_text }, "head_count" },
    { "M22 no heads", { .lie = { LLAMA("attention.head_count/value"), 0, NULL } }, "head_count" },
    { "M22 heads not a multiple of kv heads",
      { .lie = { LLAMA("attention.head_count_kv/value"), 3, NULL } },
      "not a multiple" },
    { "M22 odd rotation",
      { .lie = { LLAMA("rope.dimension_count/value"), 7, NULL } },
      "rope.dimension_count = 7" },
    { "M22 rotation beyond the head",
      { .lie = { LLAMA("rope.dimension_count/value"), 10, NULL } },
      "rope.dimension_count" },
    { "M22 too many layers", { .lie = { LLAMA("block_count/value"), 1001, NULL } }, "block_count" },
    { "M22 more layers than tensors",
      { .lie = { LLAMA("block_count/value"), 1000, NULL } },
      "block_count = 1000" },
    { "M22 no layers", { .lie = { LLAMA("block_count/value"), 0, NULL } }, "block_count" },
    { "M22 eps 0", { .omit = LLAMA("attention.layer_norm_rms_epsilon"), .add_kv = eps_zero }, "epsilon" },
    { "M22 eps NaN", { .omit = LLAMA("attention.layer_norm_rms_epsilon"), .add_kv = eps_nan }, "epsilon" },
    { "M22 context 0", { .lie = { LLAMA("context_length/value"), 0, NULL } }, "context_length" },
    { "M22 context over 2^31",
      { .lie = { LLAMA("context_length/value"), 3000000000u, NULL } },
      "context_length" },
    { "M22 heads do not divide",
      { .lie = { LLAMA("attention.head_count/value"), 6, NULL } },
      "is no head size" },
    { "M22 huge embedding",
      { .lie = { LLAMA("embedding_length/value"), 4000000000u, NULL } },
      "embedding_length" },
    { "M22 huge feed-forward",
      { .lie = { LLAMA("feed_forward_length/value"), 4000000000u, NULL } },
      "feed_forward_length" },
    { "M22 head size beyond the limit", { .add_kv = key_length_big }, "key_length" },
    { "M22 negative base",
      { .omit = LLAMA("rope.freq_base"), .add_kv = rope_base_negative },
      "rope.freq_base" },
    { "M22 factor 0", { .add_kv = rope_factor_zero }, "rope.scaling.factor" },
    { "M22 experts without a number in use",
      { .add_kv = experts_without_count },
      "expert_used_count is missing" },
    { "M23 array of wrong length",
      { .omit = LLAMA("attention.head_count_kv"), .add_kv = kv_heads_array },
      "has length 3, block_count is 1" },
    { "M23 array of floats",
      { .omit = LLAMA("attention.head_count_kv"), .add_kv = kv_heads_floats },
      "no integers" },
    { "M23 zero in an array",
      { .omit = LLAMA("attention.head_count_kv"), .add_kv = kv_heads_zero },
      "in layer 0" },
    { "M24 tensor missing", { .omit = "blk.0.attn_q.weight" }, "'blk.0.attn_q.weight'" },
    { "M24 embedding missing", { .omit = "token_embd.weight" }, "'token_embd.weight' is missing" },
    { "M25 wrong shape",
      { .omit = "blk.0.attn_q.weight", .add_tensor = narrow_q },
      "has shape [32, 16], expected [32, 32]" },
    { "M25 wrong bias", { .add_tensor = k_bias }, "expected [16]" },
    { "M25 shapes follow kv heads",
      { .lie = { LLAMA("attention.head_count_kv/value"), 1, NULL } },
      "head_count_kv" },
    { "M25 embedding of three dimensions",
      { .omit = "token_embd.weight", .add_tensor = embedding_3d },
      "3 dimensions" },
    { "M25 rope_freqs", { .add_tensor = rope_freqs_short }, "half of rope.dimension_count" },
    { "M26 extra tensor", { .add_tensor = extra_tensor }, "note: blk.0.surprise.weight" },
    { "M27 norm in F16", { .omit = "output_norm.weight", .add_tensor = half_norm }, "note: decoded to F32" },
    { "matrix of activations",
      { .omit = "blk.0.attn_q.weight", .add_tensor = q8_1_matrix },
      "cannot be multiplied" },
    { "matrix of integers",
      { .omit = "blk.0.attn_q.weight", .add_tensor = integer_matrix },
      "cannot be multiplied" },
    { "norm in an undecodable type",
      { .omit = "output_norm.weight", .add_tensor = undecodable_norm },
      "output_norm.weight" },
    { "M28 more tokens than rows", { .omit = "tokenizer.ggml.tokens", .add_kv = nine_tokens }, "tokens" },
    { "M29 scores too short",
      { .omit = "tokenizer.ggml.scores", .add_kv = scores_short },
      "tokenizer.ggml.scores" },
    { "M29 scores are integers",
      { .omit = "tokenizer.ggml.scores", .add_kv = scores_as_integers },
      "tokenizer.ggml.scores" },
    { "M29 tokens are numbers",
      { .omit = "tokenizer.ggml.tokens", .add_kv = tokens_as_numbers },
      "tokenizer.ggml.tokens" },
    { "M32 special id out of range",
      { .omit = "tokenizer.ggml.bos_token_id", .add_kv = bos_far_out },
      "note: bos_token_id" },
    { "M37 adapter", { .add_kv = type_adapter }, "LoRA adapter" },
    { "M37 importance matrix", { .add_kv = type_imatrix }, "importance matrix" },
    { "M40 rope scaling", { .add_kv = rope_su }, "'su' is not supported" },
    { "M41 old blocks", { .add_kv = old_blocks }, "before May 2023" },
};

struct notes {
    char text[4096];
};

static void collect_note(void *user, const char *text) {
    struct notes *notes = user;
    size_t n = strlen(notes->text);
    snprintf(notes->text + n, sizeof notes->text - n, "%s\n", text);
}

static enum quern_status open_twisted(const struct tiny_twist *twist, struct notes *notes,
                                      struct quern_error *err) {
    struct gguf_build b = tiny_model(twist);
    struct quern_model_options o;
    struct quern_model *model = NULL;
    quern_model_defaults(&o);
    o.note = collect_note;
    o.note_user = notes;
    enum quern_status st = quern_model_open_memory(b.data, b.bytes, "tiny.gguf", &o, &model, err);
    assert_true(st ? model == NULL : model != NULL);
    quern_model_close(model);
    build_free(&b);
    return st;
}

static void each_class_of_contradiction_gets_its_line(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct notes notes = { "" };
        struct quern_error err = { 0 };
        enum quern_status st = open_twisted(&rows[i].twist, &notes, &err);
        bool is_note = !strncmp(rows[i].expected, "note: ", 6);
        const char *expected = rows[i].expected + (is_note ? 6 : 0), *got = is_note ? notes.text : err.text;
        if ((st != QUERN_OK) == is_note || !strstr(got, expected))
            fail_msg("%s: got '%s', expected '%s'", rows[i].name, st ? err.text : notes.text,
                     rows[i].expected);
        if (st && (!strstr(err.text, "tiny.gguf") || strchr(err.text, '\n')))
            fail_msg("%s: '%s' does not name the file in one line", rows[i].name, err.text);
    }
}

static void the_fuzzer_starts_from_the_model_of_these_tests(void **state) {
    (void)state;
    struct gguf_build b = tiny_model(&(struct tiny_twist){ .omit = NULL });
    size_t bytes;
    uint8_t *seed = support_read(QUERN_SOURCE_DIR "/tests/fuzz/corpus/model/tiny.gguf", &bytes);
    assert_int_equal(bytes, b.bytes);
    assert_memory_equal(seed, b.data, bytes);
    free(seed);
    build_free(&b);
}

static void what_is_unusual_but_right_opens_without_a_note(void **state) {
    (void)state;
    const struct tiny_twist good[] = {
        { .omit = NULL },
        { .omit = LLAMA("attention.head_count_kv"), .add_kv = kv_heads_good_array },
        { .omit = LLAMA("rope.dimension_count") },
        { .omit = LLAMA("rope.freq_base") },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct notes notes = { "" };
        struct quern_error err = { 0 };
        if (open_twisted(&good[i], &notes, &err))
            fail_msg("row %zu: %s", i, err.text);
    }
}

static void a_norm_with_nan_or_infinity_is_refused_by_name(void **state) {
    (void)state;
    static const float bad[] = { NAN, INFINITY, -INFINITY };
    for (size_t i = 0; i < 3; i++) {
        struct gguf_build b = tiny_model(&(struct tiny_twist){ .omit = NULL });
        struct gguf *g = NULL;
        struct quern_model *model = NULL;
        struct quern_error err = { 0 };
        assert_int_equal(gguf_open_memory(b.data, b.bytes, "tiny.gguf", &g, &err), QUERN_OK);
        size_t at = (size_t)(gguf_find_tensor(g, "blk.0.ffn_norm.weight")->data - b.data);
        gguf_close(g);
        memcpy(b.data + at + 5 * sizeof(float), &bad[i], sizeof(float));
        assert_int_equal(quern_model_open_memory(b.data, b.bytes, "tiny.gguf", NULL, &model, &err),
                         QUERN_FORMAT);
        assert_non_null(strstr(err.text, "'blk.0.ffn_norm.weight'"));
        assert_non_null(strstr(err.text, "index 5"));
        build_free(&b);
    }
}

static void a_model_without_a_usable_tokenizer_runs_on_ids(void **state) {
    (void)state;
    const struct tiny_twist twists[] = {
        { .omit = "tokenizer.ggml.model" },
        { .omit = "tokenizer.ggml.model", .add_kv = tokenizer_gpt2 },
    };
    for (size_t i = 0; i < 2; i++) {
        struct gguf_build b = tiny_model(&twists[i]);
        struct quern_model *model = NULL;
        struct quern_session *session = NULL;
        struct quern_error err = { 0 };
        int32_t *ids = NULL, prompt[] = { 1, 4, 5 };
        size_t n = 0;
        float logits[8];
        assert_int_equal(quern_model_open_memory(b.data, b.bytes, "tiny.gguf", NULL, &model, &err), QUERN_OK);
        assert_int_equal(quern_tokenize(model, "a", 1, 0, &ids, &n, &err), QUERN_UNSUPPORTED);
        assert_non_null(strstr(err.text, "tiny.gguf"));
        assert_int_equal(quern_session_open(model, NULL, &session, &err), QUERN_OK);
        assert_int_equal(quern_session_eval(session, prompt, 3, logits, 1, &err), QUERN_OK);
        quern_session_close(session);
        quern_model_close(model);
        build_free(&b);
    }
}

/* Load, tokenize and evaluate once, with the fail_at-th allocation refused. */
static enum quern_status use_once(const struct gguf_build *b, struct quern_error *err) {
    struct quern_model *model = NULL;
    struct quern_session *session = NULL;
    struct quern_sampler *sampler = NULL;
    struct quern_text *text = NULL;
    struct quern_session_options o;
    int32_t *ids = NULL, id = 0;
    size_t n = 0;
    float logits[8];
    quern_session_defaults(&o);
    o.n_threads = 1;
    enum quern_status st = quern_model_open_memory(b->data, b->bytes, "tiny.gguf", NULL, &model, err);
    st = st ? st : quern_tokenize(model, "ab a", 4, QUERN_ADD_SPECIAL | QUERN_PARSE_SPECIAL, &ids, &n, err);
    st = st ? st : quern_session_open(model, &o, &session, err);
    st = st ? st : quern_session_eval(session, ids, n, logits, 1, err);
    st = st ? st : quern_sampler_open(8, NULL, &sampler, err);
    st = st ? st : quern_sampler_accept(sampler, ids[0], err);
    st = st ? st : quern_sampler_draw(sampler, logits, &id, err);
    st = st ? st : quern_text_open(model, 0, &text, err);
    quern_text_close(text);
    quern_sampler_close(sampler);
    quern_free(ids);
    quern_session_close(session);
    quern_model_close(model);
    return st;
}

static void each_allocation_that_fails_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    struct gguf_build b = tiny_model(&(struct tiny_twist){ .omit = NULL });
    size_t fail_at = 1;
    for (;; fail_at++) {
        struct quern_error err = { 0 };
        failing_malloc_start(fail_at);
        enum quern_status st = use_once(&b, &err);
        struct malloc_count count = failing_malloc_stop();
        assert_int_equal(count.live, 0);
        if (!st)
            break;
        if (st != QUERN_MEMORY || !strstr(err.text, "memory"))
            fail_msg("allocation %zu failed: status %d, '%s'", fail_at, (int)st, err.text);
    }
    print_message("%zu allocations\n", fail_at - 1);
    assert_true(fail_at > 10);
    build_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_class_of_contradiction_gets_its_line),
        cmocka_unit_test(the_fuzzer_starts_from_the_model_of_these_tests),
        cmocka_unit_test(what_is_unusual_but_right_opens_without_a_note),
        cmocka_unit_test(a_norm_with_nan_or_infinity_is_refused_by_name),
        cmocka_unit_test(a_model_without_a_usable_tokenizer_runs_on_ids),
        cmocka_unit_test(each_allocation_that_fails_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
