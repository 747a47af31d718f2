/* linear.c - matrix products: one input, one or several matrices.
 * SPDX-License-Identifier: MIT
 * The input is normed where that is asked for and brought into the form that the weights are multiplied with,
 * once for all matrices of the group (q, k, v). Recipes mix types with at most two forms in a group. What
 * follows a product row by row (bias, residual, gating) is done by the worker that has just computed the
 * rows, while they are in its cache, so that only complete outputs are waited for. */
#include "engine/ops/deal.h"
#include "engine/ops/ops.h"
#include "engine/outliers.h"

#include <assert.h>

enum { MAX_FORMS = 2 };

/* ---- The input ---- */

/* One input in the forms that a group of matrices needs. */
struct prepared {
    enum act_form forms[MAX_FORMS];
    struct acts acts[MAX_FORMS]; /* ACT_NONE for floats, or as these are rounded by (model_rounding) */
    size_t n_forms;
    const float *rounded; /* floats that were rounded */
};

static void need_form(const struct step *s, struct prepared *p, const struct matrix *m) {
    enum act_form form = model_act_form(s->model, m);
    for (size_t i = 0; i < p->n_forms; i++)
        if (p->forms[i] == form)
            return;
    assert(p->n_forms < MAX_FORMS);
    p->forms[p->n_forms++] = form;
}

static void prepare_rows(const struct step *s, struct input in, size_t n, size_t begin, size_t end,
                         const struct input_memory *memory, struct prepared *p) {
    for (size_t t = begin; t < end; t++) {
        const float *row = in.x + t * n;
        if (in.gain) {
            s->kernels->rms_norm(row, in.gain, s->model->hp.norm_eps, memory->normed + t * n, n);
            row = memory->normed + t * n;
        }
        for (size_t i = 0; i < p->n_forms; i++) {
            if (p->acts[i].form == ACT_NONE)
                continue;
            s->kernels->quantize[p->acts[i].form](row, &p->acts[i], t);
            if (p->forms[i] == ACT_F32)
                acts_values(&p->acts[i], t, memory->rounded + t * n);
        }
    }
}

/* Each worker prepares its share of the rows and waits for the others; or all rows for itself, where that is
 * cheaper than meeting: norm and forms take about 0.3 ns a value, a barrier 0.2 us and, on a busy machine,
 * much more. A single row cannot be shared, and the others would only wait for it. */
static void prepare(struct worker *w, const struct step *s, struct input in, size_t n_tokens, size_t n_in,
                    struct prepared *p) {
    bool is_own = n_tokens == 1 || n_tokens * n_in <= OWN_INPUT_VALUES;
    const struct input_memory *memory = is_own ? &s->scratch->own_input[w->id] : &s->scratch->input;
    p->rounded = memory->rounded;
    for (size_t i = 0; i < p->n_forms; i++) {
        enum act_form form = p->forms[i] == ACT_F32 ? model_rounding(s->model) : p->forms[i];
        acts_place(&p->acts[i], form, n_in, n_tokens, memory->acts[i]);
        p->acts[i].x = in.gain ? memory->normed : in.x;
        p->acts[i].outlier = s->model->options.outliers;
    }
    if (is_own) {
        prepare_rows(s, in, n_in, 0, n_tokens, memory, p);
        return;
    }
    size_t begin, end;
    pool_share(w, n_tokens, &begin, &end);
    prepare_rows(s, in, n_in, begin, end, memory, p);
    pool_barrier(w); /* all rows are there */
}

/* Where outliers are looked for, one worker counts those of the input of m and the matrices that share it. */
static void count_outliers(const struct worker *w, const struct step *s, const struct prepared *p,
                           const struct matrix *m) {
    if (w->id == 0 && s->scratch->outlier_counts && p->acts[0].mask)
        outliers_count(s, m, &p->acts[0]);
}

/* ---- Products ---- */

/* What a matrix is multiplied with, as its kernel wants to see it. */
static struct acts acts_for(const struct step *s, const struct prepared *p, const struct matrix *m) {
    const enum act_form form = model_act_form(s->model, m);
    struct acts x = p->acts[p->forms[0] == form ? 0 : 1];
    if (form == ACT_F32)
        x.x = x.form == ACT_NONE ? x.x : p->rounded;
    x.form = form == ACT_ROW8 && !m->is_one_scale ? ACT_A32 : form;
    return x;
}

static void multiply_rows(struct worker *w, const struct step *s, const struct matrix *m,
                          const struct acts *x, size_t begin, size_t n, float *y) {
    const uint8_t *rows = near_weights(w, s, m) + begin * m->row_bytes;
    kernel_matmul *matmul = m->is_one_scale ? s->kernels->matmul_w8a8 : s->kernels->matmul[m->type];
    matmul(rows, m->row_bytes, n, x, y + begin, m->n_out);
    if (x->outlier > 0 && model_act_form(s->model, m) == ACT_ROW8)
        s->kernels->add_outliers(rows, m->row_bytes, n, x, y + begin, m->n_out);
}

static void multiply(struct worker *w, const struct step *s, const struct acts *acts,
                     const struct linear *out) {
    const struct matrix *m = out->matrix;
    struct row_deal rows;
    deal_rows(w, s, m->n_out, m->row_bytes, acts->n_tokens, &rows);
    for (size_t begin, n; (n = take_rows(w, &rows, &begin));) {
        multiply_rows(w, s, m, acts, begin, n, out->y);
        for (size_t t = 0; t < acts->n_tokens; t++) {
            float *y = out->y + t * m->n_out + begin;
            if (out->bias)
                s->kernels->add(y, out->bias + begin, n);
            if (out->residual)
                s->kernels->add(out->residual + t * m->n_out + begin, y, n);
        }
    }
}

void op_linear(struct worker *w, const struct step *s, struct input in, size_t n_tokens,
               const struct linear *outputs, size_t n_outputs) {
    assert(n_outputs <= MAX_OUTPUTS);
    struct prepared p = { .n_forms = 0 };
    for (size_t i = 0; i < n_outputs; i++)
        need_form(s, &p, outputs[i].matrix);
    prepare(w, s, in, n_tokens, outputs[0].matrix->n_in, &p);
    count_outliers(w, s, &p, outputs[0].matrix);
    for (size_t i = 0; i < n_outputs; i++) {
        const struct acts x = acts_for(s, &p, outputs[i].matrix);
        multiply(w, s, &x, &outputs[i]);
    }
    pool_barrier(w);
}

void op_gated(struct worker *w, const struct step *s, struct input in, size_t n_tokens,
              const struct matrix *gate, const struct matrix *up, float *y) {
    struct prepared p = { .n_forms = 0 };
    struct row_deal rows;
    need_form(s, &p, gate);
    need_form(s, &p, up);
    prepare(w, s, in, n_tokens, gate->n_in, &p);
    count_outliers(w, s, &p, gate);
    const struct acts gate_in = acts_for(s, &p, gate), up_in = acts_for(s, &p, up);
    size_t n_ff = gate->n_out;
    float *other = s->scratch->up;
    deal_rows(w, s, n_ff, gate->row_bytes + up->row_bytes, n_tokens, &rows);
    for (size_t begin, n; (n = take_rows(w, &rows, &begin));) {
        multiply_rows(w, s, gate, &gate_in, begin, n, y);
        multiply_rows(w, s, up, &up_in, begin, n, other);
        for (size_t t = 0; t < n_tokens; t++) {
            float *row = y + t * n_ff + begin;
            s->kernels->silu_mul(row, other + t * n_ff + begin, row, n);
        }
    }
    pool_barrier(w);
}
