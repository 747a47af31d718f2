/* gguf.h - reading GGUF v2 and v3 files, single or split, over mappings.
 * SPDX-License-Identifier: MIT
 * Layout: formats/FORMAT.md. The reader trusts nothing: every read is inside the file, every count is
 * checked against the bytes that are left before anything is allocated, so an open file can be used
 * without further checks. Everything returned points into the mapping or the gguf object and lives until
 * gguf_close(). An open gguf is immutable and may be read by any number of threads. */
#ifndef QUERN_FORMATS_GGUF_H
#define QUERN_FORMATS_GGUF_H

#include "formats/status.h"
#include "formats/types.h"

enum { GGUF_MAX_DIMS = 4 };

enum gguf_value_type {
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY,
    GGUF_U64, GGUF_I64, GGUF_F64, GGUF_VALUE_TYPES,
};

/* Bytes in the mapping; not terminated, may hold anything. */
struct gguf_string {
    const char *data;
    size_t bytes;
};

struct gguf_kv {
    struct gguf_string key;
    enum gguf_value_type type;
    enum gguf_value_type element; /* of an array; otherwise equal to type */
    uint64_t n;                   /* elements of an array; otherwise 1 */
    const uint8_t *data;          /* first element, any alignment */
    size_t data_bytes;            /* of all elements, strings with their length fields */
};

struct gguf_tensor {
    struct gguf_string name;
    uint32_t type;               /* type_info(type) is not NULL */
    uint32_t n_dims;             /* 1..4 */
    uint64_t ne[GGUF_MAX_DIMS];  /* ne[0] is the row length; 1 beyond n_dims; no zero */
    const uint8_t *data;         /* any alignment that is a multiple of the file's */
    size_t bytes;
    uint64_t file_offset;        /* of data, in its part */
    uint32_t part;               /* 0.. of a split file; 0 */
};

struct gguf;

/* Map and check the file at path; if it is the first part of a split model, all its parts.
 * Errors: QUERN_IO, QUERN_FORMAT, QUERN_UNSUPPORTED, QUERN_MEMORY, one line that names the file. */
enum quern_status gguf_open(const char *path, struct gguf **out, struct quern_error *err);

/* The same over bytes that the caller keeps alive; name stands for the path in messages. Split files are
 * refused. */
enum quern_status gguf_open_memory(const void *data, size_t bytes, const char *name, struct gguf **out,
                                   struct quern_error *err);
void gguf_close(struct gguf *g); /* accepts NULL and half-opened objects */

const char *gguf_path(const struct gguf *g);
uint32_t gguf_version(const struct gguf *g);
size_t gguf_alignment(const struct gguf *g);
size_t gguf_n_parts(const struct gguf *g);
uint64_t gguf_file_bytes(const struct gguf *g); /* of all parts */

size_t gguf_n_kv(const struct gguf *g);
const struct gguf_kv *gguf_kv(const struct gguf *g, size_t i);             /* in file order */
const struct gguf_kv *gguf_find_kv(const struct gguf *g, const char *key); /* NULL if absent */
size_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor(const struct gguf *g, size_t i); /* in file order */
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);

bool gguf_string_is(struct gguf_string s, const char *text);

/* Element i of an array of numbers or of a single number (i = 0), as the wider type. The element type
 * must be an integer or bool (integer), any number (real). Out of range of int64: saturated. */
int64_t gguf_integer(const struct gguf_kv *kv, uint64_t i);
double gguf_real(const struct gguf_kv *kv, uint64_t i);

/* Walk the strings of a string or an array of strings: start with *cursor = 0, call n times. Each call
 * returns the next string and advances. */
struct gguf_string gguf_next_string(const struct gguf_kv *kv, size_t *cursor);

/* Read one metadata value. `found` tells presence; *out is untouched when the key is absent. Errors
 * (QUERN_FORMAT): the key has another kind of type ("key K is a string, number expected"), or its value
 * lies outside [min, max]. Any integer width is accepted for integers, also for reals. */
enum quern_status gguf_get_integer(const struct gguf *g, const char *key, int64_t min, int64_t max,
                                   int64_t *out, bool *found, struct quern_error *err);
enum quern_status gguf_get_real(const struct gguf *g, const char *key, double min, double max, double *out,
                                bool *found, struct quern_error *err);
enum quern_status gguf_get_bool(const struct gguf *g, const char *key, bool *out, bool *found,
                                struct quern_error *err);
enum quern_status gguf_get_string(const struct gguf *g, const char *key, struct gguf_string *out, bool *found,
                                  struct quern_error *err);

#endif
