/* definition_test.c - the scalar level against independent formulas in double precision.
 * SPDX-License-Identifier: MIT
 * The other levels are compared with the scalar one, bit for bit, by kernel_test.c. */
#include "formats/types.h"
#include "kernels/kernels.h"
#include "tests/kernels/cases.h"
#include "tests/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t seed = 20240607;

static struct kernels scalar(void) {
    struct kernels k;
    assert_true(kernels_init(&k, "scalar"));
    return k;
}

static void *allocate_aligned(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 64) / 64 * 64);
    assert_non_null(p);
    return p;
}

/* x [n_tokens][n] in the form that a type is multiplied with. The memory comes back in *memory. */
static struct acts make_acts(const struct kernels *k, uint32_t type, const float *x, size_t n,
                             size_t n_tokens, void **memory) {
    enum act_form form = act_form_of(type);
    struct acts acts;
    *memory = allocate_aligned(acts_bytes(form, n, n_tokens));
    acts_place(&acts, form, n, n_tokens, *memory);
    acts.x = form == ACT_F32 ? x : NULL;
    for (size_t t = 0; t < n_tokens && form != ACT_F32; t++)
        k->quantize[form](x + t * n, &acts, t);
    return acts;
}

/* What value i of token t stands for. */
static double act_value(const struct acts *acts, size_t t, size_t i) {
    size_t at = t * acts->n + i;
    switch (acts->form) {
    case ACT_F32: return acts->x[at];
    case ACT_A32: return (double)acts->d[at / 32] * acts->q[at];
    case ACT_A256_16: return (double)acts->d[at / 256] * acts->a[at / 16] * acts->q[at];
    case ACT_A256_32: return (double)acts->d[at / 256] * acts->a[at / 32] * acts->q[at];
    default: fail(); return 0;
    }
}

/* ---- Products ---- */

/* The product in double from the decoded weights and the reconstructed activations. *scale: the sum of the
 * largest magnitude in each 32 times |x|, which bounds what roundings inside a block are relative to. */
static double exact_dot(const float *w, const struct acts *acts, size_t t, double *scale) {
    double sum = 0;
    *scale = 0;
    for (size_t b = 0; b < acts->n; b += 32) {
        double largest = 0, x_sum = 0;
        for (size_t i = b; i < b + 32 && i < acts->n; i++) {
            double x = act_value(acts, t, i);
            sum += w[i] * x;
            largest = fmax(largest, fabs(w[i]));
            x_sum += fabs(x);
        }
        *scale += largest * x_sum;
    }
    return sum;
}

static void check_type(const struct kernels *k, uint32_t type, size_t n_blocks, uint64_t *random) {
    enum { ROWS = 3, TOKENS = 2 };
    const struct type_info *info = type_info(type);
    size_t n = n_blocks * (info->block_values > 1 ? info->block_values : 19), row_bytes;
    assert_true(type_bytes(type, n, &row_bytes));
    uint8_t *w = allocate_aligned(ROWS * row_bytes);
    float *decoded = allocate_aligned(n * sizeof *decoded), *x = allocate_aligned(TOKENS * n * sizeof *x),
          y[TOKENS][ROWS + 1];
    void *memory;
    fill_weights(type, w, ROWS * row_bytes / info->block_bytes, QUANTS_RANDOM, SCALES_USUAL, random);
    fill_values(x, TOKENS * n, VALUES_OUTLIERS, random);
    struct acts acts = make_acts(k, type, x, n, TOKENS, &memory);
    k->matmul[type](w, row_bytes, ROWS, &acts, y[0], ROWS + 1);
    for (size_t r = 0; r < ROWS; r++) {
        info->decode(w + r * row_bytes, decoded, n / info->block_values);
        for (size_t t = 0; t < TOKENS; t++) {
            double scale, want = exact_dot(decoded, &acts, t, &scale);
            /* A rounding of 2^-24 for each step of the chain, and 8 in the block and in decode, relative to
             * at most 4 times the largest decoded weight (minima cancel). */
            double steps = info->block_values > 1 ? (double)n_blocks : (double)n / 16 + 4;
            double allowed = (steps + 8) * 0x1p-24 * 4 * scale;
            if (!(fabs(y[t][r] - want) <= allowed))
                fail_msg("%s, %zu blocks, row %zu, token %zu: got %.9g, want %.9g +- %.3g", info->name,
                         n_blocks, r, t, (double)y[t][r], want, allowed);
        }
    }
    free(memory);
    free(x);
    free(decoded);
    free(w);
}

