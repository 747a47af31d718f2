/* block32_fill.c - the types in blocks of 32: 16 rows of them as signed bytes with rows in lanes.
 * SPDX-License-Identifier: MIT */
#include "kernels/amx/block32.h"
#include "kernels/amx/lanes.h"

#include "formats/blocks.h"
#include "formats/iq_grids.h"
#include "formats/status.h"

/* Bits 4 j..4 j + 3 of each dword as bit 4 of its bytes. */
static inline vector spread_bits(vector v, int j) {
    const vector bits = and64(srl_dwords(v, 4 * j), set_dwords(15));
    const vector pairs = or64(bits, sll_dwords(bits, 7));
    return sll_dwords(and64(or64(pairs, sll_dwords(pairs, 14)), set_bytes(1)), 4);
}

static void store_quants(const struct type32 *type, vector q, uint8_t *out) {
    if (type->table)
        q = lookup(type->table, q);
    else
        q = sub_bytes(q, set_bytes(type->offset));
    store64(out, q);
}

/* Blocks of 16 bytes, values 0..15 in the low nibbles. packed: [row][block][16]. */
static void fill_nibbles(const struct type32 *type, const uint8_t *const packed[16],
                         const uint8_t *const high[16], size_t n_blocks, struct block_rows *out) {
    vector qh[16], qs[16];
    transpose(high, 0, PANEL_BLOCKS, qh);
    for (size_t b = 0; b < n_blocks; b++) {
        if (b % 4 == 0)
            transpose(packed, 16 * b, 16, qs);
        uint8_t(*rows)[TILE_BYTES] = &out->w[b / 2].row[b % 2 * 8];
        for (int j = 0; j < 4; j++) {
            const vector v = qs[4 * (b % 4) + (size_t)j];
            vector low = and64(v, set_bytes(15)), upper = and64(srl_words(v, 4), set_bytes(15));
            if (type->qh) {
                low = or64(low, spread_bits(qh[b], j));
                upper = or64(upper, spread_bits(srl_dwords(qh[b], 16), j));
            }
            store_quants(type, low, rows[j]);
            store_quants(type, upper, rows[4 + j]);
        }
    }
}

/* Blocks of 32 bytes at offset qs, block_bytes apart. */
static void fill_bytes(const struct type32 *type, const uint8_t *const row[16], size_t at, size_t n_blocks,
                       struct block_rows *out) {
    for (size_t b = 0; b < n_blocks; b += 2) {
        const size_t first = at + b * type->block_bytes + type->qs;
        const size_t second = b + 1 < n_blocks ? first + type->block_bytes : first;
        vector q[16];
        transpose_two(row, first, second, q);
        UNROLL
        for (size_t j = 0; j < 16; j++)
            store64(out->w[b / 2].row[j], q[j]);
    }
}

/* The f16 at offset of a block in 16 rows. */
static void fill_halves(const uint8_t *const row[16], size_t offset, float out[16]) {
    alignas(64) uint32_t halves[16];
    for (size_t r = 0; r < 16; r++)
        halves[r] = load_le16(row[r] + offset);
    store_floats(out, floats_of_halves(load64(halves)));
}

/* 2^(e - 128): exponent e - 1 of a float, or the subnormals for e = 0 and 1. */
static void fill_powers(const uint8_t *const row[16], size_t offset, float out[16]) {
    alignas(64) uint32_t bits[16];
    for (size_t r = 0; r < 16; r++) {
        const uint32_t e = row[r][offset];
        bits[r] = e >= 2 ? (e - 1) << 23 : 0x00200000u << e;
    }
    memcpy(out, bits, sizeof bits);
}

/* The quants of blocks of 16 bytes are gathered first: [row][block][16]. */
static void gather_nibbles(const struct type32 *type, const uint8_t *const row[16], size_t at,
                           size_t n_blocks, struct block_rows *out) {
    alignas(64) uint8_t packed[16][PANEL_BLOCKS * 16], high[16][PANEL_BLOCKS * 4];
    const uint8_t *packed_row[16], *high_row[16];
    for (size_t r = 0; r < 16; r++) {
        const uint8_t *block = row[r] + at;
        packed_row[r] = packed[r];
        high_row[r] = high[r];
        for (size_t b = 0; b < n_blocks; b++, block += type->block_bytes) {
            memcpy(packed[r] + 16 * b, block + type->qs, 16);
            if (type->qh)
                memcpy(high[r] + 4 * b, block + type->qh, 4);
        }
    }
    fill_nibbles(type, packed_row, high_row, n_blocks, out);
}

void AMX(fill_block_rows)(const struct type32 *type, const uint8_t *const row[16], size_t i, size_t n_blocks,
                          struct block_rows *out) {
    for (size_t r = 0; r < 16; r++)
        prefetch(row[r] + (i + PANEL_BLOCKS) * type->block_bytes, PANEL_BLOCKS * type->block_bytes);
    if (type->quants == NIBBLES)
        gather_nibbles(type, row, i * type->block_bytes, n_blocks, out);
    else
        fill_bytes(type, row, i * type->block_bytes, n_blocks, out);
    for (size_t b = 0; b < n_blocks; b++) {
        const size_t at = (i + b) * type->block_bytes;
        if (type->is_e8m0)
            fill_powers(row, at, out->d[b]);
        else
            fill_halves(row, at, out->d[b]);
        if (type->min)
            fill_halves(row, at + type->min, out->min[b]);
    }
}

/* ---- The types ---- */

const struct type32 AMX(q4_0_type) = { .block_bytes = sizeof(struct block_q4_0),
                                       .qs = offsetof(struct block_q4_0, qs),
                                       .offset = 8 };

const struct type32 AMX(q4_1_type) = { .block_bytes = sizeof(struct block_q4_1),
                                       .qs = offsetof(struct block_q4_1, qs),
                                       .min = offsetof(struct block_q4_1, m) };

const struct type32 AMX(q5_0_type) = { .block_bytes = sizeof(struct block_q5_0),
                                       .qs = offsetof(struct block_q5_0, qs),
                                       .qh = offsetof(struct block_q5_0, qh),
                                       .offset = 16 };

const struct type32 AMX(q5_1_type) = { .block_bytes = sizeof(struct block_q5_1),
                                       .qs = offsetof(struct block_q5_1, qs),
                                       .qh = offsetof(struct block_q5_1, qh),
                                       .min = offsetof(struct block_q5_1, m) };

const struct type32 AMX(q8_0_type) = { .block_bytes = sizeof(struct block_q8_0),
                                       .quants = BYTES,
                                       .qs = offsetof(struct block_q8_0, qs) };

const struct type32 AMX(iq4_nl_type) = { .block_bytes = sizeof(struct block_iq4_nl),
                                         .qs = offsetof(struct block_iq4_nl, qs),
                                         .table = iq4_levels };

/* E2M1 magnitudes, doubled; the scale is halved in turn. */
static const int8_t e2m1_levels[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

const struct type32 AMX(mxfp4_type) = { .block_bytes = sizeof(struct block_mxfp4),
                                        .qs = offsetof(struct block_mxfp4, qs),
                                        .table = e2m1_levels,
                                        .is_e8m0 = true };
