/* workload.c - what a model asks of the machine: bytes to read and multiply-adds to do.
 * SPDX-License-Identifier: MIT */
#include "apps/bench/workload.h"
#include "apps/bench/recipe.h"

#include <stdio.h>

static bool contains(struct gguf_string s, const char *part) {
    const size_t n = strlen(part);
    for (size_t i = 0; i + n <= s.bytes; i++)
        if (!memcmp(s.data + i, part, n))
            return true;
    return false;
}

static bool is_float(uint32_t type) { return type == TYPE_F32 || type == TYPE_F16 || type == TYPE_BF16; }

struct sums {
    struct workload *out;
    const struct quern_model_info *info;
    bool has_output;
    double float_macs, all_macs;
    double bytes_of[TYPE_COUNT];
};

static void add_matrix(struct sums *sums, const struct gguf_tensor *t) {
    const struct quern_model_info *info = sums->info;
    double bytes = (double)t->bytes, macs = (double)t->ne[0] * (double)t->ne[1] * (double)t->ne[2];
    const bool is_embd = gguf_string_is(t->name, "token_embd.weight");
    sums->bytes_of[t->type] += bytes;
    if (is_embd && sums->has_output) {
        sums->out->weight_bytes += bytes / (double)t->ne[1]; /* one row */
        return;
    }
    if (contains(t->name, "_exps.") && info->n_expert) {
        const double share = (double)info->n_expert_used / (double)info->n_expert;
        bytes *= share, macs *= share;
    }
    sums->out->weight_bytes += bytes;
    if (is_embd || gguf_string_is(t->name, "output.weight"))
        sums->out->logits_macs += macs;
    else
        sums->out->token_macs += macs;
    sums->all_macs += macs;
    sums->float_macs += is_float(t->type) ? macs : 0;
}

/* The recipe that the file names, else the type of most bytes. */
static const char *type_name(const struct gguf *g, const struct sums *sums) {
    int64_t file_type = -1;
    bool found = false;
    if (!gguf_get_integer(g, "general.file_type", 0, UINT32_MAX, &file_type, &found, NULL) && found) {
        const struct recipe *recipe = recipe_by_file_type(file_type);
        if (recipe)
            return recipe_own_name(recipe);
    }
    uint32_t most = TYPE_F32;
    for (uint32_t type = 0; type < TYPE_COUNT; type++)
        if (sums->bytes_of[type] > sums->bytes_of[most])
            most = type;
    return type_info(most)->name;
}

void workload_of(const struct gguf *g, const struct quern_model_info *info, struct workload *out) {
    struct sums sums = { .out = out, .info = info, .has_output = gguf_find_tensor(g, "output.weight") };
    *out = (struct workload){ 0 };
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        if (t->n_dims < 2)
            out->weight_bytes += (double)t->bytes;
        else
            add_matrix(&sums, t);
    }
    out->kind = sums.float_macs > sums.all_macs / 2 ? PEAK_FLOAT : PEAK_INT8;
    const double n = (double)info->n_params;
    const bool is_small = n < 1e9;
    snprintf(out->type, sizeof out->type, "%.40s %.*f%c %s", info->architecture, is_small ? 1 : 2,
             is_small ? n * 1e-6 : n * 1e-9, is_small ? 'M' : 'B', type_name(g, &sums));
}
