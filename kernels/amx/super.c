/* super.c - y = W x for super-blocks of 256 and A256 activations: panels, products, sums.
 * SPDX-License-Identifier: MIT */
#include "kernels/amx/level.h"
#include "kernels/amx/sums.h"
#include "kernels/amx/super.h"

#include <assert.h>

/* 32 tokens times 32 rows: [16 rows][digit][16 tokens]. */
struct products {
    struct tile tile[2][PLANES][2];
};

struct work {
    struct columns columns[2];         /* of the next panel */
    struct panel_half panel[2][2];     /* this one and the next: two halves each */
    struct products products[2];       /* of this pair of groups and of the one before */
    alignas(64) float sums[MOST_SUMS]; /* sums.h */
};

/* ---- Weights ---- */

/* A panel on its way: unpacked, but not yet the operand of tiles. */
struct filling {
    const struct columns *columns; /* two halves */
    struct panel_half *out;
    size_t step; /* sub-blocks that are done */
};

enum { FILL_STEPS = 32 };

/* Scale the next sub-block of 16 rows, split it into digits, store it. */
TEMPLATE void fill_step(bool is_signed, bool is_byte, struct filling *f) {
    const size_t j = f->step % 16;
    const struct columns *c = &f->columns[f->step / 16];
    struct operand *out = &f->out[f->step / 16].w;
    const vector scale = c->scale[j];
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        const size_t k = 4 * j + i;
        const vector q = c->q[k];
        vector even = is_signed ? sra_words(sll_words(q, 8), 8) : and64(q, set_words(0xff));
        vector odd = is_signed ? sra_words(q, 8) : srl_words(q, 8);
        even = mul_words(even, scale);
        odd = mul_words(odd, scale);
        if (is_byte)
            store64(out->plane[0][k / 16].row[k % 16], mix_bytes(sll_words(odd, 8), even));
        else
            store_digits(is_signed, even, odd, out, k / 16, k % 16);
    }
    f->step++;
}

/* Begin with a super-block of 32 rows, the last row several times if there are fewer. */
static struct filling begin_panel(const struct super_type *type, const uint8_t *w, size_t row_bytes,
                                  size_t n_out, struct columns columns[2], struct panel_half out[2]) {
    for (size_t h = 0; h < 2; h++) {
        const uint8_t *row[16];
        for (size_t r = 0; r < 16; r++)
            row[r] = w + (16 * h + r < n_out ? 16 * h + r : n_out - 1) * row_bytes;
        type->unpack(row, &columns[h], &out[h]);
        for (size_t r = 0; r < 16; r++)
            prefetch(row[r] + type->block_bytes, type->block_bytes);
    }
    return (struct filling){ columns, out, 0 };
}

/* ---- Multiply ---- */

/* The 32 tokens whose products are complete. */
struct pair {
    const struct panel_half *panel;
    const struct super_blocks *x; /* two groups */
    const struct products *products;
    float *sums[2]; /* of 16 rows: [token][16] */
};

/* Add a super-block to the sums of 16 rows and tokens [begin, end) of a pair. */
TEMPLATE void finish(size_t planes, size_t n_pairs, const struct pair *pair, size_t half, size_t begin,
                     size_t end) {
    const struct panel_half *w = &pair->panel[half];
    const struct tile(*products)[2] = pair->products->tile[half];
    const floats d = load_floats(w->d), dmin = load_floats(w->dmin);
    for (size_t t = begin; t < end; t++) {
        const struct super_blocks *x = &pair->x[t / 16];
        const uint8_t *p = (const uint8_t *)products + t * TILE_BYTES; /* across both tiles */
        const vector p0 = load64(p), p1 = load64(p + sizeof products[0]);
        vector dot;
        if (planes == 1) {
            dot = add_dwords(sll_dwords(p0, 6), p1);
        } else {
            const vector cross = sub_dwords(sub_dwords(load64(p + 2 * sizeof products[0]), p0), p1);
            dot = add_dwords(sll_dwords(add_dwords(sll_dwords(p0, 6), cross), 6), p1);
        }
        floats r = mul_floats(d, floats_of_dwords(dot));
        if (n_pairs) {
            const int32_t *g = n_pairs == 8 ? x->g16[t % 16] : x->g32[t % 16];
            vector min = set_dwords(0);
            UNROLL
            for (size_t i = 0; i < n_pairs; i++)
                min = dot_words(min, load64(w->min[i]), set_dwords(g[i]));
            r = fnma_floats(dmin, floats_of_dwords(min), r);
        }
        float *sum = pair->sums[half] + 16 * t;
        store_floats(sum, fma_floats(set_floats(x->d[t % 16]), r, load_floats(sum)));
    }
}

