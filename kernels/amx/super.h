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
 * operand; their digits are made once per input (arranged.h). */
#ifndef QUERN_KERNELS_AMX_SUPER_H
#define QUERN_KERNELS_AMX_SUPER_H

#include "kernels/amx/arranged.h"
#include "kernels/amx/digits.h"
#include "kernels/amx/lanes.h"
#include "kernels/amx/level.h"
#include "kernels/amx/split.h"
#include "kernels/amx/tiles.h"
#include "kernels/kernels.h"

enum { COLUMNS = 64 }; /* of four values, in a super-block */

/* 16 rows of a super-block: the operand of tiles. */
struct panel_half {
    struct operand w;
    alignas(64) uint8_t min[8][64]; /* pairs of minima, a row in each dword: as tokens have their sums */
    alignas(64) float d[16], dmin[16];
};

enum super_kind {
    SUPER_BYTE,     /* |sc * q| fits a byte: one plane */
    SUPER_BYTE_MIN, /* likewise, with minima; quants and scales are not negative */
    SUPER_DIGITS,   /* three planes */
    SUPER_DIGITS_MIN,
    SUPER_KINDS,
};

/* A super-block of 16 rows before scales are applied, a row in each dword. */
struct columns {
    vector q[COLUMNS]; /* four values each */
    vector scale[16];  /* of 16 values each, in both words */
};

struct super_type {
    size_t block_bytes;
    /* One super-block of 16 rows; out gets d and minima. */
    void (*unpack)(const uint8_t *const row[16], struct columns *c, struct panel_half *out);
    enum super_kind kind;
    struct split split;
};

extern const struct super_type AMX(q2_K_type), AMX(q3_K_type), AMX(q4_K_type), AMX(q5_K_type), AMX(q6_K_type),
    AMX(iq4_xs_type);

void AMX(matmul_super)(const struct super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                       const struct acts *x, float *y, size_t y_stride);

#endif
