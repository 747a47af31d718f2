/* recipe.c - which type each tensor of a llama model gets under names such as Q4_K_M.
 * SPDX-License-Identifier: MIT
 * The mixes that the field's files have, as published with llama.cpp, without an importance matrix; so a
 * random model made by them reads as many bytes as the real one. */
#include "apps/bench/recipe.h"

#include <string.h>

/* In which layers an exception holds. */
enum extent {
    EVERYWHERE,
    GROUPS_OF_4, /* everywhere, if at least 4 query heads share a kv head */
    FIRST_2,
    FIRST_4,
    FIRST_8TH,
    FIRST_16TH,
    MIDDLE, /* all but the first and the last eighth */
    MORE,   /* the first and the last eighth, and every third layer between */
};

static bool holds(enum extent extent, const struct recipe_place *p) {
    const size_t i = p->layer, n = p->n_layer;
    const bool in_middle = i >= n / 8 && i < 7 * n / 8;
    const bool answers[] = {
        [EVERYWHERE] = true,     [GROUPS_OF_4] = p->n_group >= 4,
        [FIRST_2] = i < 2,       [FIRST_4] = i < 4,
        [FIRST_8TH] = i < n / 8, [FIRST_16TH] = i < n / 16,
        [MIDDLE] = in_middle,    [MORE] = !in_middle || (i - n / 8) % 3 == 2,
    };
    return answers[extent];
}

/* Matrices that get another type than the rest; the first that holds counts. */
struct exception {
    int roles;
    enum extent extent;
    enum quern_type type;
};

enum { MAX_EXCEPTIONS = 6 };

struct recipe {
    const char *name;
    uint32_t file_type; /* general.file_type */
    enum quern_type base;
    enum quern_type output;     /* of the output matrix */
    enum quern_type token_embd; /* when it is not the output matrix too */
    struct exception exceptions[MAX_EXCEPTIONS];
};

#define QK      (ROLE_ATTN_Q | ROLE_ATTN_K)
#define V       ROLE_ATTN_V
#define O       ROLE_ATTN_OUTPUT
#define UP      (ROLE_FFN_GATE | ROLE_FFN_UP)
#define DOWN    ROLE_FFN_DOWN
#define T(type) TYPE_##type
/* A type by itself: output and embedding as given. */
#define UNIFORM(name, number, output, embd)                                                                  \
    {                                                                                                        \
#        name, number, TYPE_##name, TYPE_##output, TYPE_##embd, {                                            \
            { 0 }                                                                                            \
        }                                                                                                    \
    }

