/* cases.c - inputs for the tests of kernels: guarded memory, blocks of every type, activations.
 * SPDX-License-Identifier: MIT */
#include "tests/kernels/cases.h"

#include "formats/blocks.h"
#include "formats/types.h"
#include "tests/support.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *allocate(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    if (!p) {
        perror("memory");
        exit(1);
    }
    return p;
}

/* ---- Memory that faults when left ---- */

struct guarded guarded_alloc(size_t bytes, enum guard guard) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page;
    struct guarded g = { .map_bytes = inner + 2 * page };
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED || mprotect(g.map, page, PROT_NONE) ||
        mprotect((char *)g.map + page + inner, page, PROT_NONE)) {
        perror("guarded memory");
        exit(1);
    }
    g.data = (char *)g.map + page + (guard == GUARD_AFTER ? inner - bytes : 0);
    return g;
}

void guarded_free(struct guarded *g) { munmap(g->map, g->map_bytes); }

/* ---- Weights ---- */

/* Where a block keeps its scales: offsets of f16 fields. */
struct scale_fields {
    uint32_t type;
    size_t n, offset[2];
};

static const struct scale_fields fields[] = {
    { TYPE_F16, 1, { 0 } },
    { TYPE_Q4_0, 1, { offsetof(struct block_q4_0, d) } },
    { TYPE_Q4_1, 2, { offsetof(struct block_q4_1, d), offsetof(struct block_q4_1, m) } },
    { TYPE_Q5_0, 1, { offsetof(struct block_q5_0, d) } },
    { TYPE_Q5_1, 2, { offsetof(struct block_q5_1, d), offsetof(struct block_q5_1, m) } },
    { TYPE_Q8_0, 1, { offsetof(struct block_q8_0, d) } },
    { TYPE_IQ4_NL, 1, { offsetof(struct block_iq4_nl, d) } },
    { TYPE_Q2_K, 2, { offsetof(struct block_q2_K, d), offsetof(struct block_q2_K, dmin) } },
    { TYPE_Q3_K, 1, { offsetof(struct block_q3_K, d) } },
    { TYPE_Q4_K, 2, { offsetof(struct block_q4_K, d), offsetof(struct block_q4_K, dmin) } },
    { TYPE_Q5_K, 2, { offsetof(struct block_q5_K, d), offsetof(struct block_q5_K, dmin) } },
    { TYPE_Q6_K, 1, { offsetof(struct block_q6_K, d) } },
    { TYPE_IQ4_XS, 1, { offsetof(struct block_iq4_xs, d) } },
    { TYPE_IQ3_S, 1, { offsetof(struct block_iq3_s, d) } },
    { TYPE_IQ3_XXS, 1, { offsetof(struct block_iq3_xxs, d) } },
    { TYPE_IQ2_S, 1, { offsetof(struct block_iq2_s, d) } },
    { TYPE_IQ2_XS, 1, { offsetof(struct block_iq2_xs, d) } },
    { TYPE_IQ2_XXS, 1, { offsetof(struct block_iq2_xxs, d) } },
    { TYPE_IQ1_S, 1, { offsetof(struct block_iq1_s, d) } },
    { TYPE_TQ1_0, 1, { offsetof(struct block_tq1_0, d) } },
    { TYPE_TQ2_0, 1, { offsetof(struct block_tq2_0, d) } },
};

/* An f16 scale in a style. */
static uint16_t random_scale(enum scales style, uint64_t *random) {
    uint64_t r = support_random(random);
    uint16_t usual = (uint16_t)((0x2000 + r % 0x0c00) | (r >> 32 & 0x8000)); /* +-[2^-7, 2^-4) */
    switch (style) {
    case SCALES_NEGATIVE: return usual | 0x8000;
    case SCALES_ZERO: return (uint16_t)(r >> 32 & 0x8000);
    case SCALES_SUBNORMAL: return (uint16_t)(r % 0x400 | (r >> 32 & 0x8000));
    case SCALES_LARGEST: return (uint16_t)(0x7bff | (r >> 32 & 0x8000));
    case SCALES_INF: return r % 8 ? usual : 0x7c00;
    case SCALES_NAN: return r % 8 ? usual : 0x7e00;
    default: return usual;
    }
}

static void store16(uint8_t *p, uint16_t v) { memcpy(p, &v, sizeof v); }