static void products_of_every_type_equal_those_of_its_decoded_values(void **state) {
    (void)state;
    static const size_t lengths[] = { 1, 2, 3, 57 };
    const struct kernels k = scalar();
    uint64_t random = seed;
    size_t n_types = 0;
    for (uint32_t type = 0; type < TYPE_COUNT; type++) {
        assert_int_equal(k.matmul[type] != NULL, act_form_of(type) != ACT_NONE);
        if (!k.matmul[type])
            continue;
        n_types++;
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
            check_type(&k, type, lengths[i], &random);
    }
    assert_int_equal(n_types, 25);
}

/* The rows of golden/types/dot: blocks from the reference quantizers and exact products. x is rounded here
 * as anywhere, so the tolerances are those of dot.json: 1e-6 of |row| * |x| with float activations, 1e-3 with
 * activations in blocks of 8 bits (3.7e-4 was the largest of plain 8-bit blocks). */
static void check_golden(const struct kernels *k, const char *name, const json_t *golden) {
    char path[64];
    const uint32_t type = (uint32_t)type_by_name(name);
    const size_t n = (size_t)json_integer_value(json_object_get(golden, "n"));
    const size_t rows = (size_t)json_integer_value(json_object_get(golden, "rows"));
    size_t bytes, row_bytes, n_x;
    float y[8];
    void *memory;
    snprintf(path, sizeof path, "types/dot/%s.bin", name);
    uint8_t *w = support_read(support_data(path), &bytes);
    float *x = support_read_f32(support_data("types/dot/x.f32"), &n_x);
    assert_true(act_form_of(type) != ACT_NONE && n_x >= n && rows <= 8);
    assert_true(type_bytes(type, n, &row_bytes) && rows * row_bytes == bytes);
    struct acts acts = make_acts(k, type, x, n, 1, &memory);
    k->matmul[type](w, row_bytes, rows, &acts, y, rows);
    for (size_t r = 0; r < rows; r++) {
        double want = json_number_value(json_array_get(json_object_get(golden, "dot"), r));
        double norm = json_number_value(json_array_get(json_object_get(golden, "norm_product"), r));
        if (!(fabs(y[r] - want) <= (acts.form == ACT_F32 ? 1e-6 : 1e-3) * norm))
            fail_msg("%s, row %zu: got %.9g, want %.9g, |row| |x| is %.9g", name, r, (double)y[r], want,
                     norm);
    }
    free(memory);
    free(x);
    free(w);
}

static void products_of_reference_blocks_equal_the_golden_ones(void **state) {
    (void)state;
    const struct kernels k = scalar();
    json_t *json = support_read_json(support_data("types/dot/dot.json")), *golden;
    const char *name;
    size_t n_types = 0;
    json_object_foreach(json_object_get(json, "types"), name, golden) {
        check_golden(&k, name, golden);
        n_types++;
    }
    assert_int_equal(n_types, 25);
    json_decref(json);
}

/* ---- Activations ---- */

/* One row of n values quantized. The caller frees memory. */
static struct acts quantize(enum act_form form, const float *x, size_t n, void **memory) {
    const struct kernels k = scalar();
    struct acts acts;
    *memory = allocate_aligned(acts_bytes(form, n, 1));
    acts_place(&acts, form, n, 1, *memory);
    k.quantize[form](x, &acts, 0);
    return acts;
}

static int sum_q(const struct acts *acts, size_t begin, size_t n) {
    int sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += acts->q[begin + i];
    return sum;
}

/* The sums beside the quants belong to them, and everything is in its range. */
static void check_ranges(const struct acts *acts) {
    for (size_t i = 0; i < acts->n; i++)
        assert_in_range(acts->q[i] + 127, 0, 254);
    for (size_t j = 0; acts->sum && j < acts->n / 32; j++)
        assert_int_equal(acts->sum[j], sum_q(acts, j * 32, 32));
    size_t sub_block = acts->form == ACT_A256_16 ? 16 : 32;
    for (size_t j = 0; acts->a && j < acts->n / sub_block; j++)
        assert_in_range(acts->a[j], 1, 8);
    for (size_t j = 0; acts->g16 && j < acts->n / 16; j++)
        assert_int_equal(acts->g16[j], acts->a[j * 16 / sub_block] * sum_q(acts, j * 16, 16));
    for (size_t j = 0; acts->g32 && j < acts->n / 32; j++)
        assert_int_equal(acts->g32[j], acts->a[j] * sum_q(acts, j * 32, 32));
}

