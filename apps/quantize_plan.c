/* quantize_plan.c - which type each tensor of a file gets.
 * SPDX-License-Identifier: MIT */
#include "apps/quantize_plan.h"

#include <strings.h>

static const struct quantize_target targets[] = {
    { "Q8_0", TYPE_Q8_0, 7 },
    { "F16", TYPE_F16, 1 },
    { "BF16", TYPE_BF16, 32 },
    { "F32", TYPE_F32, 0 },
};

const struct quantize_target *quantize_target_by_name(const char *name) {
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        if (!strcasecmp(name, targets[i].name))
            return &targets[i];
    return NULL;
}

const char *quantize_target_names(void) { return "Q8_0, F16, BF16, F32"; }

static bool ends_with(struct gguf_string s, const char *end) {
    size_t n = strlen(end);
    return s.bytes >= n && !memcmp(s.data + s.bytes - n, end, n);
}

static bool contains(struct gguf_string s, const char *part) {
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= s.bytes; i++)
        if (!memcmp(s.data + i, part, n))
            return true;
    return false;
}

/* Parts of names of matrices that are small and decide much, so that every engine keeps them: routers of
 * experts, position and type embeddings, convolutions and mixing coefficients of recurrent layers. */
static const char *const kept_parts[] = {
    "_norm.weight",
    "ffn_gate_inp.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "position_embd.weight",
    "token_types.weight",
    "ssm_conv1d",
    "shortconv.conv",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b",
};

static bool is_integer_type(uint32_t type) { return type >= TYPE_I8 && type <= TYPE_I64; }

static bool is_kept(const struct gguf_tensor *t) {
    if (t->n_dims < 2 || is_integer_type(t->type) || !ends_with(t->name, "weight"))
        return true;
    for (size_t i = 0; i < sizeof kept_parts / sizeof *kept_parts; i++)
        if (contains(t->name, kept_parts[i]))
            return true;
    return false;
}

static enum quern_status plan_tensor(const struct gguf *g, const struct quantize_target *target,
                                     bool allow_requantize, struct planned_tensor *p,
                                     struct quern_error *err) {
    const struct gguf_tensor *t = p->in;
    const struct type_info *from = type_info(t->type);
    const int name_bytes = (int)(t->name.bytes < 200 ? t->name.bytes : 200);
    p->type = t->type;
    if (is_kept(t)) {
        p->reason = PLAN_KEEP;
        return QUERN_OK;
    }
    if (t->type == (uint32_t)target->type) {
        p->reason = PLAN_COPY;
        return QUERN_OK;
    }
    if (!from->decode)
        return fail(err, QUERN_UNSUPPORTED, "%s: tensor '%.*s': type %s cannot be decoded by this build",
                    gguf_path(g), name_bytes, t->name.data, from->name);
    if (from->block_values > 1 && !allow_requantize)
        return fail(err, QUERN_UNSUPPORTED,
                    "%s: tensor '%.*s' is quantized already (%s), which lost precision "
                    "that does not come back; start from an F16, BF16 or F32 file, or add --allow-requantize",
                    gguf_path(g), name_bytes, t->name.data, from->name);
    bool fits = t->ne[0] % type_info(target->type)->block_values == 0;
    p->reason = fits ? PLAN_CONVERT : PLAN_FALLBACK;
    p->type = fits ? target->type : TYPE_F16;
    return QUERN_OK;
}

enum quern_status quantize_plan(const struct gguf *g, const struct quantize_target *target,
                                bool allow_requantize, struct planned_tensor *plan, struct quern_error *err) {
    enum quern_status st = QUERN_OK;
    for (size_t i = 0; i < gguf_n_tensors(g) && !st; i++) {
        plan[i].in = gguf_tensor(g, i);
        st = plan_tensor(g, target, allow_requantize, &plan[i], err);
    }
    return st;
}
