/* test_types.c - the table of tensor types: sizes, names, every decoder bit for bit, halves, Q8_0.
 * SPDX-License-Identifier: MIT
 * Reference values: tests/data/types (what produced them: its README). */
#include "formats/gguf.h"
#include "formats/types.h"
#include "tests/support.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- The table ---- */

/* clang-format off */
static const struct published {
    const char *name;
    uint32_t id, block_values, block_bytes;
} published[] = {
    { "F32", 0, 1, 4 },         { "F16", 1, 1, 2 },         { "Q4_0", 2, 32, 18 },
    { "Q4_1", 3, 32, 20 },      { "Q5_0", 6, 32, 22 },      { "Q5_1", 7, 32, 24 },
    { "Q8_0", 8, 32, 34 },      { "Q8_1", 9, 32, 36 },      { "Q2_K", 10, 256, 84 },
    { "Q3_K", 11, 256, 110 },   { "Q4_K", 12, 256, 144 },   { "Q5_K", 13, 256, 176 },
    { "Q6_K", 14, 256, 210 },   { "Q8_K", 15, 256, 292 },   { "IQ2_XXS", 16, 256, 66 },
    { "IQ2_XS", 17, 256, 74 },  { "IQ3_XXS", 18, 256, 98 }, { "IQ1_S", 19, 256, 50 },
    { "IQ4_NL", 20, 32, 18 },   { "IQ3_S", 21, 256, 110 },  { "IQ2_S", 22, 256, 82 },
    { "IQ4_XS", 23, 256, 136 }, { "I8", 24, 1, 1 },         { "I16", 25, 1, 2 },
    { "I32", 26, 1, 4 },        { "I64", 27, 1, 8 },        { "F64", 28, 1, 8 },
    { "IQ1_M", 29, 256, 56 },   { "BF16", 30, 1, 2 },       { "TQ1_0", 34, 256, 54 },
    { "TQ2_0", 35, 256, 66 },   { "MXFP4", 39, 32, 17 },    { "NVFP4", 40, 64, 36 },
    { "Q1_0", 41, 128, 18 },    { "Q2_0", 42, 64, 18 },
};
/* clang-format on */
enum { N_PUBLISHED = sizeof published / sizeof *published };

static void every_type_has_the_published_id_and_size(void **state) {
    (void)state;
    size_t n_known = 0;
    for (uint32_t id = 0; id < 1000; id++)
        n_known += type_info(id) != NULL;
    assert_int_equal(n_known, N_PUBLISHED);
    for (size_t i = 0; i < N_PUBLISHED; i++) {
        const struct type_info *info = type_info(published[i].id);
        assert_non_null(info);
        assert_string_equal(info->name, published[i].name);
        assert_int_equal(info->block_values, published[i].block_values);
        assert_int_equal(info->block_bytes, published[i].block_bytes);
    }
}

static void types_are_found_by_name_in_any_case(void **state) {
    (void)state;
    for (size_t i = 0; i < N_PUBLISHED; i++)
        assert_int_equal(type_by_name(published[i].name), published[i].id);
    assert_int_equal(type_by_name("q4_k"), TYPE_Q4_K);
    assert_int_equal(type_by_name("Iq2_xXs"), TYPE_IQ2_XXS);
    static const char *const unknown[] = { "", "Q4", "Q4_K_M", "Q4_KK", "Q4_2", " F32", "F32 " };
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_int_equal(type_by_name(unknown[i]), -1);
}

