/* block32.c - y = W x for the types in blocks of 32 and A32 activations.
 * SPDX-License-Identifier: MIT
 * Layouts: formats/blocks.h. Formulas: kernels.h, ACT_A32. */
#include "kernels/c/level.h"
#include "kernels/c/scalar.h"
#include "kernels/c/unpack.h"

#include "formats/blocks.h"
#include "formats/iq_grids.h"

#include <math.h>

/* ---- Unpack ---- */

void unpack_q4_0(const uint8_t *block, struct block32 *out) {
    const struct block_q4_0 *b = (const void *)block;
    for (size_t j = 0; j < 16; j++) {
        out->w[j] = (int8_t)((b->qs[j] & 15) - 8);
        out->w[j + 16] = (int8_t)((b->qs[j] >> 4) - 8);
    }
    out->d = load_half(b->d);
}

void unpack_q4_1(const uint8_t *block, struct block32 *out) {
    const struct block_q4_1 *b = (const void *)block;
    for (size_t j = 0; j < 16; j++) {
        out->w[j] = (int8_t)(b->qs[j] & 15);
        out->w[j + 16] = (int8_t)(b->qs[j] >> 4);
    }
    out->d = load_half(b->d);
    out->m = load_half(b->m);
}

/* The 5-bit quants of Q5_0 and Q5_1, less offset. */
static void unpack_5_bits(const uint8_t qs[16], uint32_t high, int offset, int8_t w[32]) {
    for (size_t j = 0; j < 16; j++) {
        uint32_t low = qs[j] & 15u, upper = qs[j] >> 4;
        w[j] = (int8_t)((int)(low | (high >> j & 1) << 4) - offset);
        w[j + 16] = (int8_t)((int)(upper | (high >> (j + 16) & 1) << 4) - offset);
    }
}

void unpack_q5_0(const uint8_t *block, struct block32 *out) {
    const struct block_q5_0 *b = (const void *)block;
    unpack_5_bits(b->qs, load_le32(b->qh), 16, out->w);
    out->d = load_half(b->d);
}

void unpack_q5_1(const uint8_t *block, struct block32 *out) {
    const struct block_q5_1 *b = (const void *)block;
    unpack_5_bits(b->qs, load_le32(b->qh), 0, out->w);
    out->d = load_half(b->d);
    out->m = load_half(b->m);
}

void unpack_q8_0(const uint8_t *block, struct block32 *out) {
    const struct block_q8_0 *b = (const void *)block;
    memcpy(out->w, b->qs, sizeof out->w);
    out->d = load_half(b->d);
}

static void unpack_table(const uint8_t qs[16], const int8_t levels[16], int8_t w[32]) {
    for (size_t j = 0; j < 16; j++) {
        w[j] = levels[qs[j] & 15];
        w[j + 16] = levels[qs[j] >> 4];
    }
}

void unpack_iq4_nl(const uint8_t *block, struct block32 *out) {
    const struct block_iq4_nl *b = (const void *)block;
    unpack_table(b->qs, iq4_levels, out->w);
    out->d = load_half(b->d);
}

void unpack_mxfp4(const uint8_t *block, struct block32 *out) {
    /* E2M1 magnitudes 0 0.5 1 1.5 2 3 4 6, doubled; the scale 2^(e - 127) is halved in turn. */
    static const int8_t levels[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
    const struct block_mxfp4 *b = (const void *)block;
    unpack_table(b->qs, levels, out->w);
    /* 2^(e - 128) is a normal float from e = 2 on, 2^-128 = 0x00200000 and 2^-127 before. */
    out->d = float_from_bits(b->e >= 2 ? (uint32_t)(b->e - 1) << 23 : 0x00200000u << b->e);
}

/* ---- Multiply ---- */

struct type32 {
    size_t block_bytes;
    unpack_block32 *unpack;
    bool has_min;
};

static int32_t dot32(const int8_t *w, const int8_t *x) {
    int32_t sum = 0; /* |sum| <= 32 * 128 * 127 < 2^20 */
    for (size_t i = 0; i < 32; i++)
        sum += w[i] * x[i];
    return sum;
}

/* acc after block i of row t of x. */
static float add_block(const struct block32 *b, bool has_min, const struct acts *x, size_t t, size_t i,
                       float acc) {
    size_t n_blocks = x->n / 32, at = t * n_blocks + i;
    float r = b->d * (float)dot32(b->w, x->q + t * x->n + i * 32);
    if (has_min)
        r = fmaf(b->m, (float)x->sum[at], r);
    return fmaf(x->d[at], r, acc);
}

static void matmul32(const struct type32 *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                     const struct acts *x, float *y, size_t y_stride) {
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t t = 0; t < x->n_tokens; t++)
            y[t * y_stride + r] = 0;
        for (size_t i = 0; i < x->n / 32; i++) {
            struct block32 b;
            type->unpack(w + r * row_bytes + i * type->block_bytes, &b);
            for (size_t t = 0; t < x->n_tokens; t++) {
                float *acc = &y[t * y_stride + r];
                *acc = add_block(&b, type->has_min, x, t, i, *acc);
            }
        }
    }
}

/* ---- The types ---- */

void matmul_q4_0_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                   size_t y_stride) {
    static const struct type32 type = { sizeof(struct block_q4_0), unpack_q4_0, false };
    matmul32(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q4_1_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                   size_t y_stride) {
    static const struct type32 type = { sizeof(struct block_q4_1), unpack_q4_1, true };
    matmul32(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q5_0_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                   size_t y_stride) {
    static const struct type32 type = { sizeof(struct block_q5_0), unpack_q5_0, false };
    matmul32(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q5_1_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                   size_t y_stride) {
    static const struct type32 type = { sizeof(struct block_q5_1), unpack_q5_1, true };
    matmul32(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q8_0_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                   size_t y_stride) {
    static const struct type32 type = { sizeof(struct block_q8_0), unpack_q8_0, false };
    matmul32(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq4_nl_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                     size_t y_stride) {
    static const struct type32 type = { sizeof(struct block_iq4_nl), unpack_iq4_nl, false };
    matmul32(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_mxfp4_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                    size_t y_stride) {
    static const struct type32 type = { sizeof(struct block_mxfp4), unpack_mxfp4, false };
    matmul32(&type, w, row_bytes, n_rows, x, y, y_stride);
}
