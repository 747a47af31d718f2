/* memory.c - large memory straight from the system, and pages of the weights.
 * SPDX-License-Identifier: MIT
 * Mapping a page of a file in the page cache costs about 0.04 us when many are mapped at once (35 ms a GB)
 * and nothing later. MADV_POPULATE_READ (Linux 5.14) does that without reading the bytes. */
#include "engine/memory.h"

#include "engine/model.h"
#include "kernels/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20 };

bool pages_map(size_t bytes, enum page_size size, struct pages *out) {
    *out = (struct pages){ 0 };
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        return false;
#if defined(MADV_HUGEPAGE)
    if (size == PAGES_HUGE && bytes >= HUGE_PAGE)
        (void)madvise(data, bytes, MADV_HUGEPAGE); /* a hint: systems without it have small pages */
#else
    (void)size;
#endif
    *out = (struct pages){ data, bytes };
    return true;
}

void pages_unmap(struct pages *pages) {
    if (pages->data)
        munmap(pages->data, pages->bytes);
    *pages = (struct pages){ 0 };
}

#if defined(MADV_POPULATE_READ)

/* ---- The weights ---- */

enum { PIECE_BYTES = 16 << 20, SMALLEST_PAGE = 4096 };

/* What the system can give without taking from others, in bytes; SIZE_MAX if it does not tell. */
static size_t available_bytes(void) {
    size_t kib = SIZE_MAX;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f) && sscanf(line, "MemAvailable: %zu kB", &kib) != 1)
        kib = SIZE_MAX;
    if (f)
        fclose(f);
    return kib > SIZE_MAX / 1024 ? SIZE_MAX : kib * 1024;
}

/* The weights of one part of the file, from its first to its last tensor, in whole pages. */
struct span {
    uintptr_t begin, end;
};

struct prefault {
    struct span *spans;
    size_t n_spans;
};

static bool find_spans(const struct quern_model *m, struct prefault *p) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    p->n_spans = gguf_n_parts(m->gguf);
    p->spans = calloc(p->n_spans, sizeof *p->spans);
    if (!p->spans)
        return false;
    for (size_t i = 0; i < gguf_n_tensors(m->gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor(m->gguf, i);
        struct span *span = &p->spans[t->part];
        uintptr_t begin = (uintptr_t)t->data / page * page, end = (uintptr_t)t->data + t->bytes;
        span->begin = !span->end || begin < span->begin ? begin : span->begin;
        span->end = end > span->end ? end : span->end;
    }
    return true;
}

/* Mapped if all of it is in the page cache, else read in the background. */
static void prefault_piece(void *piece, size_t bytes) {
    static const unsigned char resident = 1;
    unsigned char pages[PIECE_BYTES / SMALLEST_PAGE];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = (bytes + page - 1) / page, i = 0;
    if (mincore(piece, bytes, pages))
        return;
    while (i < n && pages[i] & resident)
        i++;
    (void)madvise(piece, bytes, i == n ? MADV_POPULATE_READ : MADV_WILLNEED);
}

static void prefault_spans(struct worker *w, void *arg) {
    const struct prefault *p = arg;
    for (size_t i = 0; i < p->n_spans; i++) {
        const struct span *span = &p->spans[i];
        size_t bytes = span->end - span->begin, at;
        unsigned deal = pool_deal(w);
        while ((at = pool_take(w, deal, PIECE_BYTES)) < bytes)
            prefault_piece((void *)(span->begin + at), bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES);
        pool_barrier(w);
    }
}

void prefault_weights(const struct quern_model *m, struct pool *pool, unsigned n_threads) {
    struct prefault p = { 0 };
    uint64_t bytes = gguf_file_bytes(m->gguf), useful = bytes / PIECE_BYTES + 1;
    if (bytes > available_bytes() || !find_spans(m, &p))
        return; /* without it everything works, the first token slower */
    pool_run(pool, useful < n_threads ? (unsigned)useful : n_threads, prefault_spans, &p);
    free(p.spans);
}

#else

void prefault_weights(const struct quern_model *m, struct pool *pool, unsigned n_threads) {
    (void)m, (void)pool, (void)n_threads;
}

#endif
