/* rows.c - operations that treat tokens one by one.
 * SPDX-License-Identifier: MIT */
#include "engine/ops/ops.h"

#include "engine/detmath.h"

static void embed_rows(const struct step *s, float *x, size_t begin, size_t end) {
    const struct matrix *embd = &s->model->token_embd;
    const struct type_info *type = type_info(embd->type);
    for (size_t t = begin; t < end; t++)
        type->decode(embd->data + (size_t)s->tokens[t] * embd->row_bytes, x + t * embd->n_in,
                     embd->n_in / type->block_values);
}

static void rope_rows(const struct step *s, size_t begin, size_t end) {
    const struct quern_model *m = s->model;
    size_t n = m->hp.n_rot / 2;
    for (size_t t = begin; t < end; t++) {
        float *row = s->scratch->rope + t * n * 2;
        for (size_t i = 0; i < n; i++) {
            double sine, cosine;
            det_sincos((double)(s->position + t) * m->inv_freq[i], &sine, &cosine);
            row[2 * i] = (float)cosine * m->rope_magnitude;
            row[2 * i + 1] = (float)sine * m->rope_magnitude;
        }
    }
}

void op_embed(struct worker *w, const struct step *s, float *x) {
    size_t begin, end;
    pool_share(w, s->n_tokens, &begin, &end);
    embed_rows(s, x, begin, end);
    rope_rows(s, begin, end);
    pool_barrier(w);
}

void op_rope(struct worker *w, const struct step *s, float *x, size_t n_heads, size_t head_dim) {
    size_t n_rot = s->model->hp.n_rot, begin, end;
    pool_share(w, s->n_tokens, &begin, &end);
    for (size_t t = begin; t < end; t++)
        for (size_t h = 0; h < n_heads; h++)
            s->kernels->rope_pairs(x + (t * n_heads + h) * head_dim, s->scratch->rope + t * n_rot, n_rot);
}

void op_logits(struct worker *w, const struct step *s, const float *x) {
    if (!s->n_logits)
        return;
    const struct quern_model *m = s->model;
    const float *last = x + (s->n_tokens - s->n_logits) * m->hp.n_embd;
    struct linear output = { .matrix = &m->output, .y = s->logits };
    op_linear(w, s, (struct input){ last, m->output_norm }, s->n_logits, &output, 1);
}

void op_poll(struct worker *w, struct step *s) {
    const struct quern_session_options *options = &s->session->options;
    if (w->id == 0 && options->interrupt)
        s->stop = options->interrupt(options->interrupt_user);
}