static void removed_and_private_ids_are_refused_by_name(void **state) {
    (void)state;
    /* clang-format off */
    static const struct {
        uint32_t id;
        const char *says;
    } cases[] = {
        { 4, "Q4_2" }, { 5, "Q4_3" }, { 31, "Q4_0_4_4" }, { 32, "Q4_0_4_8" }, { 33, "Q4_0_8_8" },
        { 36, "I2_S" }, { 37, "IQ4_NL" }, { 38, "IQ4_NL" }, { 99, "ik_llama.cpp" }, { 137, "IQ2_K" },
        { 144, "IQ4_KS" }, { 398, "Q8_KV" }, { 43, "unknown" }, { 1000, "unknown" },
        { UINT32_MAX, "unknown" },
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(type_info(cases[i].id));
        const char *text = type_refusal(cases[i].id);
        if (!strstr(text, cases[i].says))
            fail_msg("id %u: '%s' does not say '%s'", (unsigned)cases[i].id, text, cases[i].says);
    }
    assert_non_null(strstr(type_refusal(31), "quantize again from the original"));
    assert_non_null(strstr(type_refusal(144), "quantize again from the original"));
}

static void bytes_of_a_tensor_are_whole_blocks_and_do_not_overflow(void **state) {
    (void)state;
    size_t bytes = 0;
    assert_true(type_bytes(TYPE_Q4_K, 4096 * 3, &bytes));
    assert_int_equal(bytes, 4096 * 3 / 256 * 144);
    assert_true(type_bytes(TYPE_F32, 7, &bytes));
    assert_int_equal(bytes, 28);
    assert_true(type_bytes(TYPE_Q8_0, 0, &bytes));
    assert_int_equal(bytes, 0);
    assert_false(type_bytes(TYPE_Q4_K, 4096 + 32, &bytes));
    assert_false(type_bytes(TYPE_Q8_0, 1, &bytes));
    assert_false(type_bytes(TYPE_F32, UINT64_MAX, &bytes));
    assert_false(type_bytes(TYPE_Q8_0, UINT64_MAX - 31, &bytes));
    assert_true(type_bytes(TYPE_I8, SIZE_MAX, &bytes));
    assert_false(type_bytes(4, 32, &bytes));
    assert_false(type_bytes(UINT32_MAX, 32, &bytes));
}

/* ---- Decoders against reference values ---- */

/* The path of a file about the type of that name. */
static const char *type_file(const char *folder, const char *name, const char *suffix) {
    char relative[256];
    snprintf(relative, sizeof relative, "types/%s%s%s", folder, name, suffix);
    const char *path = support_data(relative);
    if (!path)
        fail_msg("%s is missing", relative);
    return path;
}

static float *decode(uint32_t id, const void *src, size_t n_values) {
    const struct type_info *info = type_info(id);
    assert_int_equal(n_values % info->block_values, 0);
    float *values = malloc(n_values * sizeof *values);
    assert_non_null(values);
    info->decode(src, values, n_values / info->block_values);
    return values;
}

static size_t n_values_of(const struct gguf_tensor *t) {
    return (size_t)(t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]);
}

static void assert_same_values(const char *what, const float *got, const float *want, size_t n) {
    const size_t i = support_first_difference(got, want, n);
    if (i < n)
        fail_msg("%s: value %zu is %a, should be %a", what, i, (double)got[i], (double)want[i]);
}

static struct gguf *open_model(const char *name) {
    struct quern_error err = { 0 };
    struct gguf *g = NULL;
    if (gguf_open(type_file("", name, ".gguf"), &g, &err))
        fail_msg("%s", err.text);
    return g;
}

static void every_matrix_of_every_type_decodes_to_the_reference_checksum(void **state) {
    json_t *types = *state;
    const char *name, *tensor_name;
    json_t *entry, *crc;
    assert_int_equal(json_object_size(types), 25);
    json_object_foreach(types, name, entry) {
        struct gguf *g = open_model(name);
        json_object_foreach(json_object_get(entry, "crc32_of_decoded_tensor"), tensor_name, crc) {
            const struct gguf_tensor *t = gguf_find_tensor(g, tensor_name);
            assert_non_null(t);
            assert_int_equal(t->type, json_integer_value(json_object_get(entry, "type_id")));
            const size_t n = n_values_of(t);
            float *values = decode(t->type, t->data, n);
            char got[9];
            snprintf(got, sizeof got, "%08x", (unsigned)support_crc32(values, n * sizeof *values));
            if (strcmp(got, json_string_value(crc)))
                fail_msg("%s %s: checksum %s, should be %s", name, tensor_name, got, json_string_value(crc));
            assert_int_equal(type_first_nonfinite(t->type, t->data, n / type_info(t->type)->block_values), n);
            free(values);
        }
        gguf_close(g);
    }
}