/* 32 tokens times 32 rows, digit by digit. Meanwhile the pair before is finished bit by bit, and fill_steps
 * steps are taken with the next panel for each 32 x 32 x 64 products: the tile unit works on its own and
 * leaves the vector units to that. */
TEMPLATE void multiply_pair(size_t planes, size_t n_pairs, struct tiles *tiles,
                            const struct super_blocks x[2], const struct panel_half panel[2],
                            struct products *out, const struct pair *last, struct filling *filling,
                            size_t fill_steps) {
    const size_t n_products = planes == 1 ? 2 : 3, n_steps = 2 * n_products,
                 each = (32 + n_steps - 1) / n_steps;
    for (size_t p = 0, step = 0; p < n_products; p++) {
        const struct tile *w0 = panel[0].w.plane[planes == 1 ? 0 : p];
        const struct tile *w1 = panel[1].w.plane[planes == 1 ? 0 : p];
        TILE_ZERO(tiles, 0);
        TILE_ZERO(tiles, 1);
        TILE_ZERO(tiles, 2);
        TILE_ZERO(tiles, 3);
        for (size_t k = 0; k < 4; k++, step++) {
            TILE_STREAM(tiles, 4, &x[0].x.plane[p][k]);
            TILE_LOAD(tiles, 6, &w0[k]);
            TILE_DOT(tiles, 0, 4, 6);
            TILE_LOAD(tiles, 7, &w1[k]);
            TILE_DOT(tiles, 1, 4, 7);
            TILE_STREAM(tiles, 5, &x[1].x.plane[p][k]);
            TILE_DOT(tiles, 2, 5, 6);
            TILE_DOT(tiles, 3, 5, 7);
            if (last->panel) {
                const size_t begin = step % n_steps * each, end = begin + each < 32 ? begin + each : 32;
                finish(planes, n_pairs, last, step / n_steps, begin, end);
            }
            for (size_t i = 0; i < fill_steps && filling->step < FILL_STEPS; i++)
                fill_step(!n_pairs, planes == 1, filling);
        }
        TILE_STORE(tiles, 0, &out->tile[0][p][0]);
        TILE_STORE(tiles, 1, &out->tile[1][p][0]);
        TILE_STORE(tiles, 2, &out->tile[0][p][1]);
        TILE_STORE(tiles, 3, &out->tile[1][p][1]);
    }
}

/* The panel times n_tokens tokens, a multiple of 32; filling is complete afterwards. */
TEMPLATE void multiply(size_t planes, size_t n_pairs, struct tiles *tiles, struct products products[2],
                       const struct panel_half panel[2], const struct super_blocks *x, size_t n_tokens,
                       float *sums, struct filling *filling) {
    const size_t n_steps = n_tokens / 32 * (planes == 1 ? 8 : 12);
    const size_t fill_steps = (FILL_STEPS + n_steps - 1) / n_steps;
    struct pair last = { .panel = NULL };
    for (size_t t = 0; t < n_tokens; t += 32) {
        struct products *out = &products[t / 32 % 2];
        multiply_pair(planes, n_pairs, tiles, x + t / 16, panel, out, &last, filling, fill_steps);
        last = (struct pair){ panel, x + t / 16, out, { sums + 16 * t, sums + 16 * (n_tokens + t) } };
    }
    finish(planes, n_pairs, &last, 0, 0, 32);
    finish(planes, n_pairs, &last, 1, 0, 32);
}

typedef void multiply_function(struct tiles *tiles, struct products products[2],
                               const struct panel_half panel[2], const struct super_blocks *x,
                               size_t n_tokens, float *sums, struct filling *filling);

static void multiply_byte(struct tiles *tiles, struct products products[2], const struct panel_half panel[2],
                          const struct super_blocks *x, size_t n_tokens, float *sums,
                          struct filling *filling) {
    multiply(1, 0, tiles, products, panel, x, n_tokens, sums, filling);
}

static void multiply_byte_min(struct tiles *tiles, struct products products[2],
                              const struct panel_half panel[2], const struct super_blocks *x, size_t n_tokens,
                              float *sums, struct filling *filling) {
    multiply(1, 8, tiles, products, panel, x, n_tokens, sums, filling);
}

static void multiply_digits(struct tiles *tiles, struct products products[2],
                            const struct panel_half panel[2], const struct super_blocks *x, size_t n_tokens,
                            float *sums, struct filling *filling) {
    multiply(3, 0, tiles, products, panel, x, n_tokens, sums, filling);
}

