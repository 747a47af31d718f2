/* outliers.h - what a session remembers about outliers.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_ENGINE_OUTLIERS_H
#define QUERN_ENGINE_OUTLIERS_H

#include "engine/step.h"

/* Of one matrix. */
struct outlier_count {
    uint64_t n_values, n_outliers;
};

/* Add those of the inputs acts, in ACT_ROW8, of a matrix. Called by one worker. */
void outliers_count(const struct step *s, const struct matrix *matrix, const struct acts *acts);

#endif
