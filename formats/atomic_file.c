/* atomic_file.c - temporary file, fsync, rename.
 * SPDX-License-Identifier: MIT */
#include "formats/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
    BUFFER_BYTES = 1 << 18, /* larger pieces are written without being copied */
    PIECE_BYTES = 1 << 30,  /* of one write(): Linux and macOS stop a little below 2^31 */
    MAX_NAMES_TRIED = 100,
};

struct atomic_file {
    char *path;
    char *part_path; /* NULL while there is no temporary file */
    int fd;          /* -1: closed */
    size_t n_buffered;
    uint64_t position;          /* of the first buffered byte in the file */
    struct quern_error failure; /* of an earlier write; status QUERN_OK: none */
    uint8_t buffer[BUFFER_BYTES];
};

const char *atomic_path(const struct atomic_file *f) { return f->path; }
const char *atomic_part_path(const struct atomic_file *f) { return f->part_path; }

/* ---- Opening ---- */

static enum quern_status check_target(const char *path, struct quern_error *err) {
    struct stat info;
    if (stat(path, &info) || S_ISREG(info.st_mode)) /* absent, or open() will say what is wrong */
        return QUERN_OK;
    return fail(err, QUERN_IO, "%s: is %s, cannot be replaced by a file", path,
                S_ISDIR(info.st_mode) ? "a directory" : "not a regular file");
}

/* Six letters from a number. Not a secret: O_EXCL is what protects against an existing file. */
static void fill_letters(char letters[6], uint64_t number) {
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    for (int i = 0; i < 6; i++, number >>= 5)
        letters[i] = alphabet[number & 31];
}

