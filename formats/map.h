/* map.h - a whole file mapped read-only.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_FORMATS_MAP_H
#define QUERN_FORMATS_MAP_H

#include "formats/status.h"

struct file_map {
    const uint8_t *data; /* NULL for an empty file */
    size_t bytes;
};

/* Map the regular file at path. No page is read yet. Errors: QUERN_IO with the system's reason; a
 * directory is refused and its .gguf files are named. On success file_unmap() releases it. */
enum quern_status file_map(const char *path, struct file_map *map, struct quern_error *err);
void file_unmap(struct file_map *map); /* accepts a zeroed or already released map */

#endif
