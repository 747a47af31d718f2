/* bf16.c - y = W x with weights and activations rounded to bf16, and sums of float.
 * SPDX-License-Identifier: MIT
 * A panel of 32 rows and 512 values becomes bf16 while the tile unit multiplies the one before: a tile of it
 * for each few products. Sums wait in memory between the panels of a row; the order of a sum is that of k,
 * whatever the rows and tokens at hand. */
#include "kernels/amx/bf16.h"
#include "kernels/amx/lanes.h"
#include "kernels/amx/level.h"
#include "kernels/amx/sums.h"
#include "kernels/amx/tiles.h"

#ifdef BF16_VECTORS /* of AVX-512 instead of tiles: bf16_vectors.c */
#    define MODE(name) name##_avx512
#else
#    define MODE(name) AMX(name)
#endif

/* 32 rows of at most BF16_VALUES values. */
struct bf16_panel {
    struct tile w[2][BF16_TILES];
};

struct work {
    struct bf16_rows rows[2];          /* halves of the next panel */
    struct bf16_panel panel[2];        /* this one and the next */
    alignas(64) float sums[MOST_SUMS]; /* sums.h */
};

/* ---- Tokens ---- */

static void clear_row(size_t row, struct tile tiles[BF16_TILES]) {
    for (size_t k = 0; k < BF16_TILES; k++)
        store64(tiles[k].row[row], set_bytes(0));
}

/* Values [i, i + 32) of a row of n, zero behind its end. */
static vector round_32(const float *x, size_t i, size_t n) {
    float padded[32] = { 0 };
    if (i + 32 <= n)
        return round_bf16(load_floats(x + i), load_floats(x + i + 16));
    if (i < n)
        memcpy(padded, x + i, (n - i) * sizeof *x);
    return round_bf16(load_floats(padded), load_floats(padded + 16));
}

void MODE(round_row)(const float *x, const struct acts_bf16 *acts, size_t t) {
    struct tile(*tiles)[BF16_TILES] = (void *)acts->x;
    const size_t groups = n_groups(acts->n_tokens), end = t + 1 == acts->n_tokens ? groups * 16 : 0;
    for (size_t i = 0; i < acts->n; i += BF16_VALUES, tiles += groups) {
        for (size_t k = 0; k < BF16_TILES; k++)
            store64(tiles[t / 16][k].row[t % 16], round_32(x, i + k * BF16_TILE_VALUES, acts->n));
        for (size_t r = t + 1; r < end; r++)
            clear_row(r % 16, tiles[r / 16]);
    }
}

/* ---- Weights ---- */

/* A panel on its way. */
struct filling {
    const struct bf16_rows *rows; /* two halves */
    struct bf16_panel *out;
    size_t n_tiles; /* of a half */
    size_t step;    /* tiles that are done, of both */
};

static void fill_step(struct filling *f) {
    const struct bf16_rows *rows = &f->rows[f->step / f->n_tiles];
    const size_t j = f->step % f->n_tiles;
    rows->type->tile(rows, j, &f->out->w[f->step / f->n_tiles][j]);
    f->step++;
}

/* ---- Multiply ---- */

/* Rows and n_tokens tokens, a multiple of 32, that are multiplied together. */
struct block {
    const struct bf16_type *type;
    const uint8_t *w;
    size_t row_bytes, n_rows, n;        /* n values */
    const struct tile (*x)[BF16_TILES]; /* of the first token */
    size_t x_stride;                    /* to its next values */
    size_t n_tokens;
};

static size_t panels_of(const struct block *b) { return (b->n_rows + 31) / 32; }

