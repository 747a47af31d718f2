/* map.c - a whole file mapped read-only.
 * SPDX-License-Identifier: MIT
 * The mapping is private: nothing is written either way, but a stray write through a debugger or a later
 * mprotect() can then not reach the file. No madvise: opening reads a few header pages, which the default
 * read-ahead serves, and how weights are read later is known to the engine, not here. Another process that
 * shortens the file while it is mapped makes reads raise SIGBUS; that is handled above this folder. */
#include "formats/map.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_LISTED = 5, NAME_BYTES = 256 };

/* The alphabetically first .gguf files of a folder. */
struct listing {
    char names[MAX_LISTED][NAME_BYTES];
    size_t n;     /* listed */
    size_t total; /* found */
};

static bool ends_in_gguf(const char *name) {
    size_t n = strlen(name);
    return n > 5 && n < NAME_BYTES && strcmp(name + n - 5, ".gguf") == 0;
}

static void list_name(struct listing *list, const char *name) {
    list->total++;
    size_t i = list->n;
    while (i > 0 && strcmp(name, list->names[i - 1]) < 0)
        i--;
    if (i == MAX_LISTED)
        return;
    if (list->n < MAX_LISTED)
        list->n++;
    memmove(list->names[i + 1], list->names[i], (list->n - i - 1) * NAME_BYTES);
    memcpy(list->names[i], name, strlen(name) + 1);
}

static enum quern_status fail_directory(const char *path, struct quern_error *err) {
    struct listing list = { .n = 0 };
    DIR *dir = opendir(path);
    if (dir) {
        for (const struct dirent *entry; (entry = readdir(dir));)
            if (ends_in_gguf(entry->d_name))
                list_name(&list, entry->d_name);
        closedir(dir);
    }
    if (list.n == 0)
        return fail(err, QUERN_IO, "%s: is a directory without .gguf files, a file is needed", path);

    char text[MAX_LISTED * (NAME_BYTES + 2) + 32];
    size_t used = 0;
    for (size_t i = 0; i < list.n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? ", " : "", list.names[i]);
    if (list.total > list.n)
        snprintf(text + used, sizeof text - used, " and %zu more", list.total - list.n);
    return fail(err, QUERN_IO, "%s: is a directory, a file is needed; it holds %s", path, text);
}

static const char *kind_of_file(mode_t mode) {
    if (S_ISFIFO(mode))
        return "a pipe";
    if (S_ISCHR(mode) || S_ISBLK(mode))
        return "a device";
    return "a special file";
}

static enum quern_status map_open_file(const char *path, int fd, struct file_map *map,
                                       struct quern_error *err) {
    struct stat info;
    if (fstat(fd, &info))
        return fail(err, QUERN_IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return fail_directory(path, err);
    if (!S_ISREG(info.st_mode))
        return fail(err, QUERN_IO, "%s: is %s, a regular file is needed", path, kind_of_file(info.st_mode));
    if ((uintmax_t)info.st_size > SIZE_MAX)
        return fail(err, QUERN_IO, "%s: has %jd bytes, too many for this machine's addresses", path,
                    (intmax_t)info.st_size);
    if (info.st_size == 0)
        return QUERN_OK; /* mmap() refuses an empty range */

    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return fail(err, QUERN_IO, "%s: cannot map %jd bytes: %s", path, (intmax_t)info.st_size,
                    strerror(errno));
    map->data = data;
    map->bytes = (size_t)info.st_size;
    return QUERN_OK;
}

enum quern_status file_map(const char *path, struct file_map *map, struct quern_error *err) {
    *map = (struct file_map){ .data = NULL };
    /* O_NONBLOCK: opening a pipe without a writer would wait for one. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fail(err, QUERN_IO, "%s: %s", path, strerror(errno));
    enum quern_status status = map_open_file(path, fd, map, err);
    close(fd); /* the mapping stays */
    return status;
}

void file_unmap(struct file_map *map) {
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->bytes);
    *map = (struct file_map){ .data = NULL };
}