static const enum act_form quantized_forms[] = { ACT_A32, ACT_A256_16, ACT_A256_32 };

static void quantized_values_are_within_half_a_step(void **state) {
    (void)state;
    static const enum values styles[] = { VALUES_RANDOM,      VALUES_OUTLIERS,    VALUES_EQUAL,
                                          VALUES_EQUAL_MINUS, VALUES_ALTERNATING, VALUES_EIGHTHS,
                                          VALUES_GAPS };
    uint64_t random = seed;
    float x[1024];
    for (size_t f = 0; f < 3; f++)
        for (size_t s = 0; s < sizeof styles / sizeof styles[0]; s++) {
            fill_values(x, 1024, styles[s], &random);
            void *memory;
            struct acts acts = quantize(quantized_forms[f], x, 1024, &memory);
            check_ranges(&acts);
            for (size_t i = 0; i < 1024; i++) {
                double step = acts.form == ACT_A32       ? acts.d[i / 32]
                              : acts.form == ACT_A256_16 ? acts.d[i / 256] * acts.a[i / 16]
                                                         : acts.d[i / 256] * acts.a[i / 32];
                /* The largest quotient before rounding is 127.016: section "Activations" of the README. */
                assert_true(fabs(x[i] - act_value(&acts, 0, i)) <= 0.5161 * step);
            }
            free(memory);
        }
}

static void values_between_two_quants_round_to_the_even_one(void **state) {
    (void)state;
    float x[32] = { 127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 125.5f, 126.5f, -126.5f };
    static const int want[10] = { 127, 0, 2, 2, 0, -2, -2, 126, 126, -126 };
    void *memory;
    struct acts acts = quantize(ACT_A32, x, 32, &memory);
    assert_true(acts.d[0] == 1);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(acts.q[i], want[i]);
    free(memory);
}

static void sub_scales_of_exact_eighths_are_the_eighths(void **state) {
    (void)state;
    uint64_t random = seed;
    float x[256], largest = 1;
    for (size_t round = 0; round < 50; round++, largest *= 1.37f) {
        fill_values(x, 256, VALUES_EIGHTHS, &random);
        for (size_t i = 0; i < 256; i++)
            x[i] *= largest;
        void *memory;
        struct acts acts = quantize(ACT_A256_16, x, 256, &memory);
        for (size_t j = 0; j < 16; j++)
            assert_int_equal(acts.a[j], j % 8 + 1);
        free(memory);
    }
}

/* A block without a scale: d as said, everything else neutral. */
static void check_flat(enum act_form form, const float *x, size_t block, bool want_nan) {
    void *memory;
    struct acts acts = quantize(form, x, 256, &memory);
    size_t at = form == ACT_A32 ? block / 32 : 0, length = form == ACT_A32 ? 32 : 256;
    assert_true(want_nan ? isnan(acts.d[at]) : acts.d[at] == 0);
    for (size_t i = 0; i < length; i++)
        assert_int_equal(acts.q[at * length + i], 0);
    for (size_t j = 0; acts.a && j < (form == ACT_A256_16 ? 16 : 8); j++)
        assert_int_equal(acts.a[j], 1);
    check_ranges(&acts);
    free(memory);
}

static void blocks_without_a_finite_scale_are_zero_or_poisoned(void **state) {
    (void)state;
    uint64_t random = seed;
    float x[256];
    for (size_t f = 0; f < 3; f++) {
        fill_values(x, 256, VALUES_ZERO, &random);
        check_flat(quantized_forms[f], x, 0, false);
        fill_values(x, 256, VALUES_SUBNORMAL, &random);
        check_flat(quantized_forms[f], x, 64, false);
        fill_values(x, 256, VALUES_RANDOM, &random);
        x[100] = NAN;
        check_flat(quantized_forms[f], x, 100, true);
        x[100] = -INFINITY;
        check_flat(quantized_forms[f], x, 100, true);
    }
}

