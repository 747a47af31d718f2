/* tokenize.c - quern tokenize: text to token ids, and back.
 * SPDX-License-Identifier: MIT
 * Opens the GGUF file and its tokenizer only, so that a file with a vocabulary and nothing else is
 * enough. */
#include "apps/command.h"
#include "apps/json_output.h"
#include "apps/messages.h"
#include "apps/settings.h"
#include "apps/signals.h"
#include "apps/text_input.h"
#include "apps/text_output.h"
#include "tokenizer/tokenizer.h"

#include <stdlib.h>

struct tokenize_settings {
    struct model_settings model;
    struct text_settings text;
    struct message_settings messages;
    bool ids_only, bos, parse_special, json, detokenize, special;
};

static const struct option tokenize_options[] = {
    { .names = { "--ids" },
      .kind = OPTION_FLAG,
      .offset = offsetof(struct tokenize_settings, ids_only),
      .help = "print the ids alone: [1, 2, 3]" },
    { .names = { "--json" },
      .kind = OPTION_FLAG,
      .offset = offsetof(struct tokenize_settings, json),
      .help = "print one JSON object: ids, pieces (the vocabulary's texts of the tokens), n" },
    { .names = { "--bos" },
      .off_names = { "--no-bos" },
      .kind = OPTION_FLAG,
      .initial = 1,
      .offset = offsetof(struct tokenize_settings, bos),
      .help = "add the special tokens that the vocabulary puts around a text (BOS, EOS)" },
    { .names = { "--parse-special" },
      .off_names = { "--no-parse-special" },
      .kind = OPTION_FLAG,
      .initial = 1,
      .offset = offsetof(struct tokenize_settings, parse_special),
      .help =
          "the text of a control token (</s>) becomes that token; without it, it is text like any other" },
    { .names = { "--detokenize" },
      .kind = OPTION_FLAG,
      .offset = offsetof(struct tokenize_settings, detokenize),
      .help =
          "the other way: the input is ids, as [1, 2], as 1 2 or as JSON with an array `ids`; their text is "
          "printed byte for byte, without a newline after it" },
    { .names = { "-sp", "--special" },
      .kind = OPTION_FLAG,
      .offset = offsetof(struct tokenize_settings, special),
      .help = "with --detokenize: control tokens are printed as their text; without it they print nothing" },
};

static const struct option_group tokenize_groups[] = {
    MODEL_GROUP(struct tokenize_settings, model),
    TEXT_GROUP(struct tokenize_settings, text),
    { "Tokens", tokenize_options, sizeof tokenize_options / sizeof *tokenize_options, 0 },
    QUIET_GROUP(struct tokenize_settings, messages),
};

/* Room for what a token writes into a stream of text; the caller frees it. */
static enum quern_status stream_room(const struct tokenizer *t, char **room, struct quern_error *err) {
    size_t bytes = tokenizer_max_text(t);
    *room = malloc(bytes ? bytes : 1);
    return *room ? QUERN_OK : fail_memory(err, bytes);
}

/* One line for each token: id -> 'text that it writes'. */
static enum quern_status print_tokens(const struct tokenizer *t, const int32_t *ids, size_t n,
                                      struct quern_error *err) {
    char *room, held[sizeof((struct token_stream *)0)->held];
    enum quern_status st = stream_room(t, &room, err);
    for (size_t i = 0; i < n && !st; i++) {
        struct token_stream stream = { .keep_prefix = true, .write_special = true };
        size_t bytes = tokenizer_stream(t, &stream, ids[i], room);
        printf("%6d -> '", ids[i]);
        print_escaped(room, bytes, SIZE_MAX);
        bytes = tokenizer_stream_end(&stream, held);
        print_escaped(held, bytes, SIZE_MAX);
        printf("'\n");
    }
    free(room);
    return st;
}

static void print_ids(const int32_t *ids, size_t n) {
    putchar('[');
    for (size_t i = 0; i < n; i++)
        printf("%s%d", i ? ", " : "", ids[i]);
    printf("]\n");
}

