/* altered_model.c - copies of a model that compute the same, or nearly, in another way.
 * SPDX-License-Identifier: MIT */
#include "bench/altered_model.h"

#include "formats/blocks.h"
#include "formats/gguf_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define OUTPUT "output.weight"

enum { CHANNELS = 6, MAX_WIDTH = 1 << 20 };

/* Factors of the channels of a norm: most are 1. */
struct factors {
    size_t channel[CHANNELS];
    float factor[CHANNELS];
};

/* Steele, Lea, Flood: splitmix64. */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Those of the i-th norm of width n: different channels, factors 20 to 60. */
static struct factors factors_of(uint64_t i, size_t n) {
    struct factors f;
    uint64_t random = 7919 * (i + 1);
    for (size_t c = 0; c < CHANNELS; c++) {
        f.channel[c] = (size_t)(next_random(&random) % n);
        for (size_t k = 0; k < c; k++)
            if (f.channel[k] == f.channel[c])
                f.channel[c] = (f.channel[c] + 1) % n, k = (size_t)-1; /* look at all again */
        f.factor[c] = 20 + 40 * (float)(next_random(&random) >> 40) * 0x1p-24f;
    }
    return f;
}

/* Which norm a tensor belongs to: as its gain, or as a matrix that reads what it gives. */
enum role { ROLE_NONE, ROLE_GAIN, ROLE_READER };

static enum role role_of(struct gguf_string name, uint64_t *norm) {
    static const struct {
        const char *suffix;
        enum role role;
        uint64_t norm;
    } roles[] = {
        { "attn_norm.weight", ROLE_GAIN, 0 },       { "attn_q.weight", ROLE_READER, 0 },
        { "attn_k.weight", ROLE_READER, 0 },        { "attn_v.weight", ROLE_READER, 0 },
        { "ffn_norm.weight", ROLE_GAIN, 1 },        { "ffn_gate.weight", ROLE_READER, 1 },
        { "ffn_up.weight", ROLE_READER, 1 },        { "ffn_gate_inp.weight", ROLE_READER, 1 },
        { "ffn_gate_exps.weight", ROLE_READER, 1 }, { "ffn_up_exps.weight", ROLE_READER, 1 },
    };
    char text[64];
    unsigned layer;
    if (gguf_string_is(name, "output_norm.weight") || gguf_string_is(name, OUTPUT)) {
        *norm = 1 << 20;
        return gguf_string_is(name, OUTPUT) ? ROLE_READER : ROLE_GAIN;
    }
    snprintf(text, sizeof text, "%.*s", (int)(name.bytes < 63 ? name.bytes : 63), name.data);
    int after = 0;
    if (sscanf(text, "blk.%u.%n", &layer, &after) != 1 || !after)
        return ROLE_NONE;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(text + after, roles[i].suffix)) {
            *norm = 2 * (uint64_t)layer + roles[i].norm;
            return roles[i].role;
        }
    return ROLE_NONE;
}

/* One copy. */
struct copy {
    struct gguf *in;
    struct gguf_writer *out;
    enum alteration alteration;
    float *row; /* [MAX_WIDTH] */
    struct block_q8_0 *blocks;
};

static uint32_t new_type(const struct copy *c, const struct gguf_tensor *t) {
    if (t->n_dims < 2)
        return TYPE_F32;
    return c->alteration == WITH_OUTLIERS ? TYPE_F32 : TYPE_Q8_0;
}

/* Row of n values to blocks that share the scale of the largest. */
static void encode_row(const float *x, size_t n, struct block_q8_0 *out) {
    float largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    const uint16_t d = f32_to_f16(largest / 127);
    const float step = f16_to_f32(d);
    for (size_t i = 0; i < n; i++) {
        const float q = step > 0 ? rintf(x[i] / step) : 0;
        memcpy(out[i / 32].d, &d, sizeof d);
        out[i / 32].qs[i % 32] = (int8_t)(q < -127 ? -127 : q > 127 ? 127 : q);
    }
}

