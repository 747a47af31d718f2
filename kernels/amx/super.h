/* super.h - y = W x for super-blocks of 256 and A256 activations: what the types fill in.
 * SPDX-License-Identifier: MIT
 * Private to kernels/amx. Tiles sum 64 products of bytes, across sub-blocks, so scales go into the operands:
 * w = sc * q and x' = a * x, and what does not fit a byte is split into digits of base 64. With
 * w = 64 w1 + w0 and x' = 64 x1 + x0, |x0|, |w0| <= 32 (or 0 <= w0 <= 63 if w is never negative),
 *   I = 4096 P11 + 64 (Pm - P11 - P00) + P00,   P11 = sum w1 x1, P00 = sum w0 x0, Pm = sum (w1 + w0)(x1 +
 * x0): three products for the exact integer. Bytes: |x'| <= 1016, |w| <= 4096, so |x1| <= 16, |w1| <= 64 and
 * the sums of digits stay within 96. Where |w| <= 128 (Q2_K, Q3_K) w is one byte and I = 64 P1 + P0 takes
 * two.
 *
 * A panel is 32 rows of one super-block, unpacked with rows in lanes: [value / 4][row][4 values] is both what
 * a transposition of the packed bytes gives and the right operand of a tile product. Tokens are the left
 * operand; their digits are made once for as many rows as sums fit the stack. */
#ifndef QUERN_KERNELS_AMX_SUPER_H
#define QUERN_KERNELS_AMX_SUPER_H

#include "kernels/amx/lanes.h"
#include "kernels/amx/level.h"
#include "kernels/amx/split.h"
#include "kernels/amx/tiles.h"
#include "kernels/kernels.h"

enum {
    COLUMNS = 64, /* of four values, in a super-block */
    PLANES = 3,   /* digits: high, low, their sum */
};

/* 256 values of 16 rows or tokens: by digit, by 64 values. */
struct operand {
    struct tile plane[PLANES][4];
};

/* 16 rows of a super-block. */
struct panel_half {
    struct operand w;
    alignas(64) uint8_t min[8][64]; /* pairs of minima, a row in each dword: as struct token has its sums */
    alignas(64) float d[16], dmin[16];
};

enum super_kind {
    SUPER_BYTE,        /* |sc * q| fits a byte: one plane */
    SUPER_BYTE_MIN_16, /* likewise, with minima of 16 values */
    SUPER_DIGITS,      /* three planes */
    SUPER_DIGITS_MIN_32,
    SUPER_KINDS,
};

struct super_type {
    size_t block_bytes;
    void (*fill)(const uint8_t *const row[16], struct panel_half *out); /* one super-block of 16 rows */
    enum super_kind kind;
    bool is_negated; /* fill gives -sc * q: |sc * q| <= 128, and only -128 is a byte. x is negated too. */
    struct split split;
};

void AMX(matmul_super)(const struct super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                       const struct acts *x, float *y, size_t y_stride);

/* A super-block of 16 rows before scales are applied, a row in each dword. */
struct columns {
    vector q[COLUMNS]; /* four values each */
    vector scale[16];  /* of 16 values each, in both words */
};

/* The digits of words even and odd, the values of even and odd bytes, as row `row` of tile `tile`. */
TEMPLATE void store_digits(bool is_signed, vector even, vector odd, struct operand *out, size_t tile,
                           size_t row) {
    if (is_signed) {
        even = add_words(even, set_words(32));
        odd = add_words(odd, set_words(32));
    }
    const vector high = mix_bytes(sll_words(odd, 2), srl_words(even, 6));
    vector low = and64(mix_bytes(sll_words(odd, 8), even), set_bytes(63));
    if (is_signed)
        low = sub_bytes(low, set_bytes(32));
    store64(out->plane[0][tile].row[row], high);
    store64(out->plane[1][tile].row[row], low);
    store64(out->plane[2][tile].row[row], add_bytes(high, low));
}

/* Scale, split, store. is_signed: quants or scales may be negative. */
TEMPLATE void store_columns(bool is_signed, bool is_byte, const struct columns *c, struct operand *out) {
    for (size_t j = 0; j < 16; j++) {
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
    }
}

#endif
