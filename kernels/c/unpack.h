/* unpack.h - one block of any quantized type as plain integers and scales: what defines a type here.
 * SPDX-License-Identifier: MIT
 * A type is multiplied by unpacking a block into one of two common forms; the drivers in block32.c and
 * super.c do the arithmetic of kernels.h. Other levels may unpack with these functions too. Formulas and the
 * bounds of the integer sums: kernels/README.md. */
#ifndef QUERN_KERNELS_C_UNPACK_H
#define QUERN_KERNELS_C_UNPACK_H

#include "kernels/kernels.h"

/* Value i is d * w[i] + m. */
struct block32 {
    int8_t w[32];
    float d;
    float m; /* types with a minimum only */
};

/* Value i is d * scale[i / 16] * w[i] - dmin * min[i / 16]. Sub-blocks of 32 have their scale twice. */
struct super_block {
    int8_t w[256];
    int16_t scale[16];
    int16_t min[16]; /* min and dmin: types with minima only */
    float d, dmin;
};

typedef void unpack_block32(const uint8_t *block, struct block32 *out);
typedef void unpack_super_block(const uint8_t *block, struct super_block *out);

/* block32.c */
unpack_block32 unpack_q4_0, unpack_q4_1, unpack_q5_0, unpack_q5_1, unpack_q8_0, unpack_iq4_nl, unpack_mxfp4;

/* k.c */
unpack_super_block unpack_q2_K, unpack_q3_K, unpack_q4_K, unpack_q5_K, unpack_q6_K;

/* iq.c */
unpack_super_block unpack_iq4_xs, unpack_iq3_s, unpack_iq3_xxs, unpack_iq2_s, unpack_iq2_xs, unpack_iq2_xxs,
    unpack_iq1_s, unpack_iq1_m;

/* ternary.c */
unpack_super_block unpack_tq1_0, unpack_tq2_0;

#endif
