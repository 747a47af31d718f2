/* types.h - the table of tensor types: everything that needs to know a type asks it.
 * SPDX-License-Identifier: MIT
 * Layouts and formulas: formats/FORMAT.md; block structs: formats/blocks.h. */
#ifndef QUERN_FORMATS_TYPES_H
#define QUERN_FORMATS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ids as GGUF stores them (u32). */
enum quern_type {
    TYPE_F32 = 0, TYPE_F16 = 1, TYPE_Q4_0 = 2, TYPE_Q4_1 = 3, TYPE_Q5_0 = 6, TYPE_Q5_1 = 7, TYPE_Q8_0 = 8,
    TYPE_Q8_1 = 9, TYPE_Q2_K = 10, TYPE_Q3_K = 11, TYPE_Q4_K = 12, TYPE_Q5_K = 13, TYPE_Q6_K = 14,
    TYPE_Q8_K = 15, TYPE_IQ2_XXS = 16, TYPE_IQ2_XS = 17, TYPE_IQ3_XXS = 18, TYPE_IQ1_S = 19,
    TYPE_IQ4_NL = 20, TYPE_IQ3_S = 21, TYPE_IQ2_S = 22, TYPE_IQ4_XS = 23, TYPE_I8 = 24, TYPE_I16 = 25,
    TYPE_I32 = 26, TYPE_I64 = 27, TYPE_F64 = 28, TYPE_IQ1_M = 29, TYPE_BF16 = 30, TYPE_TQ1_0 = 34,
    TYPE_TQ2_0 = 35, TYPE_MXFP4 = 39, TYPE_NVFP4 = 40, TYPE_Q1_0 = 41, TYPE_Q2_0 = 42,
    TYPE_COUNT = 43, /* ids are below this; holes are ids that were removed from the format */
};

/* Decode n_blocks consecutive blocks at src (any alignment) into dst [n_blocks * block_values]. Float32
 * in exactly the order FORMAT.md writes, so that every build gives the same bits. */
typedef void type_decode(const void *src, float *dst, size_t n_blocks);

/* Encode n_blocks * block_values floats at src, all finite, into consecutive blocks at dst. */
typedef void type_encode(const float *src, void *dst, size_t n_blocks);

struct type_info {
    const char *name;      /* GGUF's spelling: "Q4_K" */
    uint32_t block_values; /* values a block encodes; a row is a whole number of blocks */
    uint32_t block_bytes;
    type_decode *decode; /* NULL: the layout is known, the decoder is not written */
    type_encode *encode; /* NULL: no encoder */
};

/* The row of a type id; NULL if the id is unknown or was removed from the format. */
const struct type_info *type_info(uint32_t id);

/* What is known about an id that type_info() refuses, for a message: "was removed; quantize again from
 * the original" or "is ik_llama.cpp's IQ4_KS". Never NULL. */
const char *type_refusal(uint32_t id);

/* The id of a type by name, upper or lower case; -1 if there is none. */
int type_by_name(const char *name);

/* Bytes of n_values values of a type that type_info() knows. False if n_values is not a whole number of
 * blocks or the product overflows. */
bool type_bytes(uint32_t id, uint64_t n_values, size_t *bytes);

/* The first value of the blocks [n_blocks] whose scale is NaN or Inf (for plain float types: the value
 * itself); n_blocks * block_values if all are finite. */
size_t type_first_nonfinite(uint32_t id, const void *src, size_t n_blocks);

/* IEEE half to float and back (to nearest, ties to even; overflow to infinity), and the same for
 * bfloat16. The only conversions in quern outside kernels. */
float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);
float bf16_to_f32(uint16_t h);
uint16_t f32_to_bf16(float f);

#endif