static enum quern_status create_part(struct atomic_file *f, struct quern_error *err) {
    size_t path_bytes = strlen(f->path), part_bytes = path_bytes + sizeof ".XXXXXX.part";
    char *part = malloc(part_bytes);
    if (!part)
        return fail_memory(err, part_bytes);
    snprintf(part, part_bytes, "%s.XXXXXX.part", f->path);

    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t number = (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20 ^ (uint64_t)getpid() << 10;
    for (int i = 0; i < MAX_NAMES_TRIED && f->fd < 0; i++) {
        number = number * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX generator */
        fill_letters(part + path_bytes + 1, number >> 32);
        f->fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (f->fd < 0 && errno != EEXIST)
            break;
    }
    if (f->fd < 0) {
        enum quern_status status =
            fail(err, QUERN_IO, "%s: cannot create %s: %s", f->path, part, strerror(errno));
        free(part);
        return status;
    }
    f->part_path = part;
    return QUERN_OK;
}

enum quern_status atomic_open(const char *path, struct atomic_file **out, struct quern_error *err) {
    enum quern_status status = check_target(path, err);
    if (status)
        return status;
    size_t path_bytes = strlen(path) + 1;
    struct atomic_file *f = malloc(sizeof *f);
    char *path_copy = malloc(path_bytes);
    if (!f || !path_copy) {
        free(f);
        free(path_copy);
        return fail_memory(err, sizeof *f + path_bytes);
    }
    memcpy(path_copy, path, path_bytes);
    f->path = path_copy;
    f->part_path = NULL;
    f->fd = -1;
    f->n_buffered = 0;
    f->position = 0;
    f->failure = (struct quern_error){ .status = QUERN_OK };
    if ((status = create_part(f, err))) {
        atomic_abandon(f);
        return status;
    }
    *out = f;
    return QUERN_OK;
}

enum quern_status atomic_need_room(struct atomic_file *f, uint64_t bytes, struct quern_error *err) {
    struct statvfs info;
    if (fstatvfs(f->fd, &info) || info.f_blocks == 0) /* some network file systems do not tell */
        return QUERN_OK;
    uint64_t room;
    if (__builtin_mul_overflow((uint64_t)info.f_bavail, (uint64_t)info.f_frsize, &room))
        return QUERN_OK;
    if (bytes > room)
        return fail(err, QUERN_IO, "%s: needs %" PRIu64 " bytes, the file system has %" PRIu64 " free",
                    f->path, bytes, room);
    return QUERN_OK;
}

/* ---- Writing ---- */

static enum quern_status write_through(struct atomic_file *f, const uint8_t *data, size_t bytes) {
    while (bytes > 0) {
        ssize_t n = write(f->fd, data, bytes < PIECE_BYTES ? bytes : PIECE_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(&f->failure, QUERN_IO, "%s: cannot write at byte %" PRIu64 ": %s", f->path,
                        f->position, strerror(n < 0 ? errno : ENOSPC));
        data += n;
        bytes -= (size_t)n;
        f->position += (uint64_t)n;
    }
    return QUERN_OK;
}

static enum quern_status flush_buffer(struct atomic_file *f) {
    size_t n = f->n_buffered;
    f->n_buffered = 0;
    return write_through(f, f->buffer, n);
}

enum quern_status atomic_write(struct atomic_file *f, const void *data, size_t bytes,
                               struct quern_error *err) {
    enum quern_status status = f->failure.status;
    if (status == QUERN_OK && bytes > sizeof f->buffer - f->n_buffered)
        status = flush_buffer(f);
    if (status == QUERN_OK && bytes >= sizeof f->buffer)
        status = write_through(f, data, bytes);
    else if (status == QUERN_OK && bytes > 0) {
        memcpy(f->buffer + f->n_buffered, data, bytes);
        f->n_buffered += bytes;
    }
    if (status && err)
        *err = f->failure;
    return status;
}

/* ---- Closing ---- */

/* Have the bytes of fd on the disk. File systems that cannot (EINVAL) are taken as they are. */
static int flush_to_disk(int fd) {
#ifdef F_FULLFSYNC /* macOS: fsync() stops at the drive's cache */
    if (fcntl(fd, F_FULLFSYNC) == 0)
        return 0;
#endif
    return fsync(fd) && errno != EINVAL ? -1 : 0;
}

/* The rename itself lives in the folder. */
static int flush_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    size_t bytes = slash ? (size_t)(slash - path) + 1 : 0;
    char *folder = malloc(bytes + 2);
    if (!folder)
        return -1;
    memcpy(folder, path, bytes);
    memcpy(folder + bytes, ".", 2); /* "." or "folder/." */
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd < 0)
        return -1;
    int result = flush_to_disk(fd);
    int reason = errno;
    close(fd);
    errno = reason;
    return result;
}

static enum quern_status close_part(struct atomic_file *f) {
    int result = flush_to_disk(f->fd);
    int reason = errno;
    if (close(f->fd) && result == 0) {
        result = -1;
        reason = errno;
    }
    f->fd = -1;
    if (result)
        return fail(&f->failure, QUERN_IO, "%s: cannot write to the disk: %s", f->path, strerror(reason));
    return QUERN_OK;
}

static enum quern_status rename_part(struct atomic_file *f) {
    if (rename(f->part_path, f->path))
        return fail(&f->failure, QUERN_IO, "%s: cannot rename %s: %s", f->path, f->part_path,
                    strerror(errno));
    free(f->part_path);
    f->part_path = NULL;
    if (flush_folder(f->path))
        return fail(&f->failure, QUERN_IO,
                    "%s: is complete, but its folder cannot be written to the disk: %s", f->path,
                    strerror(errno));
    return QUERN_OK;
}

enum quern_status atomic_commit(struct atomic_file *f, struct quern_error *err) {
    enum quern_status status = f->failure.status;
    if (status || (status = flush_buffer(f)) || (status = close_part(f)) || (status = rename_part(f)))
        if (err)
            *err = f->failure;
    atomic_abandon(f);
    return status;
}

void atomic_abandon(struct atomic_file *f) {
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    if (f->part_path)
        unlink(f->part_path);
    free(f->part_path);
    free(f->path);
    free(f);
}
