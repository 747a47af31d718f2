/* outliers.c - what a session remembers about outliers.
 * SPDX-License-Identifier: MIT */
#include "engine/outliers.h"

static unsigned count_bits(uint32_t word) { return (unsigned)__builtin_popcount(word); }

void outliers_count(const struct step *s, const struct matrix *matrix, const struct acts *acts) {
    const size_t n_words = acts->n / 32;
    struct outlier_count *count = &s->scratch->outlier_counts[matrix->index];
    uint32_t *columns = s->scratch->outlier_columns + matrix->index * s->scratch->outlier_words;
    for (size_t t = 0; t < acts->n_tokens; t++)
        for (size_t i = 0; i < n_words; i++) {
            const uint32_t mask = acts->mask[t * n_words + i];
            columns[i] |= mask;
            count->n_outliers += count_bits(mask);
        }
    count->n_values += acts->n_tokens * acts->n;
}

bool quern_session_outliers(const struct quern_session *session, size_t i, struct quern_outliers *out) {
    const struct scratch *b = &session->scratch;
    if (!b->outlier_counts || i >= session->model->n_matrices)
        return false;
    const struct matrix *m = session->model->matrices[i];
    *out = (struct quern_outliers){ .tensor = m->name.data,
                                    .tensor_bytes = m->name.bytes,
                                    .layer = m->layer,
                                    .n_columns = m->n_in,
                                    .n_values = b->outlier_counts[i].n_values,
                                    .n_outliers = b->outlier_counts[i].n_outliers };
    for (size_t k = 0; k < m->n_in / 32; k++)
        out->n_affected += count_bits(b->outlier_columns[i * b->outlier_words + k]);
    return true;
}
