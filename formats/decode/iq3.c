/* iq3.c - decoding IQ3_XXS and IQ3_S: four magnitudes at a time from a codebook, and their signs.
 * SPDX-License-Identifier: MIT */
#include "formats/decode/decode.h"
#include "formats/iq_grids.h"

/* Two entries, unpacked to eight magnitudes, share a byte of signs. */
static void decode_group(float *dst, float scale, const uint8_t values[8], uint8_t signs) {
    for (int j = 0; j < 8; j++) {
        const float v = scale * (float)values[j];
        dst[j] = signs >> j & 1 ? -v : v;
    }
}

void decode_iq3_xxs(const void *src, float *dst, size_t n_blocks) {
    const struct block_iq3_xxs *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = load_f16(b->d);
        for (int g = 0; g < 32; g++) {
            const uint32_t word = load_le32(b->scales + 4 * (g / 4));
            const float scale = d * (0.5f + (float)(word >> 28)) * 0.5f;
            uint8_t values[8];
            iq3xxs_unpack(iq3xxs_grid[b->qs[2 * g]], values);
            iq3xxs_unpack(iq3xxs_grid[b->qs[2 * g + 1]], values + 4);
            decode_group(dst + 8 * g, scale, values, iq_signs(word >> 7 * (g % 4)));
        }
    }
}

void decode_iq3_s(const void *src, float *dst, size_t n_blocks) {
    const struct block_iq3_s *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = load_f16(b->d);
        for (int g = 0; g < 32; g++) {
            const int s = g / 4;
            const float scale = d * (float)(1 + 2 * (b->scales[s / 2] >> 4 * (s % 2) & 15));
            const int high = b->qh[s] >> 2 * (g % 4); /* bits 0 and 1: bit 8 of this group's two indices */
            uint8_t values[8];
            iq3s_unpack(iq3s_grid[b->qs[2 * g] | (high & 1) << 8], values);
            iq3s_unpack(iq3s_grid[b->qs[2 * g + 1] | (high >> 1 & 1) << 8], values + 4);
            decode_group(dst + 8 * g, scale, values, b->signs[g]);
        }
    }
}
