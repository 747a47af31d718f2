/* linear.c - matrix products: one input, one or several matrices.
 * SPDX-License-Identifier: MIT
 * The input is brought into the form that the weights are multiplied with once and shared by all
 * matrices of the group (q, k, v). Recipes mix types with at most two forms in a group, and bf16 makes three.
 */
#include "engine/ops/ops.h"

#include <assert.h>

enum { MAX_FORMS = 3 };

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

/* What a matrix is multiplied with: an act_form, or rows of bf16. */
enum { INPUT_BF16 = ACT_FORMS, BF16_TOKENS = 32 };

struct input {
    unsigned form;
    struct acts acts;
    struct acts_bf16 bf16;
};

static unsigned form_of(const struct step *s, const struct matrix *m, size_t n_tokens) {
    return n_tokens >= BF16_TOKENS && s->session->bf16[m->type] ? INPUT_BF16 : act_form_of(m->type);
}

/* The input that a matrix takes, a new one if there is none yet. */
static size_t find_input(struct input inputs[MAX_FORMS], size_t *n_inputs, unsigned form) {
    size_t i = 0;
    while (i < *n_inputs && inputs[i].form != form)
        i++;
    if (i == *n_inputs) {
        assert(i < MAX_FORMS);
        inputs[(*n_inputs)++].form = form;
    }
    return i;
}

/* Bring rows [begin, end) of the n_tokens rows of n values into an input's form. */
static void prepare(const struct step *s, struct input *input, const float *x, size_t n, size_t n_tokens,
                    size_t begin, size_t end, uint8_t *memory) {
    const struct kernels *k = s->kernels;
    if (input->form == INPUT_BF16) {
        input->bf16 = (struct acts_bf16){ n, n_tokens, (uint16_t *)(void *)memory };
        for (size_t t = begin; t < end; t++)
            k->round_bf16(x + t * n, &input->bf16, t);
        return;
    }
    acts_place(&input->acts, (enum act_form)input->form, n, n_tokens, memory);
    input->acts.x = x;
    if (input->form == ACT_F32)
        return;
    for (size_t t = begin; t < end; t++) {
        k->quantize[input->form](x + t * n, &input->acts, t);
        if (k->arrange[input->form] && input->acts.tiles)
            k->arrange[input->form](&input->acts, t);
    }
}

static void multiply(struct worker *w, const struct step *s, const struct input *in, size_t n_tokens,
                     const struct linear *out) {
    const struct matrix *m = out->matrix;
    size_t chunk = chunk_rows(w, m, n_tokens);
    unsigned deal = pool_deal(w);
    for (size_t begin; (begin = pool_take(w, deal, chunk)) < m->n_out;) {
        size_t n = m->n_out - begin < chunk ? m->n_out - begin : chunk;
        const uint8_t *rows = m->data + begin * m->row_bytes;
        if (in->form == INPUT_BF16)
            s->kernels->matmul_bf16(m->type, rows, m->row_bytes, n, &in->bf16, out->y + begin, m->n_out);
        else
            s->kernels->matmul[m->type](rows, m->row_bytes, n, &in->acts, out->y + begin, m->n_out);
        if (out->bias)
            for (size_t t = 0; t < n_tokens; t++)
                s->kernels->add(out->y + t * m->n_out + begin, out->bias + begin, n);
    }
}

void op_linear(struct worker *w, const struct step *s, const float *in, size_t n_tokens,
               const struct linear *outputs, size_t n_outputs) {
    assert(n_outputs <= POOL_DEALS);
    size_t n_inputs = 0, of[POOL_DEALS], begin, end;
    struct input inputs[MAX_FORMS];
    for (size_t i = 0; i < n_outputs; i++)
        of[i] = find_input(inputs, &n_inputs, form_of(s, outputs[i].matrix, n_tokens));
    pool_share(w, n_tokens, &begin, &end);
    for (size_t i = 0; i < n_inputs; i++)
        prepare(s, &inputs[i], in, outputs[0].matrix->n_in, n_tokens, begin, end, s->scratch->acts[i]);
    pool_barrier(w); /* all rows are there */
    for (size_t i = 0; i < n_outputs; i++)
        multiply(w, s, &inputs[of[i]], n_tokens, &outputs[i]);
    pool_barrier(w);
}
