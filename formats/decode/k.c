/* k.c - decoding Q2_K to Q6_K and Q8_K: 256 values with a scale (and a minimum) per 16 or 32 of them, the
 * scales themselves integers with a scale per block.
 * SPDX-License-Identifier: MIT
 * How the bits lie: the drawings of formats/blocks.h. */
#include "formats/decode/decode.h"

/* Value i of 256 four-bit codes: groups of 64, low nibbles first. */
static int nibble_of_256(const uint8_t qs[128], int i) {
    const int group = i / 64;
    const uint8_t byte = qs[32 * group + i % 32];
    return i % 64 < 32 ? byte & 15 : byte >> 4;
}

/* Bit of value i where each of 32 bytes holds eight values that are 32 apart. */
static int bit_of_256(const uint8_t bytes[32], int i) {
    return bytes[i % 32] >> i / 32 & 1;
}

void decode_q2_K(const void *src, float *dst, size_t n_blocks) {
    const struct block_q2_K *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = load_f16(b->d);
        const float dmin = load_f16(b->dmin);
        for (int i = 0; i < SUPER_BLOCK_VALUES; i++) {
            const uint8_t scale = b->scales[i / 16];
            dst[i] = d * (float)(scale & 15) * (float)two_bits_of_256(b->qs, i) - dmin * (float)(scale >> 4);
        }
    }
}

static int scale_of_q3_K(const uint8_t scales[12], int s) {
    const int low = scales[s % 8] >> 4 * (s / 8) & 15;
    const int high = scales[8 + s % 4] >> 2 * (s / 4) & 3;
    return (low | high << 4) - 32;
}

void decode_q3_K(const void *src, float *dst, size_t n_blocks) {
    const struct block_q3_K *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = load_f16(b->d);
        for (int i = 0; i < SUPER_BLOCK_VALUES; i++) {
            const int q = two_bits_of_256(b->qs, i) + 4 * bit_of_256(b->hmask, i) - 4;
            dst[i] = d * (float)scale_of_q3_K(b->scales, i / 16) * (float)q;
        }
    }
}

/* Scale and minimum of sub-block s of Q4_K and Q5_K, 0..63. */
static void scale_of_q4_K(const uint8_t scales[12], int s, int *scale, int *minimum) {
    if (s < 4) {
        *scale = scales[s] & 63;
        *minimum = scales[s + 4] & 63;
    } else {
        *scale = (scales[s + 4] & 15) | scales[s - 4] >> 6 << 4;
        *minimum = scales[s + 4] >> 4 | scales[s] >> 6 << 4;
    }
}

void decode_q4_K(const void *src, float *dst, size_t n_blocks) {
    const struct block_q4_K *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = load_f16(b->d);
        const float dmin = load_f16(b->dmin);
        for (int i = 0; i < SUPER_BLOCK_VALUES; i++) {
            int scale, minimum;
            scale_of_q4_K(b->scales, i / 32, &scale, &minimum);
            dst[i] = d * (float)scale * (float)nibble_of_256(b->qs, i) - dmin * (float)minimum;
        }
    }
}

void decode_q5_K(const void *src, float *dst, size_t n_blocks) {
    const struct block_q5_K *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = load_f16(b->d);
        const float dmin = load_f16(b->dmin);
        for (int i = 0; i < SUPER_BLOCK_VALUES; i++) {
            int scale, minimum;
            scale_of_q4_K(b->scales, i / 32, &scale, &minimum);
            const int q = nibble_of_256(b->qs, i) + 16 * bit_of_256(b->qh, i);
            dst[i] = d * (float)scale * (float)q - dmin * (float)minimum;
        }
    }
}

void decode_q6_K(const void *src, float *dst, size_t n_blocks) {
    const struct block_q6_K *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = load_f16(b->d);
        for (int i = 0; i < SUPER_BLOCK_VALUES; i++) {
            const int half = i / 128;
            const int r = i % 128;
            const uint8_t byte = b->ql[64 * half + r % 64];
            const int low = r < 64 ? byte & 15 : byte >> 4;
            const int q = (low | two_bits_of_256(b->qh, i) << 4) - 32;
            dst[i] = d * (float)b->scales[i / 16] * (float)q;
        }
    }
}

void decode_q8_K(const void *src, float *dst, size_t n_blocks) {
    const struct block_q8_K *b = src;
    for (; n_blocks--; b++, dst += SUPER_BLOCK_VALUES) {
        const float d = load_f32(b->d);
        for (int i = 0; i < SUPER_BLOCK_VALUES; i++)
            dst[i] = d * (float)b->qs[i];
    }
}
