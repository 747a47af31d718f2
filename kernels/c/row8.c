/* row8.c - Q8_0 weights times activations with one scale per token: LLM.int8() and W8A8.
 * SPDX-License-Identifier: MIT
 * Dettmers et al., "LLM.int8()" (arXiv:2208.07339): values of a large magnitude would cost all others of
 * their token its resolution, so they are left out, and multiplied as floats. Each token has outliers of its
 * own: results do not depend on which tokens are evaluated together. Formulas: kernels.h, ACT_ROW8. */
#include "kernels/c/level.h"
#include "kernels/c/scalar.h"

#include "formats/blocks.h"

#include <math.h>

enum { BITS_LARGEST = 0x7f7fffff }; /* FLT_MAX */

static uint32_t magnitude(float x) { return float_bits(x) & 0x7fffffff; }

/* The largest magnitude up to limit; Inf or NaN if there is one. */
static uint32_t largest(const float *x, size_t n, uint32_t limit) {
    uint32_t max = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = magnitude(x[i]);
        if (bits > max && (bits <= limit || bits >= BITS_INF))
            max = bits;
    }
    return max;
}

void quantize_row8_c(const float *x, const struct acts *acts, size_t t) {
    const size_t n_blocks = acts->n / 32;
    const uint32_t limit = acts->outlier > 0 ? float_bits(acts->outlier) : BITS_LARGEST;
    const uint32_t max = largest(x, acts->n, limit);
    const bool is_bad = max >= BITS_INF, is_flat = is_bad || max < BITS_TINY;
    const float m = float_from_bits(max);
    const float d = is_bad ? NAN : is_flat ? 0 : m / 127, r = is_flat ? 0 : 127 / m;
    for (size_t i = 0; i < n_blocks; i++) {
        int32_t sum = 0;
        uint32_t mask = 0;
        for (size_t j = 0; j < 32; j++) {
            const float v = x[i * 32 + j];
            const bool is_outlier = magnitude(v) > limit;
            const float q = is_flat || is_outlier ? 0 : round_even(v * r); /* |v * r| <= 127.00001 */
            acts->q[t * acts->n + i * 32 + j] = (int8_t)q;
            sum += (int32_t)q;
            mask |= (uint32_t)(is_outlier && !is_bad) << j;
        }
        acts->d[t * n_blocks + i] = d;
        acts->sum[t * n_blocks + i] = sum;
        acts->mask[t * n_blocks + i] = mask;
    }
}

static const struct block_q8_0 *block_of(const uint8_t *row, size_t k) {
    return (const struct block_q8_0 *)(const void *)row + k / 32;
}

void matmul_w8a8_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                   size_t y_stride) {
    for (size_t r = 0; r < n_rows; r++)
        for (size_t t = 0; t < x->n_tokens; t++) {
            int32_t sum = 0; /* below 128 * 127 * ROW8_MAX */
            for (size_t k = 0; k < x->n; k++)
                sum += block_of(w + r * row_bytes, k)->qs[k % 32] * x->q[t * x->n + k];
            const float d = load_half(block_of(w + r * row_bytes, 0)->d) * x->d[t * (x->n / 32)];
            y[t * y_stride + r] = d * (float)sum;
        }
}

void add_outliers_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                    size_t y_stride) {
    for (size_t t = 0; t < x->n_tokens; t++)
        for (size_t k = 0; k < x->n; k++) {
            if (!(x->mask[t * (x->n / 32) + k / 32] >> k % 32 & 1))
                continue;
            for (size_t r = 0; r < n_rows; r++) {
                const struct block_q8_0 *b = block_of(w + r * row_bytes, k);
                float *to = &y[t * y_stride + r];
                *to = fmaf(x->x[t * x->n + k], load_half(b->d) * (float)b->qs[k % 32], *to);
            }
        }
}
