/* q8_0.c - encoding Q8_0: 32 values as signed bytes with one f16 scale.
 * SPDX-License-Identifier: MIT
 * The scale d makes the largest magnitude 127. It is rounded to f16 first and the bytes are then the
 * nearest to x / d for the d that is stored, so that no error of d adds to theirs: |x - q d| <= d / 2, but
 * for the two exceptions at scale_of(). */
#include "formats/encode/encode.h"

enum { Q_MAX = 127, F16_LARGEST = 0x7bff };

/* The scale for a largest magnitude, as f16 bits. Rounding d down could leave the largest value above
 * 127.5 d, out of reach; that takes a subnormal d (f16 keeps 11 bits of the others), and then the next
 * larger one is taken. Exceptions to the error bound: magnitudes above 127 * 65504 (8.3 million) do not
 * fit and are clamped; a block that is not zero but rounds to zeros under the smallest d gets d = 0, the
 * one form of a zero block. */
static uint16_t scale_of(float largest) {
    if (largest <= 0x1p-25f)
        return 0;
    uint16_t d = f32_to_f16(largest / Q_MAX);
    if (d > F16_LARGEST)
        return F16_LARGEST;
    if (d < F16_LARGEST && largest > (Q_MAX + 0.5f) * f16_to_f32(d))
        d++;
    return d;
}

/* Magnitudes are ordered as their bits are, and a maximum of integers is free to be taken in any order,
 * which lets the compiler use vectors. */
static float largest_magnitude(const float x[BLOCK_VALUES]) {
    int32_t largest = 0;
    for (int i = 0; i < BLOCK_VALUES; i++) {
        const int32_t magnitude = (int32_t)(load_le32(x + i) & 0x7fffffff);
        largest = magnitude > largest ? magnitude : largest;
    }
    return load_f32(&largest);
}

/* The codes are made in a local array, which the compiler knows not to overlap x. */
static void encode_values(const float x[BLOCK_VALUES], float d, int8_t qs[BLOCK_VALUES]) {
    const float round = 0x1.8p23f; /* adding it leaves no bits for a fraction: to nearest even */
    int8_t codes[BLOCK_VALUES];
    for (int i = 0; i < BLOCK_VALUES; i++) {
        float q = x[i] / d;
        q = q > Q_MAX ? Q_MAX : q;
        q = q < -Q_MAX ? -Q_MAX : q;
        codes[i] = (int8_t)(int)(q + round - round);
    }
    memcpy(qs, codes, sizeof codes);
}

void encode_q8_0(const float *src, void *dst, size_t n_blocks) {
    struct block_q8_0 *b = dst;
    for (; n_blocks--; b++, src += BLOCK_VALUES) {
        const uint16_t d = scale_of(largest_magnitude(src));
        store_le16(b->d, d);
        if (d)
            encode_values(src, f16_to_f32(d), b->qs);
        else
            memset(b->qs, 0, sizeof b->qs);
    }
}