static void multiply_digits_min(struct tiles *tiles, struct products products[2],
                                const struct panel_half panel[2], const struct super_blocks *x,
                                size_t n_tokens, float *sums, struct filling *filling) {
    multiply(3, 4, tiles, products, panel, x, n_tokens, sums, filling);
}

/* ---- All ---- */

/* What is multiplied: rows [.., n_rows) of w and n_tokens tokens, a multiple of 32, with sums [panel][..]. */
struct block {
    const struct super_type *type;
    const uint8_t *w;
    size_t row_bytes, n_rows, n_blocks; /* of super-blocks in a row */
    const struct super_blocks *x;       /* of the first token */
    size_t x_stride;                    /* to the next super-block of a token */
    size_t n_tokens;
};

/* Begin to fill panel i of a block, super-block after super-block; nothing is left to do if there is none. */
static struct filling begin_next(const struct block *b, size_t i, struct work *work) {
    const size_t n_panels = (b->n_rows + 31) / 32, row = i % n_panels * 32, super = i / n_panels;
    if (super == b->n_blocks)
        return (struct filling){ .step = FILL_STEPS };
    return begin_panel(b->type, b->w + row * b->row_bytes + super * b->type->block_bytes, b->row_bytes,
                       b->n_rows - row, work->columns, work->panel[i % 2]);
}

static void multiply_block(const struct block *b, struct tiles *tiles, struct work *work) {
    static const struct {
        multiply_function *multiply;
        bool is_signed, is_byte;
    } kinds[SUPER_KINDS] = {
        [SUPER_BYTE] = { multiply_byte, true, true },
        [SUPER_BYTE_MIN] = { multiply_byte_min, false, true },
        [SUPER_DIGITS] = { multiply_digits, true, false },
        [SUPER_DIGITS_MIN] = { multiply_digits_min, false, false },
    };
    const size_t n_panels = (b->n_rows + 31) / 32;
    struct filling filling = begin_next(b, 0, work);
    memset(work->sums, 0, n_panels * 32 * b->n_tokens * sizeof work->sums[0]);
    while (filling.step < FILL_STEPS)
        fill_step(kinds[b->type->kind].is_signed, kinds[b->type->kind].is_byte, &filling);
    for (size_t i = 0; i < n_panels * b->n_blocks; i++) {
        filling = begin_next(b, i + 1, work);
        kinds[b->type->kind].multiply(tiles, work->products, work->panel[i % 2],
                                      b->x + i / n_panels * b->x_stride, b->n_tokens,
                                      work->sums + i % n_panels * 32 * b->n_tokens, &filling);
    }
}

void AMX(matmul_super)(const struct super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                       const struct acts *x, float *y, size_t y_stride) {
    static const struct tile_config config = { .palette = 1,
                                               .bytes = { 64, 64, 64, 64, 64, 64, 64, 64 },
                                               .rows = { 16, 16, 16, 16, 16, 16, 16, 16 } };
    const struct super_blocks *tokens = (const struct super_blocks *)(const void *)x->tiles;
    const size_t n_tokens = tokens_for_tiles(&type->split, x->n_tokens);
    struct work work;
    struct tiles tiles;
    assert(!n_tokens || x->tiles);
    if (n_tokens)
        tiles_begin(&tiles, &config);
    for (size_t t = 0; t < n_tokens; t += MOST_TOKENS) {
        const size_t n = n_tokens - t < MOST_TOKENS ? n_tokens - t : MOST_TOKENS;
        const size_t padded = (n + 31) / 32 * 32, most_rows = MOST_SUMS / padded / 32 * 32;
        for (size_t r = 0; r < n_rows; r += most_rows) {
            const size_t rows = n_rows - r < most_rows ? n_rows - r : most_rows;
            const struct block block = { .type = type,
                                         .w = w + r * row_bytes,
                                         .row_bytes = row_bytes,
                                         .n_rows = rows,
                                         .n_blocks = x->n / 256,
                                         .x = tokens + t / 16,
                                         .x_stride = n_groups(x->n_tokens),
                                         .n_tokens = padded };
            multiply_block(&block, &tiles, &work);
            store_sums(work.sums, rows, n, padded, y + t * y_stride + r, y_stride);
        }
    }
    if (n_tokens)
        tiles_end(&tiles);
    multiply_rest(&type->split, n_tokens, w, row_bytes, n_rows, x, y, y_stride);
}
