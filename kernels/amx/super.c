/* super.c - y = W x for super-blocks of 256 and A256 activations: tokens, products, sums.
 * SPDX-License-Identifier: MIT */
#include "kernels/amx/level.h"
#include "kernels/amx/super.h"

enum {
    MOST_TOKENS = 256,   /* at once */
    MOST_SUMS = 1 << 15, /* tokens times rows at once: 128 KB of float */
};

/* What a super-block of a token brings besides its digits. */
struct token {
    float d;
    int32_t g[8]; /* pairs of int16: scaled sums 2 i and 2 i + 1 */
};

/* 32 tokens times 32 rows: [16 rows][digit][16 tokens]. */
struct products {
    struct tile tile[2][PLANES][2];
};

struct work {
    struct operand x[MOST_TOKENS / 16];
    struct panel_half panel[2];
    struct products products[2]; /* of this group of tokens and of the one before */
    struct token tokens[MOST_TOKENS];
    alignas(64) float sums[MOST_SUMS]; /* [panel][16 rows][token][16] */
};

/* ---- Tokens ---- */

/* Super-block i of token t into row t % 16 of an operand. n_a: sub-scales of a super-block. */
TEMPLATE void fill_token(bool is_negated, size_t n_a, const struct acts *x, size_t t, size_t i,
                         struct operand *out, struct token *token) {
    const size_t at = t * (x->n / 256) + i;
    const int8_t *q = x->q + at * 256;
    const uint8_t *a = x->a + at * n_a;
    const vector sign = set_words(is_negated ? -1 : 1);
    UNROLL
    for (size_t k = 0; k < 4; k++) {
        const vector v = load64(q + 64 * k), scale = mul_words(spread_bytes(a + k * n_a / 4, n_a / 4), sign);
        const vector even = mul_words(sra_words(sll_words(v, 8), 8), scale);
        const vector odd = mul_words(sra_words(v, 8), scale);
        store_digits(true, even, odd, out, k, t % 16);
    }
    token->d = x->d[at];
    prefetch(q + 256, 256); /* for the next call: rows are far apart, which the hardware does not follow */
}

/* Tokens [t0, t0 + n_tokens); those past the end are zero. */
static void fill_tokens(const struct super_type *type, const struct acts *x, size_t t0, size_t n_tokens,
                        size_t i, struct work *work) {
    for (size_t t = 0; t < n_tokens; t++) {
        struct operand *out = &work->x[t / 16];
        struct token *token = &work->tokens[t];
        const size_t at = (t0 + t) * (x->n / 256) + i;
        if (t0 + t >= x->n_tokens) {
            for (size_t p = 0; p < PLANES; p++)
                for (size_t k = 0; k < 4; k++)
                    store64(out->plane[p][k].row[t % 16], set_bytes(0));
            *token = (struct token){ .d = 0 };
            continue;
        }
        if (x->form == ACT_A256_16)
            fill_token(type->is_negated, 16, x, t0 + t, i, out, token);
        else
            fill_token(type->is_negated, 8, x, t0 + t, i, out, token);
        if (type->kind == SUPER_DIGITS_MIN_32)
            memcpy(token->g, x->g32 + at * 8, 16);
        else if (type->kind == SUPER_BYTE_MIN_16)
            memcpy(token->g, x->g16 + at * 16, 32);
    }
}

/* ---- Multiply ---- */

/* The group of 32 tokens whose products are complete. */
struct group {
    const struct panel_half *panel;
    const struct token *tokens;
    const struct products *products;
    float *sums[2]; /* of 16 rows: [token][16] */
};

/* Add a super-block to the sums of 16 rows and tokens [begin, end). */
TEMPLATE void finish(size_t planes, size_t n_pairs, const struct group *g, size_t half, size_t begin,
                     size_t end) {
    const struct panel_half *w = &g->panel[half];
    const struct tile(*products)[2] = g->products->tile[half];
    const floats d = load_floats(w->d), dmin = load_floats(w->dmin);
    for (size_t t = begin; t < end; t++) {
        const struct token *x = &g->tokens[t];
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
            vector min = set_dwords(0);
            UNROLL
            for (size_t i = 0; i < n_pairs; i++)
                min = dot_words(min, load64(w->min[i]), set_dwords(x->g[i]));
            r = fnma_floats(dmin, floats_of_dwords(min), r);
        }
        float *sum = g->sums[half] + 16 * t;
        store_floats(sum, fma_floats(set_floats(x->d), r, load_floats(sum)));
    }
}

/* 32 tokens times 32 rows, digit by digit, while the group before is finished bit by bit: the tile unit works
 * on its own and leaves the vector units to that. */
TEMPLATE void multiply_group(size_t planes, size_t n_pairs, struct tiles *tiles, const struct operand x[2],
                             const struct panel_half panel[2], struct products *out,
                             const struct group *last) {
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
            TILE_STREAM(tiles, 4, &x[0].plane[p][k]);
            TILE_LOAD(tiles, 6, &w0[k]);
            TILE_DOT(tiles, 0, 4, 6);
            TILE_LOAD(tiles, 7, &w1[k]);
            TILE_DOT(tiles, 1, 4, 7);
            TILE_STREAM(tiles, 5, &x[1].plane[p][k]);
            TILE_DOT(tiles, 2, 5, 6);
            TILE_DOT(tiles, 3, 5, 7);
            if (last->panel) {
                const size_t begin = step % n_steps * each, end = begin + each < 32 ? begin + each : 32;
                finish(planes, n_pairs, last, step / n_steps, begin, end);
            }
        }
        TILE_STORE(tiles, 0, &out->tile[0][p][0]);
        TILE_STORE(tiles, 1, &out->tile[1][p][0]);
        TILE_STORE(tiles, 2, &out->tile[0][p][1]);
        TILE_STORE(tiles, 3, &out->tile[1][p][1]);
    }
}

