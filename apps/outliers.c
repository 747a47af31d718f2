/* outliers.c - what was found of outliers, in words.
 * SPDX-License-Identifier: MIT */
#include "apps/outliers.h"
#include "apps/messages.h"

#include <inttypes.h>

static double share(const struct quern_outliers *o) {
    return o->n_values ? (double)o->n_outliers / (double)o->n_values : 0;
}

static void complain_all(const struct quern_session *session) {
    struct quern_outliers o, all = { 0 };
    for (size_t i = 0; quern_session_outliers(session, i, &o); i++) {
        if (!o.n_values) /* shares the input of another matrix */
            continue;
        all.n_values += o.n_values;
        all.n_outliers += o.n_outliers;
        all.n_columns += o.n_columns;
        all.n_affected += o.n_affected;
    }
    complain("outliers: %.4f %% of %" PRIu64 " input values, in %zu of %zu columns", 100 * share(&all),
             all.n_values, all.n_affected, all.n_columns);
}

/* The input of a layer with the largest share. */
static void complain_worst(const struct quern_outliers *o) {
    if (o->n_outliers)
        complain("outliers: up to %.4f %% of the values that %.*s reads, in %zu of %zu columns",
                 100 * share(o), (int)(o->tensor_bytes < 80 ? o->tensor_bytes : 80), o->tensor, o->n_affected,
                 o->n_columns);
}

void complain_outliers(const struct quern_session *session) {
    struct quern_outliers o, worst = { 0 };
    if (!quern_session_outliers(session, 0, &o))
        return;
    complain_all(session);
    for (size_t i = 0; quern_session_outliers(session, i, &o); i++) {
        if (!o.n_values)
            continue;
        if (o.layer != worst.layer) { /* matrices of a layer follow each other */
            complain_worst(&worst);
            worst = o;
        } else if (share(&o) > share(&worst)) {
            worst = o;
        }
    }
    complain_worst(&worst);
}
