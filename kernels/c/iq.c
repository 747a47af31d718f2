/* iq.c - y = W x for the table types: super-blocks whose values are looked up in codebooks.
 * SPDX-License-Identifier: MIT
 * Layouts: formats/blocks.h; codebooks: formats/iq_grids.h. The formats write their scales as
 * d * (0.5 + s) * 0.25 and the like; here they are odd integers 2 s + 1 times d * 2^-k, which is exact. The
 * +-1/8 that IQ1 adds to a value becomes an integer too, with weights 8 * value +- 1. */
#include "kernels/c/level.h"
#include "kernels/c/scalar.h"
#include "kernels/c/unpack.h"

#include "formats/blocks.h"
#include "formats/iq_grids.h"

/* ---- Unpack ---- */

/* n magnitudes with the signs in the bits of `negative`. */
static void apply_signs(const uint8_t *magnitudes, unsigned negative, size_t n, int8_t *w) {
    for (size_t j = 0; j < n; j++)
        w[j] = (int8_t)(negative >> j & 1 ? -magnitudes[j] : magnitudes[j]);
}

static void set_scale32(struct super_block *out, size_t s, int scale) {
    out->scale[2 * s] = out->scale[2 * s + 1] = (int16_t)scale;
}

void unpack_iq4_xs(const uint8_t *block, struct super_block *out) {
    const struct block_iq4_xs *b = (const void *)block;
    for (size_t s = 0; s < 8; s++) {
        int low = b->scales_l[s / 2] >> 4 * (s % 2) & 15, high = load_le16(b->scales_h) >> 2 * s & 3;
        set_scale32(out, s, (low | high << 4) - 32);
        for (size_t j = 0; j < 16; j++) {
            out->w[32 * s + j] = iq4_levels[b->qs[16 * s + j] & 15];
            out->w[32 * s + j + 16] = iq4_levels[b->qs[16 * s + j] >> 4];
        }
    }
    out->d = load_half(b->d);
}

void unpack_iq3_s(const uint8_t *block, struct super_block *out) {
    const struct block_iq3_s *b = (const void *)block;
    for (size_t s = 0; s < 8; s++) {
        set_scale32(out, s, 2 * (b->scales[s / 2] >> 4 * (s % 2) & 15) + 1);
        for (size_t k = 0; k < 8; k++) {
            uint8_t v[4];
            iq3s_unpack(iq3s_grid[b->qs[8 * s + k] | (b->qh[s] >> k & 1u) << 8], v);
            apply_signs(v, (unsigned)b->signs[4 * s + k / 2] >> 4 * (k % 2), 4, out->w + 32 * s + 4 * k);
        }
    }
    out->d = load_half(b->d);
}

void unpack_iq3_xxs(const uint8_t *block, struct super_block *out) {
    const struct block_iq3_xxs *b = (const void *)block;
    for (size_t s = 0; s < 8; s++) {
        uint32_t packed = load_le32(b->scales + 4 * s);
        set_scale32(out, s, 2 * (int)(packed >> 28) + 1);
        for (size_t l = 0; l < 4; l++) {
            uint8_t v[8];
            iq3xxs_unpack(iq3xxs_grid[b->qs[8 * s + 2 * l]], v);
            iq3xxs_unpack(iq3xxs_grid[b->qs[8 * s + 2 * l + 1]], v + 4);
            apply_signs(v, iq_signs(packed >> 7 * l), 8, out->w + 32 * s + 8 * l);
        }
    }
    out->d = load_half(b->d) * 0.25f;
}

void unpack_iq2_s(const uint8_t *block, struct super_block *out) {
    const struct block_iq2_s *b = (const void *)block;
    for (size_t g = 0; g < 32; g++) {
        size_t s = g / 4, l = g % 4;
        uint8_t v[8];
        iq2_unpack(iq2s_grid[b->qs[g] | (b->qh[s] >> 2 * l & 3u) << 8], v);
        apply_signs(v, b->signs[g], 8, out->w + 8 * g);
        out->scale[g / 2] = (int16_t)(2 * (b->scales[s] >> 4 * (l / 2) & 15) + 1);
    }
    out->d = load_half(b->d) * 0.125f;
}

