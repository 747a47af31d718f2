/* inspect_report.c - what quern inspect knows about a file, as one JSON object.
 * SPDX-License-Identifier: MIT */
#include "apps/inspect_report.h"
#include "apps/json_output.h"
#include "apps/signals.h"
#include "engine/quern.h"

#include <inttypes.h>

static json_t *json_gguf_string(struct gguf_string s) { return json_text(s.data, s.bytes); }

static json_t *json_count(uint64_t n) { return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n); }

static double bits_per_value(uint64_t bytes, uint64_t n_values) {
    return n_values ? (double)bytes * 8 / (double)n_values : 0;
}

static uint64_t tensor_n_values(const struct gguf_tensor *t) {
    return t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]; /* checked by the reader */
}

/* ---- Metadata ---- */

static const char *const value_type_names[GGUF_VALUE_TYPES] = {
    [GGUF_U8] = "u8",         [GGUF_I8] = "i8",       [GGUF_U16] = "u16", [GGUF_I16] = "i16",
    [GGUF_U32] = "u32",       [GGUF_I32] = "i32",     [GGUF_F32] = "f32", [GGUF_BOOL] = "bool",
    [GGUF_STRING] = "string", [GGUF_ARRAY] = "array", [GGUF_U64] = "u64", [GGUF_I64] = "i64",
    [GGUF_F64] = "f64",
};

/* Element i; strings are taken in order, from *cursor. */
static json_t *json_element(const struct gguf_kv *kv, uint64_t i, size_t *cursor) {
    if (kv->element == GGUF_STRING)
        return json_gguf_string(gguf_next_string(kv, cursor));
    if (kv->element == GGUF_F32 || kv->element == GGUF_F64)
        return json_number(gguf_real(kv, i));
    int64_t value = gguf_integer(kv, i);
    return kv->element == GGUF_BOOL ? json_boolean(value != 0) : json_integer(value);
}

static json_t *json_kv(const struct gguf_kv *kv, bool all, bool *failed) {
    enum { SHORT_ARRAY = 8 };
    json_t *o = json_object();
    size_t cursor = 0;
    json_put(o, "type", json_string(value_type_names[kv->type]), failed);
    if (kv->type != GGUF_ARRAY) {
        json_put(o, "value", json_element(kv, 0, &cursor), failed);
        return o;
    }
    json_t *list = json_array();
    for (uint64_t i = 0; i < kv->n && (all || i < SHORT_ARRAY); i++)
        *failed |= json_array_append_new(list, json_element(kv, i, &cursor)) != 0;
    json_put(o, "element", json_string(value_type_names[kv->element]), failed);
    json_put(o, "n", json_count(kv->n), failed);
    json_put(o, "value", list, failed);
    return o;
}

static json_t *json_metadata(const struct gguf *g, bool all, bool *failed) {
    json_t *o = json_object();
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv(g, i);
        /* Through json_text(), because a key may be no UTF-8. */
        json_t *key = json_gguf_string(kv->key);
        if (key)
            json_put(o, json_string_value(key), json_kv(kv, all, failed), failed);
        else
            *failed = true;
        json_decref(key);
    }
    return o;
}

/* ---- What it is ---- */

