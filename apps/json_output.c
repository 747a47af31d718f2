/* json_output.c - building JSON that is always valid.
 * SPDX-License-Identifier: MIT */
#include "apps/json_output.h"
#include "tokenizer/utf8.h"

#include <math.h>
#include <stdlib.h>

json_t *json_text(const char *bytes, size_t n) {
    size_t room;
    char *clean = size_mul(n, REPLACEMENT_CHARACTER_BYTES, &room) ? malloc(room + 1) : NULL;
    if (!clean)
        return NULL;
    size_t used = 0;
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t length = utf8_decode(bytes + i, n - i, &code);
        const char *from = length ? bytes + i : REPLACEMENT_CHARACTER;
        size_t add = length ? length : REPLACEMENT_CHARACTER_BYTES;
        memcpy(clean + used, from, add);
        used += add;
        i += length ? length : 1;
    }
    json_t *text = json_stringn_nocheck(clean, used);
    free(clean);
    return text;
}

json_t *json_number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

json_t *json_ids(const int32_t *ids, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        if (json_array_append_new(list, json_integer(ids[i]))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

void json_put(json_t *object, const char *key, json_t *value, bool *failed) {
    if (json_object_set_new_nocheck(object, key, value))
        *failed = true;
}

enum quern_status json_print(json_t *object, bool failed, struct quern_error *err) {
    enum { DIGITS = 9 }; /* tell any two floats apart */
    if (!failed && json_dumpf(object, stdout, JSON_REAL_PRECISION(DIGITS)) == 0)
        fputc('\n', stdout);
    else if (!ferror(stdout)) /* a failed write is close_stdout()'s to tell */
        failed = true;
    json_decref(object);
    return failed ? fail(err, QUERN_MEMORY, "out of memory while writing JSON") : QUERN_OK;
}
