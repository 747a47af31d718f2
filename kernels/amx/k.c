/* k.c - y = W x for the K types.
 * SPDX-License-Identifier: MIT
 * Unpacking: as kernels/c/k.c, after a transposition: a dword holds four values or scales of one row. */
#include "kernels/amx/level.h"
#include "kernels/amx/super.h"

#include "formats/blocks.h"

/* ---- Unpack ---- */

/* Byte i of each dword in both words. */
TEMPLATE vector spread_byte(bool is_signed, vector v, int i) {
    if (is_signed) {
        const vector top = and64(sll_dwords(v, 24 - 8 * i), set_dwords((int)0xff000000));
        return or64(srl_dwords(sra_words(top, 8), 16), and64(sra_words(top, 8), set_dwords((int)0xffff0000)));
    }
    const vector low = and64(srl_dwords(v, 8 * i), set_dwords(0xff));
    return or64(low, sll_dwords(low, 16));
}

/* Bytes 2 i and 2 i + 1 of each dword as its words. */
TEMPLATE vector spread_pair(vector v, int i) {
    const vector low = srl_dwords(v, 16 * i);
    return or64(and64(low, set_dwords(0xff)), sll_dwords(and64(low, set_dwords(0xff00)), 8));
}

/* Bits [shift, shift + n) of each byte, moved to bit `to`. */
TEMPLATE vector move_bits(vector v, int shift, int n, int to) {
    const vector moved = shift >= to ? srl_words(v, shift - to) : sll_words(v, to - shift);
    return and64(moved, set_bytes(((1 << n) - 1) << to));
}

/* The 2-bit quants of Q2_K and Q3_K and, not for Q2_K, their third bits. */
TEMPLATE void columns_2_bits(const vector qs[16], const vector *hmask, struct columns *out) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        UNROLL
        for (int c = 0; c < 4; c++) {
            UNROLL
            for (int l = 0; l < 8; l++) {
                vector q = move_bits(qs[8 * half + l], 2 * c, 2, 0);
                if (hmask) /* the bit that is 4, less 4 */
                    q = sub_bytes(or64(q, move_bits(hmask[l], 4 * half + c, 1, 2)), set_bytes(4));
                out->q[32 * half + 8 * c + l] = q;
            }
        }
    }
}

static void unpack_q2_K(const uint8_t *const row[16], struct columns *c, struct panel_half *out) {
    vector scales[4], qs[16], d[4];
    transpose(row, offsetof(struct block_q2_K, scales), 4, scales);
    transpose(row, offsetof(struct block_q2_K, qs), 16, qs);
    transpose(row, offsetof(struct block_q2_K, d), 1, d);
    columns_2_bits(qs, NULL, c);
    UNROLL
    for (int i = 0; i < 4; i++) {
        const vector scale = move_bits(scales[i], 0, 4, 0), min = move_bits(scales[i], 4, 4, 0);
        UNROLL
        for (int j = 0; j < 4; j++)
            c->scale[4 * i + j] = spread_byte(false, scale, j);
        store64(out->min[2 * i], spread_pair(min, 0));
        store64(out->min[2 * i + 1], spread_pair(min, 1));
    }
    store_floats(out->d, floats_of_halves(d[0]));
    store_floats(out->dmin, floats_of_halves(srl_dwords(d[0], 16)));
}

/* |scale * q| reaches 128, but only -128 is a byte: so -scale * q and -d. */
static void unpack_q3_K(const uint8_t *const row[16], struct columns *c, struct panel_half *out) {
    vector hmask[8], qs[16], scales[4], d[4];
    transpose(row, offsetof(struct block_q3_K, hmask), 8, hmask);
    transpose(row, offsetof(struct block_q3_K, qs), 16, qs);
    transpose(row, offsetof(struct block_q3_K, scales), 3, scales);
    transpose(row, offsetof(struct block_q3_K, d) - 2, 1, d); /* not past the end of the block */
    columns_2_bits(qs, hmask, c);
    UNROLL
    for (int i = 0; i < 4; i++) {
        const vector low = move_bits(scales[i % 2], 4 * (i / 2), 4, 0);
        const vector high = move_bits(scales[2], 2 * i, 2, 4);
        const vector minus = sub_bytes(set_bytes(32), or64(low, high));
        UNROLL
        for (int j = 0; j < 4; j++)
            c->scale[4 * i + j] = spread_byte(true, minus, j);
    }
    store_floats(out->d, mul_floats(set_floats(-1), floats_of_halves(srl_dwords(d[0], 16))));
}

/* Scales, minima and d of Q4_K and Q5_K, 6 bits each. Dwords 1 and 2 of a block hold the first four of either
 * and, in their upper bits, bits 5 4 of the last four; dword 3 the low nibbles of those. */
