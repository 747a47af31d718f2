/* json_output.h - building JSON that is always valid.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_JSON_OUTPUT_H
#define QUERN_APPS_JSON_OUTPUT_H

#include "formats/status.h"

#include <jansson.h>

/* A JSON string of any bytes: what is no valid UTF-8 becomes U+FFFD, one for each offending byte. NULL if
 * memory ran out. */
json_t *json_text(const char *bytes, size_t n);

/* A number; null if it is none (JSON has no NaN or infinity). */
json_t *json_number(double v);

json_t *json_ids(const int32_t *ids, size_t n);

/* object[key] = value, taking over the reference. The first failure (also value == NULL) is remembered as
 * *failed, so that a whole object can be built without a check at each line. */
void json_put(json_t *object, const char *key, json_t *value, bool *failed);

/* Print to stdout as one line, release the object. `failed` as from json_put. Errors: QUERN_MEMORY. */
enum quern_status json_print(json_t *object, bool failed, struct quern_error *err);

#endif
