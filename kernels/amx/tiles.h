/* tiles.h - the tile registers of AMX: eight of 16 rows of 64 bytes, or the same in plain C.
 * SPDX-License-Identifier: MIT
 * Private to kernels/amx. Kernels are written against these operations and compiled twice: for the processor,
 * and with AMX_EMULATED for tests on any machine, where the registers are a struct on the stack. A register
 * is named by a number, the same in both.
 *
 * Macros, because the number is part of the instruction; assembly, not intrinsics, because those of GCC 12 do
 * not say that a tile load reads memory, nor that the configuration is longer than 8 bytes, so that stores
 * before them are moved behind or dropped. */
#ifndef QUERN_KERNELS_AMX_TILES_H
#define QUERN_KERNELS_AMX_TILES_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { TILE_ROWS = 16, TILE_BYTES = 64, N_TILES = 8 };

/* A tile in memory. On cache lines: loading rows that cross lines takes 49 cycles instead of 9. */
struct tile {
    alignas(64) uint8_t row[TILE_ROWS][TILE_BYTES];
};

/* The shape of each register, as ldtilecfg reads it. */
struct tile_config {
    alignas(64) uint8_t palette; /* 1: eight tiles of at most 16 x 64 */
    uint8_t start_row, reserved[14];
    uint16_t bytes[16]; /* of a row */
    uint8_t rows[16];
};

/* Operations, for a struct tiles that begin and end with tiles_begin() and tiles_end():
 *   TILE_ZERO(tiles, t)
 *   TILE_LOAD(tiles, t, tile)       its configured rows and bytes of each, from a struct tile
 *   TILE_LOAD_AT(tiles, t, tile, i) likewise, from byte i of it on
 *   TILE_STREAM(tiles, t, tile)     TILE_LOAD of what is soon displaced from L1 by more of its kind: not to
 *                                   displace what stays
 *   TILE_STORE(tiles, t, tile)
 *   TILE_DOT(tiles, c, a, b)        c[m][n] += sum over k of a[m][k] * b[k / 4][4 n + k % 4], signed bytes in
 *                                   int32: a is 16 rows of values, b holds 16 columns, four consecutive
 *                                   values of a column side by side (tdpbssd)
 *   TILE_DOT_BF16(tiles, c, a, b)   likewise bf16 in float, two values side by side (tdpbf16ps: subnormals
 * are zero) */
#ifndef AMX_EMULATED

struct tiles {
    char unused;
};

static inline void tiles_begin(struct tiles *tiles, const struct tile_config *config) {
    tiles->unused = 0;
    __asm__ volatile("ldtilecfg %0" : : "m"(*config));
}

static inline void tiles_end(const struct tiles *tiles) {
    (void)tiles;
    __asm__ volatile("tilerelease");
}

#    define TILE_ZERO(tiles, t)                                                                              \
        do {                                                                                                 \
            (void)(tiles);                                                                                   \
            __asm__ volatile("tilezero %%tmm" #t : :);                                                       \
        } while (0)
#    define TILE_LOAD(tiles, t, tile) TILE_LOAD_AT(tiles, t, tile, 0)
#    define TILE_LOAD_AT(tiles, t, tile, i)                                                                  \
        do {                                                                                                 \
            (void)(tiles);                                                                                   \
            __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t                                                 \
                             :                                                                               \
                             : "r"((tile)->row[0] + (i)), "r"((size_t)TILE_BYTES), "m"(*(tile)));            \
        } while (0)
