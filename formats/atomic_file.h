/* atomic_file.h - writing a file so that its path holds all of it or is as before.
 * SPDX-License-Identifier: MIT
 * The bytes go to PATH.XXXXXX.part in the same folder, which commit flushes to the disk and renames to
 * PATH. A symbolic link at PATH is replaced, not followed. */
#ifndef QUERN_FORMATS_ATOMIC_FILE_H
#define QUERN_FORMATS_ATOMIC_FILE_H

#include "formats/status.h"

struct atomic_file;

/* Create the temporary file, with the permissions that the umask leaves. path may name a regular file or
 * nothing; anything else is refused. Errors: QUERN_IO, QUERN_MEMORY. */
enum quern_status atomic_open(const char *path, struct atomic_file **out, struct quern_error *err);

/* The path that atomic_open() was given. */
const char *atomic_path(const struct atomic_file *f);

/* The path of the temporary file, for a program that may end without coming back here. */
const char *atomic_part_path(const struct atomic_file *f);

/* QUERN_IO unless the file system has room for that many bytes more. */
enum quern_status atomic_need_room(struct atomic_file *f, uint64_t bytes, struct quern_error *err);

/* Append, through a buffer. After an error, every later call returns that error. */
enum quern_status atomic_write(struct atomic_file *f, const void *data, size_t bytes,
                               struct quern_error *err);

/* Write what is buffered, flush file and folder to the disk (fsync), rename. Releases f, also on error, and
 * then leaves no file. Errors: QUERN_IO. */
enum quern_status atomic_commit(struct atomic_file *f, struct quern_error *err);

/* Remove the temporary file and release f. Accepts NULL. */
void atomic_abandon(struct atomic_file *f);

#endif
