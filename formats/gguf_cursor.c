/* gguf_cursor.c - bounded reads of a GGUF header, and the names in it.
 * SPDX-License-Identifier: MIT */
#include "formats/gguf_private.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* Bytes of the well-formed UTF-8 character at s [n], 0 if there is none (Unicode 15, table 3-7: no
 * overlong forms, no surrogates, nothing above U+10FFFF). */
static size_t utf8_bytes(const char *s, size_t n) {
    const unsigned char *u = (const unsigned char *)s;
    if (u[0] < 0x80)
        return 1;
    size_t need = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
    if (u[0] < 0xc2 || u[0] > 0xf4 || need > n)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((u[i] & 0xc0) != 0x80)
            return 0;
    bool is_overlong = (u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xf0 && u[1] < 0x90);
    bool is_beyond = (u[0] == 0xed && u[1] >= 0xa0) || (u[0] == 0xf4 && u[1] >= 0x90);
    return is_overlong || is_beyond ? 0 : need;
}

/* Control characters, C1 (U+0080..U+009F) included: some terminals obey those too. */
static bool is_control(const char *s) {
    unsigned char c = (unsigned char)s[0];
    return c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)s[1] < 0xa0);
}

int gguf_compare_names(const struct gguf_string *a, const struct gguf_string *b) {
    int order = memcmp(a->data, b->data, a->bytes < b->bytes ? a->bytes : b->bytes);
    return order ? order : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

struct gguf_shown gguf_show(struct gguf_string name) {
    static const char dots[] = "...";
    static_assert(GGUF_SHOWN_BYTES + sizeof dots <= sizeof(struct gguf_shown), "the dots need room too");
    struct gguf_shown shown;
    size_t used = 0, i = 0;
    while (i < name.bytes) {
        size_t n = utf8_bytes(name.data + i, name.bytes - i);
        bool is_printable = n > 0 && !is_control(name.data + i);
        if (used + (is_printable ? n : 1) > GGUF_SHOWN_BYTES)
            break;
        if (is_printable)
            memcpy(shown.text + used, name.data + i, n);
        else
            shown.text[used] = '?';
        used += is_printable ? n : 1;
        i += n ? n : 1;
    }
    memcpy(shown.text + used, i < name.bytes ? dots : "", i < name.bytes ? sizeof dots : 1);
    return shown;
}

void gguf_enter(struct gguf_cursor *c, const char *what, size_t number) {
    c->what = what;
    c->number = number;
    c->name = (struct gguf_string){ .data = NULL };
}

struct gguf_shown gguf_place(const struct gguf_cursor *c) {
    struct gguf_shown place;
    if (c->name.bytes > 0)
        snprintf(place.text, sizeof place.text, "%s '%.83s'", c->what, gguf_show(c->name).text);
    else if (strcmp(c->what, "header") == 0)
        snprintf(place.text, sizeof place.text, "the header");
    else
        snprintf(place.text, sizeof place.text, "%s %zu", c->what, c->number);
    return place;
}

enum quern_status gguf_take(struct gguf_cursor *c, size_t bytes, const uint8_t **out) {
    if (bytes > gguf_left(c))
        return fail(c->err, QUERN_FORMAT, "%s: ends inside %s at byte %zu", c->path, gguf_place(c).text,
                    c->bytes);
    *out = c->data + c->position;
    c->position += bytes;
    return QUERN_OK;
}

enum quern_status gguf_take_u32(struct gguf_cursor *c, uint32_t *out) {
    const uint8_t *p = NULL;
    enum quern_status status = gguf_take(c, sizeof *out, &p);
    if (status == QUERN_OK)
        *out = load_le32(p);
    return status;
}

enum quern_status gguf_take_u64(struct gguf_cursor *c, uint64_t *out) {
    const uint8_t *p = NULL;
    enum quern_status status = gguf_take(c, sizeof *out, &p);
    if (status == QUERN_OK)
        *out = load_le64(p);
    return status;
}

enum quern_status gguf_take_string(struct gguf_cursor *c, struct gguf_string *out) {
    size_t start = c->position;
    uint64_t bytes = 0;
    enum quern_status status = gguf_take_u64(c, &bytes);
    if (status)
        return status;
    if (bytes > gguf_left(c))
        return fail(c->err, QUERN_FORMAT,
                    "%s: string length %" PRIu64 " at byte %zu exceeds the file (%zu bytes left), in %s",
                    c->path, bytes, start, gguf_left(c), gguf_place(c).text);
    if (bytes > GGUF_MAX_STRING_BYTES)
        return fail(c->err, QUERN_FORMAT,
                    "%s: string length %" PRIu64 " at byte %zu exceeds the limit of %d bytes, in %s", c->path,
                    bytes, start, GGUF_MAX_STRING_BYTES, gguf_place(c).text);
    const uint8_t *p = NULL;
    if ((status = gguf_take(c, (size_t)bytes, &p)))
        return status;
    *out = (struct gguf_string){ .data = (const char *)p, .bytes = (size_t)bytes };
    return QUERN_OK;
}

enum quern_status gguf_take_name(struct gguf_cursor *c) {
    size_t start = c->position;
    struct gguf_string name;
    enum quern_status status = gguf_take_string(c, &name);
    if (status)
        return status;
    if (name.bytes == 0)
        return fail(c->err, QUERN_FORMAT, "%s: the name of %s %zu at byte %zu is empty", c->path, c->what,
                    c->number, start);
    if (name.bytes > GGUF_MAX_NAME_BYTES)
        return fail(c->err, QUERN_FORMAT, "%s: the name of %s %zu at byte %zu has %zu bytes, allowed are %d",
                    c->path, c->what, c->number, start, name.bytes, GGUF_MAX_NAME_BYTES);
    c->name = name;
    return QUERN_OK;
}
