/* kernels.c - the table of levels, and the memory of quantized activations.
 * SPDX-License-Identifier: MIT */
#include "kernels/kernels.h"

#include "kernels/cpu.h"
#include "kernels/levels.h"

#include <assert.h>
#include <string.h>

struct level {
    const char *name;
    const char *base; /* the level whose table this one's fill function overwrites; NULL: none */
    uint64_t needs;   /* features beyond those of the base */
    void (*fill)(struct kernels *k);
};

/* Slowest first, and a level behind its base. */
static const struct level levels[] = {
    { "scalar", NULL, 0, kernels_fill_c },
#if defined(__x86_64__)
    { "avx2", "scalar", CPU_AVX2 | CPU_FMA | CPU_F16C, kernels_fill_avx2 },
    { "avxvnni", "avx2", CPU_AVX_VNNI, kernels_fill_avxvnni },
    { "avx512", "avx2", CPU_AVX512 | CPU_AVX512_VNNI | CPU_AVX512_VBMI | CPU_GFNI, kernels_fill_avx512 },
    { "amx", "avx512", CPU_AMX_TILE | CPU_AMX_INT8, kernels_fill_amx },
#elif defined(__aarch64__)
    { "neon", "scalar", CPU_DOTPROD, kernels_fill_neon },
    { "neon-i8mm", "neon", CPU_I8MM, kernels_fill_neon_i8mm },
#endif
};

enum { N_LEVELS = sizeof levels / sizeof levels[0] };

const char *kernels_level(size_t i) { return i < N_LEVELS ? levels[i].name : NULL; }

/* The row of a name; NULL for NULL or if there is none. */
static const struct level *level_row(const char *name) {
    for (size_t i = 0; name && i < N_LEVELS; i++)
        if (strcmp(levels[i].name, name) == 0)
            return &levels[i];
    return NULL;
}

/* Tiles need the system's permission too, which holds for all threads of the process, older ones included. */
static bool usable(const struct level *level) {
    uint64_t needs = 0;
    for (; level; level = level_row(level->base))
        needs |= level->needs;
    return (cpu_features() & needs) == needs && (!(needs & CPU_AMX_TILE) || cpu_allow_amx());
}

/* The best level that can be used. */
static const struct level *best_level(void) {
    size_t i = N_LEVELS - 1;
    while (!usable(&levels[i]))
        i--; /* the first needs nothing */
    return &levels[i];
}

static void fill(const struct level *level, struct kernels *k) {
    if (level->base)
        fill(level_row(level->base), k);
    level->fill(k);
}

bool kernels_usable(const char *level) {
    const struct level *row = level_row(level);
    return row && usable(row);
}

bool kernels_init(struct kernels *k, const char *level) {
    const struct level *row = level ? level_row(level) : best_level();
    if (!row || !usable(row))
        return false;
    memset(k, 0, sizeof *k);
    fill(row, k);
    k->name = row->name;
    return true;
}

static const uint8_t act_forms[TYPE_COUNT] = {
    [TYPE_F32] = ACT_F32,        [TYPE_F16] = ACT_F32,        [TYPE_BF16] = ACT_F32,
    [TYPE_Q4_0] = ACT_A32,       [TYPE_Q4_1] = ACT_A32,       [TYPE_Q5_0] = ACT_A32,
    [TYPE_Q5_1] = ACT_A32,       [TYPE_Q8_0] = ACT_A32,       [TYPE_IQ4_NL] = ACT_A32,
    [TYPE_MXFP4] = ACT_A32,      [TYPE_Q2_K] = ACT_A256_32,   [TYPE_Q3_K] = ACT_A256_32,
    [TYPE_Q4_K] = ACT_A256_32,   [TYPE_Q5_K] = ACT_A256_32,   [TYPE_Q6_K] = ACT_A256_16,
    [TYPE_IQ4_XS] = ACT_A256_32, [TYPE_IQ3_S] = ACT_A256_32,  [TYPE_IQ3_XXS] = ACT_A256_32,
    [TYPE_IQ2_S] = ACT_A256_32,  [TYPE_IQ2_XS] = ACT_A256_32, [TYPE_IQ2_XXS] = ACT_A256_32,
    [TYPE_IQ1_S] = ACT_A256_32,  [TYPE_IQ1_M] = ACT_A256_32,  [TYPE_TQ1_0] = ACT_A256_32,
    [TYPE_TQ2_0] = ACT_A256_32,
};

