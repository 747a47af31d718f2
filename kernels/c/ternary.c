/* ternary.c - y = W x for the ternary types: super-blocks of values -1, 0, 1 and one scale.
 * SPDX-License-Identifier: MIT
 * Layouts: formats/blocks.h. Multiplied as super-blocks with all scales 1. */
#include "kernels/c/level.h"
#include "kernels/c/scalar.h"
#include "kernels/c/unpack.h"

#include "formats/blocks.h"

/* ---- Unpack ---- */

static void set_scales(struct super_block *out, const uint8_t d[2]) {
    for (size_t j = 0; j < 16; j++)
        out->scale[j] = 1;
    out->d = load_half(d);
}

/* Digits 0..n_digits-1 of n_bytes bytes, digit by digit. A byte is a fraction of 256 in base 3: the n-th
 * digit is the integer part after multiplying the rest by 3 n + 1 times. Returns the end of w. */
static int8_t *unpack_digits(const uint8_t *bytes, size_t n_bytes, size_t n_digits, int8_t *w) {
    static const uint8_t powers[5] = { 1, 3, 9, 27, 81 };
    for (size_t n = 0; n < n_digits; n++)
        for (size_t m = 0; m < n_bytes; m++) {
            uint8_t rest = (uint8_t)(bytes[m] * powers[n]);
            *w++ = (int8_t)((rest * 3 >> 8) - 1);
        }
    return w;
}

void unpack_tq1_0(const uint8_t *block, struct super_block *out) {
    const struct block_tq1_0 *b = (const void *)block;
    int8_t *w = out->w;
    w = unpack_digits(b->qs, 32, 5, w);
    w = unpack_digits(b->qs + 32, 16, 5, w);
    unpack_digits(b->qh, 4, 4, w);
    set_scales(out, b->d);
}

void unpack_tq2_0(const uint8_t *block, struct super_block *out) {
    const struct block_tq2_0 *b = (const void *)block;
    for (size_t i = 0; i < 256; i++)
        out->w[i] = (int8_t)((b->qs[32 * (i / 128) + i % 32] >> 2 * (i % 128 / 32) & 3) - 1);
    set_scales(out, b->d);
}

/* ---- The types ---- */

void matmul_tq1_0_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                    size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_tq1_0), unpack_tq1_0, false };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_tq2_0_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                    size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_tq2_0), unpack_tq2_0, false };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}
