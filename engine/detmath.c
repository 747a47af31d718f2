/* detmath.c - sine, cosine, logarithm, exponential from their series.
 * SPDX-License-Identifier: MIT
 * Arguments are reduced until a Taylor series of a dozen terms is exact to double precision. Needs
 * -ffp-contract=off, which the whole build has. */
#include "engine/detmath.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

/* Nearest integer for |x| < 2^51: adding 1.5 * 2^52 leaves no bits for a fraction. */
static double nearest(double x) {
    const double magic = 6755399441055744.0;
    volatile double shifted = x + magic; /* keeps the compiler from cancelling the two */
    return shifted - magic;
}

void det_sincos(double x, double *sine, double *cosine) {
    /* pi/2 in three parts; the first two have 33 bits, so k * part is exact for |k| < 2^20 and close to
     * it beyond (Cody and Waite). */
    const double pio2_1 = 0x1.921fb544p+0, pio2_2 = 0x1.0b4611a6p-34, pio2_3 = 0x1.3198a2e037073p-69;
    const double two_over_pi = 0x1.45f306dc9c883p-1;
    double k = nearest(x * two_over_pi);
    double r = ((x - k * pio2_1) - k * pio2_2) - k * pio2_3; /* |r| <= pi/4 */
    double r2 = r * r;
    /* Taylor to r^17 and r^16: the first term left out is below 1e-18. */
    double s = 0, c = 0;
    for (int i = 16; i >= 2; i -= 2) {
        s = (1.0 + s) * -r2 / ((double)i * (i + 1));
        c = (1.0 + c) * -r2 / ((double)i * (i - 1));
    }
    s = r + r * s;
    c = 1.0 + c;
    /* A quarter turn takes (sine, cosine) to (cosine, -sine). */
    for (int64_t turns = (int64_t)k & 3; turns > 0; turns--) {
        double t = s;
        s = c;
        c = -t;
    }
    *sine = s;
    *cosine = c;
}

static const double ln2_hi = 0x1.62e42feep-1, ln2_lo = 0x1.a39ef35793c76p-33;

double det_log(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffu) | (uint64_t)1023 << 52;
    double m; /* [1, 2) */
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    /* ln m = 2 (s + s^3/3 + s^5/5 + ...), |s| <= 0.172: 0.172^25 / 25 < 1e-20. */
    double s = (m - 1.0) / (m + 1.0), s2 = s * s, sum = 0;
    for (int i = 23; i >= 3; i -= 2)
        sum = (sum + 1.0 / i) * s2;
    return (2.0 * (s + s * sum) + exponent * ln2_lo) + exponent * ln2_hi;
}

double det_exp(double x) {
    assert(x >= -700 && x <= 700);
    double n = nearest(x * 0x1.71547652b82fep+0);
    double r = (x - n * ln2_hi) - n * ln2_lo; /* |r| <= ln(2)/2: r^16 / 16! < 1e-20 */
    double sum = 1.0;
    for (int i = 15; i >= 1; i--)
        sum = 1.0 + r * sum / i;
    uint64_t bits = (uint64_t)(1023 + (int64_t)n) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}
