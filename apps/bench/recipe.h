/* recipe.h - which type each tensor of a llama model gets under names such as Q4_K_M.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_BENCH_RECIPE_H
#define QUERN_APPS_BENCH_RECIPE_H

#include "formats/types.h"

/* What a matrix does; a bit each. */
enum tensor_role {
    ROLE_TOKEN_EMBD = 1 << 0, /* when there is an output matrix beside it; else it has that one's role */
    ROLE_OUTPUT = 1 << 1,
    ROLE_ATTN_Q = 1 << 2,
    ROLE_ATTN_K = 1 << 3,
    ROLE_ATTN_V = 1 << 4,
    ROLE_ATTN_OUTPUT = 1 << 5,
    ROLE_FFN_GATE = 1 << 6,
    ROLE_FFN_UP = 1 << 7,
    ROLE_FFN_DOWN = 1 << 8,
};

struct recipe_place {
    enum tensor_role role;
    size_t layer, n_layer;
    size_t n_group; /* query heads per kv head */
};

struct recipe;

/* By name, upper or lower case, with - or _; NULL if there is none. */
const struct recipe *recipe_by_name(const char *name);
/* The name of row i, NULL past the end. */
const char *recipe_name(size_t i);
/* The row whose number stands in general.file_type; NULL if there is none. */
const struct recipe *recipe_by_file_type(int64_t file_type);

const char *recipe_own_name(const struct recipe *recipe);
uint32_t recipe_file_type(const struct recipe *recipe);
enum quern_type recipe_type(const struct recipe *recipe, const struct recipe_place *place);

#endif
