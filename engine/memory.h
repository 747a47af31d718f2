/* memory.h - large memory straight from the system, and pages of the weights.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_ENGINE_MEMORY_H
#define QUERN_ENGINE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quern_model;
struct pool;

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

/* Have those pages of the weights that are in the system's cache mapped, by n_threads threads, and start
 * reading the others, so that the first token pays for neither. Nothing is done where memory has no room for
 * the file. */
void prefault_weights(const struct quern_model *m, struct pool *pool, unsigned n_threads);

#endif