/* The panel times all tokens. */
TEMPLATE void multiply(size_t planes, size_t n_pairs, struct tiles *tiles, struct work *work, size_t n_tokens,
                       float *sums) {
    struct group last = { .panel = NULL };
    for (size_t t = 0; t < n_tokens; t += 32) {
        struct products *out = &work->products[t / 32 % 2];
        multiply_group(planes, n_pairs, tiles, &work->x[t / 16], work->panel, out, &last);
        last = (struct group){
            work->panel, &work->tokens[t], out, { sums + 16 * t, sums + 16 * (n_tokens + t) }
        };
    }
    finish(planes, n_pairs, &last, 0, 0, 32);
    finish(planes, n_pairs, &last, 1, 0, 32);
}

typedef void multiply_function(struct tiles *tiles, struct work *work, size_t n_tokens, float *sums);

static void multiply_byte(struct tiles *tiles, struct work *work, size_t n_tokens, float *sums) {
    multiply(1, 0, tiles, work, n_tokens, sums);
}

static void multiply_byte_min_16(struct tiles *tiles, struct work *work, size_t n_tokens, float *sums) {
    multiply(1, 8, tiles, work, n_tokens, sums);
}

static void multiply_digits(struct tiles *tiles, struct work *work, size_t n_tokens, float *sums) {
    multiply(3, 0, tiles, work, n_tokens, sums);
}

static void multiply_digits_min_32(struct tiles *tiles, struct work *work, size_t n_tokens, float *sums) {
    multiply(3, 4, tiles, work, n_tokens, sums);
}

/* ---- All ---- */

static void fill_panel(const struct super_type *type, const uint8_t *w, size_t row_bytes, size_t n_out,
                       struct panel_half panel[2]) {
    for (size_t h = 0; h < 2; h++) {
        const uint8_t *row[16];
        for (size_t r = 0; r < 16; r++) /* a last panel has its last row several times */
            row[r] = w + (16 * h + r < n_out ? 16 * h + r : n_out - 1) * row_bytes;
        type->fill(row, &panel[h]);
        for (size_t r = 0; r < 16; r++)
            prefetch(row[r] + type->block_bytes, type->block_bytes);
    }
}

/* Copy the sums of n_rows rows and n_tokens tokens to y. padded: tokens of a panel in sums. */
static void store_sums(const float *sums, size_t n_rows, size_t n_tokens, size_t padded, float *y,
                       size_t y_stride) {
    for (size_t r = 0; r < n_rows; r += 16) {
        const float *from = sums + r * padded;
        const size_t n = n_rows - r < 16 ? n_rows - r : 16;
        for (size_t t = 0; t < n_tokens; t++)
            store_first_floats(y + t * y_stride + r, n, load_floats(from + t * 16));
    }
}

void AMX(matmul_super)(const struct super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                       const struct acts *x, float *y, size_t y_stride) {
    static const struct tile_config config = { .palette = 1,
                                               .bytes = { 64, 64, 64, 64, 64, 64, 64, 64 },
                                               .rows = { 16, 16, 16, 16, 16, 16, 16, 16 } };
    static multiply_function *const functions[SUPER_KINDS] = {
        [SUPER_BYTE] = multiply_byte,
        [SUPER_BYTE_MIN_16] = multiply_byte_min_16,
        [SUPER_DIGITS] = multiply_digits,
        [SUPER_DIGITS_MIN_32] = multiply_digits_min_32,
    };
    const size_t n_tokens = tokens_for_tiles(&type->split, x->n_tokens);
    struct work work;
    struct tiles tiles;
    tiles_begin(&tiles, &config);
    for (size_t t = 0; t < n_tokens; t += MOST_TOKENS) {
        const size_t n = n_tokens - t < MOST_TOKENS ? n_tokens - t : MOST_TOKENS;
        const size_t padded = (n + 31) / 32 * 32, most_rows = MOST_SUMS / padded / 32 * 32;
        for (size_t r = 0; r < n_rows; r += most_rows) {
            const size_t rows = n_rows - r < most_rows ? n_rows - r : most_rows;
            memset(work.sums, 0, (rows + 31) / 32 * 32 * padded * sizeof work.sums[0]);
            for (size_t i = 0; i < x->n / 256; i++) {
                fill_tokens(type, x, t, padded, i, &work);
                for (size_t p = 0; p < rows; p += 32) {
                    fill_panel(type, w + (r + p) * row_bytes + i * type->block_bytes, row_bytes, rows - p,
                               work.panel);
                    functions[type->kind](&tiles, &work, padded, work.sums + p * padded);
                }
            }
            store_sums(work.sums, rows, n, padded, y + t * y_stride + r, y_stride);
        }
    }
    tiles_end(&tiles);
    multiply_rest(&type->split, n_tokens, w, row_bytes, n_rows, x, y, y_stride);
}