/* general.file_type, by number. */
static const char *const file_types[] = {
    [0] = "F32",     [1] = "F16",     [2] = "Q4_0",       [3] = "Q4_1",    [7] = "Q8_0",     [8] = "Q5_0",
    [9] = "Q5_1",    [10] = "Q2_K",   [11] = "Q3_K_S",    [12] = "Q3_K_M", [13] = "Q3_K_L",  [14] = "Q4_K_S",
    [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M",    [18] = "Q6_K",   [19] = "IQ2_XXS", [20] = "IQ2_XS",
    [21] = "Q2_K_S", [22] = "IQ3_XS", [23] = "IQ3_XXS",   [24] = "IQ1_S",  [25] = "IQ4_NL",  [26] = "IQ3_S",
    [27] = "IQ3_M",  [28] = "IQ2_S",  [29] = "IQ2_M",     [30] = "IQ4_XS", [31] = "IQ1_M",   [32] = "BF16",
    [36] = "TQ1_0",  [37] = "TQ2_0",  [38] = "MXFP4_MOE", [39] = "NVFP4",  [40] = "Q1_0",
};

static json_t *json_file_type(const struct gguf *g) {
    enum { GUESSED = 1024 };
    const struct gguf_kv *kv = gguf_find_kv(g, "general.file_type");
    if (!kv || kv->type == GGUF_ARRAY || kv->type == GGUF_STRING)
        return json_null();
    int64_t number = gguf_integer(kv, 0) & ~(int64_t)GUESSED;
    if (number >= 0 && number < (int64_t)(sizeof file_types / sizeof *file_types) && file_types[number])
        return json_string(file_types[number]);
    char text[40];
    snprintf(text, sizeof text, "number %" PRId64, number);
    return json_string(text);
}

static json_t *json_string_key(const struct gguf *g, const char *key) {
    const struct gguf_kv *kv = gguf_find_kv(g, key);
    size_t cursor = 0;
    return kv && kv->type == GGUF_STRING ? json_gguf_string(gguf_next_string(kv, &cursor)) : json_null();
}

/* What general.type says beside "model", in words. */
static const struct {
    const char *type, *what;
} kinds[] = {
    { "adapter", "an adapter (LoRA) for a model; quern takes none yet" },
    { "imatrix", "an importance matrix, made from calibration text for quantizing" },
    { "mmproj", "the image or audio part of a multimodal model; quern takes none yet" },
};

static const char *kind_of(const struct gguf *g) {
    const struct gguf_kv *kv = gguf_find_kv(g, "general.type");
    size_t cursor = 0;
    if (kv && kv->type == GGUF_STRING) {
        struct gguf_string type = gguf_next_string(kv, &cursor);
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            if (gguf_string_is(type, kinds[i].type))
                return kinds[i].what;
    }
    if (gguf_n_tensors(g) == 0)
        return gguf_find_kv(g, "tokenizer.ggml.model") ? "a vocabulary alone, without a model's tensors"
                                                       : "metadata alone, without tensors";
    return "a model";
}

static void put_summary(json_t *o, const struct gguf *g, bool *failed) {
    uint64_t n_values = 0, bytes = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        n_values += tensor_n_values(gguf_tensor(g, i));
        bytes += gguf_tensor(g, i)->bytes;
    }
    json_put(o, "file", json_text(gguf_path(g), strlen(gguf_path(g))), failed);
    json_put(o, "what", json_string(kind_of(g)), failed);
    json_put(o, "architecture", json_string_key(g, "general.architecture"), failed);
    json_put(o, "name", json_string_key(g, "general.name"), failed);
    json_put(o, "file_type", json_file_type(g), failed);
    json_put(o, "file_bytes", json_count(gguf_file_bytes(g)), failed);
    json_put(o, "n_parts", json_count(gguf_n_parts(g)), failed);
    json_put(o, "gguf_version", json_count(gguf_version(g)), failed);
    json_put(o, "alignment", json_count(gguf_alignment(g)), failed);
    json_put(o, "n_params", json_count(n_values), failed);
    json_put(o, "tensor_bytes", json_count(bytes), failed);
    json_put(o, "bits_per_weight", json_number(bits_per_value(bytes, n_values)), failed);
    json_put(o, "n_tensors", json_count(gguf_n_tensors(g)), failed);
}

/* ---- Tensors ---- */

static json_t *json_types(const struct gguf *g, bool *failed) {
    struct {
        uint64_t n_tensors, n_values, bytes;
    } sums[TYPE_COUNT] = { 0 };
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        sums[t->type].n_tensors++;
        sums[t->type].n_values += tensor_n_values(t);
        sums[t->type].bytes += t->bytes;
    }
    json_t *list = json_array();
    for (uint32_t id = 0; id < TYPE_COUNT; id++) {
        if (sums[id].n_tensors == 0)
            continue;
        json_t *o = json_object();
        json_put(o, "type", json_string(type_info(id)->name), failed);
        json_put(o, "n_tensors", json_count(sums[id].n_tensors), failed);
        json_put(o, "n_values", json_count(sums[id].n_values), failed);
        json_put(o, "bytes", json_count(sums[id].bytes), failed);
        json_put(o, "bits_per_weight", json_number(bits_per_value(sums[id].bytes, sums[id].n_values)),
                 failed);
        *failed |= json_array_append_new(list, o) != 0;
    }
    return list;
}

static json_t *json_tensors(const struct gguf *g, bool *failed) {
    json_t *list = json_array();
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        json_t *o = json_object(), *shape = json_array();
        for (uint32_t d = 0; d < t->n_dims; d++)
            *failed |= json_array_append_new(shape, json_count(t->ne[d])) != 0;
        json_put(o, "name", json_gguf_string(t->name), failed);
        json_put(o, "type", json_string(type_info(t->type)->name), failed);
        json_put(o, "shape", shape, failed);
        json_put(o, "part", json_count(t->part), failed);
        json_put(o, "offset", json_count(t->file_offset), failed);
        json_put(o, "bytes", json_count(t->bytes), failed);
        json_put(o, "bits_per_weight", json_number(bits_per_value(t->bytes, tensor_n_values(t))), failed);
        *failed |= json_array_append_new(list, o) != 0;
    }
    return list;
}

/* ---- The engine's view ---- */