static enum quern_status write_row(struct copy *c, const struct gguf_tensor *t, struct quern_error *err) {
    const size_t n = (size_t)t->ne[0];
    if (new_type(c, t) == TYPE_F32)
        return gguf_write_data(c->out, c->row, n * sizeof *c->row, err);
    encode_row(c->row, n, c->blocks);
    return gguf_write_data(c->out, c->blocks, n / 32 * sizeof *c->blocks, err);
}

/* The tensor t as `name`. */
static enum quern_status write_tensor(struct copy *c, const struct gguf_tensor *t, struct gguf_string name,
                                      struct quern_error *err) {
    const struct type_info *type = type_info(t->type);
    const size_t n = (size_t)t->ne[0], row_bytes = n / type->block_values * type->block_bytes;
    uint64_t norm = 0;
    const enum role role = c->alteration == WITH_OUTLIERS ? role_of(name, &norm) : ROLE_NONE;
    enum quern_status st = QUERN_OK;
    for (size_t r = 0; r < t->bytes / row_bytes && !st; r++) {
        type->decode(t->data + r * row_bytes, c->row, n / type->block_values);
        const struct factors f = factors_of(norm, n);
        for (size_t i = 0; i < CHANNELS && role != ROLE_NONE; i++)
            c->row[f.channel[i]] *= role == ROLE_GAIN ? f.factor[i] : 1 / f.factor[i];
        st = write_row(c, t, err);
    }
    return st;
}

static enum quern_status add_tensor(struct copy *c, const struct gguf_tensor *t, struct gguf_string name,
                                    struct quern_error *err) {
    if (!type_info(t->type)->decode || t->ne[0] > MAX_WIDTH || (t->n_dims > 1 && t->ne[0] % 32))
        return fail(err, QUERN_UNSUPPORTED, "%s: tensor '%.*s' of type %s cannot be altered",
                    gguf_path(c->in), (int)t->name.bytes, t->name.data, type_info(t->type)->name);
    return gguf_add_tensor(c->out, name, new_type(c, t), t->n_dims, t->ne, err);
}

static enum quern_status write_all(struct copy *c, struct quern_error *err) {
    const struct gguf_string output = { OUTPUT, sizeof OUTPUT - 1 };
    /* The embedding once more, where it serves as output matrix and that is to be altered. */
    const bool is_tied = c->alteration == WITH_OUTLIERS && !gguf_find_tensor(c->in, OUTPUT);
    const struct gguf_tensor *embedding = is_tied ? gguf_find_tensor(c->in, "token_embd.weight") : NULL;
    enum quern_status st = QUERN_OK;
    for (size_t i = 0; i < gguf_n_kv(c->in) && !st; i++)
        st = gguf_copy_kv(c->out, gguf_kv(c->in, i), err);
    for (size_t i = 0; i < gguf_n_tensors(c->in) && !st; i++)
        st = add_tensor(c, gguf_tensor(c->in, i), gguf_tensor(c->in, i)->name, err);
    if (!st && embedding)
        st = add_tensor(c, embedding, output, err);
    if (!st)
        st = gguf_begin_data(c->out, NULL, err);
    for (size_t i = 0; i < gguf_n_tensors(c->in) && !st; i++)
        st = write_tensor(c, gguf_tensor(c->in, i), gguf_tensor(c->in, i)->name, err);
    if (!st && embedding)
        st = write_tensor(c, embedding, output, err);
    if (!st) {
        st = gguf_commit(c->out, err);
        c->out = NULL;
    }
    return st;
}

enum quern_status altered_model_write(const char *from, const char *to, enum alteration alteration,
                                      struct quern_error *err) {
    struct copy c = { .alteration = alteration,
                      .row = malloc(MAX_WIDTH * sizeof *c.row),
                      .blocks = malloc(MAX_WIDTH / 32 * sizeof *c.blocks) };
    enum quern_status st = c.row && c.blocks ? QUERN_OK : fail_memory(err, MAX_WIDTH * sizeof *c.row);
    if (!st)
        st = gguf_open(from, &c.in, err);
    if (!st)
        st = gguf_writer_open(to, &c.out, err);
    if (!st)
        st = write_all(&c, err);
    gguf_abandon(c.out);
    gguf_close(c.in);
    free(c.blocks);
    free(c.row);
    return st;
}