static void first_rows_of_every_type_decode_bit_for_bit(void **state) {
    json_t *types = *state;
    const char *name;
    json_t *entry;
    json_object_foreach(types, name, entry) {
        struct gguf *g = open_model(name);
        const char *tensor_name = json_string_value(json_object_get(entry, "tensor"));
        const struct gguf_tensor *t = gguf_find_tensor(g, tensor_name);
        assert_non_null(t);
        size_t n;
        float *want = support_read_f32(type_file("decoded/", name, ".f32"), &n);
        assert_int_equal(n, 8 * t->ne[0]);
        float *got = decode(t->type, t->data, n);
        assert_same_values(name, got, want, n);
        free(got);
        free(want);
        gguf_close(g);
    }
}

/* Scales at their limits, quants all zero, all one, alternating, random, single bits in every byte. */
static void extreme_blocks_of_every_type_decode_bit_for_bit(void **state) {
    json_t *types = *state;
    const char *name;
    json_t *entry;
    json_object_foreach(types, name, entry) {
        const struct type_info *info = type_info((uint32_t)type_by_name(name));
        size_t n, bytes;
        uint8_t *blocks = support_read(type_file("extreme/", name, ".bin"), &bytes);
        float *want = support_read_f32(type_file("extreme/", name, ".f32"), &n);
        assert_int_equal(bytes, n / info->block_values * info->block_bytes);
        float *got = decode((uint32_t)type_by_name(name), blocks, n);
        assert_same_values(name, got, want, n);
        free(got);
        free(want);
        free(blocks);
    }
}

/* Tensors are aligned to 32 bytes at best, rows and blocks are not; and no byte after the last block may be
 * read: the copy ends where its allocation ends, so that a sanitizer sees a read past it. */
static void decoding_reads_only_the_blocks_and_needs_no_alignment(void **state) {
    json_t *types = *state;
    const char *name;
    json_t *entry;
    json_object_foreach(types, name, entry) {
        const uint32_t id = (uint32_t)type_by_name(name);
        const struct type_info *info = type_info(id);
        size_t bytes;
        uint8_t *blocks = support_read(type_file("extreme/", name, ".bin"), &bytes);
        const size_t n_blocks = bytes / info->block_bytes;
        const size_t n = n_blocks * info->block_values;
        uint8_t *shifted = malloc(bytes + 1);
        assert_non_null(shifted);
        memcpy(shifted + 1, blocks, bytes);
        float *want = decode(id, blocks, n);
        float *got = decode(id, shifted + 1, n);
        assert_same_values(name, got, want, n);
        assert_int_equal(type_first_nonfinite(id, shifted + 1, n_blocks),
                         type_first_nonfinite(id, blocks, n_blocks));
        free(got);
        free(want);
        free(shifted);
        free(blocks);
    }
}

