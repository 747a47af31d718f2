/* deal.h - the rows of a matrix, dealt to workers in chunks, those of their own node first.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_ENGINE_DEAL_H
#define QUERN_ENGINE_DEAL_H

#include "engine/step.h"

/* One worker's view of a matrix that is being dealt. */
struct row_deal {
    const struct numa_plan *plan;
    size_t n_rows, row_bytes, n_tokens;
    unsigned first_deal, own; /* deals of the nodes, in order; the worker's own node */
    unsigned node, i;         /* where rows are taken now, the i-th after the own */
    struct guide guide;       /* for the node's rows */
    size_t base;              /* the first of these */
};

/* Begin: of one matrix, or of two of the same height whose rows have row_bytes together. Opens as many deals
 * as rows are shared over nodes. */
void deal_rows(struct worker *w, const struct step *s, size_t n_rows, size_t row_bytes, size_t n_tokens,
               struct row_deal *d);

/* The next rows, from *begin on; 0: all are taken. Other nodes' rows come when the own are taken. */
size_t take_rows(struct worker *w, struct row_deal *d, size_t *begin);

/* Where a worker reads a matrix: in the file's mapping, or in its node's copy. */
const uint8_t *near_weights(const struct worker *w, const struct step *s, const struct matrix *m);

#endif