static enum quern_status print_json(const struct tokenizer *t, const int32_t *ids, size_t n,
                                    struct quern_error *err) {
    bool failed = false;
    json_t *object = json_object(), *pieces = json_array();
    for (size_t i = 0; i < n; i++) {
        struct gguf_string piece = tokenizer_piece(t, ids[i]);
        failed |= json_array_append_new(pieces, json_text(piece.data, piece.bytes)) != 0;
    }
    json_put(object, "ids", json_ids(ids, n), &failed);
    json_put(object, "pieces", pieces, &failed);
    json_put(object, "n", json_integer((json_int_t)n), &failed);
    return json_print(object, failed, err);
}

static enum quern_status tokenize(const struct tokenizer *t, const struct tokenize_settings *s,
                                  const struct text_input *text, struct quern_error *err) {
    int32_t *ids = NULL;
    size_t n = 0;
    int flags = (s->bos ? TOKENIZE_ADD_SPECIAL : 0) | (s->parse_special ? TOKENIZE_PARSE_SPECIAL : 0);
    enum quern_status st = tokenizer_encode(t, text->bytes, text->n, flags, &ids, &n, err);
    if (st)
        return st;
    if (s->json)
        st = print_json(t, ids, n, err);
    else if (s->ids_only)
        print_ids(ids, n);
    else
        st = print_tokens(t, ids, n, err);
    free(ids);
    return st;
}

static enum quern_status detokenize(const struct tokenizer *t, const struct tokenize_settings *s,
                                    const struct text_input *text, struct quern_error *err) {
    int32_t *ids = NULL;
    size_t n = 0;
    char *room = NULL, held[sizeof((struct token_stream *)0)->held];
    enum quern_status st = text_input_ids(text, &ids, &n, err);
    if (!st)
        st = stream_room(t, &room, err);
    if (!st) {
        struct token_stream stream = { .write_special = s->special };
        for (size_t i = 0; i < n; i++)
            fwrite(room, 1, tokenizer_stream(t, &stream, ids[i], room), stdout);
        fwrite(held, 1, tokenizer_stream_end(&stream, held), stdout);
    }
    free(room);
    free(ids);
    return st;
}

static enum quern_status check_tokenize(const void *settings, struct quern_error *err) {
    const struct tokenize_settings *s = settings;
    if (s->detokenize && (s->json || s->ids_only))
        return fail(err, QUERN_RANGE, "--detokenize prints text; leave %s out", s->json ? "--json" : "--ids");
    return check_text_settings(&s->text, err);
}

static int run_tokenize(const void *settings) {
    const struct tokenize_settings *s = settings;
    bool quiet = s->messages.quiet;
    char path[MODEL_PATH];
    const char *model;
    struct gguf *g = NULL;
    struct tokenizer *t = NULL;
    struct text_input text = { 0 };
    struct quern_error err;
    enum quern_status st = find_model(s->model.path, quiet, path, &model, &err);
    if (!st) {
        mapped_file_watch(model);
        st = gguf_open(model, &g, &err);
    }
    if (!st)
        st = tokenizer_open(g, &t, print_note, &quiet, &err);
    if (!st)
        st = text_input_read(&s->text, &text, &err);
    if (!st)
        st = s->detokenize ? detokenize(t, s, &text, &err) : tokenize(t, s, &text, &err);
    text_input_free(&text);
    tokenizer_close(t);
    gguf_close(g);
    return st ? complain_error(&err) : EXIT_DONE;
}

const struct command command_tokenize = {
    .name = "tokenize",
    .summary = "show the tokens of a text, or the text of tokens",
    .usage = "[-m MODEL] [-p TEXT | -f FILE] [OPTION]...",
    .description = "Prints a line for each token of the text: its id and what it writes. A GGUF file with a "
                   "vocabulary and nothing else is enough.\n"
                   "\n"
                   "  quern tokenize -p \"The old man\"\n"
                   "  quern tokenize --detokenize -p \"[1, 353, 692, 455]\"",
    .groups = tokenize_groups,
    .n_groups = sizeof tokenize_groups / sizeof *tokenize_groups,
    .settings_bytes = sizeof(struct tokenize_settings),
    .check = check_tokenize,
    .run = run_tokenize,
};
