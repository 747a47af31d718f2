/* plain.c - encoding types that store each value by itself.
 * SPDX-License-Identifier: MIT
 * F16 and BF16 round to nearest even. Values of 65520 and more become infinite in F16: a caller that may
 * hold such values looks for them with type_first_nonfinite() afterwards. */
#include "formats/encode/encode.h"

void encode_f32(const float *src, void *dst, size_t n_blocks) {
    memcpy(dst, src, n_blocks * sizeof *src);
}

void encode_f16(const float *src, void *dst, size_t n_blocks) {
    uint8_t *p = dst;
    for (size_t i = 0; i < n_blocks; i++)
        store_le16(p + 2 * i, f32_to_f16(src[i]));
}

void encode_bf16(const float *src, void *dst, size_t n_blocks) {
    uint8_t *p = dst;
    for (size_t i = 0; i < n_blocks; i++)
        store_le16(p + 2 * i, f32_to_bf16(src[i]));
}
