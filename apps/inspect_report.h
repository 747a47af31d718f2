/* inspect_report.h - what quern inspect knows about a file, as one JSON object.
 * SPDX-License-Identifier: MIT
 * The object is the product of --json; the text is printed from it too, so the two cannot differ. */
#ifndef QUERN_APPS_INSPECT_REPORT_H
#define QUERN_APPS_INSPECT_REPORT_H

#include "formats/gguf.h"

#include <jansson.h>

struct report_options {
    int64_t n_ctx; /* to tell the memory for; 0: the engine's default */
    bool tensors;  /* list them all */
    bool all;      /* arrays of the metadata to their end */
    bool strict;   /* read the tensors' data */
};

/* Report on g, which is open. *out is released with json_decref(). With strict, `problems` is an array of
 * lines, empty if nothing is wrong. Errors: QUERN_MEMORY, QUERN_INTERRUPTED. */
enum quern_status inspect_report(const struct gguf *g, const struct report_options *options, json_t **out,
                                 struct quern_error *err);

#endif