#    define TILE_STREAM(tiles, t, tile)                                                                      \
        do {                                                                                                 \
            (void)(tiles);                                                                                   \
            __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm" #t                                               \
                             :                                                                               \
                             : "r"((tile)->row[0]), "r"((size_t)TILE_BYTES), "m"(*(tile)));                  \
        } while (0)
#    define TILE_STORE(tiles, t, tile)                                                                       \
        do {                                                                                                 \
            (void)(tiles);                                                                                   \
            __asm__ volatile("tilestored %%tmm" #t ", (%1,%2,1)"                                             \
                             : "=m"(*(tile))                                                                 \
                             : "r"((tile)->row), "r"((size_t)TILE_BYTES));                                   \
        } while (0)
#    define TILE_DOT(tiles, c, a, b)                                                                         \
        do {                                                                                                 \
            (void)(tiles);                                                                                   \
            __asm__ volatile("tdpbssd %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :);                              \
        } while (0)

#    define TILE_DOT_BF16(tiles, c, a, b)                                                                    \
        do {                                                                                                 \
            (void)(tiles);                                                                                   \
            __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :);                            \
        } while (0)

#else

struct tiles {
    struct tile_config config;
    struct tile t[N_TILES];
};

static inline void tiles_begin(struct tiles *tiles, const struct tile_config *config) {
    memset(tiles, 0, sizeof *tiles);
    tiles->config = *config;
}

static inline void tiles_end(const struct tiles *tiles) { (void)tiles; }

/* Rows and bytes past the configured ones become zero. */
static inline void tile_load(struct tiles *tiles, size_t t, const uint8_t *rows) {
    memset(&tiles->t[t], 0, sizeof tiles->t[t]);
    for (size_t r = 0; r < tiles->config.rows[t]; r++)
        memcpy(tiles->t[t].row[r], rows + r * TILE_BYTES, tiles->config.bytes[t]);
}

static inline void tile_store(const struct tiles *tiles, size_t t, struct tile *out) {
    for (size_t r = 0; r < tiles->config.rows[t]; r++)
        memcpy(out->row[r], tiles->t[t].row[r], tiles->config.bytes[t]);
}

static inline void tile_dot(struct tiles *tiles, size_t c, size_t a, size_t b) {
    for (size_t m = 0; m < tiles->config.rows[c]; m++) {
        int32_t sum[TILE_BYTES / 4];
        memcpy(sum, tiles->t[c].row[m], sizeof sum);
        for (size_t k = 0; k < tiles->config.bytes[a]; k++) {
            const int32_t x = (int8_t)tiles->t[a].row[m][k];
            const uint8_t *column = tiles->t[b].row[k / 4] + k % 4;
            for (size_t n = 0; n < TILE_BYTES / 4; n++)
                sum[n] += x * (int8_t)column[4 * n];
        }
        memcpy(tiles->t[c].row[m], sum, sizeof sum);
    }
}

/* The float that is the bf16 at p. */
static inline float tile_bf16(const uint8_t *p) {
    const uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void tile_dot_bf16(struct tiles *tiles, size_t c, size_t a, size_t b) {
    for (size_t m = 0; m < tiles->config.rows[c]; m++) {
        float sum[TILE_BYTES / 4];
        memcpy(sum, tiles->t[c].row[m], sizeof sum);
        for (size_t k = 0; k < tiles->config.bytes[a] / 2; k++) {
            const float x = tile_bf16(tiles->t[a].row[m] + 2 * k);
            const uint8_t *column = tiles->t[b].row[k / 2] + k % 2 * 2;
            for (size_t n = 0; n < TILE_BYTES / 4; n++)
                sum[n] += x * tile_bf16(column + 4 * n);
        }
        memcpy(tiles->t[c].row[m], sum, sizeof sum);
    }
}

#    define TILE_ZERO(tiles, i)              memset(&(tiles)->t[i], 0, sizeof(tiles)->t[i])
#    define TILE_LOAD(tiles, i, tile)        tile_load(tiles, i, (tile)->row[0])
#    define TILE_LOAD_AT(tiles, i, tile, at) tile_load(tiles, i, (tile)->row[0] + (at))
#    define TILE_STREAM(tiles, i, tile)      TILE_LOAD(tiles, i, tile)
#    define TILE_STORE(tiles, i, tile)       tile_store(tiles, i, tile)
#    define TILE_DOT(tiles, c, a, b)         tile_dot(tiles, c, a, b)
#    define TILE_DOT_BF16(tiles, c, a, b)    tile_dot_bf16(tiles, c, a, b)

#endif

#endif
