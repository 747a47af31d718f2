/* blocks.h - the bytes of every block type, as GGUF files hold them.
 * SPDX-License-Identifier: MIT
 * Formulas: formats/FORMAT.md. Every field is an array of bytes, so a block has alignment 1: a pointer into
 * a mapping may be used as a pointer to blocks at any address. 16- and 32-bit fields are little-endian and
 * read with load_le16() and load_le32() of formats/status.h. "f16" is an IEEE half: f16_to_f32().
 *
 * The drawings give offsets in bytes. s is a sub-block, q a quant, d and m a scale and a minimum. */
#ifndef QUERN_FORMATS_BLOCKS_H
#define QUERN_FORMATS_BLOCKS_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BLOCK_VALUES = 32,        /* of the types with one scale per block */
    SUPER_BLOCK_VALUES = 256, /* of the types with scales per sub-block */
};

/* ---- Blocks of 32: one scale ----
 * 4-bit quants: byte j of qs is value j in its low nibble and value j + 16 in its high nibble:
 *
 *     qs   [0]       [1]       ...  [15]
 *          16 | 0    17 | 1         31 | 15      (high nibble | low nibble)
 */

/* 0 d 2 qs 18 */
struct block_q4_0 {
    uint8_t d[2]; /* f16 */
    uint8_t qs[16];
};
static_assert(sizeof(struct block_q4_0) == 18, "Q4_0");

/* 0 d 2 m 4 qs 20 */
struct block_q4_1 {
    uint8_t d[2]; /* f16 */
    uint8_t m[2]; /* f16 */
    uint8_t qs[16];
};
static_assert(sizeof(struct block_q4_1) == 20, "Q4_1");

/* 0 d 2 qh 6 qs 22 */
struct block_q5_0 {
    uint8_t d[2];  /* f16 */
    uint8_t qh[4]; /* u32: bit i is bit 4 of value i */
    uint8_t qs[16];
};
static_assert(sizeof(struct block_q5_0) == 22, "Q5_0");

/* 0 d 2 m 4 qh 8 qs 24 */
struct block_q5_1 {
    uint8_t d[2];  /* f16 */
    uint8_t m[2];  /* f16 */
    uint8_t qh[4]; /* u32: bit i is bit 4 of value i */
    uint8_t qs[16];
};
static_assert(sizeof(struct block_q5_1) == 24, "Q5_1");

/* 0 d 2 qs 34 */
struct block_q8_0 {
    uint8_t d[2]; /* f16 */
    int8_t qs[32];
};
static_assert(sizeof(struct block_q8_0) == 34, "Q8_0");

/* 0 d 2 sum 4 qs 36 */
struct block_q8_1 {
    uint8_t d[2];   /* f16 */
    uint8_t sum[2]; /* f16: d times the sum of qs; not needed to decode */
    int8_t qs[32];
};
static_assert(sizeof(struct block_q8_1) == 36, "Q8_1");

/* 0 d 2 qs 18 */
struct block_iq4_nl {
    uint8_t d[2];   /* f16 */
    uint8_t qs[16]; /* indices into a table of 16 values */
};
static_assert(sizeof(struct block_iq4_nl) == 18, "IQ4_NL");

/* 0 e 1 qs 17 */
struct block_mxfp4 {
    uint8_t e;      /* E8M0: the scale is 2^(e - 127) */
    uint8_t qs[16]; /* E2M1 */
};
static_assert(sizeof(struct block_mxfp4) == 17, "MXFP4");

/* ---- Super-blocks of 256: K types ----
 * 2-bit quants of Q2_K and Q3_K: four values 32 apart share a byte, in each half of 128 values:
 *
 *     bit of qs[32 h + l]    7 6        5 4        3 2        1 0
 *     value 128 h + l +      96         64         32         0
 */

/* 0 scales 16 qs 80 d 82 dmin 84; 16 sub-blocks of 16 */
struct block_q2_K {
    uint8_t scales[16]; /* of sub-block s: scale in the low, minimum in the high nibble */
    uint8_t qs[64];
    uint8_t d[2];    /* f16: scale of the scales */
    uint8_t dmin[2]; /* f16: scale of the minima */
};
static_assert(sizeof(struct block_q2_K) == 84, "Q2_K");
static_assert(offsetof(struct block_q2_K, d) == 80, "Q2_K");

/* 0 hmask 32 qs 96 scales 108 d 110; 16 sub-blocks of 16
 *
 *     scales, 16 of 6 bits:  byte 0..7: low 4 bits of scale 8 + byte | of scale byte
 *                            byte 8..11: bits 5 4 of scales 12 + k | 8 + k | 4 + k | k,  k = byte - 8 */
