/* ffn.c - feed-forward blocks: gated, and a mixture of gated experts.
 * SPDX-License-Identifier: MIT */
#include "engine/ops/ops.h"

void op_gated_ffn(struct worker *w, const struct step *s, const struct layer *layer, float *x) {
    const struct scratch *b = s->scratch;
    struct linear down = { .matrix = &layer->ffn_down, .y = b->out, .residual = x };
    op_gated(w, s, (struct input){ x, layer->ffn_norm }, s->n_tokens, &layer->ffn_gate, &layer->ffn_up,
             b->gate);
    op_linear(w, s, (struct input){ b->gate, NULL }, s->n_tokens, &down, 1);
}

/* The n_used largest of probabilities [n], largest first, equal ones by index; their weights sum to 1. */
static void choose_experts(float *probabilities, size_t n, size_t n_used, uint32_t token,
                           struct route *routes) {
    float sum = 0;
    for (size_t r = 0; r < n_used; r++) {
        size_t best = 0;
        for (size_t e = 1; e < n; e++)
            if (probabilities[e] > probabilities[best])
                best = e;
        routes[r] = (struct route){ token, (uint32_t)r, (uint32_t)best, probabilities[best] };
        sum += probabilities[best];
        probabilities[best] = -1; /* taken: below any probability */
    }
    for (size_t r = 0; r < n_used; r++)
        routes[r].weight /= sum;
}

/* Counting sort: routes of one expert become neighbours, in order of token and rank. from and to [n]. */
static void sort_by_expert(const struct route *from, struct route *to, size_t n, size_t n_expert) {
    size_t place = 0;
    for (size_t e = 0; e < n_expert; e++)
        for (size_t i = 0; i < n; i++)
            if (from[i].expert == e)
                to[place++] = from[i];
}

/* Worker 0 chooses for all tokens: the lists are short, and a split would need another barrier. */
static void route_tokens(struct worker *w, const struct step *s) {
    const struct hparams *hp = &s->model->hp;
    const struct scratch *b = s->scratch;
    size_t n_routes = s->n_tokens * hp->n_expert_used;
    if (w->id == 0) {
        struct route *unsorted = b->routes + n_routes;
        for (size_t t = 0; t < s->n_tokens; t++) {
            float *row = b->router + t * hp->n_expert;
            s->kernels->softmax(row, hp->n_expert);
            choose_experts(row, hp->n_expert, hp->n_expert_used, (uint32_t)t,
                           unsorted + t * hp->n_expert_used);
        }
        sort_by_expert(unsorted, b->routes, n_routes, hp->n_expert);
    }
    pool_barrier(w);
}

/* Each route's input, normed. */
static void gather_inputs(struct worker *w, const struct step *s, struct input in) {
    size_t n = s->model->hp.n_embd, begin, end;
    pool_share(w, s->n_tokens * s->model->hp.n_expert_used, &begin, &end);
    for (size_t i = begin; i < end; i++)
        s->kernels->rms_norm(in.x + s->scratch->routes[i].token * n, in.gain, s->model->hp.norm_eps,
                             s->scratch->expert_in + i * n, n);
    pool_barrier(w);
}

static void run_expert(struct worker *w, const struct step *s, const struct layer *layer, size_t e,
                       size_t first, size_t n_rows) {
    const struct scratch *b = s->scratch;
    size_t n_embd = s->model->hp.n_embd;
    struct matrix gate = matrix_expert(&layer->gate_exps, e), up = matrix_expert(&layer->up_exps, e);
    struct matrix down = matrix_expert(&layer->down_exps, e);
    struct linear out = { .matrix = &down, .y = b->expert_out + first * n_embd };
    op_gated(w, s, (struct input){ b->expert_in + first * n_embd, NULL }, n_rows, &gate, &up, b->gate);
    op_linear(w, s, (struct input){ b->gate, NULL }, n_rows, &out, 1);
}

/* x_t += sum of weight * output over a token's routes, in order of rank, whatever order experts ran in. */
static void combine(struct worker *w, const struct step *s, float *x) {
    const struct hparams *hp = &s->model->hp;
    const struct scratch *b = s->scratch;
    size_t n = hp->n_embd, n_routes = s->n_tokens * hp->n_expert_used, begin, end;
    pool_share(w, s->n_tokens, &begin, &end);
    memset(b->out + begin * n, 0, (end - begin) * n * sizeof *b->out);
    for (size_t rank = 0; rank < hp->n_expert_used; rank++)
        for (size_t i = 0; i < n_routes; i++) {
            const struct route *route = &b->routes[i];
            if (route->rank == rank && route->token >= begin && route->token < end)
                s->kernels->add_scaled(b->out + route->token * n, b->expert_out + i * n, route->weight, n);
        }
    if (begin < end)
        s->kernels->add(x + begin * n, b->out + begin * n, (end - begin) * n);
    pool_barrier(w);
}

void op_experts(struct worker *w, const struct step *s, const struct layer *layer, float *x) {
    const struct scratch *b = s->scratch;
    const struct input in = { x, layer->ffn_norm };
    size_t n_routes = s->n_tokens * s->model->hp.n_expert_used;
    struct linear router = { .matrix = &layer->router, .y = b->router };
    op_linear(w, s, in, s->n_tokens, &router, 1);
    route_tokens(w, s);
    gather_inputs(w, s, in);
    for (size_t first = 0, last; first < n_routes; first = last) {
        for (last = first; last < n_routes && b->routes[last].expert == b->routes[first].expert;)
            last++;
        run_expert(w, s, layer, b->routes[first].expert, first, last - first);
    }
    combine(w, s, x);
}