/* Types that no model here uses: values by their formula. */
static void integers_doubles_and_activation_types_decode_by_their_formula(void **state) {
    (void)state;
    float got[256];

    type_info(TYPE_I8)->decode((const int8_t[]){ 0, -128, 127 }, got, 3);
    assert_same_values("I8", got, (const float[]){ 0, -128, 127 }, 3);
    type_info(TYPE_I16)->decode((const int16_t[]){ 0, INT16_MIN, INT16_MAX }, got, 3);
    assert_same_values("I16", got, (const float[]){ 0, -32768, 32767 }, 3);
    type_info(TYPE_I32)->decode((const int32_t[]){ -1, INT32_MIN, 16777217 }, got, 3);
    assert_same_values("I32", got, (const float[]){ -1, -0x1p31f, 16777216 }, 3);
    type_info(TYPE_I64)->decode((const int64_t[]){ -1, INT64_MIN, INT64_MAX }, got, 3);
    assert_same_values("I64", got, (const float[]){ -1, -0x1p63f, 0x1p63f }, 3);
    type_info(TYPE_F64)->decode((const double[]){ -0.0, 0.1, 1e300 }, got, 3);
    assert_same_values("F64", got, (const float[]){ -0.0f, 0.1f, INFINITY }, 3);

    uint8_t q8_1[36] = { 0x00, 0x38, 0xff, 0xff, 0x80, 0x7f }; /* d = 0.5, the sum is not looked at */
    type_info(TYPE_Q8_1)->decode(q8_1, got, 1);
    assert_same_values("Q8_1", got, (const float[32]){ -64, 63.5f }, 32);

    uint8_t q8_K[292] = { 0x00, 0x00, 0x40, 0x40, 0x80, 0x01 }; /* d = 3 */
    q8_K[4 + 255] = 0x7f;
    type_info(TYPE_Q8_K)->decode(q8_K, got, 1);
    assert_same_values("Q8_K", got, (const float[256]){ [0] = -384, [1] = 3, [255] = 381 }, 256);
}

/* ---- Values that are not finite ---- */