struct block_q3_K {
    uint8_t hmask[32]; /* bit i / 32 of byte i % 32 is bit 2 of value i */
    uint8_t qs[64];
    uint8_t scales[12];
    uint8_t d[2]; /* f16 */
};
static_assert(sizeof(struct block_q3_K) == 110, "Q3_K");
static_assert(offsetof(struct block_q3_K, d) == 108, "Q3_K");

/* 4-bit quants of Q4_K and Q5_K: byte 32 g + l is value 64 g + l (low nibble) and 64 g + 32 + l (high).
 *
 *     scales, 8 scales sc and 8 minima mn of 6 bits in 12 bytes:
 *          bit         7 6              5 4 3 2 1 0
 *          byte s      sc[s + 4] 5 4    sc[s]                        s = 0..3
 *          byte 4 + s  mn[s + 4] 5 4    mn[s]
 *          byte 8 + s  mn[s + 4] 3 2 1 0 | sc[s + 4] 3 2 1 0         (nibbles)
 *
 * 0 d 2 dmin 4 scales 16 qs 144; 8 sub-blocks of 32 */
struct block_q4_K {
    uint8_t d[2];    /* f16: scale of the scales */
    uint8_t dmin[2]; /* f16: scale of the minima */
    uint8_t scales[12];
    uint8_t qs[128];
};
static_assert(sizeof(struct block_q4_K) == 144, "Q4_K");
static_assert(offsetof(struct block_q4_K, scales) == 4, "Q4_K");

/* 0 d 2 dmin 4 scales 16 qh 48 qs 176; 8 sub-blocks of 32 */
struct block_q5_K {
    uint8_t d[2];    /* f16 */
    uint8_t dmin[2]; /* f16 */
    uint8_t scales[12];
    uint8_t qh[32]; /* bit i / 32 of byte i % 32 is bit 4 of value i */
    uint8_t qs[128];
};
static_assert(sizeof(struct block_q5_K) == 176, "Q5_K");
static_assert(offsetof(struct block_q5_K, scales) == 4, "Q5_K");

/* 0 ql 128 qh 192 scales 208 d 210; 16 sub-blocks of 16
 *
 * Value 128 h + 32 c + l, c = 0..3: low nibble of ql[64 h + 32 (c % 2) + l] for c = 0, 1, high nibble for
 * c = 2, 3; bits 5 4 are bits 2c + 1, 2c of qh[32 h + l]. */
struct block_q6_K {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint8_t d[2]; /* f16 */
};
static_assert(sizeof(struct block_q6_K) == 210, "Q6_K");
static_assert(offsetof(struct block_q6_K, scales) == 192, "Q6_K");
static_assert(offsetof(struct block_q6_K, d) == 208, "Q6_K");

/* 0 d 4 qs 260 sums 292 */
struct block_q8_K {
    uint8_t d[4]; /* float32 */
    int8_t qs[256];
    uint8_t sums[32]; /* 16 x i16: of each 16 qs; not needed to decode */
};
static_assert(sizeof(struct block_q8_K) == 292, "Q8_K");

/* ---- Super-blocks of 256: table types ----
 * 8 sub-blocks s of 32 values in 4 groups l of 8; a group is an entry of a codebook (formats/iq_grids.h),
 * or two entries of four, with 8 signs. */

/* 0 d 2 scales_h 4 scales_l 8 qs 136 */
struct block_iq4_xs {
    uint8_t d[2];        /* f16 */
    uint8_t scales_h[2]; /* u16: bits 2s + 1, 2s are bits 5 4 of the scale of s */
    uint8_t scales_l[4]; /* nibble s is the low 4 bits */
    uint8_t qs[128];     /* 16 bytes for each s, as in IQ4_NL */
};
static_assert(sizeof(struct block_iq4_xs) == 136, "IQ4_XS");
static_assert(offsetof(struct block_iq4_xs, scales_l) == 4, "IQ4_XS");

/* 0 d 2 qs 66; sub-block s is qs[8 s .. 8 s + 7]:
 *
 *     bytes 0..3   index of group 0, 1, 2, 3
 *     bytes 4..7   u32:  bit 31..28 scale | 27..21 signs of group 3 | 20..14 of 2 | 13..7 of 1 | 6..0 of 0 */
struct block_iq2_xxs {
    uint8_t d[2]; /* f16 */
    uint8_t qs[64];
};
static_assert(sizeof(struct block_iq2_xxs) == 66, "IQ2_XXS");

/* 0 d 2 qs 66 scales 74 */
struct block_iq2_xs {
    uint8_t d[2];      /* f16 */
    uint8_t qs[64];    /* 32 x u16, one per group: signs in bits 15..9, index in bits 8..0 */
    uint8_t scales[8]; /* of s: groups 0, 1 in the low nibble, 2, 3 in the high */
};
static_assert(sizeof(struct block_iq2_xs) == 74, "IQ2_XS");
static_assert(offsetof(struct block_iq2_xs, scales) == 66, "IQ2_XS");

