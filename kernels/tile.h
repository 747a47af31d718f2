/* tile.h - which rows a GEMV multiplies together, for all levels.
 * SPDX-License-Identifier: MIT
 * Memory is read fastest as a few long streams, which the hardware follows by itself: so row i of every full
 * tile comes from the i-th eighth of the rows, each tile one row further. The rows that are left over make a
 * last tile, which repeats its last row. Measurements: kernels/README.md, Streams. */
#ifndef QUERN_KERNELS_TILE_H
#define QUERN_KERNELS_TILE_H

#include <stddef.h>
#include <stdint.h>

struct tile {
    const uint8_t *row[8];
    size_t first, step, n_rows; /* row i is row first + i * step of the matrix, i < n_rows <= 8 */
};

static inline size_t tile_count(size_t n_rows) { return (n_rows + 7) / 8; }

static inline struct tile tile_at(const uint8_t *w, size_t row_bytes, size_t n_rows, size_t j) {
    const size_t n_full = n_rows / 8;
    struct tile tile = { .first = j, .step = n_full, .n_rows = 8 };
    if (j == n_full)
        tile = (struct tile){ .first = 8 * n_full, .step = 1, .n_rows = n_rows - 8 * n_full };
    for (size_t i = 0; i < 8; i++) {
        const size_t within = i < tile.n_rows ? i : tile.n_rows - 1;
        tile.row[i] = w + (tile.first + within * tile.step) * row_bytes;
    }
    return tile;
}

/* outputs[i] is that of row i. */
static inline void tile_store(const struct tile *tile, float *y, const float outputs[8]) {
    for (size_t i = 0; i < tile->n_rows; i++)
        y[tile->first + i * tile->step] = outputs[i];
}

/* Bring what a stream will read soon closer, while it is at p and takes `bytes` a step: the hardware stops at
 * each page. Assembly, because GCC 12 drops calls of a function that only prefetches; what lies behind the
 * matrix does no harm. To be inlined with a constant, or the loop costs more than it gains. */
static inline __attribute__((always_inline)) void stream_prefetch(const uint8_t *p, size_t bytes) {
    enum { AHEAD = 2048 }; /* 1024 to 3072 measured alike, 256 less */
#pragma GCC unroll 8
    for (size_t b = 0; b < bytes; b += 64) {
#if defined(__x86_64__)
        __asm__ volatile("prefetcht0 %c1(%0)" : : "r"(p), "i"(AHEAD + b));
#else
        __asm__ volatile("prfm pldl1keep, [%0, %1]" : : "r"(p), "i"(AHEAD + b));
#endif
    }
}

/* The same for all streams of a tile at offset `at`. */
static inline __attribute__((always_inline)) void tile_prefetch(const struct tile *tile, size_t at,
                                                                size_t bytes) {
    for (size_t i = 0; i < 8; i++)
        stream_prefetch(tile->row[i] + at, bytes);
}

#endif
