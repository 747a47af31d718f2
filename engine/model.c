/* model.c - opening a model.
 * SPDX-License-Identifier: MIT */
#include "engine/arch.h"
#include "engine/rope_table.h"
#include "formats/nearest.h"

#include <float.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void quern_free(void *p) { free(p); }

const char *quern_version(void) { return QUERN_VERSION; }

const char *quern_isa_name(size_t i) { return kernels_level(i); }

bool quern_isa_usable(const char *name) { return name && kernels_usable(name); }

void quern_model_defaults(struct quern_model_options *options) {
    *options = (struct quern_model_options){ .outliers = 6 };
}

void model_note(const struct quern_model *m, const char *format, ...) {
    if (!m->options.note)
        return;
    struct quern_error line; /* fail() cleans a line, and errors are lines */
    char text[sizeof line.text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)fail(&line, QUERN_FORMAT, "%s: %s", gguf_path(m->gguf), text);
    m->options.note(m->options.note_user, line.text);
}

static void note_tokenizer(void *user, const char *text) { model_note(user, "%s", text); }

/* ---- Activations ---- */

static const enum act_form roundings[QUERN_ROUNDINGS] = {
    [QUERN_ROUND_NONE] = ACT_NONE,      [QUERN_ROUND_32] = ACT_A32,        [QUERN_ROUND_256_16] = ACT_A256_16,
    [QUERN_ROUND_256_32] = ACT_A256_32, [QUERN_ROUND_INT8_ROW] = ACT_ROW8,
};

enum act_form model_rounding(const struct quern_model *m) { return roundings[m->options.round_inputs]; }

enum act_form model_act_form(const struct quern_model *m, const struct matrix *matrix) {
    const bool is_row = m->options.act == QUERN_ACT_INT8_ROW && matrix->type == TYPE_Q8_0;
    return is_row ? ACT_ROW8 : act_form_of(matrix->type);
}

static enum quern_status check_act_options(const struct quern_model *m, struct quern_error *err) {
    const struct quern_model_options *o = &m->options;
    if ((unsigned)o->act >= QUERN_ACTS)
        return fail(err, QUERN_RANGE, "unknown kind of activations %d (allowed: 0 to %d)", (int)o->act,
                    QUERN_ACTS - 1);
    if ((unsigned)o->round_inputs >= QUERN_ROUNDINGS)
        return fail(err, QUERN_RANGE, "unknown rounding of inputs %d (allowed: 0 to %d)",
                    (int)o->round_inputs, QUERN_ROUNDINGS - 1);
    if (!(o->outliers >= 0 && o->outliers <= FLT_MAX))
        return fail(err, QUERN_RANGE, "outliers beyond %g (allowed: 0 for none, or a positive number)",
                    (double)o->outliers);
    return QUERN_OK;
}

/* ---- What kind of file is it ---- */

static enum quern_status refuse_other_files(const struct quern_model *m, struct quern_error *err) {
    static const struct {
        const char *type, *what;
    } others[] = {
        { "adapter", "a LoRA adapter, not a model; it goes with the model it was trained for" },
        { "imatrix", "an importance matrix, not a model; it is an input of quantization" },
        { "mmproj", "the image part of a model, not a language model" },
        { "vocab", "a vocabulary without weights" },
    };
    struct gguf_string type = { 0 };
    bool found = false;
    enum quern_status st = gguf_get_string(m->gguf, "general.type", &type, &found, err);
    if (st || !found)
        return st;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (gguf_string_is(type, others[i].type))
            return fail(err, QUERN_UNSUPPORTED, "%s: this is %s", gguf_path(m->gguf), others[i].what);
    return QUERN_OK;
}

/* Formats of quantized blocks changed without new type ids until version 2 (May 2023). */
static enum quern_status check_quantization_version(const struct quern_model *m, struct quern_error *err) {
    int64_t version = 2;
    bool found = false;
    enum quern_status st =
        gguf_get_integer(m->gguf, "general.quantization_version", 0, INT32_MAX, &version, &found, err);
    if (st || version >= 2)
        return st;
    return fail(err, QUERN_UNSUPPORTED,
                "%s: general.quantization_version = %" PRId64
                ": made before May 2023; convert the model again",
                gguf_path(m->gguf), version);
}