/* f16 NaN and infinity, and their neighbours that are finite, at each place that holds a scale. */
static void a_scale_that_is_not_finite_is_found(void **state) {
    (void)state;
    /* clang-format off */
    static const struct {
        uint32_t id;
        size_t offset, bytes;
        uint8_t bad[8], good[8];
        size_t value; /* of the block */
    } cases[] = {
        { TYPE_F32, 0, 4, { 0, 0, 0x80, 0x7f }, { 0xff, 0xff, 0x7f, 0x7f }, 0 },
        { TYPE_F32, 0, 4, { 1, 0, 0x80, 0xff }, { 0xff, 0xff, 0x7f, 0xff }, 0 },
        { TYPE_F64, 0, 8, { [6] = 0xf0, [7] = 0xff }, { [6] = 0xef, [7] = 0xff }, 0 },
        { TYPE_F16, 0, 2, { 0, 0x7c }, { 0xff, 0x7b }, 0 },
        { TYPE_F16, 0, 2, { 1, 0xfc }, { 0xff, 0xfb }, 0 },
        { TYPE_BF16, 0, 2, { 0x80, 0x7f }, { 0x7f, 0x7f }, 0 },
        { TYPE_BF16, 0, 2, { 0xc0, 0xff }, { 0x7f, 0xff }, 0 },
        { TYPE_I32, 0, 4, { 0 }, { 0xff, 0xff, 0xff, 0x7f }, 1 },
        { TYPE_Q4_0, 0, 2, { 0, 0x7c }, { 0xff, 0x7b }, 0 },
        { TYPE_Q4_1, 0, 2, { 0, 0xfc }, { 0xff, 0xfb }, 0 },
        { TYPE_Q4_1, 2, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q5_0, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q5_1, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q5_1, 2, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q8_0, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q8_1, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q2_K, 80, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q2_K, 82, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q3_K, 108, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q4_K, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q4_K, 2, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q5_K, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q5_K, 2, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q6_K, 208, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q8_K, 0, 4, { 0, 0, 0xc0, 0x7f }, { 0, 0, 0x7f, 0x7f }, 0 },
        { TYPE_IQ2_XXS, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_IQ2_XS, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_IQ2_S, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_IQ3_XXS, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_IQ3_S, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_IQ1_S, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_IQ1_M, 48, 8, { [5] = 0xc0, [7] = 0x70 }, { 0, 0xf0, 0, 0xf0, 0, 0xb0, 0, 0x70 }, 0 },
        { TYPE_IQ4_NL, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_IQ4_XS, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_TQ1_0, 52, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_TQ2_0, 64, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_MXFP4, 0, 1, { 255 }, { 254 }, 0 },
        { TYPE_NVFP4, 2, 1, { 0x7f }, { 0x7e }, 32 },
        { TYPE_NVFP4, 3, 1, { 0xff }, { 0xfe }, 48 },
        { TYPE_Q1_0, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
        { TYPE_Q2_0, 0, 2, { 0, 0x7e }, { 0xff, 0xfb }, 0 },
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct type_info *info = type_info(cases[i].id);
        uint8_t blocks[3 * 292] = { 0 };
        uint8_t *place = blocks + info->block_bytes + cases[i].offset; /* in the second of three blocks */
        memcpy(place, cases[i].good, cases[i].bytes);
        assert_int_equal(type_first_nonfinite(cases[i].id, blocks, 3), 3 * info->block_values);
        memcpy(place, cases[i].bad, cases[i].bytes);
        const size_t want = cases[i].id == TYPE_I32 ? 3 : info->block_values + cases[i].value;
        const size_t got = type_first_nonfinite(cases[i].id, blocks, 3);
        if (got != want)
            fail_msg("%s, scale at byte %zu: value %zu, should be %zu", info->name, cases[i].offset, got,
                     want);
    }
}

/* With random bytes: a block is reported exactly if it decodes to something that is not finite. (In these
 * types a finite scale cannot overflow float32.) */
static void the_scale_scan_agrees_with_decoding(void **state) {
    uint64_t random = 1;
    json_t *types = *state;
    const char *name;
    json_t *entry;
    json_object_foreach(types, name, entry) {
        const uint32_t id = (uint32_t)type_by_name(name);
        const struct type_info *info = type_info(id);
        for (int round = 0; round < (id == TYPE_MXFP4 ? 0 : 2000); round++) {
            uint8_t block[292];
            for (size_t i = 0; i < sizeof block; i++)
                block[i] = (uint8_t)support_random(&random);
            float values[256];
            info->decode(block, values, 1);
            size_t n_finite = 0;
            while (n_finite < info->block_values && isfinite(values[n_finite]))
                n_finite++;
            const size_t got = type_first_nonfinite(id, block, 1);
            if ((got == info->block_values) != (n_finite == info->block_values))
                fail_msg("%s: reported value %zu, decoded up to %zu", name, got, n_finite);
        }
    }
}

/* ---- f16 and bf16 ---- */

static uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* The definition: sign, exponent, fraction. */
static double exact_f16(uint32_t h) {
    const int exponent = h >> 10 & 31;
    const int fraction = h & 1023;
    const double magnitude = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h & 0x8000 ? -magnitude : magnitude;
}

static void every_half_is_exact_as_float_and_comes_back(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float f = f16_to_f32((uint16_t)h);
        const uint16_t back = f32_to_f16(f);
        if ((h & 0x7c00) != 0x7c00) {
            assert_true((double)f == exact_f16(h));
            assert_int_equal(signbit(f) != 0, h >> 15);
            assert_int_equal(back, h);
        } else if (h & 1023) {
            assert_true(isnan(f));
            assert_int_equal(back, h | 0x200); /* quiet, payload kept */
        } else {
            assert_true(isinf(f) && (f < 0) == (h >> 15));
            assert_int_equal(back, h);
        }
    }
}

static void every_bfloat_is_exact_as_float_and_comes_back(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float f = bf16_to_f32((uint16_t)h);
        assert_int_equal(bits_of(f), h << 16);
        assert_int_equal(f32_to_bf16(f), isnan(f) ? h | 0x40 : h);
    }
}

/* One of the two 16-bit formats, for the search below. */
struct format16 {
    uint16_t (*from_float)(float f);
    double (*value)(uint32_t h); /* exact, also of the infinity, as if the exponents went on */
    uint32_t infinity;
};

