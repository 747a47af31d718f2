/* gguf_write.h - writing a GGUF v3 file as a stream.
 * SPDX-License-Identifier: MIT
 * The order of calls: open, set_* and copy_kv (metadata), add_tensor (all infos), begin_data, then data of
 * each tensor in the order added (any number of write calls per tensor, together exactly its bytes),
 * commit. The bytes go to PATH.XXXXXX.part in the same folder; commit pads, flushes to the disk (fsync) and
 * renames it to PATH, so PATH is complete or as before. abandon removes the temporary file. */
#ifndef QUERN_FORMATS_GGUF_WRITE_H
#define QUERN_FORMATS_GGUF_WRITE_H

#include "formats/gguf.h"

struct gguf_writer;

enum quern_status gguf_writer_open(const char *path, struct gguf_writer **out, struct quern_error *err);

/* The path of the temporary file, for a program that may end without coming back here. */
const char *gguf_writer_part_path(const struct gguf_writer *w);

/* Metadata. Setting a key again replaces its value in place. */
enum quern_status gguf_set_u32(struct gguf_writer *w, const char *key, uint32_t v, struct quern_error *err);
enum quern_status gguf_set_f32(struct gguf_writer *w, const char *key, float v, struct quern_error *err);
enum quern_status gguf_set_bool(struct gguf_writer *w, const char *key, bool v, struct quern_error *err);
enum quern_status gguf_set_string(struct gguf_writer *w, const char *key, const char *v,
                                  struct quern_error *err);
/* Any value as the reader gave it, arrays included. */
enum quern_status gguf_copy_kv(struct gguf_writer *w, const struct gguf_kv *kv, struct quern_error *err);

enum quern_status gguf_add_tensor(struct gguf_writer *w, struct gguf_string name, uint32_t type,
                                  uint32_t n_dims, const uint64_t ne[GGUF_MAX_DIMS], struct quern_error *err);
/* Write header, metadata and tensor infos. file_bytes, if not NULL, receives the size the finished file
 * will have; QUERN_IO if the file system has less room. */
enum quern_status gguf_begin_data(struct gguf_writer *w, uint64_t *file_bytes, struct quern_error *err);
enum quern_status gguf_write_data(struct gguf_writer *w, const void *data, size_t bytes,
                                  struct quern_error *err);
enum quern_status gguf_commit(struct gguf_writer *w, struct quern_error *err); /* releases w, also on error */
void gguf_abandon(struct gguf_writer *w); /* accepts NULL */

#endif
