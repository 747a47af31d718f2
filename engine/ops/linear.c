/* linear.c - matrix products: one input, one or several matrices.
 * SPDX-License-Identifier: MIT
 * The input is brought into the form that the weights are multiplied with once and shared by all
 * matrices of the group (q, k, v). Recipes mix types with at most two forms in a group. */
#include "engine/ops/ops.h"
#include "engine/outliers.h"

#include <assert.h>

enum { MAX_FORMS = 2 };

/* How much a worker takes at a time. With few tokens memory is the limit, and kernels read it in streams that
 * take a while to get going: as much as leaves each worker a share. With many, arithmetic is, and what is
 * prepared of the tokens serves 256 rows; four chunks for each worker even out what else the cores do. */
enum { FEW_TOKENS = 8, FEW_TOKENS_BYTES = 4 << 20, MANY_TOKENS_ROWS = 256, ROWS_UNIT = 64 };
/* With one scale per token: what fits in L2, as columns of outliers are read again after the product. */
enum { FEW_TOKENS_ROW8_BYTES = 1 << 20 };

/* Rows a worker takes at a time: a multiple of the largest row panel of the kernels. */
static size_t chunk_rows(const struct worker *w, const struct matrix *m, enum act_form form,
                         size_t n_tokens) {
    const bool is_few = n_tokens <= FEW_TOKENS;
    const size_t few_bytes = form == ACT_ROW8 ? FEW_TOKENS_ROW8_BYTES : FEW_TOKENS_BYTES;
    const size_t most = is_few ? few_bytes / m->row_bytes : MANY_TOKENS_ROWS;
    const size_t n_shares = is_few ? w->n : 4 * (size_t)w->n;
    const size_t share = (m->n_out + n_shares - 1) / n_shares, rows = share < most ? share : most;
    return rows / ROWS_UNIT * ROWS_UNIT + (rows % ROWS_UNIT || !rows ? ROWS_UNIT : 0);
}

static size_t collect_forms(const struct step *s, const struct linear *outputs, size_t n_outputs,
                            enum act_form forms[MAX_FORMS]) {
    size_t n = 0;
    for (size_t i = 0; i < n_outputs; i++) {
        enum act_form form = model_act_form(s->model, outputs[i].matrix);
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

/* Bring the worker's own rows of the input into a form; inputs that stay floats may have to be rounded. */
static void quantize(struct worker *w, const struct step *s, enum act_form form, struct acts *acts,
                     void *memory, const float *in, size_t n_in, size_t n_tokens) {
    enum act_form rounding = form == ACT_F32 ? model_rounding(s->model) : form;
    size_t begin, end;
    acts_place(acts, rounding, n_in, n_tokens, memory);
    acts->x = in;
    acts->outlier = s->model->options.outliers;
    if (rounding == ACT_NONE)
        return;
    pool_share(w, n_tokens, &begin, &end);
    for (size_t t = begin; t < end; t++) {
        s->kernels->quantize[rounding](in + t * n_in, acts, t);
        if (form == ACT_F32)
            acts_values(acts, t, s->scratch->rounded + t * n_in);
    }
}

/* What a matrix is multiplied with: acts as the kernel wants to see them. */
static struct acts acts_for(const struct step *s, const struct matrix *m, const struct acts *acts) {
    struct acts x = *acts;
    enum act_form form = model_act_form(s->model, m);
    if (form == ACT_F32)
        x = (struct acts){ .n = acts->n,
                           .n_tokens = acts->n_tokens,
                           .x = acts->form == ACT_NONE ? acts->x : s->scratch->rounded };
    x.form = form == ACT_ROW8 && !m->is_one_scale ? ACT_A32 : form;
    return x;
}

static void multiply(struct worker *w, const struct step *s, const struct acts *acts,
                     const struct linear *out) {
    const struct matrix *m = out->matrix;
    const struct kernels *k = s->kernels;
    const struct acts x = acts_for(s, m, acts);
    const bool has_outliers = model_act_form(s->model, m) == ACT_ROW8 && acts->outlier > 0;
    kernel_matmul *matmul = m->is_one_scale ? k->matmul_w8a8 : k->matmul[m->type];
    size_t chunk = chunk_rows(w, m, acts->form, acts->n_tokens);
    unsigned deal = pool_deal(w);
    for (size_t begin; (begin = pool_take(w, deal, chunk)) < m->n_out;) {
        size_t n = m->n_out - begin < chunk ? m->n_out - begin : chunk;
        const uint8_t *rows = m->data + begin * m->row_bytes;
        matmul(rows, m->row_bytes, n, &x, out->y + begin, m->n_out);
        if (has_outliers)
            k->add_outliers(rows, m->row_bytes, n, acts, out->y + begin, m->n_out);
        if (out->bias)
            for (size_t t = 0; t < acts->n_tokens; t++)
                k->add(out->y + t * m->n_out + begin, out->bias + begin, n);
    }
}

void op_linear(struct worker *w, const struct step *s, const float *in, size_t n_tokens,
               const struct linear *outputs, size_t n_outputs) {
    assert(n_outputs <= POOL_DEALS);
    enum act_form forms[MAX_FORMS];
    struct acts acts[MAX_FORMS];
    size_t n_forms = collect_forms(s, outputs, n_outputs, forms);
    for (size_t i = 0; i < n_forms; i++)
        quantize(w, s, forms[i], &acts[i], s->scratch->acts[i], in, outputs[0].matrix->n_in, n_tokens);
    pool_barrier(w); /* all rows are there */
    if (w->id == 0 && acts[0].mask && s->scratch->outlier_counts)
        outliers_count(s, outputs[0].matrix, &acts[0]);
    for (size_t i = 0; i < n_outputs; i++) {
        size_t j = forms[0] == model_act_form(s->model, outputs[i].matrix) ? 0 : 1;
        multiply(w, s, &acts[j], &outputs[i]);
    }
    pool_barrier(w);
}
