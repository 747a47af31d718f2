/* types.c - the table of tensor types, and the questions that it answers.
 * SPDX-License-Identifier: MIT
 * A new type is a block struct in blocks.h, a decoder in decode/, and a row here. Sizes come from the
 * structs, so a row cannot lie about them. */
#include "formats/types.h"
#include "formats/decode/decode.h"
#include "formats/encode/encode.h"

/* ---- Numbers that can be NaN or infinite ---- */

/* n of them side by side in a block, each for an equal share of its values. Of every kind of them a number
 * is not finite exactly if all bits of a mask are set: in floats the exponent's. */
struct numbers {
    size_t offset;
    size_t bytes; /* of one: 1, 2, 4 or 8 */
    size_t n;
    uint64_t mask;
};

enum { MAX_NUMBERS = 2 };

#define F16_MASK  0x7c00
#define BF16_MASK 0x7f80
#define F32_MASK  0x7f800000
#define F64_MASK  0x7ff0000000000000
#define E8M0_MASK 0xff
#define E4M3_MASK 0x7f
/* An f16 in the top nibbles of four words, which are loaded as one: iq1_m_scale() in decode.h. */
#define IQ1_M_MASK 0x7000c00000000000

/* ---- The table ---- */

/* name, values of a block, its bytes, decoder, encoder, and its numbers that can be NaN or infinite */
/* clang-format off */
#define TYPES(X)                                                                                             \
    X(F32, 1, float, decode_f32, encode_f32, VALUE(4, F32_MASK))                                             \
    X(F16, 1, uint16_t, decode_f16, encode_f16, VALUE(2, F16_MASK))                                          \
    X(BF16, 1, uint16_t, decode_bf16, encode_bf16, VALUE(2, BF16_MASK))                                      \
    X(F64, 1, double, decode_f64, NULL, VALUE(8, F64_MASK))                                                  \
    X(I8, 1, int8_t, decode_i8, NULL, NONE)                                                                  \
    X(I16, 1, int16_t, decode_i16, NULL, NONE)                                                               \
    X(I32, 1, int32_t, decode_i32, NULL, NONE)                                                               \
    X(I64, 1, int64_t, decode_i64, NULL, NONE)                                                               \
    X(Q4_0, 32, struct block_q4_0, decode_q4_0, NULL, HALF(q4_0, d))                                         \
    X(Q4_1, 32, struct block_q4_1, decode_q4_1, NULL, HALF(q4_1, d), HALF(q4_1, m))                          \
    X(Q5_0, 32, struct block_q5_0, decode_q5_0, NULL, HALF(q5_0, d))                                         \
    X(Q5_1, 32, struct block_q5_1, decode_q5_1, NULL, HALF(q5_1, d), HALF(q5_1, m))                          \
    X(Q8_0, 32, struct block_q8_0, decode_q8_0, encode_q8_0, HALF(q8_0, d))                                  \
    X(Q8_1, 32, struct block_q8_1, decode_q8_1, NULL, HALF(q8_1, d))                                         \
    X(Q2_K, 256, struct block_q2_K, decode_q2_K, NULL, HALF(q2_K, d), HALF(q2_K, dmin))                      \
    X(Q3_K, 256, struct block_q3_K, decode_q3_K, NULL, HALF(q3_K, d))                                        \
    X(Q4_K, 256, struct block_q4_K, decode_q4_K, NULL, HALF(q4_K, d), HALF(q4_K, dmin))                      \
    X(Q5_K, 256, struct block_q5_K, decode_q5_K, NULL, HALF(q5_K, d), HALF(q5_K, dmin))                      \
    X(Q6_K, 256, struct block_q6_K, decode_q6_K, NULL, HALF(q6_K, d))                                        \
    X(Q8_K, 256, struct block_q8_K, decode_q8_K, NULL, NUMBERS(q8_K, d, 4, 1, F32_MASK))                     \
    X(IQ2_XXS, 256, struct block_iq2_xxs, decode_iq2_xxs, NULL, HALF(iq2_xxs, d))                            \
    X(IQ2_XS, 256, struct block_iq2_xs, decode_iq2_xs, NULL, HALF(iq2_xs, d))                                \
    X(IQ2_S, 256, struct block_iq2_s, decode_iq2_s, NULL, HALF(iq2_s, d))                                    \
    X(IQ3_XXS, 256, struct block_iq3_xxs, decode_iq3_xxs, NULL, HALF(iq3_xxs, d))                            \
    X(IQ3_S, 256, struct block_iq3_s, decode_iq3_s, NULL, HALF(iq3_s, d))                                    \
    X(IQ1_S, 256, struct block_iq1_s, decode_iq1_s, NULL, HALF(iq1_s, d))                                    \
    X(IQ1_M, 256, struct block_iq1_m, decode_iq1_m, NULL, NUMBERS(iq1_m, scales, 8, 1, IQ1_M_MASK))          \
    X(IQ4_NL, 32, struct block_iq4_nl, decode_iq4_nl, NULL, HALF(iq4_nl, d))                                 \
    X(IQ4_XS, 256, struct block_iq4_xs, decode_iq4_xs, NULL, HALF(iq4_xs, d))                                \
    X(TQ1_0, 256, struct block_tq1_0, decode_tq1_0, NULL, HALF(tq1_0, d))                                    \
    X(TQ2_0, 256, struct block_tq2_0, decode_tq2_0, NULL, HALF(tq2_0, d))                                    \
    X(MXFP4, 32, struct block_mxfp4, decode_mxfp4, NULL, NUMBERS(mxfp4, e, 1, 1, E8M0_MASK))                 \
    X(NVFP4, 64, struct block_nvfp4, NULL, NULL, NUMBERS(nvfp4, d, 1, 4, E4M3_MASK))                         \
    X(Q1_0, 128, struct block_q1_0, NULL, NULL, HALF(q1_0, d))                                               \
    X(Q2_0, 64, struct block_q2_0, NULL, NULL, HALF(q2_0, d))