static double exact_bf16(uint32_t h) {
    const int exponent = h >> 7 & 255;
    const int fraction = h & 127;
    return exponent ? ldexp(128 + fraction, exponent - 134) : ldexp(fraction, -133);
}

/* The nearest number to f >= 0, by bisection over all of them in double, in which both midpoints and
 * comparisons are exact; of two equally near the one with an even last bit. */
static uint32_t nearest16(const struct format16 *format, float f) {
    uint32_t low = 0, high = format->infinity;
    if ((double)f >= format->value(high))
        return high;
    while (high - low > 1) { /* value(low) <= f < value(high) */
        const uint32_t middle = (low + high) / 2;
        if (format->value(middle) <= (double)f)
            low = middle;
        else
            high = middle;
    }
    const double half_way = (format->value(low) + format->value(high)) / 2;
    if ((double)f != half_way)
        return (double)f < half_way ? low : high;
    return low % 2 ? high : low;
}

static void assert_rounds(const struct format16 *format, float f) {
    const uint32_t want = nearest16(format, f);
    const uint32_t got = format->from_float(f);
    const uint32_t got_negative = format->from_float(-f);
    if (got != want || got_negative != (want | 0x8000))
        fail_msg("%a and its negative become %04x and %04x, should be %04x and %04x", (double)f,
                 (unsigned)got, (unsigned)got_negative, (unsigned)want, (unsigned)want | 0x8000);
}

static void check_rounding(const struct format16 *format) {
    for (uint32_t h = 0; h < format->infinity; h++) {
        const float half_way = (float)((format->value(h) + format->value(h + 1)) / 2);
        assert_rounds(format, half_way);
        assert_rounds(format, nextafterf(half_way, 0));
        assert_rounds(format, nextafterf(half_way, FLT_MAX));
    }
    uint64_t random = 2;
    for (int i = 0; i < 200000; i++) {
        const float f = float_of((uint32_t)support_random(&random) & 0x7fffffff);
        if (isfinite(f))
            assert_rounds(format, f);
    }
    assert_rounds(format, FLT_MAX);
    assert_rounds(format, FLT_MIN);
    assert_rounds(format, float_of(1));
    assert_int_equal(format->from_float(INFINITY), format->infinity);
    assert_int_equal(format->from_float(-INFINITY), format->infinity | 0x8000);
    assert_true(format->from_float(NAN) > format->infinity);
    assert_true(format->from_float(float_of(0x7f800001)) > format->infinity); /* its payload is cut off */
}

static void floats_become_the_nearest_half(void **state) {
    (void)state;
    check_rounding(&(struct format16){ f32_to_f16, exact_f16, 0x7c00 });
}

static void floats_become_the_nearest_bfloat(void **state) {
    (void)state;
    check_rounding(&(struct format16){ f32_to_bf16, exact_bf16, 0x7f80 });
}

/* ---- Encoders ---- */

static void plain_encoders_round_each_value(void **state) {
    (void)state;
    const float x[] = { 0, -0.0f, 1.0f / 3, -65504, 65519, FLT_MIN, 0x1p-25f, 0x1.8p-25f };
    enum { N = sizeof x / sizeof *x };
    float got[N];
    uint8_t bytes[4 * N];
    type_info(TYPE_F32)->encode(x, bytes, N);
    type_info(TYPE_F32)->decode(bytes, got, N);
    assert_same_values("F32", got, x, N);
    type_info(TYPE_F16)->encode(x, bytes, N);
    type_info(TYPE_F16)->decode(bytes, got, N);
    for (int i = 0; i < N; i++)
        assert_int_equal(bits_of(got[i]), bits_of(f16_to_f32(f32_to_f16(x[i]))));
    type_info(TYPE_BF16)->encode(x, bytes, N);
    type_info(TYPE_BF16)->decode(bytes, got, N);
    for (int i = 0; i < N; i++)
        assert_int_equal(bits_of(got[i]), bits_of(bf16_to_f32(f32_to_bf16(x[i]))));
}