static enum quern_status unknown_arch(const struct quern_model *m, struct gguf_string name,
                                      struct quern_error *err) {
    char given[64], known[256] = "";
    snprintf(given, sizeof given, "%.*s", (int)(name.bytes < 60 ? name.bytes : 60), name.data);
    const char *names[32];
    size_t n = 0, length = 0;
    for (const struct arch *a; n < 32 && (a = arch_row(n)); n++) {
        names[n] = a->name;
        length += (size_t)snprintf(known + length, sizeof known - length, "%s%s", n ? ", " : "", a->name);
        if (length >= sizeof known)
            break;
    }
    const char *nearest = nearest_name(given, names, n);
    return fail(err, QUERN_UNSUPPORTED, "%s: architecture '%s' is not supported (known: %s%s%s%s)",
                gguf_path(m->gguf), given, known, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                nearest ? "'?" : "");
}

static enum quern_status find_arch(struct quern_model *m, struct quern_error *err) {
    struct gguf_string name = { 0 };
    bool found = false;
    enum quern_status st = gguf_get_string(m->gguf, "general.architecture", &name, &found, err);
    if (st)
        return st;
    if (!found)
        return fail(err, QUERN_FORMAT,
                    "%s: general.architecture is missing; `quern inspect` shows what the file is",
                    gguf_path(m->gguf));
    for (size_t i = 0; (m->arch = arch_row(i)); i++)
        if (gguf_string_is(name, m->arch->name))
            return QUERN_OK;
    return unknown_arch(m, name, err);
}

/* ---- Tokenizer ---- */

/* A file may do without a tokenizer, or with one that this build lacks, and run on ids. One that
 * contradicts itself is an error. */
static enum quern_status open_tokenizer(struct quern_model *m, struct quern_error *err) {
    enum quern_status st = tokenizer_open(m->gguf, &m->tokenizer, note_tokenizer, m, &m->tokenizer_error);
    if (st == QUERN_UNSUPPORTED)
        return QUERN_OK;
    if (st) {
        if (err)
            *err = m->tokenizer_error;
        return st;
    }
    size_t n_tokens = tokenizer_n_tokens(m->tokenizer);
    if (n_tokens > m->hp.n_vocab)
        return fail(err, QUERN_FORMAT,
                    "%s: tokenizer.ggml.tokens has %zu tokens, token_embd.weight only %zu rows",
                    gguf_path(m->gguf), n_tokens, m->hp.n_vocab);
    if (n_tokens < m->hp.n_vocab)
        model_note(m, "the last %zu of %zu rows of token_embd.weight have no token", m->hp.n_vocab - n_tokens,
                   m->hp.n_vocab);
    return QUERN_OK;
}

/* ---- Open and close ---- */

static enum quern_status copy_name(struct quern_model *m, struct quern_error *err) {
    struct gguf_string name = { .data = "", .bytes = 0 };
    bool found = false;
    enum quern_status st = gguf_get_string(m->gguf, "general.name", &name, &found, err);
    if (st)
        return st;
    m->name = malloc(name.bytes + 1); /* bytes is inside the file: no overflow */
    if (!m->name)
        return fail_memory(err, name.bytes + 1);
    if (name.bytes)
        memcpy(m->name, name.data, name.bytes);
    m->name[name.bytes] = '\0';
    return QUERN_OK;
}

static enum quern_status pick_kernels(struct quern_model *m, struct quern_error *err) {
    const char *isa = m->options.isa;
    if (kernels_init(&m->kernels, isa))
        return QUERN_OK;
    char known[128] = "";
    size_t length = 0;
    bool in_build = false;
    for (size_t i = 0; kernels_level(i) && length < sizeof known; i++) {
        in_build = in_build || (isa && !strcmp(isa, kernels_level(i)));
        if (kernels_usable(kernels_level(i)))
            length += (size_t)snprintf(known + length, sizeof known - length, "%s%s", length ? ", " : "",
                                       kernels_level(i));
    }
    return fail(err, QUERN_RANGE, "kernel level '%s' is not %s (usable here: %s)", isa ? isa : "",
                in_build ? "usable on this CPU" : "in this build", known);
}