static void a_poisoned_block_makes_the_product_nan(void **state) {
    (void)state;
    const struct kernels k = scalar();
    uint64_t random = seed;
    float x[1024], y;
    uint8_t w[4096];
    for (uint32_t type = 0; type < TYPE_COUNT; type++) {
        if (!k.matmul[type])
            continue;
        size_t row_bytes;
        void *memory;
        assert_true(type_bytes(type, 1024, &row_bytes) && row_bytes <= sizeof w);
        fill_weights(type, w, row_bytes / type_info(type)->block_bytes, QUANTS_RANDOM, SCALES_USUAL, &random);
        fill_values(x, 1024, VALUES_ONE_NAN, &random);
        struct acts acts = make_acts(&k, type, x, 1024, 1, &memory);
        k.matmul[type](w, row_bytes, 1, &acts, &y, 1);
        assert_true(isnan(y));
        free(memory);
    }
}

/* ---- Elementwise ---- */

static void exp_is_accurate_to_2e_7(void **state) {
    (void)state;
    double worst = 0;
    for (uint32_t i = 0; i < 3000000; i++) {
        float x = -87 + (float)i * (175.0f / 3000000);
        double want = exp((double)x);
        worst = fmax(worst, fabs(kernels_exp(x) - want) / want);
    }
    print_message("largest relative error of exp: %.3g\n", worst);
    assert_true(worst < 2e-7);
    assert_true(kernels_exp(0) == 1 && kernels_exp(-0.0f) == 1);
}

static void exp_saturates_and_keeps_nan(void **state) {
    (void)state;
    assert_true(isnan(kernels_exp(NAN)));
    assert_true(kernels_exp(-INFINITY) == kernels_exp(-1000) && kernels_exp(-1000) < 1.2e-38f);
    assert_true(kernels_exp(INFINITY) == kernels_exp(1000) && kernels_exp(1000) > 1.7e38f);
    assert_true(isfinite(kernels_exp(INFINITY)) && isnormal(kernels_exp(-INFINITY)));
}

static void norms_and_activations_follow_their_formulas(void **state) {
    (void)state;
    enum { N = 211 };
    const struct kernels k = scalar();
    uint64_t random = seed;
    float x[N], w[N], y[N];
    double squares = 0;
    fill_values(x, N, VALUES_OUTLIERS, &random);
    fill_values(w, N, VALUES_RANDOM, &random);
    for (size_t i = 0; i < N; i++)
        squares += (double)x[i] * x[i];
    k.rms_norm(x, w, 1e-5f, y, N);
    for (size_t i = 0; i < N; i++) {
        double want = x[i] / sqrt(squares / N + 1e-5) * w[i];
        assert_true(fabs(y[i] - want) <= 1e-6 * fabs(want));
    }
    k.silu_mul(x, w, y, N);
    for (size_t i = 0; i < N; i++) {
        double want = x[i] / (1 + exp(-(double)x[i])) * w[i];
        assert_true(fabs(y[i] - want) <= 1e-6 * fabs(want) + 1e-30);
    }
    k.softmax(x, N);
    double sum = 0;
    for (size_t i = 0; i < N; i++)
        sum += x[i];
    assert_true(fabs(sum - 1) < 1e-6);
}

static void rope_turns_pairs_by_their_angles(void **state) {
    (void)state;
    enum { N = 14 };
    const struct kernels k = scalar();
    uint64_t random = seed;
    float x[N], y[N], cs[N];
    fill_values(x, N, VALUES_RANDOM, &random);
    memcpy(y, x, sizeof x);
    for (size_t i = 0; i < N; i += 2) {
        cs[i] = (float)cos(0.3 * (double)i);
        cs[i + 1] = (float)sin(0.3 * (double)i);
    }
    k.rope_pairs(y, cs, N);
    for (size_t i = 0; i < N; i += 2) {
        assert_true(fabs(y[i] - (x[i] * (double)cs[i] - x[i + 1] * (double)cs[i + 1])) < 1e-6);
        assert_true(fabs(y[i + 1] - (x[i] * (double)cs[i + 1] + x[i + 1] * (double)cs[i])) < 1e-6);
    }
}

