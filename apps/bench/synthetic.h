/* synthetic.h - models of random weights in the shapes of real ones, so that a benchmark needs no download.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_BENCH_SYNTHETIC_H
#define QUERN_APPS_BENCH_SYNTHETIC_H

#include "apps/bench/recipe.h"
#include "formats/status.h"

struct synthetic_shape;

/* What SHAPE:TYPE asks for. */
struct synthetic {
    const struct synthetic_shape *shape;
    const struct recipe *recipe;
    char name[64]; /* "llama-1b:Q4_K_M" */
};

/* "llama-1b:q4_k_m", upper or lower case, with - or _. Errors: QUERN_RANGE, with what is known. */
enum quern_status synthetic_parse(const char *text, struct synthetic *out, struct quern_error *err);

/* Told how much of the file is written; an error stops the writing. */
typedef enum quern_status synthetic_progress(void *user, uint64_t done_bytes, uint64_t all_bytes,
                                             struct quern_error *err);

enum { TEMPORARY_PATH = 4096 };

/* A file below $TMPDIR, else /tmp; or one to keep. */
struct temporary_file {
    char path[TEMPORARY_PATH]; /* "": there is none */
    bool is_kept;
};

/* Write the model, to the path `keep` unless that is NULL. The same weights each time. *file is zeroed
 * before; temporary_remove() takes it away unless it is to be kept, also after an error, and unless that
 * comes first the end of the program by a second signal (signals.h). Errors: QUERN_IO (no room, among
 * others), QUERN_MEMORY, those of progress. */
enum quern_status synthetic_write(const struct synthetic *model, const char *keep,
                                  struct temporary_file *file, synthetic_progress *progress, void *user,
                                  struct quern_error *err);

/* Mappings of the file stay as they are. Accepts a zeroed or already removed one. */
void temporary_remove(struct temporary_file *file);

#endif
