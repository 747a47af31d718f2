/* buffer.h - a byte buffer that grows.
 * SPDX-License-Identifier: MIT
 * A failed allocation is remembered and all later writes do nothing, so that a writer checks once, at the
 * end. */
#ifndef QUERN_TOKENIZER_BUFFER_H
#define QUERN_TOKENIZER_BUFFER_H

#include "formats/status.h"

#include <stdlib.h>

struct buffer {
    char *data;
    size_t n, room;
    bool failed;
};

static inline void buffer_put(struct buffer *b, const void *data, size_t bytes) {
    if (b->failed || bytes == 0)
        return;
    if (bytes > b->room - b->n) {
        size_t room;
        b->failed = !size_add(b->n, bytes, &room) || !size_mul(room, 2, &room);
        char *grown = b->failed ? NULL : realloc(b->data, room);
        if (!grown) {
            b->failed = true;
            return;
        }
        b->data = grown;
        b->room = room;
    }
    memcpy(b->data + b->n, data, bytes);
    b->n += bytes;
}

static inline void buffer_free(struct buffer *b) {
    free(b->data);
    *b = (struct buffer){ 0 };
}

#endif