#define NUMBERS(block, field, size, count, bits)                                                             \
    { .offset = offsetof(struct block_##block, field), .bytes = size, .n = count, .mask = bits }
#define HALF(block, field) NUMBERS(block, field, 2, 1, F16_MASK)
#define VALUE(size, bits) { .offset = 0, .bytes = size, .n = 1, .mask = bits }
#define NONE { .n = 0 }
/* clang-format on */

static const struct type_info infos[TYPE_COUNT] = {
#define INFO(type, n_values, block, decoder, encoder, ...)                                                   \
    [TYPE_##type] = { .name = #type,                                                                         \
                      .block_values = n_values,                                                              \
                      .block_bytes = sizeof(block),                                                          \
                      .decode = decoder,                                                                     \
                      .encode = encoder },
    TYPES(INFO)
#undef INFO
};

static const struct numbers numbers[TYPE_COUNT][MAX_NUMBERS] = {
#define ROW_NUMBERS(type, n_values, block, decoder, encoder, ...) [TYPE_##type] = { __VA_ARGS__ },
    TYPES(ROW_NUMBERS)
#undef ROW_NUMBERS
};

#undef NUMBERS
#undef HALF
#undef VALUE
#undef NONE

const struct type_info *type_info(uint32_t id) {
    return id < TYPE_COUNT && infos[id].name ? &infos[id] : NULL;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_name(const char *a, const char *b) {
    while (*a && lower(*a) == lower(*b))
        a++, b++;
    return lower(*a) == lower(*b);
}

int type_by_name(const char *name) {
    for (int id = 0; id < TYPE_COUNT; id++)
        if (infos[id].name && same_name(infos[id].name, name))
            return id;
    return -1;
}

bool type_bytes(uint32_t id, uint64_t n_values, size_t *bytes) {
    const struct type_info *info = type_info(id);
    if (!info || n_values % info->block_values)
        return false;
    const uint64_t n_blocks = n_values / info->block_values;
    return n_blocks <= SIZE_MAX && size_mul((size_t)n_blocks, info->block_bytes, bytes);
}

static uint64_t load_le(const uint8_t *p, size_t bytes) {
    return bytes == 2 ? load_le16(p) : bytes == 4 ? load_le32(p) : bytes == 8 ? load_le64(p) : *p;
}

/* The index, over all blocks, of the first that is not finite; n_blocks * s->n if there is none. */
static size_t first_nonfinite(const struct numbers *s, const uint8_t *blocks, size_t block_bytes,
                              size_t n_blocks) {
    for (size_t i = 0; i < n_blocks; i++)
        for (size_t k = 0; k < s->n; k++) {
            const uint8_t *p = blocks + i * block_bytes + s->offset + k * s->bytes;
            if ((load_le(p, s->bytes) & s->mask) == s->mask)
                return i * s->n + k;
        }
    return n_blocks * s->n;
}

size_t type_first_nonfinite(uint32_t id, const void *src, size_t n_blocks) {
    const struct type_info *info = type_info(id);
    size_t first = n_blocks * info->block_values;
    for (size_t k = 0; k < MAX_NUMBERS && numbers[id][k].n; k++) {
        const struct numbers *s = &numbers[id][k];
        const size_t value =
            first_nonfinite(s, src, info->block_bytes, n_blocks) * (info->block_values / s->n);
        first = value < first ? value : first;
    }
    return first;
}

/* ---- Ids that are not in the table ---- */

/* clang-format off */
#define AGAIN "; quantize again from the original"
#define GONE(id, name) { id, "(" name ") was removed from the format" AGAIN }
#define IK(id, name) { id, "is ik_llama.cpp's own " name AGAIN " to a public type" }

static const struct refused {
    uint32_t id;
    const char *why;
} refused[] = {
    GONE(4, "Q4_2"),
    GONE(5, "Q4_3"),
    GONE(31, "Q4_0_4_4"),
    GONE(32, "Q4_0_4_8"),
    GONE(33, "Q4_0_8_8"),
    GONE(36, "IQ4_NL_4_4, or I2_S of bitnet.cpp and ik_llama.cpp"),
    GONE(37, "IQ4_NL_4_8"),
    GONE(38, "IQ4_NL_8_8"),
    IK(97, "activation type"),
    IK(98, "activation type"),
    IK(99, "activation type"),
    IK(133, "Q6_0"),
    IK(134, "IQ1_BN"),
    IK(135, "IQ2_BN"),
    IK(136, "Q8_K64"),
    IK(137, "IQ2_K"),
    IK(138, "IQ3_K"),
    IK(139, "IQ4_K"),
    IK(140, "IQ5_K"),
    IK(141, "IQ6_K"),
    IK(142, "IQ2_TN"),
    IK(143, "IQ1_TN"),
    IK(144, "IQ4_KS"),
    IK(145, "IQ2_KS"),
    IK(146, "IQ4_KSS"),
    IK(147, "Q8_K16"),
    IK(148, "Q8_K32"),
    IK(149, "Q8_KR8"),
    IK(150, "Q8_K128"),
    IK(151, "Q8_KV"),
    IK(152, "IQ5_KS"),
    IK(153, "IQ2_KT"),
    IK(154, "IQ3_KT"),
    IK(155, "IQ4_KT"),
    IK(156, "IQ3_KS"),
    IK(157, "IQ2_KL"),
    IK(158, "IQ1_KT"),
    IK(202, "Q4_0_R8"),
    IK(206, "Q5_0_R4"),
    IK(208, "Q8_0_R8"),
    IK(210, "Q2_K_R4"),
    IK(211, "Q3_K_R4"),
    IK(212, "Q4_K_R4"),
    IK(213, "Q5_K_R4"),
    IK(214, "Q6_K_R4"),
    IK(216, "IQ2_XXS_R4"),
    IK(217, "IQ2_XS_R4"),
    IK(218, "IQ3_XXS_R4"),
    IK(219, "IQ1_S_R4"),
    IK(220, "IQ4_NL_R4"),
    IK(221, "IQ3_S_R4"),
    IK(222, "IQ2_S_R4"),
    IK(223, "IQ4_XS_R8"),
    IK(229, "IQ1_M_R4"),
    IK(230, "BF16_R16"),
    IK(233, "Q6_0_R4"),
    IK(335, "IQ2_BN_R4"),
    IK(337, "IQ2_K_R4"),
    IK(338, "IQ3_K_R4"),
    IK(339, "IQ4_K_R4"),
    IK(340, "IQ5_K_R4"),
    IK(344, "IQ4_KS_R4"),
    IK(352, "IQ5_KS_R4"),
    IK(397, "Q8_K_R16"),
    IK(398, "Q8_KV_R8"),
    IK(399, "Q8_K_R8"),
};
/* clang-format on */

#undef AGAIN
#undef GONE
#undef IK

const char *type_refusal(uint32_t id) {
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (refused[i].id == id)
            return refused[i].why;
    return "is unknown (known: 0 to 42)";
}
