/* types.h - every quantized type as the kernels of this folder and of neon_i8mm see it.
 * SPDX-License-Identifier: MIT
 * Private to these. The rest of a type is its unpacking: block32.c, k.c, iq.c, ternary.c. */
#ifndef QUERN_KERNELS_NEON_TYPES_H
#define QUERN_KERNELS_NEON_TYPES_H

#include "kernels/neon/gemm.h"

#include "formats/blocks.h"

#include <stddef.h>

/* block32.c */
scales_neon scales_f16_neon, scales_e8m0_neon;
unpack32_neon unpack_q4_0_neon, unpack_q4_1_neon, unpack_q5_0_neon, unpack_q5_1_neon, unpack_q8_0_neon,
    unpack_iq4_nl_neon, unpack_mxfp4_neon;

/* k.c */
unpack_super_neon unpack_q2_K_neon, unpack_q3_K_neon, unpack_q4_K_neon, unpack_q5_K_neon, unpack_q6_K_neon;

/* iq.c */
unpack_super_neon unpack_iq4_xs_neon, unpack_iq3_s_neon, unpack_iq3_xxs_neon, unpack_iq2_s_neon,
    unpack_iq2_xs_neon, unpack_iq2_xxs_neon, unpack_iq1_s_neon, unpack_iq1_m_neon;

/* ternary.c */
unpack_super_neon unpack_tq1_0_neon, unpack_tq2_0_neon;

/* Bytes of a block, unpacking, scales, what the quants are too large by, where the minimum lies. */
static const struct type32 q4_0_type = { sizeof(struct block_q4_0), unpack_q4_0_neon, scales_f16_neon, 8, 0 };
static const struct type32 q4_1_type = { sizeof(struct block_q4_1), unpack_q4_1_neon, scales_f16_neon, 0,
                                         offsetof(struct block_q4_1, m) };
static const struct type32 q5_0_type = { sizeof(struct block_q5_0), unpack_q5_0_neon, scales_f16_neon, 16,
                                         0 };
static const struct type32 q5_1_type = { sizeof(struct block_q5_1), unpack_q5_1_neon, scales_f16_neon, 0,
                                         offsetof(struct block_q5_1, m) };
static const struct type32 q8_0_type = { sizeof(struct block_q8_0), unpack_q8_0_neon, scales_f16_neon, 0, 0 };
static const struct type32 iq4_nl_type = { sizeof(struct block_iq4_nl), unpack_iq4_nl_neon, scales_f16_neon,
                                           0, 0 };
static const struct type32 mxfp4_type = { sizeof(struct block_mxfp4), unpack_mxfp4_neon, scales_e8m0_neon, 0,
                                          0 };

/* Bytes of a super-block, unpacking, kind. */
static const struct super_type q2_K_type = { sizeof(struct block_q2_K), unpack_q2_K_neon, SUPER_16_MIN };
static const struct super_type q3_K_type = { sizeof(struct block_q3_K), unpack_q3_K_neon, SUPER_16 };
static const struct super_type q4_K_type = { sizeof(struct block_q4_K), unpack_q4_K_neon, SUPER_32_MIN };
static const struct super_type q5_K_type = { sizeof(struct block_q5_K), unpack_q5_K_neon, SUPER_32_MIN };
static const struct super_type q6_K_type = { sizeof(struct block_q6_K), unpack_q6_K_neon, SUPER_16_A16 };
static const struct super_type iq4_xs_type = { sizeof(struct block_iq4_xs), unpack_iq4_xs_neon, SUPER_32 };
static const struct super_type iq3_s_type = { sizeof(struct block_iq3_s), unpack_iq3_s_neon, SUPER_32 };
static const struct super_type iq3_xxs_type = { sizeof(struct block_iq3_xxs), unpack_iq3_xxs_neon, SUPER_32 };
static const struct super_type iq2_s_type = { sizeof(struct block_iq2_s), unpack_iq2_s_neon, SUPER_16 };
static const struct super_type iq2_xs_type = { sizeof(struct block_iq2_xs), unpack_iq2_xs_neon, SUPER_16 };
static const struct super_type iq2_xxs_type = { sizeof(struct block_iq2_xxs), unpack_iq2_xxs_neon, SUPER_32 };
static const struct super_type iq1_s_type = { sizeof(struct block_iq1_s), unpack_iq1_s_neon, SUPER_32 };
static const struct super_type iq1_m_type = { sizeof(struct block_iq1_m), unpack_iq1_m_neon, SUPER_16 };
static const struct super_type tq1_0_type = { sizeof(struct block_tq1_0), unpack_tq1_0_neon, SUPER_32 };
static const struct super_type tq2_0_type = { sizeof(struct block_tq2_0), unpack_tq2_0_neon, SUPER_32 };

#endif
