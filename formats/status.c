/* status.c - one line per failure.
 * SPDX-License-Identifier: MIT */
#include "formats/status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF data is used in place, as little-endian");

/* Names and strings of a file are printed in messages: without this a file could move the cursor of the
 * terminal that shows the message. Bytes from 0x80 stay: they are UTF-8. */
static void remove_control_characters(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

enum quern_status fail(struct quern_error *err, enum quern_status status, const char *format, ...) {
    assert(status != QUERN_OK);
    if (!err)
        return status;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    remove_control_characters(err->text);
    err->status = status;
    return status;
}

enum quern_status fail_memory(struct quern_error *err, size_t bytes) {
    return fail(err, QUERN_MEMORY, "out of memory: %zu bytes were refused", bytes);
}
