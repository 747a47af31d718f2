/* super.c - y = W x for unpacked super-blocks of 256 and A256 activations.
 * SPDX-License-Identifier: MIT
 * Formulas: kernels.h, ACT_A256. Scales and minima stand per 16 values here; where they and the activations'
 * sub-scales are per 32 the sums are the same integers, taken in two halves. */
#include "kernels/c/level.h"

#include <math.h>

static int32_t dot16(const int8_t *w, const int8_t *x) {
    int32_t sum = 0; /* |sum| <= 16 * 128 * 127 < 2^18 */
    for (size_t i = 0; i < 16; i++)
        sum += w[i] * x[i];
    return sum;
}

/* acc after super-block i of row t of x. The sums stay below 2^31: kernels/README.md, column |I|. */
static float add_super_block(const struct super_block *b, bool has_min, const struct acts *x, size_t t,
                             size_t i, float acc) {
    size_t at = t * (x->n / 256) + i, sub_block = x->form == ACT_A256_16 ? 16 : 32;
    const int8_t *q = x->q + at * 256;
    const uint8_t *a = x->a + at * (256 / sub_block);
    const int16_t *g = x->g16 + at * 16;
    int32_t dot = 0, min = 0;
    for (size_t j = 0; j < 16; j++)
        dot += b->scale[j] * a[j * 16 / sub_block] * dot16(b->w + j * 16, q + j * 16);
    float r = b->d * (float)dot;
    if (has_min) {
        for (size_t j = 0; j < 16; j++)
            min += b->min[j] * g[j]; /* |min| <= 63 * 8 * 127 * 256 < 2^24 */
        r = fmaf(-b->dmin, (float)min, r);
    }
    return fmaf(x->d[at], r, acc);
}

void matmul_super(const struct super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                  const struct acts *x, float *y, size_t y_stride) {
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t t = 0; t < x->n_tokens; t++)
            y[t * y_stride + r] = 0;
        for (size_t i = 0; i < x->n / 256; i++) {
            struct super_block b;
            type->unpack(w + r * row_bytes + i * type->block_bytes, &b);
            for (size_t t = 0; t < x->n_tokens; t++) {
                float *acc = &y[t * y_stride + r];
                *acc = add_super_block(&b, type->has_min, x, t, i, *acc);
            }
        }
    }
}
