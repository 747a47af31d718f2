/* bf16_fill.c - 16 rows of weights of any type as bf16, tile by tile.
 * SPDX-License-Identifier: MIT
 * A tile is [pair of values][row][2]. Where integers are unpacked with rows in lanes anyway, they become
 * floats there; other types are decoded row by row and transposed. */
#include "kernels/amx/bf16.h"
#include "kernels/amx/lanes.h"

#include "formats/types.h"

/* Byte i of each dword as float. */
TEMPLATE floats float_of_byte(bool is_signed, vector v, int i) {
    if (is_signed)
        return floats_of_dwords(sra_dwords(sll_dwords(v, 24 - 8 * i), 24));
    return floats_of_dwords(and64(srl_dwords(v, 8 * i), set_dwords(255)));
}

/* Four values of each row, scale * q + shift, as two rows of a tile. */
TEMPLATE void store_four(bool is_signed, vector q, floats scale, floats shift, uint8_t (*out)[TILE_BYTES]) {
    UNROLL
    for (int i = 0; i < 4; i += 2) {
        const floats even = fma_floats(scale, float_of_byte(is_signed, q, i), shift);
        const floats odd = fma_floats(scale, float_of_byte(is_signed, q, i + 1), shift);
        store64(out[i / 2], pair_bf16(even, odd));
    }
}

/* ---- Super-blocks ---- */

static void unpack_super(struct bf16_rows *rows) {
    const struct super_type *type = rows->type->super_type;
    for (size_t s = 0; s < rows->n / 256; s++) {
        const uint8_t *row[16];
        for (size_t r = 0; r < 16; r++)
            row[r] = rows->row[r] + s * type->block_bytes;
        type->unpack(row, &rows->u.super.columns[s], &rows->u.super.header[s]);
    }
}

/* Word i of each dword. */
TEMPLATE floats float_of_word(bool is_signed, vector v, int i) {
    if (is_signed)
        return floats_of_dwords(sra_dwords(sll_dwords(v, 16 - 16 * i), 16));
    return floats_of_dwords(and64(srl_dwords(v, 16 * i), set_dwords(0xffff)));
}

/* min_values: how many share a minimum, 0 for types without, whose integers may be negative. */
TEMPLATE void tile_super(size_t min_values, const struct bf16_rows *rows, size_t j, struct tile *out) {
    const struct columns *c = &rows->u.super.columns[j / 8];
    const struct panel_half *header = &rows->u.super.header[j / 8];
    const floats d = load_floats(header->d);
    for (size_t i = 0; i < 2; i++) {
        const size_t sub = j % 8 * 2 + i;
        const floats scale = mul_floats(d, float_of_word(!min_values, c->scale[sub], 0));
        floats shift = set_floats(0);
        if (min_values) {
            const size_t m = sub * 16 / min_values;
            const vector pair = load64(header->min[m / 2]);
            const floats min = m % 2 ? float_of_word(false, pair, 1) : float_of_word(false, pair, 0);
            shift = fnma_floats(load_floats(header->dmin), min, shift);
        }
        for (size_t k = 0; k < 4; k++)
            store_four(!min_values, c->q[4 * sub + k], scale, shift, &out->row[8 * i + 2 * k]);
    }
}

static void tile_super_plain(const struct bf16_rows *rows, size_t j, struct tile *out) {
    tile_super(0, rows, j, out);
}

static void tile_super_min_16(const struct bf16_rows *rows, size_t j, struct tile *out) {
    tile_super(16, rows, j, out);
}

static void tile_super_min_32(const struct bf16_rows *rows, size_t j, struct tile *out) {
    tile_super(32, rows, j, out);
}

/* ---- Blocks of 32 ---- */

static void unpack_blocks(struct bf16_rows *rows) {
    const size_t n_blocks = rows->n / 32;
    for (size_t i = 0; i < n_blocks; i += PANEL_BLOCKS)
        AMX(fill_block_rows)
    (rows->type->type32, rows->row, i, n_blocks - i < PANEL_BLOCKS ? n_blocks - i : PANEL_BLOCKS,
     &rows->u.blocks[i / PANEL_BLOCKS]);
}

static void tile_block(const struct bf16_rows *rows, size_t j, struct tile *out) {
    const size_t b = j % PANEL_BLOCKS;
    const struct block_rows *blocks = &rows->u.blocks[j / PANEL_BLOCKS];
    const floats d = load_floats(blocks->d[b]);
    const floats min = rows->type->type32->min ? load_floats(blocks->min[b]) : set_floats(0);
    for (size_t k = 0; k < 8; k++)
        store_four(true, load64(blocks->w[b / 2].row[b % 2 * 8 + k]), d, min, &out->row[2 * k]);
}

/* ---- Floats ---- */

/* Dwords [16 i, 16 i + 16) of the tile's values in each row, which begin at `from`, as columns; zero behind
 * the last value. */
