/* memory.h - large memory straight from the system, and pages of files.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_ENGINE_MEMORY_H
#define QUERN_ENGINE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory, aligned to a page. A page becomes resident when it is first written, on the node of the
 * thread that does. */
struct pages {
    uint8_t *data;
    size_t bytes;
};

enum page_size {
    PAGES_SMALL, /* where only the beginnings of many areas may ever be used */
    PAGES_HUGE,  /* 2 MB where the system has them: fewer misses of the TLB, fewer faults */
};

/* bytes >= 1. False if memory is short. */
bool pages_map(size_t bytes, enum page_size size, struct pages *out);
void pages_unmap(struct pages *pages); /* accepts zeroed ones */

/* Have those of the pages mapped that are in the system's cache, and start reading the others, which places
 * them on the node of the calling thread. */
void prefault(const uint8_t *data, size_t bytes);

/* What the system can give without taking from others, in bytes; SIZE_MAX if it does not tell. */
size_t available_memory(void);

#endif
