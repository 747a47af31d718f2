/* random_blocks.c - random weights of any type, finite and of ordinary size.
 * SPDX-License-Identifier: MIT
 * A block is random bytes; then the fields that hold its scales are written. What scale gives values of the
 * wanted size is not computed per type but seen: blocks of scale 1 are decoded and measured. */
#include "apps/bench/random_blocks.h"
#include "formats/blocks.h"
#include "formats/status.h"

#include <assert.h>
#include <math.h>

/* How a number is stored. */
typedef void put_number(uint8_t *at, float v, uint64_t random);

static void put_f16(uint8_t *at, float v, uint64_t random) {
    (void)random;
    uint16_t h = f32_to_f16(v);
    memcpy(at, &h, sizeof h);
}

/* E8M0: an exponent alone, of the next lower power of two. */
static void put_e8m0(uint8_t *at, float v, uint64_t random) {
    enum { BIAS = 127 };
    (void)random;
    *at = (uint8_t)(ilogbf(v) + BIAS);
}

/* The f16 of an IQ1_M block: a nibble at the top of each of four words. */
static void put_iq1_m(uint8_t *at, float v, uint64_t random) {
    (void)random;
    uint16_t h = f32_to_f16(v);
    for (int k = 0; k < 4; k++)
        at[2 * k + 1] = (uint8_t)((at[2 * k + 1] & 15) | (h >> 4 * k & 15) << 4);
}

/* Values that are their own scale: a random sign and fraction. */
static float signed_fraction(float v, uint64_t random) {
    enum { FRACTION_BITS = 23 };
    float fraction = (float)(random >> 40 & ((1u << FRACTION_BITS) - 1)) / (float)(1u << FRACTION_BITS);
    return (random & 1 ? -v : v) * (0.5f + fraction);
}

static void put_f32_value(uint8_t *at, float v, uint64_t random) {
    float f = signed_fraction(v, random);
    memcpy(at, &f, sizeof f);
}

static void put_f16_value(uint8_t *at, float v, uint64_t random) {
    put_f16(at, signed_fraction(v, random), random);
}

static void put_bf16_value(uint8_t *at, float v, uint64_t random) {
    uint16_t h = f32_to_bf16(signed_fraction(v, random));
    memcpy(at, &h, sizeof h);
}

/* A field to write, and its size in terms of the block's scale: the offset or minimum that goes with random
 * quants is the mean of theirs, so that values are spread around zero. */
struct scale_field {
    size_t offset;
    put_number *put; /* NULL: no more fields */
    float ratio;
};

enum { MAX_FIELDS = 2 };

#define D(block)                                                                                             \
    { offsetof(struct block_##block, d), put_f16, 1 }
#define HALF(block, field, ratio)                                                                            \
    { offsetof(struct block_##block, field), put_f16, ratio }

/* clang-format off */
static const struct scale_field fields[TYPE_COUNT][MAX_FIELDS] = {
    [TYPE_F32] =     { { 0, put_f32_value, 1 } },
    [TYPE_F16] =     { { 0, put_f16_value, 1 } },
    [TYPE_BF16] =    { { 0, put_bf16_value, 1 } },
    [TYPE_Q4_0] =    { D(q4_0) },
    [TYPE_Q4_1] =    { D(q4_1), HALF(q4_1, m, -7.5f) },
    [TYPE_Q5_0] =    { D(q5_0) },
    [TYPE_Q5_1] =    { D(q5_1), HALF(q5_1, m, -15.5f) },
    [TYPE_Q8_0] =    { D(q8_0) },
    [TYPE_Q2_K] =    { D(q2_K), HALF(q2_K, dmin, 1.5f) },
    [TYPE_Q3_K] =    { D(q3_K) },
    [TYPE_Q4_K] =    { D(q4_K), HALF(q4_K, dmin, 7.5f) },
    [TYPE_Q5_K] =    { D(q5_K), HALF(q5_K, dmin, 15.5f) },
    [TYPE_Q6_K] =    { D(q6_K) },
    [TYPE_IQ4_NL] =  { D(iq4_nl) },
    [TYPE_IQ4_XS] =  { D(iq4_xs) },
    [TYPE_IQ3_S] =   { D(iq3_s) },
    [TYPE_IQ3_XXS] = { D(iq3_xxs) },
    [TYPE_IQ2_S] =   { D(iq2_s) },
    [TYPE_IQ2_XS] =  { D(iq2_xs) },
    [TYPE_IQ2_XXS] = { D(iq2_xxs) },
    [TYPE_IQ1_S] =   { D(iq1_s) },
    [TYPE_IQ1_M] =   { { offsetof(struct block_iq1_m, scales), put_iq1_m, 1 } },
    [TYPE_TQ1_0] =   { D(tq1_0) },
    [TYPE_TQ2_0] =   { D(tq2_0) },
    [TYPE_MXFP4] =   { { offsetof(struct block_mxfp4, e), put_e8m0, 1 } },
};
/* clang-format on */

#undef D
#undef HALF

static void put_scales(enum quern_type type, uint8_t *block, float scale, uint64_t random) {
    for (size_t k = 0; k < MAX_FIELDS && fields[type][k].put; k++)
        fields[type][k].put(block + fields[type][k].offset, scale * fields[type][k].ratio, random);
}

/* The root mean square of the values of blocks whose scale is 1. Changes the blocks' scales. */
static double unit_rms(enum quern_type type, uint8_t *blocks, size_t n_blocks, uint64_t *state) {
    enum { MAX_VALUES = 256 };
    const struct type_info *info = type_info(type);
    float values[MAX_VALUES];
    assert(info->block_values <= MAX_VALUES);
    double sum = 0;
    for (size_t i = 0; i < n_blocks; i++) {
        uint8_t *block = blocks + i * info->block_bytes;
        put_scales(type, block, 1, random_bits(state));
        info->decode(block, values, 1);
        for (size_t k = 0; k < info->block_values; k++)
            sum += (double)values[k] * (double)values[k];
    }
    return sqrt(sum / (double)(n_blocks * info->block_values));
}

void random_blocks_fill(enum quern_type type, uint8_t *dst, size_t n_blocks, double rms, uint64_t *state) {
    enum { SAMPLE_BLOCKS = 512 };
    const size_t block_bytes = type_info(type)->block_bytes, bytes = n_blocks * block_bytes;
    assert(fields[type][0].put);
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        uint64_t random = random_bits(state);
        memcpy(dst + i, &random, bytes - i < sizeof random ? bytes - i : sizeof random);
    }
    size_t n_sample = n_blocks < SAMPLE_BLOCKS ? n_blocks : SAMPLE_BLOCKS;
    double scale = rms / unit_rms(type, dst, n_sample, state);
    for (size_t i = 0; i < n_blocks; i++)
        put_scales(type, dst + i * block_bytes, (float)scale, random_bits(state));
}