/* ---- Attention ---- */

/* Attention of one query over n positions in blocks, against softmax(K q) V in double. */
static void check_attention(enum cache_type cache, size_t n, double tolerance) {
    enum { DIM = 64, MOST = 150, TILES = (MOST + ATTN_TILE - 1) / ATTN_TILE };
    const struct kernels k = scalar();
    const size_t row_bytes = cache_bytes(cache, DIM);
    uint64_t random = seed;
    float x[DIM], key[MOST][DIM], val[MOST][DIM], s[ATTN_BLOCK], o[DIM] = { 0 };
    static uint8_t tiles[TILES * ATTN_TILE * DIM * 4], rows[MOST * DIM * 4];
    alignas(64) unsigned char memory[512];
    struct acts q;
    fill_values(x, DIM, VALUES_RANDOM, &random);
    acts_place(&q, cache_query_form(cache), DIM, 1, memory);
    if (q.form == ACT_F32)
        q.x = x;
    else
        k.quantize[q.form](x, &q, 0);
    for (size_t p = 0; p < n; p++) {
        fill_values(key[p], DIM, VALUES_RANDOM, &random);
        fill_values(val[p], DIM, VALUES_RANDOM, &random);
        k.store_key[cache](key[p], DIM, tiles + p / ATTN_TILE * ATTN_TILE * row_bytes, p % ATTN_TILE);
        k.store_value[cache](val[p], DIM, rows + p * row_bytes);
    }
    struct attn_softmax softmax = { .m = -INFINITY };
    for (size_t begin = 0; begin < n; begin += ATTN_BLOCK) {
        size_t length = n - begin < ATTN_BLOCK ? n - begin : ATTN_BLOCK;
        const struct attn_span span = { 0, (uint8_t)length };
        k.attn_scores[cache](&q, tiles + begin * row_bytes, (length + ATTN_TILE - 1) / ATTN_TILE, s);
        k.attn_softmax(s, &span, 1, &softmax, o, DIM);
        k.attn_values[cache](s, &span, 1, rows + begin * row_bytes, DIM, o);
    }
    double sum = 0, l = 0, want[DIM] = { 0 };
    for (size_t p = 0; p < n; p++) {
        double score = 0;
        for (size_t d = 0; d < DIM; d++)
            score += (double)x[d] * key[p][d];
        sum += exp(score);
        for (size_t d = 0; d < DIM; d++)
            want[d] += exp(score) * val[p][d];
    }
    for (size_t i = 0; i < 16; i++)
        l += softmax.l[i];
    for (size_t d = 0; d < DIM; d++)
        assert_true(fabs(o[d] / l - want[d] / sum) < tolerance);
}

static void attention_over_blocks_equals_softmax_over_all_positions(void **state) {
    (void)state;
    static const size_t lengths[] = { 1, 15, 64, 65, 150 };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        check_attention(CACHE_F32, lengths[i], 2e-6);
        check_attention(CACHE_F16, lengths[i], 2e-3);  /* 2^-11 of each key and value */
        check_attention(CACHE_BF16, lengths[i], 2e-2); /* 2^-8 */
        check_attention(CACHE_Q8_0, lengths[i], 2e-2); /* 2^-8 of the largest */
        check_attention(CACHE_Q4_0, lengths[i], 0.2);  /* 2^-4 of the largest */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_every_type_equal_those_of_its_decoded_values),
        cmocka_unit_test(products_of_reference_blocks_equal_the_golden_ones),
        cmocka_unit_test(quantized_values_are_within_half_a_step),
        cmocka_unit_test(values_between_two_quants_round_to_the_even_one),
        cmocka_unit_test(sub_scales_of_exact_eighths_are_the_eighths),
        cmocka_unit_test(blocks_without_a_finite_scale_are_zero_or_poisoned),
        cmocka_unit_test(a_poisoned_block_makes_the_product_nan),
        cmocka_unit_test(exp_is_accurate_to_2e_7),
        cmocka_unit_test(exp_saturates_and_keeps_nan),
        cmocka_unit_test(norms_and_activations_follow_their_formulas),
        cmocka_unit_test(rope_turns_pairs_by_their_angles),
        cmocka_unit_test(attention_over_blocks_equals_softmax_over_all_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
