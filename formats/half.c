/* half.c - IEEE half and bfloat16 to float and back, as the hardware instructions round.
 * SPDX-License-Identifier: MIT
 * NaN becomes a quiet NaN with the upper bits of its payload, sign kept; subnormals are exact. */
#include "formats/types.h"

#include <string.h>

static uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

float f16_to_f32(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    const uint32_t exponent = h >> 10 & 31;
    const uint32_t fraction = h & 1023;
    if (exponent == 0) /* zero or subnormal: a multiple of 2^-24 */
        return float_of(sign | bits_of((float)fraction * 0x1p-24f));
    if (exponent == 31)
        return float_of(sign | 0x7f800000 | (fraction ? 0x00400000 | fraction << 13 : 0));
    return float_of(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

uint16_t f32_to_f16(float f) {
    const uint32_t sign = bits_of(f) >> 16 & 0x8000;
    const uint32_t magnitude = bits_of(f) & 0x7fffffff;
    uint32_t h;
    if (magnitude > 0x7f800000) /* NaN */
        h = 0x7e00 | (magnitude >> 13 & 0x1ff);
    else if (magnitude >= 0x477ff000) /* 65520, half way between 65504 and 2^16, and above */
        h = 0x7c00;
    else if (magnitude < 0x38800000) /* 2^-14: the last place of 0.5f + x is 2^-24, a half's smallest step */
        h = bits_of(0.5f + float_of(magnitude)) - bits_of(0.5f);
    else /* to nearest even: add a little under half of the last place kept, and that place's bit */
        h = (magnitude - ((127 - 15) << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
    return (uint16_t)(sign | h);
}

float bf16_to_f32(uint16_t h) {
    return float_of((uint32_t)h << 16);
}

uint16_t f32_to_bf16(float f) {
    const uint32_t bits = bits_of(f);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
