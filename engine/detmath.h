/* detmath.h - double-precision functions with the same bits on every machine.
 * SPDX-License-Identifier: MIT
 * The rotary tables enter every result. A libm differs in last bits from system to system, so angles are
 * computed with nothing but IEEE additions, multiplications and divisions. */
#ifndef QUERN_ENGINE_DETMATH_H
#define QUERN_ENGINE_DETMATH_H

/* Absolute error below 3e-16 for |x| <= 1e5, growing to 6e-8 (an ulp of a float) at 1e9. */
void det_sincos(double x, double *sine, double *cosine);

/* Natural logarithm of a positive, normal x and exp of |x| <= 700; relative error below 1e-14. */
double det_log(double x);
double det_exp(double x);

#endif
