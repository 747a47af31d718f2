/* failing_malloc.h - counts allocations and makes a chosen one fail.
 * SPDX-License-Identifier: MIT
 * For programs linked with --wrap of malloc, calloc, realloc and free (quern_wrap_malloc() in this folder's
 * CMakeLists.txt), which sees what quern allocates and not what the C library does inside. Not for several
 * threads. */
#ifndef QUERN_TESTS_FAILING_MALLOC_H
#define QUERN_TESTS_FAILING_MALLOC_H

#include <stddef.h>

struct malloc_count {
    size_t calls;
    size_t bytes; /* asked for, all calls together */
    long live;    /* allocated and not freed since the start */
};

/* Count from here; the fail_at-th allocation (from 1) returns NULL, with 0 none does. */
void failing_malloc_start(size_t fail_at);
struct malloc_count failing_malloc_stop(void);

#endif
