/* gguf_build.h - makes GGUF files in memory that are correct but for one lie.
 * SPDX-License-Identifier: MIT
 * Each field that is written has a name; a lie names one and says what stands there instead:
 *
 *     magic  version  n_tensors  n_kv                       of the header
 *     KEY/key_bytes  KEY/key  KEY/type  KEY/value           of a number
 *     KEY/0_bytes  KEY/0  KEY/1_bytes  ...                  of a string or an array of strings
 *     KEY/element  KEY/n                                    of an array
 *     NAME/name_bytes  NAME/name  NAME/n_dims  NAME/ne0  NAME/ne1  ...  NAME/type  NAME/offset
 *     file/bytes                                            the file is cut or, with zeros, made longer
 *
 * A lie about a text (lie.text) may have any length: the length field is then right. Running out of memory
 * ends the program. */
#ifndef QUERN_TESTS_GGUF_BUILD_H
#define QUERN_TESTS_GGUF_BUILD_H

#include "formats/gguf.h"

struct gguf_lie {
    const char *field; /* NULL: no lie */
    uint64_t value;
    const char *text;
};

/* Start as { .alignment = 32 }, with a lie or without, and call in this order: build_header, keys, tensors,
 * build_data. Then data [bytes] is the file; build_free() releases it. */
struct gguf_build {
    struct gguf_lie lie;
    size_t alignment; /* of the data; does not write general.alignment */
    uint8_t *data;
    size_t bytes, capacity;
    bool has_lied;
    uint64_t data_bytes; /* of the tensors so far */
};

void build_header(struct gguf_build *b, uint64_t n_tensors, uint64_t n_kv);

/* A number of any type, by its bits. */
void build_number(struct gguf_build *b, const char *key, enum gguf_value_type type, uint64_t bits);
void build_f32(struct gguf_build *b, const char *key, float v);
void build_string(struct gguf_build *b, const char *key, const char *v);
/* An array of numbers: values [n], each of the element type's size. */
void build_array(struct gguf_build *b, const char *key, enum gguf_value_type element, uint64_t n,
                 const void *values);
void build_strings(struct gguf_build *b, const char *key, uint64_t n, const char *const *v);

/* Tensors follow one another in the data, each at the next aligned offset. type: one that type_info()
 * knows (a lie can change it). */
void build_tensor(struct gguf_build *b, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *ne);

/* Padding and data of all tensors, not zero. Last of all, for files without tensors too. */
void build_data(struct gguf_build *b);

void build_free(struct gguf_build *b);

/* A small complete file: keys of every type, tensors a.weight F32 [4, 2], b.weight Q4_0 [32, 2], c.weight
 * F16 [8]. */
void build_sample(struct gguf_build *b);

#endif
