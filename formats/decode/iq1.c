/* iq1.c - decoding IQ1_S and IQ1_M: eight values of -1, 0, 1 at a time from a codebook, moved by 1/8 up or
 * down.
 * SPDX-License-Identifier: MIT */
#include "formats/decode/decode.h"
#include "formats/iq_grids.h"

static void decode_group(float *dst, float scale, int index, bool delta_is_negative) {
    const float delta = delta_is_negative ? -0.125f : 0.125f;
    int8_t values[8];
    iq1_unpack(iq1s_grid[index], values);
    for (int j = 0; j < 8; j++)
        dst[j] = scale * ((float)values[j] + delta);
}

void decode_iq1_s(const void *src, float *dst, size_t n_blocks) {
    const struct block_iq1_s *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = load_f16(b->d);
        for (int g = 0; g < 32; g++) {
            const int word = load_le16(b->qh + 2 * (g / 4));
            const float scale = d * (float)(2 * (word >> 12 & 7) + 1);
            const int index = b->qs[g] | (word >> 3 * (g % 4) & 7) << 8;
            decode_group(dst + 8 * g, scale, index, word & 0x8000);
        }
    }
}

void decode_iq1_m(const void *src, float *dst, size_t n_blocks) {
    const struct block_iq1_m *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = f16_to_f32(iq1_m_scale(b->scales));
        for (int g = 0; g < 32; g++) {
            const int k = g / 2; /* 16 values share a three-bit scale */
            const int code = load_le16(b->scales + 2 * (k / 4)) >> 3 * (k % 4) & 7;
            const int high = b->qh[g / 2] >> 4 * (g % 2) & 15;
            decode_group(dst + 8 * g, d * (float)(2 * code + 1), b->qs[g] | (high & 7) << 8, high & 8);
        }
    }
}