/* Begin with panel i of a block, all rows of some values before the next values. */
static struct filling begin_panel(const struct block *b, size_t i, struct work *work) {
    const struct type_info *info = type_info(b->type->type);
    const size_t first = i % panels_of(b) * 32, at = i / panels_of(b) * BF16_VALUES;
    if (at >= b->n)
        return (struct filling){ .n_tiles = 0 };
    const size_t n = b->n - at < BF16_VALUES ? b->n - at : BF16_VALUES;
    for (size_t h = 0; h < 2; h++) {
        struct bf16_rows *rows = &work->rows[h];
        rows->type = b->type;
        rows->n = n;
        for (size_t r = 0; r < 16; r++) { /* a last panel has its last row several times */
            const size_t row = first + 16 * h + r;
            rows->row[r] = b->w + (row < b->n_rows ? row : b->n_rows - 1) * b->row_bytes +
                           at / info->block_values * info->block_bytes;
        }
        if (b->type->unpack)
            b->type->unpack(rows);
    }
    return (struct filling){ work->rows, &work->panel[i % 2], (n + BF16_TILE_VALUES - 1) / BF16_TILE_VALUES,
                             0 };
}

/* A panel times 32 tokens: added to four tiles of sums, [rows][tokens], or starting them. */
#ifdef BF16_VECTORS
enum { VECTOR_TOKENS = 8 }; /* at once: 16 sums */

static void multiply_tokens(const struct bf16_panel *panel, size_t n_tiles, const struct tile x[BF16_TILES],
                            size_t t, bool is_first, struct tile *sums[2]) {
    floats sum[VECTOR_TOKENS][2];
    UNROLL
    for (size_t i = 0; i < VECTOR_TOKENS; i++)
        for (size_t h = 0; h < 2; h++)
            sum[i][h] =
                is_first ? set_floats(0) : load_floats((const float *)(const void *)sums[h]->row[t + i]);
    for (size_t k = 0; k < n_tiles; k++)
        for (size_t pair = 0; pair < TILE_ROWS; pair++) {
            const vector w0 = load64(panel->w[0][k].row[pair]), w1 = load64(panel->w[1][k].row[pair]);
            UNROLL
            for (size_t i = 0; i < VECTOR_TOKENS; i++) {
                int32_t two;
                memcpy(&two, x[k].row[t + i] + 4 * pair, sizeof two);
                sum[i][0] = dot_bf16(sum[i][0], w0, set_dwords(two));
                sum[i][1] = dot_bf16(sum[i][1], w1, set_dwords(two));
            }
        }
    UNROLL
    for (size_t i = 0; i < VECTOR_TOKENS; i++)
        for (size_t h = 0; h < 2; h++)
            store_floats((float *)(void *)sums[h]->row[t + i], sum[i][h]);
}

static void multiply_pair(struct tiles *tiles, const struct bf16_panel *panel, size_t n_tiles,
                          const struct tile x[2][BF16_TILES], bool is_first, struct tile *sums[2],
                          struct filling *filling, size_t fill_steps) {
    (void)tiles;
    for (size_t group = 0; group < 2; group++) {
        struct tile *tile[2] = { &sums[0][group], &sums[1][group] };
        for (size_t t = 0; t < 16; t += VECTOR_TOKENS)
            multiply_tokens(panel, n_tiles, x[group], t, is_first, tile);
    }
    for (size_t i = 0; i < fill_steps * n_tiles && filling->step < 2 * filling->n_tiles; i++)
        fill_step(filling);
}