TEMPLATE void columns_of(const struct bf16_rows *rows, const uint8_t *const from[16], size_t j,
                         size_t value_bytes, size_t i, vector column[16]) {
    const size_t at = j * BF16_TILE_VALUES * value_bytes + i * 64, bytes = rows->n * value_bytes;
    alignas(64) uint8_t padded[16][64];
    const uint8_t *row[16];
    for (size_t r = 0; r < 16; r++)
        row[r] = from[r] + at;
    if (at + 64 > bytes) {
        memset(padded, 0, sizeof padded);
        for (size_t r = 0; r < 16; r++) {
            if (at < bytes)
                memcpy(padded[r], row[r], bytes - at);
            row[r] = padded[r];
        }
    }
    transpose(row, 0, 16, column);
}

static void tile_bf16_values(const struct bf16_rows *rows, size_t j, struct tile *out) {
    vector column[16];
    columns_of(rows, rows->row, j, 2, 0, column);
    UNROLL
    for (size_t k = 0; k < 16; k++)
        store64(out->row[k], column[k]);
}

static void tile_f16(const struct bf16_rows *rows, size_t j, struct tile *out) {
    vector column[16];
    columns_of(rows, rows->row, j, 2, 0, column);
    UNROLL
    for (size_t k = 0; k < 16; k++)
        store64(out->row[k],
                pair_bf16(floats_of_halves(column[k]), floats_of_halves(srl_dwords(column[k], 16))));
}

TEMPLATE void tile_floats(const struct bf16_rows *rows, const uint8_t *const from[16], size_t j,
                          struct tile *out) {
    for (size_t i = 0; i < 2; i++) {
        vector column[16];
        columns_of(rows, from, j, 4, i, column);
        UNROLL
        for (size_t k = 0; k < 16; k += 2)
            store64(out->row[8 * i + k / 2],
                    pair_bf16(floats_of_bits(column[k]), floats_of_bits(column[k + 1])));
    }
}

static void tile_f32(const struct bf16_rows *rows, size_t j, struct tile *out) {
    tile_floats(rows, rows->row, j, out);
}

/* ---- Any other type ---- */

static void unpack_values(struct bf16_rows *rows) {
    const struct type_info *type = type_info(rows->type->type);
    for (size_t r = 0; r < 16; r++)
        type->decode(rows->row[r], rows->u.values[r], rows->n / type->block_values);
}

static void tile_values(const struct bf16_rows *rows, size_t j, struct tile *out) {
    const uint8_t *from[16];
    for (size_t r = 0; r < 16; r++)
        from[r] = (const uint8_t *)rows->u.values[r];
    tile_floats(rows, from, j, out);
}

/* ---- The types ---- */

/* clang-format off */
static const struct bf16_type types[TYPE_COUNT] = {
    [TYPE_F32] = { .tile = tile_f32 },
    [TYPE_F16] = { .tile = tile_f16 },
    [TYPE_BF16] = { .tile = tile_bf16_values },
    [TYPE_Q4_0] = { unpack_blocks, tile_block, .type32 = &AMX(q4_0_type) },
    [TYPE_Q4_1] = { unpack_blocks, tile_block, .type32 = &AMX(q4_1_type) },
    [TYPE_Q5_0] = { unpack_blocks, tile_block, .type32 = &AMX(q5_0_type) },
    [TYPE_Q5_1] = { unpack_blocks, tile_block, .type32 = &AMX(q5_1_type) },
    [TYPE_Q8_0] = { unpack_blocks, tile_block, .type32 = &AMX(q8_0_type) },
    [TYPE_IQ4_NL] = { unpack_blocks, tile_block, .type32 = &AMX(iq4_nl_type) },
    [TYPE_MXFP4] = { unpack_blocks, tile_block, .type32 = &AMX(mxfp4_type) },
    [TYPE_Q2_K] = { unpack_super, tile_super_min_16, .super_type = &AMX(q2_K_type) },
    [TYPE_Q3_K] = { unpack_super, tile_super_plain, .super_type = &AMX(q3_K_type) },
    [TYPE_Q4_K] = { unpack_super, tile_super_min_32, .super_type = &AMX(q4_K_type) },
    [TYPE_Q5_K] = { unpack_super, tile_super_min_32, .super_type = &AMX(q5_K_type) },
    [TYPE_Q6_K] = { unpack_super, tile_super_plain, .super_type = &AMX(q6_K_type) },
    [TYPE_IQ4_XS] = { unpack_super, tile_super_plain, .super_type = &AMX(iq4_xs_type) },
};
/* clang-format on */

struct bf16_type AMX(bf16_type)(uint32_t type) {
    struct bf16_type t = types[type];
    if (!t.tile)
        t = (struct bf16_type){ .unpack = unpack_values, .tile = tile_values };
    t.type = type;
    return t;
}
