/* files.c - paths that name the same file.
 * SPDX-License-Identifier: MIT */
#include "apps/files.h"

#include <sys/stat.h>

bool is_same_file(const char *a, const char *b) {
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}
