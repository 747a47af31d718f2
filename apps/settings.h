/* settings.h - options that several commands share, and what they stand for.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_SETTINGS_H
#define QUERN_APPS_SETTINGS_H

#include "apps/options.h"
#include "engine/quern.h"

/* Where the text comes from. */
struct text_settings {
    const char *prompt, *file;
    bool escape;
};

struct model_settings {
    const char *path; /* NULL: the bundled one */
};

/* How a model is computed. */
struct engine_settings {
    const char *isa;
    int64_t n_threads, n_threads_batch; /* 0: not given */
    int64_t n_batch;
    int act; /* enum quern_act */
    double outliers;
    int numa; /* enum quern_numa */
};

/* How a token is drawn: quern_sampler_options as a user writes them. */
struct sampling_settings {
    int64_t seed; /* -1: a random one */
    double temperature;
    int64_t top_k;
    double top_p, min_p, repeat_penalty;
    int64_t repeat_last_n;
};

struct message_settings {
    bool quiet, verbose;
};

/* Rows for a command's table of groups; type and member: its settings. */
#define TEXT_GROUP(type, member)                                                                             \
    { "Text", text_options, TEXT_OPTIONS, offsetof(type, member) }
#define MODEL_GROUP(type, member)                                                                            \
    { "Model", model_options, MODEL_OPTIONS, offsetof(type, member) }
#define ENGINE_GROUP(type, member)                                                                           \
    { "Machine", engine_options, ENGINE_OPTIONS, offsetof(type, member) }
#define MESSAGE_GROUP(type, member)                                                                          \
    { "Messages", message_options, MESSAGE_OPTIONS, offsetof(type, member) }
#define QUIET_GROUP(type, member)                                                                            \
    { "Messages", message_options, QUIET_OPTIONS, offsetof(type, member) }
#define SAMPLING_GROUP(type, member)                                                                         \
    { "Sampling", sampling_options, SAMPLING_OPTIONS, offsetof(type, member) }
enum { TEXT_OPTIONS = 3, MODEL_OPTIONS = 1, ENGINE_OPTIONS = 7, SAMPLING_OPTIONS = 7, MESSAGE_OPTIONS = 2 };
enum { QUIET_OPTIONS = 1 }; /* the first of message_options, where there is no more to say */
extern const struct option text_options[TEXT_OPTIONS], model_options[MODEL_OPTIONS],
    engine_options[ENGINE_OPTIONS], sampling_options[SAMPLING_OPTIONS], message_options[MESSAGE_OPTIONS];

/* Words for OPTION_CHOICE rows of enum quern_act. */
extern const char *const act_names[];

/* Words for OPTION_CHOICE rows of a cache type: the index is enum quern_cache_type. */
extern const char *const cache_types[];

/* For struct command.check. */
enum quern_status check_text_settings(const struct text_settings *text, struct quern_error *err);
enum quern_status check_engine_settings(const struct engine_settings *engine, struct quern_error *err);

/* Paths that a model may have when -m is not given. */
enum { MODEL_PATH = 4096 };

/* given, or where the bundled model is: beside the program (../share/quern), where it was installed, in the
 * source tree; which one is said on stderr unless quiet. path: room for the result. Errors: QUERN_IO, with
 * the places looked at. */
enum quern_status find_model(const char *given, bool quiet, char path[MODEL_PATH], const char **found,
                             struct quern_error *err);

/* Open the model with the level of --isa, else the best usable one up to that of the variable QUERN_ISA.
 * path must live as long as the process (mapped_file_watch). Notes go to stderr unless quiet; with verbose
 * also a line about the model. */
enum quern_status open_model(const char *path, const struct engine_settings *engine,
                             const struct message_settings *messages, struct quern_model **out,
                             struct quern_error *err);

/* Threads to use: given (-t), else the variable QUERN_THREADS, else 0 for the default of what they are used
 * for. Errors: QUERN_RANGE for a bad variable. */
enum { MAX_THREADS = 1024 };
enum quern_status thread_count(int64_t given, unsigned *n, struct quern_error *err);

/* Threads, batch size and the interrupt into options, which hold their defaults. Errors: those of
 * thread_count(). */
enum quern_status apply_engine_settings(const struct engine_settings *engine,
                                        struct quern_session_options *options, struct quern_error *err);

/* Open a session. What was done about memory nodes goes to stderr unless quiet, and a note if there are more
 * threads than CPUs; with verbose also their number and what limits it. Errors: those of
 * quern_session_open(). */
enum quern_status start_session(const struct quern_model *model, const struct quern_session_options *options,
                                const struct message_settings *messages, struct quern_session **out,
                                struct quern_error *err);

#endif