TEMPLATE void unpack_header(const uint8_t *const row[16], struct columns *c, struct panel_half *out) {
    vector header[4];
    transpose(row, 0, 4, header);
    const vector scale[2] = { move_bits(header[1], 0, 6, 0),
                              or64(move_bits(header[3], 0, 4, 0), move_bits(header[1], 6, 2, 4)) };
    const vector min[2] = { move_bits(header[2], 0, 6, 0),
                            or64(move_bits(header[3], 4, 4, 0), move_bits(header[2], 6, 2, 4)) };
    UNROLL
    for (int s = 0; s < 8; s++)
        c->scale[2 * s] = c->scale[2 * s + 1] = spread_byte(false, scale[s / 4], s % 4);
    UNROLL
    for (int i = 0; i < 4; i++)
        store64(out->min[i], spread_pair(min[i / 2], i % 2));
    store_floats(out->d, floats_of_halves(header[0]));
    store_floats(out->dmin, floats_of_halves(srl_dwords(header[0], 16)));
}

/* The quants of Q4_K and Q5_K and, not for Q4_K, their fifth bits. */
TEMPLATE void columns_4_bits(const uint8_t *const row[16], size_t offset, const vector *qh,
                             struct columns *out) {
    UNROLL
    for (int half = 0; half < 2; half++) {
        vector qs[16];
        transpose(row, offset + 64 * (size_t)half, 16, qs);
        UNROLL
        for (int i = 0; i < 16; i++) {
            const int g = 2 * half + i / 8, l = i % 8;
            vector low = move_bits(qs[i], 0, 4, 0), high = move_bits(qs[i], 4, 4, 0);
            if (qh) {
                low = or64(low, move_bits(qh[l], 2 * g, 1, 4));
                high = or64(high, move_bits(qh[l], 2 * g + 1, 1, 4));
            }
            out->q[16 * g + l] = low;
            out->q[16 * g + 8 + l] = high;
        }
    }
}

static void unpack_q4_K(const uint8_t *const row[16], struct columns *c, struct panel_half *out) {
    unpack_header(row, c, out);
    columns_4_bits(row, offsetof(struct block_q4_K, qs), NULL, c);
}

static void unpack_q5_K(const uint8_t *const row[16], struct columns *c, struct panel_half *out) {
    vector qh[8];
    unpack_header(row, c, out);
    transpose(row, offsetof(struct block_q5_K, qh), 8, qh);
    columns_4_bits(row, offsetof(struct block_q5_K, qs), qh, c);
}

static void unpack_q6_K(const uint8_t *const row[16], struct columns *c, struct panel_half *out) {
    vector qh[16], scales[4], d[4];
    transpose(row, offsetof(struct block_q6_K, qh), 16, qh);
    transpose(row, offsetof(struct block_q6_K, scales), 4, scales);
    transpose(row, offsetof(struct block_q6_K, d) - 2, 1, d); /* not past the end of the block */
    UNROLL
    for (int half = 0; half < 2; half++) {
        vector ql[16];
        transpose(row, offsetof(struct block_q6_K, ql) + 64 * (size_t)half, 16, ql);
        UNROLL
        for (int i = 0; i < 4; i++) {
            UNROLL
            for (int l = 0; l < 8; l++) {
                const vector low = move_bits(ql[8 * (i % 2) + l], i < 2 ? 0 : 4, 4, 0);
                const vector q = or64(low, move_bits(qh[8 * half + l], 2 * i, 2, 4));
                c->q[32 * half + 8 * i + l] = sub_bytes(q, set_bytes(32));
            }
        }
    }
    UNROLL
    for (int j = 0; j < 16; j++)
        c->scale[j] = spread_byte(true, scales[j / 4], j % 4);
    store_floats(out->d, floats_of_halves(srl_dwords(d[0], 16)));
}

/* ---- The types ---- */

const struct super_type AMX(q2_K_type) = {
    sizeof(struct block_q2_K), unpack_q2_K, SUPER_BYTE_MIN, { BELOW(matmul_q2_K), 24, 12 }
};

void AMX(matmul_q2_K)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    AMX(matmul_super)(&AMX(q2_K_type), w, row_bytes, n_rows, x, y, y_stride);
}

const struct super_type
    AMX(q3_K_type) = { sizeof(struct block_q3_K), unpack_q3_K, SUPER_BYTE, { BELOW(matmul_q3_K), 24, 12 } };

void AMX(matmul_q3_K)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    AMX(matmul_super)(&AMX(q3_K_type), w, row_bytes, n_rows, x, y, y_stride);
}

const struct super_type AMX(q4_K_type) = {
    sizeof(struct block_q4_K), unpack_q4_K, SUPER_DIGITS_MIN, { BELOW(matmul_q4_K), 64, 12 }
};

void AMX(matmul_q4_K)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    AMX(matmul_super)(&AMX(q4_K_type), w, row_bytes, n_rows, x, y, y_stride);
}

const struct super_type AMX(q5_K_type) = {
    sizeof(struct block_q5_K), unpack_q5_K, SUPER_DIGITS_MIN, { BELOW(matmul_q5_K), 64, 12 }
};

void AMX(matmul_q5_K)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    AMX(matmul_super)(&AMX(q5_K_type), w, row_bytes, n_rows, x, y, y_stride);
}

const struct super_type
    AMX(q6_K_type) = { sizeof(struct block_q6_K), unpack_q6_K, SUPER_DIGITS, { BELOW(matmul_q6_K), 56, 16 } };

void AMX(matmul_q6_K)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    AMX(matmul_super)(&AMX(q6_K_type), w, row_bytes, n_rows, x, y, y_stride);
}
