/* failing_malloc.c - counts allocations and makes a chosen one fail.
 * SPDX-License-Identifier: MIT */
#include "tests/formats/failing_malloc.h"

#include <stdbool.h>

/* The linker gives every caller of malloc __wrap_malloc, and the C library's the name __real_malloc. */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *p, size_t bytes);
void __real_free(void *p);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);
void __wrap_free(void *p);

static struct {
    bool is_counting;
    size_t fail_at;
    struct malloc_count count;
} state; /* the wrapped functions have no argument that could carry it */

void failing_malloc_start(size_t fail_at) {
    state.count = (struct malloc_count){ .calls = 0 };
    state.fail_at = fail_at;
    state.is_counting = true;
}

struct malloc_count failing_malloc_stop(void) {
    state.is_counting = false;
    return state.count;
}

static bool may_allocate(size_t bytes) {
    if (!state.is_counting)
        return true;
    state.count.bytes += bytes;
    return ++state.count.calls != state.fail_at;
}

static void *allocated(void *p) {
    if (p && state.is_counting)
        state.count.live++;
    return p;
}

void *__wrap_malloc(size_t bytes) { return may_allocate(bytes) ? allocated(__real_malloc(bytes)) : NULL; }

void *__wrap_calloc(size_t n, size_t bytes) {
    return may_allocate(n * bytes) ? allocated(__real_calloc(n, bytes)) : NULL;
}

void *__wrap_realloc(void *p, size_t bytes) {
    if (!may_allocate(bytes))
        return NULL;
    void *q = __real_realloc(p, bytes);
    return p ? q : allocated(q); /* a moved block stays one block */
}

void __wrap_free(void *p) {
    if (p && state.is_counting)
        state.count.live--;
    __real_free(p);
}