enum act_form act_form_of(uint32_t type) {
    return type < TYPE_COUNT ? (enum act_form)act_forms[type] : ACT_NONE;
}

/* Bytes that each array of a form has per block: the layout of acts_place(). */
struct act_layout {
    size_t block; /* values */
    size_t d, sum, a, g16, g32, mask;
};

enum { F4 = sizeof(float), I4 = sizeof(int32_t), I2 = sizeof(int16_t) };

/* clang-format off */
static const struct act_layout layouts[ACT_FORMS] = {
    /*                block   d sum   a      g16     g32 mask */
    [ACT_A32]     = {    32, F4, I4,  0,       0,      0,   0 },
    [ACT_A256_16] = {   256, F4,  0, 16, 16 * I2,      0,   0 },
    [ACT_A256_32] = {   256, F4,  0,  8, 16 * I2, 8 * I2,   0 },
    [ACT_ROW8]    = {    32, F4, I4,  0,       0,      0,  I4 },
};
/* clang-format on */

enum { ARRAY_ALIGNMENT = 64 }; /* a cache line */

/* Take the next array: its address (NULL for one the form lacks, or to measure), *used moved past it. */
static void *take(unsigned char *memory, size_t bytes, size_t *used) {
    void *p = memory && bytes ? memory + *used : NULL;
    *used += (bytes + ARRAY_ALIGNMENT - 1) / ARRAY_ALIGNMENT * ARRAY_ALIGNMENT;
    return p;
}

/* Place the arrays (not for NULL) and return the bytes they take. */
static size_t place(struct acts *acts, enum act_form form, size_t n, size_t n_tokens, unsigned char *memory) {
    const struct act_layout *l = &layouts[form];
    *acts = (struct acts){ .form = form, .n = n, .n_tokens = n_tokens };
    if (!l->block)
        return 0;
    assert(n % l->block == 0);
    size_t n_blocks = n_tokens * (n / l->block), used = 0;
    acts->q = take(memory, n_tokens * n, &used);
    acts->d = take(memory, n_blocks * l->d, &used);
    acts->sum = take(memory, n_blocks * l->sum, &used);
    acts->a = take(memory, n_blocks * l->a, &used);
    acts->g16 = take(memory, n_blocks * l->g16, &used);
    acts->g32 = take(memory, n_blocks * l->g32, &used);
    acts->mask = take(memory, n_blocks * l->mask, &used);
    return used;
}

size_t acts_bytes(enum act_form form, size_t n, size_t n_tokens) {
    struct acts acts;
    return place(&acts, form, n, n_tokens, NULL);
}

void acts_place(struct acts *acts, enum act_form form, size_t n, size_t n_tokens, void *memory) {
    place(acts, form, n, n_tokens, memory);
}

void acts_values(const struct acts *acts, size_t t, float *x) {
    const size_t block = layouts[acts->form].block, n_sub = acts->form == ACT_A256_16 ? 16 : 32;
    for (size_t k = 0; k < acts->n; k++) {
        const size_t at = t * acts->n + k;
        const int q = acts->q[at] * (acts->a ? acts->a[at / n_sub] : 1);
        const bool is_outlier = acts->mask && acts->mask[at / 32] >> k % 32 & 1;
        x[k] = is_outlier ? acts->x[at] : acts->d[at / block] * (float)q;
    }
}

struct acts acts_of_tokens(const struct acts *acts, size_t begin, size_t n_tokens) {
    const size_t skip = begin * acts->n, sub_block = acts->form == ACT_A256_16 ? 16 : 32;
    struct acts part = *acts;
    part.n_tokens = n_tokens;
    part.x = acts->x ? acts->x + skip : NULL;
    part.q = acts->q ? acts->q + skip : NULL;
    part.d = acts->d ? acts->d + skip / layouts[acts->form].block : NULL;
    part.sum = acts->sum ? acts->sum + skip / 32 : NULL;
    part.a = acts->a ? acts->a + skip / sub_block : NULL;
    part.g16 = acts->g16 ? acts->g16 + skip / 16 : NULL;
    part.g32 = acts->g32 ? acts->g32 + skip / 32 : NULL;
    part.mask = acts->mask ? acts->mask + skip / 32 : NULL;
    return part;
}
