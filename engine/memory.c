/* memory.c - large memory straight from the system, and pages of files.
 * SPDX-License-Identifier: MIT
 * Mapping a page of a file in the page cache costs about 0.04 us when many are mapped at once (35 ms a GB)
 * and nothing later. MADV_POPULATE_READ (Linux 5.14) does that without reading the bytes. */
#include "engine/memory.h"

#include <stdio.h>
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

size_t available_memory(void) {
    size_t kib = SIZE_MAX;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f) && sscanf(line, "MemAvailable: %zu kB", &kib) != 1)
        kib = SIZE_MAX;
    if (f)
        fclose(f);
    return kib > SIZE_MAX / 1024 ? SIZE_MAX : kib * 1024;
}

#if defined(MADV_POPULATE_READ)

enum { PIECE_BYTES = 16 << 20, SMALLEST_PAGE = 4096 };

/* Mapped if all of it is in the page cache, else read in the background. In whole pages. */
static void prefault_piece(void *piece, size_t bytes, size_t page) {
    unsigned char is_resident[PIECE_BYTES / SMALLEST_PAGE];
    size_t n = (bytes + page - 1) / page, i = 0;
    if (mincore(piece, bytes, is_resident))
        return;
    while (i < n && is_resident[i] & 1)
        i++;
    (void)madvise(piece, bytes, i == n ? MADV_POPULATE_READ : MADV_WILLNEED);
}

void prefault(const uint8_t *data, size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t at = (uintptr_t)data / page * page, end = (uintptr_t)data + bytes;
    for (; at < end; at += PIECE_BYTES)
        prefault_piece((void *)at, end - at < PIECE_BYTES ? end - at : PIECE_BYTES, page);
}

#else

void prefault(const uint8_t *data, size_t bytes) { (void)data, (void)bytes; }

#endif
