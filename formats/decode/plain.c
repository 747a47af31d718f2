/* plain.c - decoding types that store each value by itself.
 * SPDX-License-Identifier: MIT
 * Wider numbers are rounded to the nearest float32. */
#include "formats/decode/decode.h"

void decode_f32(const void *src, float *dst, size_t n_blocks) {
    memcpy(dst, src, n_blocks * sizeof *dst);
}

void decode_f16(const void *src, float *dst, size_t n_blocks) {
    const uint8_t *p = src;
    for (size_t i = 0; i < n_blocks; i++)
        dst[i] = load_f16(p + 2 * i);
}

void decode_bf16(const void *src, float *dst, size_t n_blocks) {
    const uint8_t *p = src;
    for (size_t i = 0; i < n_blocks; i++)
        dst[i] = bf16_to_f32(load_le16(p + 2 * i));
}

void decode_f64(const void *src, float *dst, size_t n_blocks) {
    const uint8_t *p = src;
    for (size_t i = 0; i < n_blocks; i++) {
        double v;
        memcpy(&v, p + 8 * i, sizeof v);
        dst[i] = (float)v;
    }
}

void decode_i8(const void *src, float *dst, size_t n_blocks) {
    const int8_t *p = src;
    for (size_t i = 0; i < n_blocks; i++)
        dst[i] = p[i];
}

void decode_i16(const void *src, float *dst, size_t n_blocks) {
    const uint8_t *p = src;
    for (size_t i = 0; i < n_blocks; i++)
        dst[i] = (int16_t)load_le16(p + 2 * i);
}

void decode_i32(const void *src, float *dst, size_t n_blocks) {
    const uint8_t *p = src;
    for (size_t i = 0; i < n_blocks; i++)
        dst[i] = (float)(int32_t)load_le32(p + 4 * i);
}

void decode_i64(const void *src, float *dst, size_t n_blocks) {
    const uint8_t *p = src;
    for (size_t i = 0; i < n_blocks; i++)
        dst[i] = (float)(int64_t)load_le64(p + 8 * i);
}