/* 0 d 2 qs 34 signs 66 qh 74 scales 82 */
struct block_iq2_s {
    uint8_t d[2];      /* f16 */
    uint8_t qs[32];    /* low 8 bits of the index, one per group */
    uint8_t signs[32]; /* bit j: value j of the group is negative */
    uint8_t qh[8];     /* of s: bits 2l + 1, 2l are bits 9 8 of the index of group l */
    uint8_t scales[8]; /* as in IQ2_XS */
};
static_assert(sizeof(struct block_iq2_s) == 82, "IQ2_S");
static_assert(offsetof(struct block_iq2_s, scales) == 74, "IQ2_S");

/* 0 d 2 qs 66 scales 98 */
struct block_iq3_xxs {
    uint8_t d[2];       /* f16 */
    uint8_t qs[64];     /* two indices per group */
    uint8_t scales[32]; /* 8 x u32, one per s: scale and signs as in IQ2_XXS */
};
static_assert(sizeof(struct block_iq3_xxs) == 98, "IQ3_XXS");
static_assert(offsetof(struct block_iq3_xxs, scales) == 66, "IQ3_XXS");

/* 0 d 2 qs 66 qh 74 signs 106 scales 110 */
struct block_iq3_s {
    uint8_t d[2];      /* f16 */
    uint8_t qs[64];    /* low 8 bits of the index, two per group */
    uint8_t qh[8];     /* of s: bit k is bit 8 of index 8 s + k */
    uint8_t signs[32]; /* bit j: value j of the group is negative */
    uint8_t scales[4]; /* nibble s */
};
static_assert(sizeof(struct block_iq3_s) == 110, "IQ3_S");
static_assert(offsetof(struct block_iq3_s, scales) == 106, "IQ3_S");

/* 0 d 2 qs 34 qh 50 */
struct block_iq1_s {
    uint8_t d[2];   /* f16 */
    uint8_t qs[32]; /* low 8 bits of the index, one per group */
    uint8_t qh[16]; /* 8 x u16, one per s: bit 15 delta is negative | 14..12 scale |
                     * 3l + 2 .. 3l: bits 10..8 of the index of group l */
};
static_assert(sizeof(struct block_iq1_s) == 50, "IQ1_S");

/* 0 qs 32 qh 48 scales 56; the f16 scale of the block is spread over the top nibbles of scales */
struct block_iq1_m {
    uint8_t qs[32];    /* low 8 bits of the index, one per group */
    uint8_t qh[16];    /* nibble g of group g: bit 3 delta is negative | 2..0: bits 10..8 of the index */
    uint8_t scales[8]; /* 4 x u16: bits 15..12 are nibble k of d | 11..9 8..6 5..3 2..0 scales of the
                        * 16 values 4k + 3, 4k + 2, 4k + 1, 4k */
};
static_assert(sizeof(struct block_iq1_m) == 56, "IQ1_M");
static_assert(offsetof(struct block_iq1_m, scales) == 48, "IQ1_M");

/* ---- Super-blocks of 256: ternary types ---- */

/* 0 qs 48 qh 52 d 54; five base-3 digits to a byte, four in qh */
struct block_tq1_0 {
    uint8_t qs[48];
    uint8_t qh[4];
    uint8_t d[2]; /* f16 */
};
static_assert(sizeof(struct block_tq1_0) == 54, "TQ1_0");
static_assert(offsetof(struct block_tq1_0, d) == 52, "TQ1_0");

/* 0 qs 64 d 66; qs as in Q2_K */
struct block_tq2_0 {
    uint8_t qs[64];
    uint8_t d[2]; /* f16 */
};
static_assert(sizeof(struct block_tq2_0) == 66, "TQ2_0");
static_assert(offsetof(struct block_tq2_0, d) == 64, "TQ2_0");

/* ---- Types whose layout alone is known ---- */

/* 0 d 4 qs 36; 64 values in 4 sub-blocks of 16 */
struct block_nvfp4 {
    uint8_t d[4];   /* E4M3, one per sub-block */
    uint8_t qs[32]; /* E2M1 */
};
static_assert(sizeof(struct block_nvfp4) == 36, "NVFP4");

/* 0 d 2 qs 18; 128 values */
struct block_q1_0 {
    uint8_t d[2]; /* f16 */
    uint8_t qs[16];
};
static_assert(sizeof(struct block_q1_0) == 18, "Q1_0");

/* 0 d 2 qs 18; 64 values */
struct block_q2_0 {
    uint8_t d[2]; /* f16 */
    uint8_t qs[16];
};
static_assert(sizeof(struct block_q2_0) == 18, "Q2_0");

#endif