void unpack_iq2_xs(const uint8_t *block, struct super_block *out) {
    const struct block_iq2_xs *b = (const void *)block;
    for (size_t g = 0; g < 32; g++) {
        size_t s = g / 4, l = g % 4;
        uint16_t packed = load_le16(b->qs + 2 * g);
        uint8_t v[8];
        iq2_unpack(iq2xs_grid[packed & 511], v);
        apply_signs(v, iq_signs(packed >> 9), 8, out->w + 8 * g);
        out->scale[g / 2] = (int16_t)(2 * (b->scales[s] >> 4 * (l / 2) & 15) + 1);
    }
    out->d = load_half(b->d) * 0.125f;
}

void unpack_iq2_xxs(const uint8_t *block, struct super_block *out) {
    const struct block_iq2_xxs *b = (const void *)block;
    for (size_t s = 0; s < 8; s++) {
        const uint8_t *indices = b->qs + 8 * s;
        uint32_t packed = load_le32(indices + 4);
        set_scale32(out, s, 2 * (int)(packed >> 28) + 1);
        for (size_t l = 0; l < 4; l++) {
            uint8_t v[8];
            iq2_unpack(iq2xxs_grid[indices[l]], v);
            apply_signs(v, iq_signs(packed >> 7 * l), 8, out->w + 32 * s + 8 * l);
        }
    }
    out->d = load_half(b->d) * 0.125f;
}

/* A group of 8 values of IQ1_S and IQ1_M, eightfold: 8 * (-1, 0, 1) + delta, delta = 1 or -1. */
static void unpack_iq1_group(unsigned index, int delta, int8_t w[8]) {
    int8_t v[8];
    iq1_unpack(iq1s_grid[index], v);
    for (size_t j = 0; j < 8; j++)
        w[j] = (int8_t)(8 * v[j] + delta);
}

void unpack_iq1_s(const uint8_t *block, struct super_block *out) {
    const struct block_iq1_s *b = (const void *)block;
    for (size_t s = 0; s < 8; s++) {
        unsigned packed = load_le16(b->qh + 2 * s);
        set_scale32(out, s, 2 * (int)(packed >> 12 & 7) + 1);
        for (size_t l = 0; l < 4; l++)
            unpack_iq1_group(b->qs[4 * s + l] | (packed >> 3 * l & 7) << 8, packed >> 15 ? -1 : 1,
                             out->w + 32 * s + 8 * l);
    }
    out->d = load_half(b->d) * 0.125f;
}

void unpack_iq1_m(const uint8_t *block, struct super_block *out) {
    const struct block_iq1_m *b = (const void *)block;
    unsigned d = 0;
    for (size_t k = 0; k < 4; k++) {
        unsigned packed = load_le16(b->scales + 2 * k);
        d |= packed >> 12 << 4 * k;
        for (size_t j = 0; j < 4; j++)
            out->scale[4 * k + j] = (int16_t)(2 * (packed >> 3 * j & 7) + 1);
    }
    for (size_t g = 0; g < 32; g++) {
        unsigned high = b->qh[g / 2] >> 4 * (g % 2) & 15;
        unpack_iq1_group(b->qs[g] | (high & 7) << 8, high & 8 ? -1 : 1, out->w + 8 * g);
    }
    out->d = half_to_float((uint16_t)d) * 0.125f;
}

/* ---- The types ---- */

void matmul_iq4_xs_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                     size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_iq4_xs), unpack_iq4_xs, false };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq3_s_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                    size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_iq3_s), unpack_iq3_s, false };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq3_xxs_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_iq3_xxs), unpack_iq3_xxs, false };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_s_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                    size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_iq2_s), unpack_iq2_s, false };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_xs_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                     size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_iq2_xs), unpack_iq2_xs, false };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq2_xxs_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_iq2_xxs), unpack_iq2_xxs, false };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq1_s_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                    size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_iq1_s), unpack_iq1_s, false };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq1_m_c(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                    size_t y_stride) {
    static const struct super_type type = { sizeof(struct block_iq1_m), unpack_iq1_m, false };
    matmul_super(&type, w, row_bytes, n_rows, x, y, y_stride);
}
