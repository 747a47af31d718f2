/* rope_table.h - rotary frequencies of a model.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_ENGINE_ROPE_TABLE_H
#define QUERN_ENGINE_ROPE_TABLE_H

#include "engine/model.h"

/* Fill m->inv_freq and m->rope_magnitude from its hyperparameters and rope_freqs. */
enum quern_status rope_table_make(struct quern_model *m, struct quern_error *err);

#endif
