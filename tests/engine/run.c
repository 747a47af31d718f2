/* run.c - one evaluation of a token list.
 * SPDX-License-Identifier: MIT */
#include "tests/engine/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define must(call)                                                                                           \
    do {                                                                                                     \
        struct quern_error err = { 0 };                                                                      \
        if (call)                                                                                            \
            fail_msg("%s: %s", #call, err.text);                                                             \
    } while (0)

float *run_logits(const char *path, const int32_t *ids, size_t n, const struct run_options *options,
                  size_t *n_vocab) {
    struct quern_model *model = NULL;
    struct quern_session *session = NULL;
    struct quern_model_options mo;
    struct quern_session_options so;
    quern_model_defaults(&mo);
    quern_session_defaults(&so);
    mo.isa = options->isa;
    mo.act = options->act;
    mo.round_inputs = options->round_inputs;
    mo.outliers = options->outliers;
    so.cache_k = so.cache_v = options->cache;
    so.n_threads = options->n_threads ? options->n_threads : 1;
    so.n_threads_batch = options->n_threads_batch;
    so.n_ctx = options->n_ctx ? options->n_ctx : n;
    so.n_batch = options->n_batch ? options->n_batch : so.n_batch;
    must(quern_model_open(path, &mo, &model, &err));
    must(quern_session_open(model, &so, &session, &err));
    *n_vocab = quern_model_n_vocab(model);
    float *logits = malloc(n * *n_vocab * sizeof *logits);
    assert_non_null(logits);
    size_t split = options->split ? options->split : n;
    for (size_t i = 0, m; i < n; i += m) {
        m = n - i < split ? n - i : split;
        must(quern_session_eval(session, ids + i, m, logits + i * *n_vocab, m, &err));
    }
    quern_session_close(session);
    quern_model_close(model);
    return logits;
}

int32_t *run_ids(const json_t *array, size_t *n) {
    *n = json_array_size(array);
    int32_t *ids = malloc((*n + 1) * sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < *n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return ids;
}