struct q8_0 {
    uint8_t bytes[34];
    float d;
    float values[32];
};

static struct q8_0 encode_q8_0_block(const float x[32]) {
    struct q8_0 b;
    type_info(TYPE_Q8_0)->encode(x, b.bytes, 1);
    type_info(TYPE_Q8_0)->decode(b.bytes, b.values, 1);
    b.d = f16_to_f32((uint16_t)(b.bytes[0] | b.bytes[1] << 8));
    return b;
}

/* Magnitudes from below the smallest scale to the largest that fits, mostly with few large values. */
static void random_block(uint64_t *random, float x[32]) {
    const int exponent = (int)(support_random(random) % 54) - 31;
    const int spread = (int)(support_random(random) % 12);
    for (int i = 0; i < 32; i++)
        x[i] = ldexpf(support_random_unit(random),
                      exponent - (spread ? (int)(support_random(random) % (unsigned)spread) : 0));
}

static void q8_0_is_off_by_at_most_half_a_step(void **state) {
    (void)state;
    uint64_t random = 3;
    for (int round = 0; round < 50000; round++) {
        float x[32];
        random_block(&random, x);
        const struct q8_0 b = encode_q8_0_block(x);
        for (int i = 0; i < 32; i++) {
            /* A block of less than half the smallest step is zero. The quotient was rounded once:
             * 2^-23 of 127 steps. */
            const double limit = fmax((double)b.d * (0.5 + 0x1p-16), 0x1p-25);
            const double error = fabs((double)b.values[i] - (double)x[i]);
            if (!(error <= limit))
                fail_msg("round %d: %a became %a with d = %a", round, (double)x[i], (double)b.values[i],
                         (double)b.d);
        }
    }
}

/* Scales below 2^-17 have so few bits that the largest magnitude need not get the code 127. */
static void q8_0_of_its_own_values_is_the_same_block(void **state) {
    (void)state;
    uint64_t random = 4;
    int n_checked = 0;
    for (int round = 0; round < 50000; round++) {
        float x[32];
        random_block(&random, x);
        const struct q8_0 once = encode_q8_0_block(x);
        if (once.d > 0 && once.d < 0x1p-17f)
            continue;
        const struct q8_0 twice = encode_q8_0_block(once.values);
        assert_memory_equal(once.bytes, twice.bytes, sizeof once.bytes);
        n_checked++;
    }
    assert_true(n_checked > 20000);
}

static void q8_0_of_extreme_blocks_stays_finite(void **state) {
    (void)state;
    static const uint8_t zero[34] = { 0 };
    assert_memory_equal(encode_q8_0_block((const float[32]){ 0 }).bytes, zero, 34);
    assert_memory_equal(encode_q8_0_block((const float[32]){ -0.0f, -0.0f }).bytes, zero, 34);
    assert_memory_equal(encode_q8_0_block((const float[32]){ float_of(1), -FLT_MIN }).bytes, zero, 34);
    assert_memory_equal(encode_q8_0_block((const float[32]){ 0x1p-25f }).bytes, zero, 34);

    /* One outlier takes the whole range. */
    struct q8_0 b = encode_q8_0_block((const float[32]){ [7] = -12.7f, [8] = 0.04f });
    assert_true(fabsf(b.values[7] + 12.7f) <= 12.7f * 0x1p-11f);
    assert_true(b.values[8] == 0);

    /* The smallest scale, and one that rounding down would put out of reach. */
    b = encode_q8_0_block((const float[32]){ 0x1p-24f, -0x1.8p-25f });
    assert_true(b.d == 0x1p-24f && b.values[0] == 0x1p-24f && b.values[1] == -0x1p-24f);
    b = encode_q8_0_block((const float[32]){ 190 * 0x1p-24f });
    assert_true(b.d == 0x1p-23f && b.values[0] == 190 * 0x1p-24f);

    /* The largest scale: what lies beyond is clamped. */
    b = encode_q8_0_block((const float[32]){ 127 * 65504.0f, -127 * 65504.0f });
    assert_true(b.values[0] == 127 * 65504.0f && b.values[1] == -127 * 65504.0f);
    b = encode_q8_0_block((const float[32]){ FLT_MAX, -FLT_MAX, 65504 });
    assert_true(b.values[0] == 127 * 65504.0f && b.values[1] == -127 * 65504.0f && b.values[2] == 65504);
}

