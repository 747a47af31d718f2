/* gemm.h - products with few tokens and with many: what a type is described by.
 * SPDX-License-Identifier: MIT
 * Private to kernels/neon and kernels/neon_i8mm. Weights are multiplied as signed bytes. Up to three tokens
 * go row by row (block32.c, super.h); more go by panels of 64 rows x 256 values, which sdot or smmla
 * multiplies (panel.h). */
#ifndef QUERN_KERNELS_NEON_GEMM_H
#define QUERN_KERNELS_NEON_GEMM_H

#include "kernels/kernels.h"

#include <arm_neon.h>

enum { GEMM_TOKENS = 4 }; /* from here on the panel pays for itself */

/* ---- Blocks of 32 ---- */

/* The 32 weights of a block, too large by the type's offset. */
typedef int8x16x2_t unpack32_neon(const uint8_t *block);
/* The scales of a block at `offset` of four rows. */
typedef float32x4_t scales_neon(const uint8_t *const row[4], size_t offset);

struct type32 {
    size_t block_bytes;
    unpack32_neon *unpack;
    scales_neon *scales; /* at offset 0 of a block */
    int offset;
    size_t min_offset; /* of the f16 minimum in a block; 0: there is none */
};

/* ---- Super-blocks ---- */

/* A super-block of one row: with sub-blocks of 32 only scale[0] and min[0] count. */
struct super_row {
    int8x16_t w[16];
    int16x8_t scale[2], min[2];
    float d, dmin; /* min and dmin: kinds with minima only */
};

typedef void unpack_super_neon(const uint8_t *block, struct super_row *out);

/* Which of these the weights have: a scale for each 16 or 32 values; minima. _A16: the activations have a
 * sub-scale for each 16 values too. */
enum super_kind { SUPER_32, SUPER_32_MIN, SUPER_16, SUPER_16_MIN, SUPER_16_A16, SUPER_KINDS };

static inline bool has_sub_blocks_of_16(enum super_kind kind) { return kind >= SUPER_16; }
static inline bool has_minima(enum super_kind kind) { return kind == SUPER_32_MIN || kind == SUPER_16_MIN; }

struct super_type {
    size_t block_bytes;
    unpack_super_neon *unpack;
    enum super_kind kind;
};

/* ---- Panels ---- */

typedef void gemm32_function(const struct type32 *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                             const struct acts *x, float *y, size_t y_stride);
typedef void gemm_super_function(const struct super_type *type, const uint8_t *w, size_t row_bytes,
                                 size_t n_rows, const struct acts *x, float *y, size_t y_stride);

gemm32_function gemm32_neon, gemm32_i8mm;
gemm_super_function gemm_super_neon, gemm_super_i8mm;

#endif
