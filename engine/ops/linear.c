/* linear.c - matrix products: one input, one or several matrices.
 * SPDX-License-Identifier: MIT
 * The input is brought into the form that the weights are multiplied with once and shared by all
 * matrices of the group (q, k, v). Recipes mix types with at most two forms in a group. */
#include "engine/ops/ops.h"

#include <assert.h>

enum { MAX_FORMS = 2 };

/* How much a worker takes at a time. With few tokens memory is the limit, and kernels read it in streams that
 * take a while to get going: as much as leaves each worker a share. With many, arithmetic is, and what is
 * prepared of the tokens serves 256 rows; four chunks for each worker even out what else the cores do. */
enum { FEW_TOKENS = 8, FEW_TOKENS_BYTES = 4 << 20, MANY_TOKENS_ROWS = 256, ROWS_UNIT = 64 };

/* Rows a worker takes at a time: a multiple of the largest row panel of the kernels. */
static size_t chunk_rows(const struct worker *w, const struct matrix *m, size_t n_tokens) {
    const bool is_few = n_tokens <= FEW_TOKENS;
    const size_t most = is_few ? FEW_TOKENS_BYTES / m->row_bytes : MANY_TOKENS_ROWS;
    const size_t n_shares = is_few ? w->n : 4 * (size_t)w->n;
    const size_t share = (m->n_out + n_shares - 1) / n_shares, rows = share < most ? share : most;
    return rows / ROWS_UNIT * ROWS_UNIT + (rows % ROWS_UNIT || !rows ? ROWS_UNIT : 0);
}

static size_t collect_forms(const struct linear *outputs, size_t n_outputs, enum act_form forms[MAX_FORMS]) {
    size_t n = 0;
    for (size_t i = 0; i < n_outputs; i++) {
        enum act_form form = act_form_of(outputs[i].matrix->type);
        size_t j = 0;
        while (j < n && forms[j] != form)
            j++;
        if (j < n)
            continue;
        assert(n < MAX_FORMS);
        forms[n++] = form;
    }
    return n;
}

static void multiply(struct worker *w, const struct step *s, const struct acts *acts,
                     const struct linear *out) {
    const struct matrix *m = out->matrix;
    kernel_matmul *matmul = s->kernels->matmul[m->type];
    size_t chunk = chunk_rows(w, m, acts->n_tokens);
    unsigned deal = pool_deal(w);
    for (size_t begin; (begin = pool_take(w, deal, chunk)) < m->n_out;) {
        size_t n = m->n_out - begin < chunk ? m->n_out - begin : chunk;
        matmul(m->data + begin * m->row_bytes, m->row_bytes, n, acts, out->y + begin, m->n_out);
        if (out->bias)
            for (size_t t = 0; t < acts->n_tokens; t++)
                s->kernels->add(out->y + t * m->n_out + begin, out->bias + begin, n);
    }
}

void op_linear(struct worker *w, const struct step *s, const float *in, size_t n_tokens,
               const struct linear *outputs, size_t n_outputs) {
    assert(n_outputs <= POOL_DEALS);
    size_t n_in = outputs[0].matrix->n_in, begin, end;
    enum act_form forms[MAX_FORMS];
    struct acts acts[MAX_FORMS];
    size_t n_forms = collect_forms(outputs, n_outputs, forms);
    pool_share(w, n_tokens, &begin, &end);
    for (size_t i = 0; i < n_forms; i++) {
        acts_place(&acts[i], forms[i], n_in, n_tokens, s->scratch->acts[i]);
        if (forms[i] == ACT_F32) {
            acts[i].x = in;
            continue;
        }
        for (size_t t = begin; t < end; t++) {
            s->kernels->quantize[forms[i]](in + t * n_in, &acts[i], t);
            if (s->kernels->arrange[forms[i]] && acts[i].tiles)
                s->kernels->arrange[forms[i]](&acts[i], t);
        }
    }
    pool_barrier(w); /* all rows are there */
    for (size_t i = 0; i < n_outputs; i++) {
        size_t j = forms[0] == act_form_of(outputs[i].matrix->type) ? 0 : 1;
        multiply(w, s, &acts[j], &outputs[i]);
    }
    pool_barrier(w);
}