static enum quern_status load(struct quern_model *m, struct quern_error *err) {
    enum quern_status st;
    if ((st = check_act_options(m, err)) || (st = pick_kernels(m, err)) ||
        (st = refuse_other_files(m, err)) || (st = find_arch(m, err)) ||
        (st = check_quantization_version(m, err)) || (st = copy_name(m, err)) ||
        (st = hparams_read(m, err)) || (st = weights_bind(m, err)) || (st = rope_table_make(m, err)))
        return st;
    st = open_tokenizer(m, err);
    return st ? st : placement_open(m, m->options.numa, err);
}

static enum quern_status model_new(const struct quern_model_options *options, struct quern_model **out,
                                   struct quern_error *err) {
    struct quern_model *m = calloc(1, sizeof *m);
    if (!m)
        return fail_memory(err, sizeof *m);
    if (options)
        m->options = *options;
    else
        quern_model_defaults(&m->options);
    *out = m;
    return QUERN_OK;
}

/* Takes m over: loads it into *out or closes it. */
static enum quern_status finish_open(struct quern_model *m, enum quern_status st, struct quern_model **out,
                                     struct quern_error *err) {
    if (!st)
        st = load(m, err);
    if (st) {
        quern_model_close(m);
        return st;
    }
    m->options.isa = NULL; /* the caller's strings and callbacks are not kept beyond open */
    m->options.note = NULL;
    *out = m;
    return QUERN_OK;
}

enum quern_status quern_model_open(const char *path, const struct quern_model_options *options,
                                   struct quern_model **out, struct quern_error *err) {
    struct quern_model *m = NULL;
    enum quern_status st = model_new(options, &m, err);
    if (st)
        return st;
    return finish_open(m, gguf_open(path, &m->gguf, err), out, err);
}

enum quern_status quern_model_open_memory(const void *data, size_t bytes, const char *name,
                                          const struct quern_model_options *options, struct quern_model **out,
                                          struct quern_error *err) {
    struct quern_model *m = NULL;
    enum quern_status st = model_new(options, &m, err);
    if (st)
        return st;
    return finish_open(m, gguf_open_memory(data, bytes, name, &m->gguf, err), out, err);
}

void quern_model_close(struct quern_model *m) {
    if (!m)
        return;
    placement_close(&m->placement);
    tokenizer_close(m->tokenizer);
    while (m->owned) {
        struct owned_vector *next = m->owned->next;
        free(m->owned);
        m->owned = next;
    }
    free(m->inv_freq);
    free(m->matrices);
    free(m->layers);
    free(m->name);
    gguf_close(m->gguf);
    free(m);
}

/* ---- Facts ---- */

void quern_model_get_info(const struct quern_model *m, struct quern_model_info *info) {
    *info = (struct quern_model_info){
        .architecture = m->arch->name,
        .name = m->name,
        .isa = m->kernels.name,
        .n_vocab = m->hp.n_vocab,
        .n_ctx_train = m->hp.n_ctx_train,
        .n_embd = m->hp.n_embd,
        .n_layer = m->hp.n_layer,
        .n_head = m->layers[0].shape.n_head,
        .n_head_kv = m->layers[0].shape.n_head_kv,
        .n_ff = m->layers[0].shape.n_ff,
        .n_expert = m->hp.n_expert,
        .n_expert_used = m->hp.n_expert_used,
        .file_bytes = gguf_file_bytes(m->gguf),
    };
    for (size_t i = 0; i < gguf_n_tensors(m->gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor(m->gguf, i);
        info->n_params += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
        info->tensor_bytes += t->bytes;
    }
}

size_t quern_model_n_vocab(const struct quern_model *m) { return m->hp.n_vocab; }
