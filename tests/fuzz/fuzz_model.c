/* fuzz_model.c - any bytes as a model: opened, described, and run for a few tokens.
 * SPDX-License-Identifier: MIT
 * What is asserted: no crash, no hang, no memory beyond what the file justifies (libFuzzer's limits); a
 * model that opens evaluates, and evaluates to the same bits a second time. */
#include "engine/quern.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void must(bool is_so) {
    if (!is_so)
        abort();
}

/* Models of the size that fuzzing makes are small; what is larger says nothing new. */
enum { MAX_VOCAB = 4096, MAX_WIDTH = 65536 };

static void run(const struct quern_model *model, size_t n_vocab) {
    struct quern_session *session = NULL;
    struct quern_session_options o;
    struct quern_error err;
    quern_session_defaults(&o);
    o.n_ctx = 8;
    o.n_threads = 1;
    int32_t ids[3] = { 0, (int32_t)(n_vocab - 1), 0 };
    float *logits = calloc(2 * n_vocab, sizeof *logits);
    must(logits);
    if (!quern_session_open(model, &o, &session, &err)) {
        enum quern_status first = quern_session_eval(session, ids, 3, logits, 1, &err);
        quern_session_rewind(session, 0, &err);
        enum quern_status second = quern_session_eval(session, ids, 3, logits + n_vocab, 1, &err);
        must(first == QUERN_OK && second == QUERN_OK);
        must(!memcmp(logits, logits + n_vocab, n_vocab * sizeof *logits));
    }
    quern_session_close(session);
    free(logits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    struct quern_model *model = NULL;
    struct quern_error err = { 0 };
    if (quern_model_open_memory(data, bytes, "fuzz", NULL, &model, &err)) {
        must(err.text[0] && !strchr(err.text, '\n'));
        return 0;
    }
    struct quern_model_info info;
    quern_model_get_info(model, &info);
    int32_t *ids = NULL;
    size_t n = 0;
    if (!quern_tokenize(model, "a b\n\xff", 5, QUERN_ADD_SPECIAL | QUERN_PARSE_SPECIAL, &ids, &n, &err))
        for (size_t i = 0; i < n; i++)
            must(ids[i] >= 0 && (size_t)ids[i] < info.n_vocab);
    quern_free(ids);
    if (info.n_vocab <= MAX_VOCAB && info.n_embd * info.n_head <= MAX_WIDTH && info.n_ff <= MAX_WIDTH)
        run(model, info.n_vocab);
    quern_model_close(model);
    return 0;
}