/* clang-format off */
static const struct recipe recipes[] = {
    UNIFORM(F32,   0, F32,  F32),
    UNIFORM(F16,   1, F16,  F16),
    UNIFORM(BF16, 32, BF16, BF16),
    UNIFORM(Q4_0,  2, Q6_K, Q4_0),
    UNIFORM(Q4_1,  3, Q6_K, Q4_1),
    UNIFORM(Q5_0,  8, Q6_K, Q5_0),
    UNIFORM(Q5_1,  9, Q6_K, Q5_1),
    UNIFORM(Q8_0,  7, Q8_0, Q8_0),
    UNIFORM(Q6_K, 18, Q6_K, Q6_K),
    { "Q2_K",    10, T(Q2_K), T(Q6_K), T(Q2_K),
      { { V, GROUPS_OF_4, T(Q4_K) }, { V | DOWN | O, EVERYWHERE, T(Q3_K) } } },
    { "Q2_K_S",  21, T(Q2_K), T(Q6_K), T(Q2_K),
      { { V, GROUPS_OF_4, T(Q4_K) }, { DOWN, FIRST_8TH, T(Q4_K) } } },
    { "Q3_K_S",  11, T(Q3_K), T(Q6_K), T(Q3_K), { { 0 } } },
    { "Q3_K_M",  12, T(Q3_K), T(Q6_K), T(Q3_K),
      { { V, FIRST_2, T(Q5_K) }, { DOWN, FIRST_16TH, T(Q5_K) }, { V | DOWN | O, EVERYWHERE, T(Q4_K) } } },
    { "Q3_K_L",  13, T(Q3_K), T(Q6_K), T(Q3_K), { { V | DOWN | O, EVERYWHERE, T(Q5_K) } } },
    { "Q4_K_S",  14, T(Q4_K), T(Q6_K), T(Q4_K), { { V, FIRST_4, T(Q5_K) }, { DOWN, FIRST_8TH, T(Q5_K) } } },
    { "Q4_K_M",  15, T(Q4_K), T(Q6_K), T(Q4_K), { { V | DOWN, MORE, T(Q6_K) } } },
    { "Q5_K_S",  16, T(Q5_K), T(Q6_K), T(Q5_K), { { 0 } } },
    { "Q5_K_M",  17, T(Q5_K), T(Q6_K), T(Q5_K), { { V | DOWN, MORE, T(Q6_K) } } },
    { "IQ4_NL",  25, T(IQ4_NL), T(Q6_K), T(IQ4_NL),
      { { V, GROUPS_OF_4, T(Q5_K) }, { DOWN, FIRST_8TH, T(Q5_K) } } },
    { "IQ4_XS",  30, T(IQ4_XS), T(Q6_K), T(IQ4_XS),
      { { V, GROUPS_OF_4, T(Q5_K) }, { DOWN, FIRST_8TH, T(Q5_K) } } },
    { "IQ3_M",   27, T(IQ3_S), T(Q6_K), T(IQ3_S),
      { { V | O, EVERYWHERE, T(Q4_K) }, { DOWN, FIRST_8TH, T(Q4_K) } } },
    { "IQ3_S",   26, T(IQ3_S), T(Q6_K), T(IQ3_S), { { V, GROUPS_OF_4, T(Q4_K) } } },
    { "IQ3_XS",  22, T(IQ3_S), T(Q6_K), T(IQ3_S),
      { { V, GROUPS_OF_4, T(Q4_K) }, { QK, EVERYWHERE, T(IQ3_XXS) }, { UP, MIDDLE, T(IQ3_XXS) } } },
    { "IQ3_XXS", 23, T(IQ3_XXS), T(Q5_K), T(IQ3_S),
      { { V, GROUPS_OF_4, T(Q4_K) }, { V | O, EVERYWHERE, T(IQ3_S) }, { QK, EVERYWHERE, T(IQ2_S) },
        { DOWN, FIRST_8TH, T(Q4_K) }, { DOWN, EVERYWHERE, T(Q3_K) } } },
    { "IQ2_M",   29, T(IQ2_S), T(Q5_K), T(IQ3_S),
      { { V, GROUPS_OF_4, T(Q4_K) }, { V | O, EVERYWHERE, T(IQ3_S) }, { DOWN, FIRST_8TH, T(IQ3_S) } } },
    { "IQ2_S",   28, T(IQ2_XS), T(Q5_K), T(IQ3_S),
      { { V, GROUPS_OF_4, T(Q4_K) }, { V | O, EVERYWHERE, T(IQ3_S) }, { DOWN, FIRST_8TH, T(IQ3_S) } } },
    { "IQ2_XS",  20, T(IQ2_XS), T(Q5_K), T(Q2_K),
      { { V, GROUPS_OF_4, T(Q4_K) }, { V, EVERYWHERE, T(Q2_K) }, { DOWN, FIRST_8TH, T(Q2_K) } } },
    { "IQ2_XXS", 19, T(IQ2_XXS), T(Q5_K), T(Q2_K),
      { { V, GROUPS_OF_4, T(Q4_K) }, { V, EVERYWHERE, T(Q2_K) }, { DOWN, FIRST_8TH, T(Q2_K) } } },
    { "IQ1_M",   31, T(IQ1_M), T(Q5_K), T(Q2_K),
      { { V, GROUPS_OF_4, T(Q4_K) }, { V, EVERYWHERE, T(Q2_K) }, { DOWN, FIRST_8TH, T(Q2_K) },
        { O, EVERYWHERE, T(IQ2_XXS) } } },
    { "IQ1_S",   24, T(IQ1_S), T(Q5_K), T(Q2_K),
      { { V, GROUPS_OF_4, T(Q4_K) }, { V, EVERYWHERE, T(Q2_K) }, { DOWN, FIRST_8TH, T(Q2_K) },
        { O, EVERYWHERE, T(IQ2_XXS) } } },
    UNIFORM(TQ1_0, 36, Q6_K, Q4_K),
    UNIFORM(TQ2_0, 37, Q6_K, Q4_K),
    UNIFORM(MXFP4, 38, Q6_K, MXFP4),
};
/* clang-format on */

#undef QK
#undef V
#undef O
#undef UP
#undef DOWN
#undef T
#undef UNIFORM

enum { N_RECIPES = sizeof recipes / sizeof *recipes };

/* Names that stand for another. */
static const char *const aliases[][2] = { { "Q3_K", "Q3_K_M" }, { "Q4_K", "Q4_K_M" }, { "Q5_K", "Q5_K_M" } };

static char folded(char c) { return c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c; }

static bool is_name(const char *name, const char *written) {
    while (*name && *name == folded(*written))
        name++, written++;
    return *name == folded(*written);
}

const struct recipe *recipe_by_name(const char *name) {
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (is_name(aliases[i][0], name))
            name = aliases[i][1];
    for (size_t i = 0; i < N_RECIPES; i++)
        if (is_name(recipes[i].name, name))
            return &recipes[i];
    return NULL;
}

const char *recipe_name(size_t i) { return i < N_RECIPES ? recipes[i].name : NULL; }

const struct recipe *recipe_by_file_type(int64_t file_type) {
    for (size_t i = 0; i < N_RECIPES; i++)
        if (recipes[i].file_type == file_type)
            return &recipes[i];
    return NULL;
}

const char *recipe_own_name(const struct recipe *recipe) { return recipe->name; }

uint32_t recipe_file_type(const struct recipe *recipe) { return recipe->file_type; }

enum quern_type recipe_type(const struct recipe *recipe, const struct recipe_place *place) {
    enum { LAYERS_OF_70B = 80 };
    if (place->role == ROLE_OUTPUT)
        return recipe->output;
    if (place->role == ROLE_TOKEN_EMBD)
        return recipe->token_embd;
    enum quern_type type = recipe->base;
    for (size_t i = 0; i < MAX_EXCEPTIONS && recipe->exceptions[i].roles; i++) {
        const struct exception *e = &recipe->exceptions[i];
        if ((e->roles & (int)place->role) && holds(e->extent, place)) {
            type = e->type;
            break;
        }
    }
    /* The 70B model shares a kv head among 8 query heads, so its values are small and get more bits. */
    bool is_70b_v = place->role == ROLE_ATTN_V && place->n_layer == LAYERS_OF_70B;
    return is_70b_v && (type == TYPE_Q3_K || type == TYPE_Q4_K) ? TYPE_Q5_K : type;
}
