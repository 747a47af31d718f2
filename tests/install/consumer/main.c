/* main.c - a program that embeds libquern: prints how a prompt goes on, ten tokens long.
 * SPDX-License-Identifier: MIT */
#include <quern.h>

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    struct quern_error err = { 0 };
    struct quern_model *model = NULL;
    struct quern_session *session = NULL;
    struct quern_sampler *sampler = NULL;
    struct quern_text *text = NULL;
    struct quern_sampler_options greedy;
    int32_t *ids = NULL;
    size_t n = 0, bytes;

    quern_sampler_defaults(&greedy);
    greedy.temperature = 0;
    if (argc != 2 || quern_model_open(argv[1], NULL, &model, &err) ||
        quern_session_open(model, NULL, &session, &err) || quern_text_open(model, 0, &text, &err) ||
        quern_sampler_open(quern_model_n_vocab(model), &greedy, &sampler, &err) ||
        quern_tokenize(model, "The old man", 11, QUERN_ADD_SPECIAL, &ids, &n, &err))
        return fprintf(stderr, "%s\n", err.text), 1;
    float *logits = malloc(quern_model_n_vocab(model) * sizeof *logits);
    for (int i = 0; logits && i < 10; i++, n = 1) {
        if (quern_session_eval(session, ids, n, logits, 1, &err) ||
            quern_sampler_draw(sampler, logits, &ids[0], &err))
            return fprintf(stderr, "%s\n", err.text), 1;
        const char *piece = quern_text_add(text, ids[0], &bytes);
        fwrite(piece, 1, bytes, stdout);
    }
    free(logits);
    quern_free(ids);
    quern_text_close(text);
    quern_sampler_close(sampler);
    quern_session_close(session);
    quern_model_close(model);
    return 0;
}
