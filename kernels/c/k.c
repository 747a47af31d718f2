/* k.c - y = W x for the K types: super-blocks with integer scales (and minima) per 16 or 32 values.
 * SPDX-License-Identifier: MIT
 * Layouts: formats/blocks.h. */
#include "kernels/c/level.h"
#include "kernels/c/scalar.h"
#include "kernels/c/unpack.h"

#include "formats/blocks.h"

/* ---- Unpack ---- */

/* The 2-bit quants of Q2_K and Q3_K. */
static unsigned quant2(const uint8_t qs[64], size_t i) {
    return qs[32 * (i / 128) + i % 32] >> 2 * (i % 128 / 32) & 3;
}

void unpack_q2_K(const uint8_t *block, struct super_block *out) {
    const struct block_q2_K *b = (const void *)block;
    for (size_t i = 0; i < 256; i++)
        out->w[i] = (int8_t)quant2(b->qs, i);
    for (size_t j = 0; j < 16; j++) {
        out->scale[j] = b->scales[j] & 15;
        out->min[j] = b->scales[j] >> 4;
    }
    out->d = load_half(b->d);
    out->dmin = load_half(b->dmin);
}

void unpack_q3_K(const uint8_t *block, struct super_block *out) {
    const struct block_q3_K *b = (const void *)block;
    for (size_t i = 0; i < 256; i++) {
        unsigned high = b->hmask[i % 32] >> i / 32 & 1;
        out->w[i] = (int8_t)((int)(quant2(b->qs, i) | high << 2) - 4);
    }
    for (size_t j = 0; j < 16; j++) {
        unsigned low = b->scales[j % 8] >> 4 * (j / 8) & 15, high = b->scales[8 + j % 4] >> 2 * (j / 4) & 3;
        out->scale[j] = (int16_t)((int)(low | high << 4) - 32);
    }
    out->d = load_half(b->d);
}

/* The 6-bit scales and minima of Q4_K and Q5_K. */
static void unpack_scales(const uint8_t k[12], struct super_block *out) {
    for (size_t s = 0; s < 8; s++) {
        int scale = s < 4 ? k[s] & 63 : (k[s + 4] & 15) | k[s - 4] >> 6 << 4;
        int min = s < 4 ? k[s + 4] & 63 : k[s + 4] >> 4 | k[s] >> 6 << 4;
        out->scale[2 * s] = out->scale[2 * s + 1] = (int16_t)scale;
        out->min[2 * s] = out->min[2 * s + 1] = (int16_t)min;
    }
}

static unsigned quant4(const uint8_t qs[128], size_t i) {
    return qs[32 * (i / 64) + i % 32] >> 4 * (i % 64 / 32) & 15;
}

void unpack_q4_K(const uint8_t *block, struct super_block *out) {
    const struct block_q4_K *b = (const void *)block;
    for (size_t i = 0; i < 256; i++)
        out->w[i] = (int8_t)quant4(b->qs, i);
    unpack_scales(b->scales, out);
    out->d = load_half(b->d);
    out->dmin = load_half(b->dmin);
}

void unpack_q5_K(const uint8_t *block, struct super_block *out) {
    const struct block_q5_K *b = (const void *)block;
    for (size_t i = 0; i < 256; i++)
        out->w[i] = (int8_t)(quant4(b->qs, i) | ((unsigned)b->qh[i % 32] >> i / 32 & 1) << 4);
    unpack_scales(b->scales, out);
    out->d = load_half(b->d);
    out->dmin = load_half(b->dmin);
}

void unpack_q6_K(const uint8_t *block, struct super_block *out) {
    const struct block_q6_K *b = (const void *)block;
    for (size_t i = 0; i < 256; i++) {
        size_t half = i / 128, c = i % 128 / 32, l = i % 32;
        unsigned low = b->ql[64 * half + 32 * (c % 2) + l] >> 4 * (c / 2) & 15;
        unsigned high = b->qh[32 * half + l] >> 2 * c & 3;
        out->w[i] = (int8_t)((int)(low | high << 4) - 32);
    }
    for (size_t j = 0; j < 16; j++)
        out->scale[j] = b->scales[j];
    out->d = load_half(b->d);
}

/* ---- The types ---- */

void matmul_q2_K_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                   size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_q2_K), unpack_q2_K, true };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q3_K_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                   size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_q3_K), unpack_q3_K, false };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q4_K_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                   size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_q4_K), unpack_q4_K, true };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q5_K_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                   size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_q5_K), unpack_q5_K, true };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q6_K_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                   size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_q6_K), unpack_q6_K, false };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}