/* The F32 and the Q8_0 model hold the same weights; decoded.json has the error of the reference's
 * encoder, rounded to five digits. */
static void q8_0_is_no_worse_than_the_reference_encoder(void **state) {
    const json_t *entry = json_object_get(*state, "Q8_0");
    struct gguf *g = open_model("F32");
    const char *tensor_name = json_string_value(json_object_get(entry, "tensor"));
    const struct gguf_tensor *t = gguf_find_tensor(g, tensor_name);
    assert_non_null(t);
    const size_t n = n_values_of(t);
    float *x = decode(TYPE_F32, t->data, n);
    size_t bytes;
    assert_true(type_bytes(TYPE_Q8_0, n, &bytes));
    uint8_t *blocks = malloc(bytes);
    assert_non_null(blocks);
    type_info(TYPE_Q8_0)->encode(x, blocks, n / 32);
    float *got = decode(TYPE_Q8_0, blocks, n);
    const struct support_distance d = support_compare(got, x, n);
    const double reference = json_real_value(json_object_get(entry, "quantization_rel_rms_error_of_tensor"));
    if (!(d.relative_rms <= reference + 0.5e-5))
        fail_msg("relative rms error %.6f, the reference encoder has %.5f", d.relative_rms, reference);
    free(got);
    free(blocks);
    free(x);
    gguf_close(g);
}

int main(void) {
    json_t *decoded = support_read_json(support_data("types/decoded.json"));
    json_t *types = json_object_get(decoded, "types");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_the_published_id_and_size),
        cmocka_unit_test(types_are_found_by_name_in_any_case),
        cmocka_unit_test(removed_and_private_ids_are_refused_by_name),
        cmocka_unit_test(bytes_of_a_tensor_are_whole_blocks_and_do_not_overflow),
        cmocka_unit_test_prestate(every_matrix_of_every_type_decodes_to_the_reference_checksum, types),
        cmocka_unit_test_prestate(first_rows_of_every_type_decode_bit_for_bit, types),
        cmocka_unit_test_prestate(extreme_blocks_of_every_type_decode_bit_for_bit, types),
        cmocka_unit_test_prestate(decoding_reads_only_the_blocks_and_needs_no_alignment, types),
        cmocka_unit_test(integers_doubles_and_activation_types_decode_by_their_formula),
        cmocka_unit_test(a_scale_that_is_not_finite_is_found),
        cmocka_unit_test_prestate(the_scale_scan_agrees_with_decoding, types),
        cmocka_unit_test(every_half_is_exact_as_float_and_comes_back),
        cmocka_unit_test(every_bfloat_is_exact_as_float_and_comes_back),
        cmocka_unit_test(floats_become_the_nearest_half),
        cmocka_unit_test(floats_become_the_nearest_bfloat),
        cmocka_unit_test(plain_encoders_round_each_value),
        cmocka_unit_test(q8_0_is_off_by_at_most_half_a_step),
        cmocka_unit_test(q8_0_of_its_own_values_is_the_same_block),
        cmocka_unit_test(q8_0_of_extreme_blocks_stays_finite),
        cmocka_unit_test_prestate(q8_0_is_no_worse_than_the_reference_encoder, types),
    };
    const int failed = cmocka_run_group_tests_name("types", tests, NULL, NULL);
    json_decref(decoded);
    return failed;
}
