/* iq2.c - decoding IQ2_XXS, IQ2_XS, IQ2_S: eight magnitudes at a time from a codebook, and their signs.
 * SPDX-License-Identifier: MIT
 * The types differ in the size of the codebook and in how an index, its signs and its scale are packed. */
#include "formats/decode/decode.h"
#include "formats/iq_grids.h"

/* The scale of a four-bit code: (code + 1/2) / 4 of the block's. */
static float scale_of(float d, uint32_t code) {
    return d * (0.5f + (float)code) * 0.25f;
}

static void decode_group(float *dst, float scale, uint16_t entry, uint8_t signs) {
    uint8_t values[8];
    iq2_unpack(entry, values);
    for (int j = 0; j < 8; j++) {
        const float v = scale * (float)values[j];
        dst[j] = signs >> j & 1 ? -v : v;
    }
}

void decode_iq2_xxs(const void *src, float *dst, size_t n_blocks) {
    const struct block_iq2_xxs *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = load_f16(b->d);
        for (int s = 0; s < 8; s++) {
            const uint8_t *index = b->qs + 8 * s;
            const uint32_t word = load_le32(index + 4);
            const float scale = scale_of(d, word >> 28);
            for (int l = 0; l < 4; l++)
                decode_group(dst + 32 * s + 8 * l, scale, iq2xxs_grid[index[l]], iq_signs(word >> 7 * l));
        }
    }
}

void decode_iq2_xs(const void *src, float *dst, size_t n_blocks) {
    const struct block_iq2_xs *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = load_f16(b->d);
        for (int g = 0; g < 32; g++) {
            const uint32_t code = load_le16(b->qs + 2 * g);
            const float scale = scale_of(d, b->scales[g / 4] >> 4 * (g % 4 / 2) & 15);
            decode_group(dst + 8 * g, scale, iq2xs_grid[code & 511], iq_signs(code >> 9));
        }
    }
}

void decode_iq2_s(const void *src, float *dst, size_t n_blocks) {
    const struct block_iq2_s *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = load_f16(b->d);
        for (int g = 0; g < 32; g++) {
            const int index = b->qs[g] | (b->qh[g / 4] >> 2 * (g % 4) & 3) << 8;
            const float scale = scale_of(d, b->scales[g / 4] >> 4 * (g % 4 / 2) & 15);
            decode_group(dst + 8 * g, scale, iq2s_grid[index], b->signs[g]);
        }
    }
}
