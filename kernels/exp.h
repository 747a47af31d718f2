/* exp.h - e^x as every level computes it.
 * SPDX-License-Identifier: MIT
 * x is clamped so that the result stays within 2^-126 .. 2^127. Then e^x = 2^n * 2^f, n the integer nearest
 * to x * log2(e) and f = x * log2(e) - n in [-0.5, 0.5], from two fused steps with log2(e) in two parts: a
 * rounded product of magnitude up to 127 would have lost 7 of the bits that f needs. 2^f is a polynomial of
 * degree 6 with p(0) = 1 that minimizes the relative error on the interval (Lawson's iteration on 4001
 * Chebyshev nodes: 2e-9 before coefficients and steps are rounded; 9.8e-8 measured after). Adding EXP_ROUND
 * leaves n in the low bits of the sum, so that no NaN is ever converted to an integer. */
#ifndef QUERN_KERNELS_EXP_H
#define QUERN_KERNELS_EXP_H

#define EXP_MIN    (-0x1.5d589ep6f) /* -126 * ln 2, towards zero: 2^n is never subnormal */
#define EXP_MAX    0x1.601e66p6f    /* 127 * ln 2, towards zero */
#define LOG2E_HIGH 0x1.715476p0f    /* log2(e) rounded */
#define LOG2E_LOW  0x1.4ae0c0p-26f  /* and the rest */
#define EXP_ROUND  0x1.8p23f        /* 1.5 * 2^23: its unit in the last place is 1 */
#define EXP_P1     0x1.62e430p-1f
#define EXP_P2     0x1.ebfbdcp-3f
#define EXP_P3     0x1.c6aee8p-5f
#define EXP_P4     0x1.3b2d4cp-7f
#define EXP_P5     0x1.5f3e54p-10f
#define EXP_P6     0x1.41fbbcp-13f

#endif
