/* gguf_private.h - what the files of the GGUF reader share; private to formats/gguf*.c.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_FORMATS_GGUF_PRIVATE_H
#define QUERN_FORMATS_GGUF_PRIVATE_H

#include "formats/gguf.h"
#include "formats/map.h"

/* Limits of what is accepted, far above what real files hold. */
enum {
    GGUF_MAX_NAME_BYTES = 1 << 16,   /* of a key or a tensor's name, at least 1 */
    GGUF_MAX_STRING_BYTES = 1 << 26, /* of a string value or an element of an array */
    GGUF_MAX_ALIGNMENT = 1 << 20,
    GGUF_DEFAULT_ALIGNMENT = 32,
    GGUF_MAX_PARTS = 1000,
};

/* Bytes of the smallest things, by which a count is checked before anything is allocated for it. */
enum {
    GGUF_MIN_STRING_BYTES = 8,                     /* length of an empty string */
    GGUF_MIN_KV_BYTES = 8 + 1 + 4 + 1,             /* length, one letter, type, one-byte value */
    GGUF_MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8, /* length, one letter, n_dims, one ne, type, offset */
};

struct gguf {
    char *path;
    uint32_t version;
    size_t alignment;
    uint64_t file_bytes; /* of all parts */

    struct gguf_kv *kv; /* [n_kv], of the first part, in file order */
    size_t n_kv;
    const struct gguf_string **kv_index; /* [n_kv] the names of kv[], sorted */

    struct gguf_tensor *tensors; /* [n_tensors], of all parts, in file order */
    size_t n_tensors;
    const struct gguf_string **tensor_index; /* [n_tensors] */

    struct file_map *maps; /* [n_maps] one per part; none when the bytes are the caller's */
    size_t n_maps;
};

/* Map and check one file. Its tensors are not indexed yet: the other parts may bring more. */
enum quern_status gguf_open_single(const char *path, struct gguf **out, struct quern_error *err);

/* If g is the first part of a split model, open the others and take over their tensors. */
enum quern_status gguf_open_parts(struct gguf *g, struct quern_error *err);

/* ---- Names ----
 * gguf_kv and gguf_tensor both begin with their name, so one sorted index of pointers to names serves both:
 * a pointer to the name is a pointer to its owner. */

/* Byte order; a prefix comes first. */
int gguf_compare_names(const struct gguf_string *a, const struct gguf_string *b);

/* A name from a file as it may stand in a message: printable UTF-8, long ones cut. Used as
 * gguf_show(name).text inside the call that formats the message. */
enum { GGUF_SHOWN_BYTES = 80 };
struct gguf_shown {
    char text[96];
};
struct gguf_shown gguf_show(struct gguf_string name);

/* ---- The bounded cursor ----
 * All bytes of a header are read through it, front to back. It never leaves data [bytes], and knows what is
 * being read, so that a file that ends too early is reported with its place. */
struct gguf_cursor {
    const char *path;
    const uint8_t *data;
    size_t bytes;
    size_t position; /* <= bytes */
    /* What is being read: "header", "key" or "tensor"; its number; its name once that is known. */
    const char *what;
    size_t number;
    struct gguf_string name;
    struct quern_error *err;
};

static inline size_t gguf_left(const struct gguf_cursor *c) { return c->bytes - c->position; }

/* Begin to read the number-th (from 0) of something. */
void gguf_enter(struct gguf_cursor *c, const char *what, size_t number);
/* "header", "key 'general.name'" or, before its name is known, "key 3". */
struct gguf_shown gguf_place(const struct gguf_cursor *c);

enum quern_status gguf_take(struct gguf_cursor *c, size_t bytes, const uint8_t **out);
enum quern_status gguf_take_u32(struct gguf_cursor *c, uint32_t *out);
enum quern_status gguf_take_u64(struct gguf_cursor *c, uint64_t *out);
enum quern_status gguf_take_string(struct gguf_cursor *c, struct gguf_string *out);
/* The name of what was entered: 1 to GGUF_MAX_NAME_BYTES bytes; becomes c->name. */
enum quern_status gguf_take_name(struct gguf_cursor *c);

/* ---- Parts of the check ---- */

/* Say what a file is that does not begin with "GGUF", as far as its first bytes tell. */
enum quern_status gguf_fail_not_gguf(const char *path, const uint8_t *data, size_t bytes,
                                     struct quern_error *err);

/* Read one tensor info. file_offset still counts from the data section; data is not set. */
enum quern_status gguf_read_tensor(struct gguf_cursor *c, struct gguf_tensor *t);
/* Check n_dims, ne and type against each other and set bytes. */
enum quern_status gguf_check_shape(const char *path, struct gguf_tensor *t, struct quern_error *err);
/* The cursor stands behind the last info: find where the data section begins, check that each tensor lies
 * aligned in the file and apart from all others, and set data and file_offset. */
enum quern_status gguf_place_tensors(struct gguf *g, const struct gguf_cursor *c);

/* ---- Value types ---- */

enum gguf_kind {
    GGUF_KIND_INTEGER = 1,
    GGUF_KIND_REAL = 2,
    GGUF_KIND_BOOL = 4,
    GGUF_KIND_STRING = 8,
    GGUF_KIND_ARRAY = 16,
};

struct gguf_value_info {
    const char *name; /* with its article, for messages */
    size_t bytes;     /* 0: it depends */
    enum gguf_kind kind;
    bool is_signed;
};
extern const struct gguf_value_info gguf_value_info[GGUF_VALUE_TYPES];

#endif
