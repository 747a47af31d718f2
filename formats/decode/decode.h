/* decode.h - the decoders behind the table of formats/types.c, and what they share.
 * SPDX-License-Identifier: MIT
 * Private to formats/. Each follows its formula in formats/FORMAT.md in float32 in the order written there,
 * without fused multiply-add (the folder is compiled with -ffp-contract=off), so that every build gives the
 * same bits. They are the definition that kernels are tested against; none is on a fast path. */
#ifndef QUERN_FORMATS_DECODE_H
#define QUERN_FORMATS_DECODE_H

#include "formats/blocks.h"
#include "formats/status.h"
#include "formats/types.h"

/* plain.c */
type_decode decode_f32, decode_f16, decode_bf16, decode_f64, decode_i8, decode_i16, decode_i32, decode_i64;

/* legacy.c: one scale for 32 values */
type_decode decode_q4_0, decode_q4_1, decode_q5_0, decode_q5_1, decode_q8_0, decode_q8_1;

/* k.c: scales for 16 or 32 of 256 values */
type_decode decode_q2_K, decode_q3_K, decode_q4_K, decode_q5_K, decode_q6_K, decode_q8_K;

/* iq4.c: unevenly spaced levels */
type_decode decode_iq4_nl, decode_iq4_xs;

/* iq2.c, iq3.c: codebooks of magnitudes, and signs */
type_decode decode_iq2_xxs, decode_iq2_xs, decode_iq2_s, decode_iq3_xxs, decode_iq3_s;

/* iq1.c: a codebook of ternary values, and an offset */
type_decode decode_iq1_s, decode_iq1_m;

/* ternary.c */
type_decode decode_tq1_0, decode_tq2_0;

/* fp4.c */
type_decode decode_mxfp4;

/* The f16 that is stored at p. */
static inline float load_f16(const uint8_t p[2]) {
    return f16_to_f32(load_le16(p));
}

/* Value i of 32 four-bit codes: low nibbles first, then high nibbles. */
static inline int nibble_of_32(const uint8_t qs[16], int i) {
    return i < 16 ? qs[i] & 15 : qs[i - 16] >> 4;
}

/* Value i of 256 two-bit codes of which four, 32 values apart, share a byte. */
static inline int two_bits_of_256(const uint8_t qs[64], int i) {
    const int half = i / 128;
    const int quarter = i % 128 / 32;
    return qs[32 * half + i % 32] >> 2 * quarter & 3;
}

/* The f16 bits of an IQ1_M block's scale: the top nibbles of four u16, lowest nibble first. */
static inline uint16_t iq1_m_scale(const uint8_t scales[8]) {
    uint32_t bits = 0;
    for (int k = 0; k < 4; k++)
        bits |= (uint32_t)(scales[2 * k + 1] >> 4) << 4 * k;
    return (uint16_t)bits;
}

#endif