static void begin(struct tiles *tiles) { (void)tiles; }
static void end(const struct tiles *tiles) { (void)tiles; }
#else
static void multiply_pair(struct tiles *tiles, const struct bf16_panel *panel, size_t n_tiles,
                          const struct tile x[2][BF16_TILES], bool is_first, struct tile *sums[2],
                          struct filling *filling, size_t fill_steps) {
    if (is_first) {
        TILE_ZERO(tiles, 0);
        TILE_ZERO(tiles, 1);
        TILE_ZERO(tiles, 2);
        TILE_ZERO(tiles, 3);
    } else {
        TILE_LOAD(tiles, 0, &sums[0][0]);
        TILE_LOAD(tiles, 1, &sums[1][0]);
        TILE_LOAD(tiles, 2, &sums[0][1]);
        TILE_LOAD(tiles, 3, &sums[1][1]);
    }
    for (size_t k = 0; k < n_tiles; k++) {
        TILE_STREAM(tiles, 4, &x[0][k]);
        TILE_LOAD(tiles, 6, &panel->w[0][k]);
        TILE_DOT_BF16(tiles, 0, 4, 6);
        TILE_LOAD(tiles, 7, &panel->w[1][k]);
        TILE_DOT_BF16(tiles, 1, 4, 7);
        TILE_STREAM(tiles, 5, &x[1][k]);
        TILE_DOT_BF16(tiles, 2, 5, 6);
        TILE_DOT_BF16(tiles, 3, 5, 7);
        for (size_t i = 0; i < fill_steps && filling->step < 2 * filling->n_tiles; i++)
            fill_step(filling);
    }
    TILE_STORE(tiles, 0, &sums[0][0]);
    TILE_STORE(tiles, 1, &sums[1][0]);
    TILE_STORE(tiles, 2, &sums[0][1]);
    TILE_STORE(tiles, 3, &sums[1][1]);
}

static void begin(struct tiles *tiles) {
    static const struct tile_config config = { .palette = 1,
                                               .bytes = { 64, 64, 64, 64, 64, 64, 64, 64 },
                                               .rows = { 16, 16, 16, 16, 16, 16, 16, 16 } };
    tiles_begin(tiles, &config);
}

static void end(const struct tiles *tiles) { tiles_end(tiles); }
#endif

static void multiply_block(const struct block *b, struct tiles *tiles, struct work *work) {
    const size_t n_panels = panels_of(b), n_pairs = b->n_tokens / 32;
    struct filling filling = begin_panel(b, 0, work);
    while (filling.step < 2 * filling.n_tiles)
        fill_step(&filling);
    for (size_t i = 0; filling.n_tiles; i++) {
        const size_t n_tiles = filling.n_tiles, n_steps = n_pairs * n_tiles;
        filling = begin_panel(b, i + 1, work);
        const size_t fill_steps = (2 * filling.n_tiles + n_steps - 1) / n_steps;
        const struct tile(*x)[BF16_TILES] = b->x + i / n_panels * b->x_stride;
        float *sums = work->sums + i % n_panels * 32 * b->n_tokens;
        for (size_t p = 0; p < n_pairs; p++) {
            struct tile *tile[2] = { (void *)(sums + 32 * 16 * p),
                                     (void *)(sums + 16 * (b->n_tokens + 32 * p)) };
            multiply_pair(tiles, &work->panel[i % 2], n_tiles, x + 2 * p, i < n_panels, tile, &filling,
                          fill_steps);
        }
    }
}

void MODE(matmul_bf16_mode)(uint32_t type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                            const struct acts_bf16 *x, float *y, size_t y_stride) {
    const struct bf16_type how = AMX(bf16_type)(type);
    const struct tile(*tokens)[BF16_TILES] = (const void *)x->x;
    struct work work;
    struct tiles tiles;
    begin(&tiles);
    for (size_t t = 0; t < x->n_tokens; t += MOST_TOKENS) {
        const size_t n = x->n_tokens - t < MOST_TOKENS ? x->n_tokens - t : MOST_TOKENS;
        const size_t padded = (n + 31) / 32 * 32, most_rows = MOST_SUMS / padded / 32 * 32;
        for (size_t r = 0; r < n_rows; r += most_rows) {
            const size_t rows = n_rows - r < most_rows ? n_rows - r : most_rows;
            const struct block block = { .type = &how,
                                         .w = w + r * row_bytes,
                                         .row_bytes = row_bytes,
                                         .n_rows = rows,
                                         .n = x->n,
                                         .x = tokens + t / 16,
                                         .x_stride = n_groups(x->n_tokens),
                                         .n_tokens = padded };
            multiply_block(&block, &tiles, &work);
            store_sums(work.sums, rows, n, padded, y + t * y_stride + r, y_stride);
        }
    }
    end(&tiles);
}