/* Whether it runs, and in how much memory. Returns the status of opening it. */
static enum quern_status put_engine(json_t *o, const struct gguf *g, int64_t n_ctx, bool *failed) {
    enum { DEFAULT_CONTEXT = 4096 }; /* the most that quern_session_options takes by itself */
    struct quern_model *model = NULL;
    struct quern_model_info info;
    struct quern_session_options options;
    struct quern_error why;
    uint64_t cache = 0, work = 0;
    enum quern_status st = quern_model_open(gguf_path(g), NULL, &model, &why), memory_st = st;
    if (!st) {
        quern_model_get_info(model, &info);
        quern_session_defaults(&options);
        options.n_ctx = n_ctx                                ? (size_t)n_ctx
                        : info.n_ctx_train < DEFAULT_CONTEXT ? info.n_ctx_train
                                                             : DEFAULT_CONTEXT;
        memory_st = quern_session_memory(model, &options, &cache, &work, &why);
        json_put(o, "n_ctx_train", json_count(info.n_ctx_train), failed);
        json_put(o, "n_vocab", json_count(info.n_vocab), failed);
    }
    json_put(o, "runs", json_boolean(st == QUERN_OK), failed);
    if (memory_st) {
        json_put(o, st ? "refusal" : "memory_refusal", json_text(why.text, strlen(why.text)), failed);
    } else {
        json_t *memory = json_object();
        json_put(memory, "n_ctx", json_count(options.n_ctx), failed);
        json_put(memory, "weights", json_count(info.tensor_bytes), failed);
        json_put(memory, "cache", json_count(cache), failed);
        json_put(memory, "work", json_count(work), failed);
        json_put(memory, "total", json_count(info.tensor_bytes + cache + work), failed);
        json_put(o, "memory", memory, failed);
    }
    quern_model_close(model);
    return st;
}

/* ---- Strict ---- */

/* Index of the first value of t that is no finite number, or whose block's scale is none; the number of
 * values if all are fine. In pieces, so that Ctrl-C is heard. Errors: QUERN_INTERRUPTED. */
static enum quern_status first_nonfinite(const struct gguf_tensor *t, uint64_t *value,
                                         struct quern_error *err) {
    enum { PIECE = 1 << 16 };
    const struct type_info *type = type_info(t->type);
    size_t n_blocks = t->bytes / type->block_bytes;
    for (size_t i = 0, n; i < n_blocks; i += n) {
        n = n_blocks - i < PIECE ? n_blocks - i : PIECE;
        if (interrupted(NULL))
            return fail(err, QUERN_INTERRUPTED, "interrupted");
        size_t at = type_first_nonfinite(t->type, t->data + i * type->block_bytes, n);
        if (at < n * type->block_values) {
            *value = (uint64_t)i * type->block_values + at;
            return QUERN_OK;
        }
    }
    *value = tensor_n_values(t);
    return QUERN_OK;
}

static enum quern_status add_nonfinite(json_t *problems, const struct gguf *g, bool *failed,
                                       struct quern_error *err) {
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        uint64_t value = 0;
        enum quern_status st = first_nonfinite(t, &value, err);
        if (st)
            return st;
        if (value == tensor_n_values(t))
            continue;
        bool plain = type_info(t->type)->block_values == 1;
        struct quern_error line; /* errors are lines, and fail() cleans them */
        fail(&line, QUERN_FORMAT,
             "tensor '%.*s': %selement %" PRIu64 " (row %" PRIu64 ", column %" PRIu64 ") is NaN or infinite",
             (int)(t->name.bytes < 200 ? t->name.bytes : 200), t->name.data, plain ? "" : "the scale of ",
             value, value / t->ne[0], value % t->ne[0]);
        *failed |= json_array_append_new(problems, json_text(line.text, strlen(line.text))) != 0;
    }
    return QUERN_OK;
}

/* An adapter or a vocabulary is not wrong because it does not run. */
static bool refusal_is_problem(const struct gguf *g, enum quern_status st) {
    return st && st != QUERN_UNSUPPORTED && !strcmp(kind_of(g), "a model");
}

enum quern_status inspect_report(const struct gguf *g, const struct report_options *options, json_t **out,
                                 struct quern_error *err) {
    bool failed = false;
    json_t *o = json_object();
    put_summary(o, g, &failed);
    enum quern_status engine_st = put_engine(o, g, options->n_ctx, &failed), st = QUERN_OK;
    json_put(o, "types", json_types(g, &failed), &failed);
    json_put(o, "metadata", json_metadata(g, options->all, &failed), &failed);
    if (options->tensors)
        json_put(o, "tensors", json_tensors(g, &failed), &failed);
    if (options->strict) {
        json_t *problems = json_array();
        if (refusal_is_problem(g, engine_st))
            failed |= json_array_append(problems, json_object_get(o, "refusal")) != 0;
        st = add_nonfinite(problems, g, &failed, err);
        json_put(o, "problems", problems, &failed);
    }
    if (!st && failed)
        st = fail_memory(err, 0);
    if (st)
        json_decref(o);
    else
        *out = o;
    return st;
}
