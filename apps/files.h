/* files.h - paths that name the same file.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_FILES_H
#define QUERN_APPS_FILES_H

#include <stdbool.h>

/* Whether both exist and are one file, also by way of symbolic or hard links. */
bool is_same_file(const char *a, const char *b);

#endif