/* The types whose scale is no f16 field. */
static void set_other_scale(uint32_t type, uint8_t *block, enum scales style, uint64_t *random) {
    uint16_t h = random_scale(style, random);
    float f = f16_to_f32(h) * (style == SCALES_LARGEST ? 0x1p100f : 1);
    if (type == TYPE_BF16)
        store16(block, f32_to_bf16(f));
    if (type == TYPE_F32)
        memcpy(block, &f, sizeof f);
    if (type == TYPE_MXFP4) { /* an exponent: 2^-128 and 2^-127 are subnormal */
        static const uint8_t first[SCALES_STYLES] = { 110, 110, 0, 0, 250, 0, 0 };
        static const uint8_t count[SCALES_STYLES] = { 16, 16, 1, 4, 6, 255, 255 };
        block[0] = (uint8_t)(first[style] + support_random(random) % count[style]);
    }
    if (type == TYPE_IQ1_M)
        for (size_t k = 0; k < 4; k++) {
            uint8_t *high = &((struct block_iq1_m *)(void *)block)->scales[2 * k + 1];
            *high = (uint8_t)((*high & 15) | (h >> 4 * k & 15) << 4);
        }
}

static uint8_t quants_byte(enum quants style, uint64_t *random) {
    static const uint8_t fixed[QUANTS_STYLES] = {
        [QUANTS_ONES] = 0xff, [QUANTS_80] = 0x80, [QUANTS_7F] = 0x7f, [QUANTS_AA] = 0xaa
    };
    return style == QUANTS_RANDOM ? (uint8_t)support_random(random) : fixed[style];
}

void fill_weights(uint32_t type, uint8_t *dst, size_t n_blocks, enum quants quants, enum scales scales,
                  uint64_t *random) {
    const size_t block_bytes = type_info(type)->block_bytes;
    for (size_t i = 0; i < n_blocks * block_bytes; i++)
        dst[i] = quants_byte(quants, random);
    const struct scale_fields *f = NULL;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i].type == type)
            f = &fields[i];
    for (size_t b = 0; b < n_blocks; b++) {
        if (!f)
            set_other_scale(type, dst + b * block_bytes, scales, random);
        for (size_t i = 0; f && i < f->n; i++)
            store16(dst + b * block_bytes + f->offset[i], random_scale(scales, random));
    }
}

/* ---- Activations ---- */

static float random_bits(uint64_t *random) {
    uint32_t bits = (uint32_t)support_random(random);
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Value i of n in a style. */
static float value(size_t i, enum values style, uint64_t *random) {
    float u = support_random_unit(random);
    switch (style) {
    case VALUES_OUTLIERS: return support_random(random) % 50 ? u : 100 * u;
    case VALUES_ZERO: return u < 0 ? -0.0f : 0.0f;
    case VALUES_EQUAL: return 0.3f;
    case VALUES_EQUAL_MINUS: return -0.3f;
    case VALUES_ALTERNATING: return i % 2 ? -1.7f : 1.7f;
    case VALUES_TIES: return i % 16 ? floorf(u * 254) / 2 : 127;
    case VALUES_EIGHTHS: return (i % 16 ? u : 1) * (float)(i / 16 % 8 + 1) / 8;
    case VALUES_GAPS: return i / 16 % 3 ? u : 0;
    case VALUES_TINY: return i / 256 % 2 ? u * 0x1p-99f : i % 32 ? u * 0x1p-100f : 0x1p-100f;
    case VALUES_SUBNORMAL: return u * 0x1p-130f;
    case VALUES_LARGEST: return i % 7 ? u * FLT_MAX : FLT_MAX;
    case VALUES_BITS: return random_bits(random);
    default: return u;
    }
}

void fill_values(float *x, size_t n, enum values style, uint64_t *random) {
    for (size_t i = 0; i < n; i++)
        x[i] = value(i, style, random);
    if (n && style == VALUES_ONE_NAN)
        x[support_random(random) % n] = NAN;
    if (n && style == VALUES_ONE_INF)
        x[support_random(random) % n] = -INFINITY;
}

/* ---- Names ---- */

const char *quants_name(enum quants style) {
    static const char *const names[] = { "random", "00", "ff", "80", "7f", "aa" };
    return names[style];
}

const char *scales_name(enum scales style) {
    static const char *const names[] = { "usual", "negative", "zero", "subnormal", "largest", "Inf", "NaN" };
    return names[style];
}

const char *values_name(enum values style) {
    static const char *const names[] = { "random",      "outliers", "zero",    "equal",   "equal negative",
                                         "alternating", "ties",     "eighths", "gaps",    "tiny",
                                         "subnormal",   "largest",  "one NaN", "one Inf", "bits" };
    return names[style];
}
