/* status.h - filling a struct quern_error, checked sizes, unaligned little-endian loads.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_FORMATS_STATUS_H
#define QUERN_FORMATS_STATUS_H

#include "formats/quern_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Write the printf-formatted line into err (which may be NULL) and return status, so that a failure is
 * one statement: return fail(err, QUERN_FORMAT, "%s: ...", path). Control characters, which file
 * contents may smuggle into a message, become '?'; a text that is too long is cut. */
enum quern_status fail(struct quern_error *err, enum quern_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* fail() for an allocation of that many bytes that did not succeed. Returns QUERN_MEMORY. */
enum quern_status fail_memory(struct quern_error *err, size_t bytes);

/* Numbers that come from outside are multiplied and added through these; false means overflow, and *out
 * is then unspecified. */
static inline bool size_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool size_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

/* Typed reads from any address: files promise no alignment. On-disk data is little-endian, and so is
 * every machine quern builds for (asserted in status.c). */
static inline uint16_t load_le16(const void *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint32_t load_le32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint64_t load_le64(const void *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline float load_f32(const void *p) {
    float v;
    memcpy(&v, p, sizeof v);
    return v;
}

#endif
