/* iq4.c - decoding IQ4_NL and IQ4_XS: four bits choose one of 16 unevenly spaced levels.
 * SPDX-License-Identifier: MIT */
#include "formats/decode/decode.h"
#include "formats/iq_grids.h"

void decode_iq4_nl(const void *src, float *dst, size_t n_blocks) {
    const struct block_iq4_nl *b = src;
    for (; n_blocks--; b++, dst += BLOCK_VALUES) {
        const float d = load_f16(b->d);
        for (int i = 0; i < BLOCK_VALUES; i++)
            dst[i] = d * (float)iq4_levels[nibble_of_32(b->qs, i)];
    }
}

void decode_iq4_xs(const void *src, float *dst, size_t n_blocks) {
    const struct block_iq4_xs *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = load_f16(b->d);
        const int high = load_le16(b->scales_h);
        for (int s = 0; s < 8; s++) {
            const int low = b->scales_l[s / 2] >> 4 * (s % 2) & 15;
            const float scale = d * (float)((low | (high >> 2 * s & 3) << 4) - 32);
            for (int i = 0; i < 32; i++)
                dst[32 * s + i] = scale * (float)iq4_levels[nibble_of_32(b->qs + 16 * s, i)];
        }
    }
}
