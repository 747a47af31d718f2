/* run.h - one evaluation of a token list, as the engine tests need it over and over.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_TESTS_ENGINE_RUN_H
#define QUERN_TESTS_ENGINE_RUN_H

#include "engine/quern.h"

#include <jansson.h>

/* How to run; zero means: best level, F16 cache, default batch, one thread, all tokens in one call. */
struct run_options {
    const char *isa;
    enum quern_cache_type cache;
    size_t n_batch, n_ctx;
    unsigned n_threads, n_threads_batch;
    size_t split; /* tokens per call */
    enum quern_act act;
    enum quern_round_inputs round_inputs;
    float outliers;
};

/* Logits [n][*n_vocab] of every position; free() them. A failure fails the test with the engine's line. */
float *run_logits(const char *path, const int32_t *ids, size_t n, const struct run_options *options,
                  size_t *n_vocab);

/* A JSON array of ids; free() it. */
int32_t *run_ids(const json_t *array, size_t *n);

#endif
