/* altered_model.h - copies of a model that compute the same, or nearly, in another way: for measuring.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_BENCH_ALTERED_MODEL_H
#define QUERN_BENCH_ALTERED_MODEL_H

#include "formats/status.h"

enum alteration {
    /* Matrices in F32. In each norm's gain six channels are multiplied by 20 to 60, and the columns that read
     * them divided by the same: in exact arithmetic nothing changes, but activations get outliers. An output
     * matrix that is the embedding's becomes one of its own. */
    WITH_OUTLIERS,
    /* Matrices in Q8_0 of which each row has one scale (W8A8). */
    ONE_SCALE_PER_ROW,
};

/* Write such a copy of the Llama model `from` to the path `to`. Errors: those of reading and writing GGUF. */
enum quern_status altered_model_write(const char *from, const char *to, enum alteration alteration,
                                      struct quern_error *err);

#endif
