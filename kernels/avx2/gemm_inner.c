/* gemm_inner.c - the inner loops of products with many tokens: 16 rows x 3 tokens.
 * SPDX-License-Identifier: MIT
 * Whole loops in assembly, because GCC 12 and clang 14 rearrange chains of additions into trees, for which
 * they keep every product, on the stack. All use the 16 registers alike, for tokens t = 0..2
 * and halves h of the rows:
 *
 *     ymm 2 t + h        sums of a sub-block or block
 *     ymm 6 + 2 t + h    what they are added to, scaled
 *     ymm 12 + h         weights, then scales
 *     ymm 14             four values of x (two of words) to all lanes
 *     ymm 15             a product
 *
 * Products of bytes (vpmaddubsw) are added in 16 bits for as long as the bound of the type allows, then
 * vpmaddwd by the scales widens them. What counts is the number of operations for the three vector ports that
 * Intel cores have; loads have ports of their own. Loops begin at cache lines: without, they took up to a
 * third longer. */
#include "kernels/avx2/gemm_inner.h"

#include <stddef.h>

/* F(t, address of x, sums, totals). */
#define EACH_TOKEN(F)                                                                                        \
    F(0, "(%[q])", "0", "1", "6", "7")                                                                       \
    F(1, "(%[q],%[n])", "2", "3", "8", "9")                                                                  \
    F(2, "(%[q],%[n],2)", "4", "5", "10", "11")

#define LOAD_ACC(t, x, s0, s1, d0, d1)                                                                       \
    "vmovdqa 64*" #t "(%[acc]), %%ymm" d0 "\n\t"                                                             \
    "vmovdqa 64*" #t "+32(%[acc]), %%ymm" d1 "\n\t"
#define STORE_ACC(t, x, s0, s1, d0, d1)                                                                      \
    "vmovdqa %%ymm" d0 ", 64*" #t "(%[acc])\n\t"                                                             \
    "vmovdqa %%ymm" d1 ", 64*" #t "+32(%[acc])\n\t"

/* Two loads of weights, three of x, six products for each i of a list. */
#define PRODUCTS(list, how)                                                                                  \
    ".irp i," list "\n\t"                                                                                    \
    "vmovdqa 64*\\i(%[w]), %%ymm12\n\t"                                                                      \
    "vmovdqa 64*\\i+32(%[w]), %%ymm13\n\t" EACH_TOKEN(how) ".endr\n\t"
#define CLOBBERS                                                                                             \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",        \
        "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc"

/* The first products of a sum, and those that are added. i: the assembler's, of .irp. */
#define SET_BYTES(t, x, s0, s1, d0, d1)                                                                      \
    "vpbroadcastd 4*\\i" x ", %%ymm14\n\t"                                                                   \
    "vpmaddubsw %%ymm14, %%ymm12, %%ymm" s0 "\n\t"                                                           \
    "vpmaddubsw %%ymm14, %%ymm13, %%ymm" s1 "\n\t"
#define ADD_BYTES(t, x, s0, s1, d0, d1)                                                                      \
    "vpbroadcastd 4*\\i" x ", %%ymm14\n\t"                                                                   \
    "vpmaddubsw %%ymm14, %%ymm12, %%ymm15\n\t"                                                               \
    "vpmaddubsw %%ymm14, %%ymm13, %%ymm14\n\t"                                                               \
    "vpaddw %%ymm15, %%ymm" s0 ", %%ymm" s0 "\n\t"                                                           \
    "vpaddw %%ymm14, %%ymm" s1 ", %%ymm" s1 "\n\t"
#define SET_WORDS(t, x, s0, s1, d0, d1)                                                                      \
    "vpbroadcastd 4*\\i" x ", %%ymm14\n\t"                                                                   \
    "vpmaddwd %%ymm14, %%ymm12, %%ymm" s0 "\n\t"                                                             \
    "vpmaddwd %%ymm14, %%ymm13, %%ymm" s1 "\n\t"
#define ADD_WORDS(t, x, s0, s1, d0, d1)                                                                      \
    "vpbroadcastd 4*\\i" x ", %%ymm14\n\t"                                                                   \
    "vpmaddwd %%ymm14, %%ymm12, %%ymm15\n\t"                                                                 \
    "vpmaddwd %%ymm14, %%ymm13, %%ymm14\n\t"                                                                 \
    "vpaddd %%ymm15, %%ymm" s0 ", %%ymm" s0 "\n\t"                                                           \
    "vpaddd %%ymm14, %%ymm" s1 ", %%ymm" s1 "\n\t"

#define BYTES(first, others) PRODUCTS(first, SET_BYTES) PRODUCTS(others, ADD_BYTES)
#define WORDS(first, others) PRODUCTS(first, SET_WORDS) PRODUCTS(others, ADD_WORDS)

/* ---- Super-blocks ---- */

#define SUM_TO_ZERO(t, x, s0, s1, d0, d1)                                                                    \
    "vpxor %%xmm" s0 ", %%xmm" s0 ", %%xmm" s0 "\n\t"                                                        \
    "vpxor %%xmm" s1 ", %%xmm" s1 ", %%xmm" s1 "\n\t"
#define TOTAL_TO_ZERO(t, x, s0, s1, d0, d1) SUM_TO_ZERO(t, x, d0, d1, s0, s1)

/* acc = fma(dx, fl(d * f32(total)), acc), with the minimum's part between. */
#define TO_FLOAT(t, x, s0, s1, d0, d1)                                                                       \
    "vcvtdq2ps %%ymm" d0 ", %%ymm" d0 "\n\t"                                                                 \
    "vcvtdq2ps %%ymm" d1 ", %%ymm" d1 "\n\t"                                                                 \
    "vmulps %c[d](%[p]), %%ymm" d0 ", %%ymm" d0 "\n\t"                                                       \
    "vmulps %c[d]+32(%[p]), %%ymm" d1 ", %%ymm" d1 "\n\t"
#define SUBTRACT_MIN(t, x, s0, s1, d0, d1)                                                                   \
    "vcvtdq2ps %%ymm" s0 ", %%ymm" s0 "\n\t"                                                                 \
    "vcvtdq2ps %%ymm" s1 ", %%ymm" s1 "\n\t"                                                                 \
    "vfnmadd231ps %c[m](%[p]), %%ymm" s0 ", %%ymm" d0 "\n\t"                                                 \
    "vfnmadd231ps %c[m]+32(%[p]), %%ymm" s1 ", %%ymm" d1 "\n\t"
#define ADD_SUPER(t, x, s0, s1, d0, d1)                                                                      \
    "vbroadcastss 32*" #t "(%[dx]), %%ymm14\n\t"                                                             \
    "vfmadd213ps 64*" #t "(%[acc]), %%ymm14, %%ymm" d0 "\n\t"                                                \
    "vfmadd213ps 64*" #t "+32(%[acc]), %%ymm14, %%ymm" d1 "\n\t"                                             \
    "vmovaps %%ymm" d0 ", 64*" #t "(%[acc])\n\t"                                                             \
    "vmovaps %%ymm" d1 ", 64*" #t "+32(%[acc])\n\t"

/* total += sum * scale * a: a line of the table has the factor twice, for both words. */
#define SCALE(t, x, s0, s1, d0, d1)                                                                          \
    "movzwl %c[line]+32*" #t "(%[in]), %k[at]\n\t"                                                           \
    "vpmaddwd %c[scale](%[p],%[at]), %%ymm" s0 ", %%ymm" s0 "\n\t"                                           \
    "vpmaddwd %c[scale]+32(%[p],%[at]), %%ymm" s1 ", %%ymm" s1 "\n\t"                                        \
    "vpaddd %%ymm" s0 ", %%ymm" d0 ", %%ymm" d0 "\n\t"                                                       \
    "vpaddd %%ymm" s1 ", %%ymm" d1 ", %%ymm" d1 "\n\t"

/* The panel's pairs times pairs of sums of x: to totals, as what an offset contributes, or to the sums. */
#define PAIR(x, s0, s1)                                                                                      \
    "vpbroadcastd 4*\\i" x ", %%ymm14\n\t"                                                                   \
    "vpmaddwd %%ymm14, %%ymm12, %%ymm15\n\t"                                                                 \
    "vpmaddwd %%ymm14, %%ymm13, %%ymm14\n\t"                                                                 \
    "vpaddd %%ymm15, %%ymm" s0 ", %%ymm" s0 "\n\t"                                                           \
    "vpaddd %%ymm14, %%ymm" s1 ", %%ymm" s1 "\n\t"
#define PAIRS(from, list, pairs_0, pairs_1, pairs_2)                                                         \
    ".irp i," list "\n\t"                                                                                    \
    "vmovdqa %c[" from "]+64*\\i(%[p]), %%ymm12\n\t"                                                         \
    "vmovdqa %c[" from "]+64*\\i+32(%[p]), %%ymm13\n\t" pairs_0 pairs_1 pairs_2 ".endr\n\t"
#define PAIRS_TO_TOTAL(list)                                                                                 \
    EACH_TOKEN(TOTAL_TO_ZERO)                                                                                \
    PAIRS("pairs", list, PAIR("(%[g])", "6", "7"), PAIR("(%[g],%[g_n])", "8", "9"),                          \
          PAIR("(%[g],%[g_n],2)", "10", "11"))
#define PAIRS_TO_SUM(list)                                                                                   \
    EACH_TOKEN(SUM_TO_ZERO)                                                                                  \
    PAIRS("min", list, PAIR("(%[g])", "0", "1"), PAIR("(%[g],%[g_n])", "2", "3"),                            \
          PAIR("(%[g],%[g_n],2)", "4", "5"))

/* `turn` is the body of a turn, which takes a line of scales and `values` of k from w and q. */
#define SUPER_LOOP(begin, turn, values, w_begin, q_begin, q_bytes, minimum)                                  \
    for (float *acc = in->acc, *end = acc + PANELS * TOKENS * PANEL_ROWS; acc < end;                         \
         acc += TOKENS * PANEL_ROWS, p++) {                                                                  \
        const void *w = w_begin, *q = q_begin, *in_at = in;                                                  \
        size_t left = PANEL_VALUES / (values), at;                                                           \
        __asm__ volatile(                                                                                    \
            begin ".p2align 6\n1:\n\t" turn "addq %[w_step], %[w]\n\t"                                       \
                  "addq %[q_step], %[q]\n\t"                                                                 \
                  "addq $2, %[in]\n\t"                                                                       \
                  "decq %[left]\n\t"                                                                         \
                  "jne 1b\n\t" EACH_TOKEN(TO_FLOAT) minimum EACH_TOKEN(ADD_SUPER)                            \
            : [w] "+&r"(w), [q] "+&r"(q), [in] "+&r"(in_at), [left] "+&r"(left), [at] "=&r"(at)              \
            : [p] "r"(p), [n] "r"((q_bytes) == 1 ? in->q_stride : sizeof in->words[0]), [g] "r"(in->g),      \
              [g_n] "r"(in->g_stride), [dx] "r"(in->dx), [acc] "r"(acc),                                     \
              [w_step] "i"((q_bytes) * (values)*16), [q_step] "i"((q_bytes) * (values)),                     \
              [line] "i"(offsetof(struct inner, line)), [scale] "i"(offsetof(struct panel, scale)),          \
              [pairs] "i"(offsetof(struct panel, pairs)), [min] "i"(offsetof(struct panel, min)),            \
              [d] "i"(offsetof(struct panel, d)), [m] "i"(offsetof(struct panel, m))                         \
            : CLOBBERS);                                                                                     \
    }
#define BYTES_LOOP(begin, turn, values, minimum) SUPER_LOOP(begin, turn, values, p->w, in->q, 1, minimum)

#define FOUR      "0,1,2,3"
#define EIGHT     "0,1,2,3,4,5,6,7"
#define ZERO      EACH_TOKEN(TOTAL_TO_ZERO)
#define MIN(list) PAIRS_TO_SUM(list) EACH_TOKEN(SUBTRACT_MIN)

#define TURN_32_BY_8 BYTES("0", "1,2,3,4,5,6,7") EACH_TOKEN(SCALE)
#define TURN_32_BY_4 BYTES("0", "1,2,3") EACH_TOKEN(SCALE) BYTES("4", "5,6,7") EACH_TOKEN(SCALE)
#define TURN_16_BY_4 BYTES("0", "1,2,3") EACH_TOKEN(SCALE)
#define TURN_16_BY_2 BYTES("0", "1") EACH_TOKEN(SCALE) BYTES("2", "3") EACH_TOKEN(SCALE)

void inner_super_32_by_8_min_avx2(const struct panel *p, struct inner *in) {
    BYTES_LOOP(ZERO, TURN_32_BY_8, 32, MIN(FOUR))
}

void inner_super_32_by_8_avx2(const struct panel *p, struct inner *in) {
    BYTES_LOOP(PAIRS_TO_TOTAL(FOUR), TURN_32_BY_8, 32, "")
}

void inner_super_32_by_4_min_avx2(const struct panel *p, struct inner *in) {
    BYTES_LOOP(ZERO, TURN_32_BY_4, 32, MIN(FOUR))
}

void inner_super_16_by_4_min_avx2(const struct panel *p, struct inner *in) {
    BYTES_LOOP(ZERO, TURN_16_BY_4, 16, MIN(EIGHT))
}

void inner_super_16_by_4_avx2(const struct panel *p, struct inner *in) {
    BYTES_LOOP(PAIRS_TO_TOTAL(EIGHT), TURN_16_BY_4, 16, "")
}

void inner_super_16_by_2_avx2(const struct panel *p, struct inner *in) {
    BYTES_LOOP(PAIRS_TO_TOTAL(EIGHT), TURN_16_BY_2, 16, "")
}

#define TOTAL_WORDS(t, x, s0, s1, d0, d1) ADD_WORDS(t, x, d0, d1, s0, s1)

void inner_super_words_avx2(const struct panel *p, struct inner *in) {
    SUPER_LOOP(ZERO, PRODUCTS(EIGHT, TOTAL_WORDS), 16, p->words, in->words, 2, "")
}

/* ---- Blocks of 32 ---- */

static const struct {
    alignas(32) int16_t one[16];
    int32_t bias;
} constants = { { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, SUM_BIAS_BITS };

#define WIDEN(t, x, s0, s1, d0, d1)                                                                          \
    "vpmaddwd %[one], %%ymm" s0 ", %%ymm" s0 "\n\t"                                                          \
    "vpmaddwd %[one], %%ymm" s1 ", %%ymm" s1 "\n\t"
/* Words of the first half of a block, aside; and all, widened. */
#define STORE_HALF(t, x, s0, s1, d0, d1)                                                                     \
    "vmovdqa %%ymm" s0 ", 64*" #t "(%[half])\n\t"                                                            \
    "vmovdqa %%ymm" s1 ", 64*" #t "+32(%[half])\n\t"
#define WIDEN_HALVES(t, x, s0, s1, d0, d1)                                                                   \
    "vpmaddwd %%ymm12, %%ymm" s0 ", %%ymm" s0 "\n\t"                                                         \
    "vpmaddwd %%ymm12, %%ymm" s1 ", %%ymm" s1 "\n\t"                                                         \
    "vpmaddwd 64*" #t "(%[half]), %%ymm12, %%ymm14\n\t"                                                      \
    "vpmaddwd 64*" #t "+32(%[half]), %%ymm12, %%ymm15\n\t"                                                   \
    "vpaddd %%ymm14, %%ymm" s0 ", %%ymm" s0 "\n\t"                                                           \
    "vpaddd %%ymm15, %%ymm" s1 ", %%ymm" s1 "\n\t"

#define BLOCK_BY_8 BYTES("0", "1,2,3,4,5,6,7") EACH_TOKEN(WIDEN)
#define BLOCK_BY_4                                                                                           \
    BYTES("0", "1,2,3")                                                                                      \
    EACH_TOKEN(STORE_HALF) BYTES("4", "5,6,7") "vmovdqa %[one], %%ymm12\n\t" EACH_TOKEN(WIDEN_HALVES)
#define BLOCK_WORDS WORDS("0", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15")

#define ADD_START(t, x, s0, s1, d0, d1)                                                                      \
    "vpbroadcastd 64*" #t "(%[start]), %%ymm14\n\t"                                                          \
    "vpaddd %%ymm14, %%ymm" s0 ", %%ymm" s0 "\n\t"                                                           \
    "vpaddd %%ymm14, %%ymm" s1 ", %%ymm" s1 "\n\t"

/* d * f32(sum): as SUM_BIAS says, or for a d that is too large for that. */
#define LOAD_SCALES                                                                                          \
    "vmovaps (%[d]), %%ymm12\n\t"                                                                            \
    "vmovaps 32(%[d]), %%ymm13\n\t"
#define MULTIPLY_BIASED(t, x, s0, s1, d0, d1)                                                                \
    "vfmadd213ps %c[d_bias](%[d]), %%ymm12, %%ymm" s0 "\n\t"                                                 \
    "vfmadd213ps %c[d_bias]+32(%[d]), %%ymm13, %%ymm" s1 "\n\t"
#define MULTIPLY_PLAIN(t, x, s0, s1, d0, d1)                                                                 \
    "vpbroadcastd %[bias], %%ymm14\n\t"                                                                      \
    "vpsubd %%ymm14, %%ymm" s0 ", %%ymm" s0 "\n\t"                                                           \
    "vpsubd %%ymm14, %%ymm" s1 ", %%ymm" s1 "\n\t"                                                           \
    "vcvtdq2ps %%ymm" s0 ", %%ymm" s0 "\n\t"                                                                 \
    "vcvtdq2ps %%ymm" s1 ", %%ymm" s1 "\n\t"                                                                 \
    "vmulps %%ymm12, %%ymm" s0 ", %%ymm" s0 "\n\t"                                                           \
    "vmulps %%ymm13, %%ymm" s1 ", %%ymm" s1 "\n\t"

/* What the minimum contributes, and the step of the outputs. */
#define ADD_MIN(t, x, s0, s1, d0, d1)                                                                        \
    "vbroadcastss 32*" #t "(%[x_sum]), %%ymm14\n\t"                                                          \
    "vfmadd231ps %c[m](%[d]), %%ymm14, %%ymm" s0 "\n\t"                                                      \
    "vfmadd231ps %c[m]+32(%[d]), %%ymm14, %%ymm" s1 "\n\t"
#define ADD_BLOCK(t, x, s0, s1, d0, d1)                                                                      \
    "vbroadcastss 32*" #t "(%[dx]), %%ymm14\n\t"                                                             \
    "vfmadd231ps %%ymm" s0 ", %%ymm14, %%ymm" d0 "\n\t"                                                      \
    "vfmadd231ps %%ymm" s1 ", %%ymm14, %%ymm" d1 "\n\t"

/* `products` of a block from q_begin, n bytes from token to token, of which each value takes q_bytes. */
#define BLOCK_LOOP(products, q_begin, q_bytes, multiply, minimum)                                            \
    for (float *acc = in->acc, *end = acc + PANELS * TOKENS * PANEL_ROWS; acc < end;                         \
         acc += TOKENS * PANEL_ROWS, p++) {                                                                  \
        const void *w = p->w, *d = p->d, *start = in->start, *q = q_begin, *dx = in->dx, *x_sum = in->x_sum; \
        size_t left = in->n_blocks;                                                                          \
        __asm__ volatile(EACH_TOKEN(LOAD_ACC) ".p2align 6\n1:\n\t" products EACH_TOKEN(ADD_START)            \
                             LOAD_SCALES EACH_TOKEN(multiply)                                                \
                                 minimum EACH_TOKEN(ADD_BLOCK) "addq %[w_step], %[w]\n\t"                    \
                                                               "addq %[q_step], %[q]\n\t"                    \
                                                               "addq $4, %[start]\n\t"                       \
                                                               "addq $4, %[dx]\n\t"                          \
                                                               "addq $4, %[x_sum]\n\t"                       \
                                                               "addq $64, %[d]\n\t"                          \
                                                               "decq %[left]\n\t"                            \
                                                               "jne 1b\n\t" EACH_TOKEN(STORE_ACC)            \
                         : [w] "+&r"(w), [q] "+&r"(q), [d] "+&r"(d), [dx] "+&r"(dx), [start] "+&r"(start),   \
                           [left] "+&r"(left), [x_sum] "+&r"(x_sum)                                          \
                         : [n] "r"((q_bytes) == 1 ? in->q_stride : sizeof in->words[0]), [acc] "r"(acc),     \
                           [half] "r"(in->half), [w_step] "i"((q_bytes)*512), [q_step] "i"((q_bytes)*32),    \
                           [one] "m"(constants.one), [bias] "m"(constants.bias),                             \
                           [d_bias] "i"(offsetof(struct panel, d_bias) - offsetof(struct panel, d)),         \
                           [m] "i"(offsetof(struct panel, m) - offsetof(struct panel, d))                    \
                         : CLOBBERS);                                                                        \
    }

#define BLOCK_FUNCTION(name, products, q_begin, q_bytes, minimum)                                            \
    void name(const struct panel *p, struct inner *in) {                                                     \
        if (p[0].is_finite && p[1].is_finite)                                                                \
            BLOCK_LOOP(products, q_begin, q_bytes, MULTIPLY_BIASED, minimum)                                 \
        else                                                                                                 \
            BLOCK_LOOP(products, q_begin, q_bytes, MULTIPLY_PLAIN, minimum)                                  \
    }

BLOCK_FUNCTION(inner_blocks_by_8_avx2, BLOCK_BY_8, in->q, 1, "")
BLOCK_FUNCTION(inner_blocks_by_8_min_avx2, BLOCK_BY_8, in->q, 1, EACH_TOKEN(ADD_MIN))
BLOCK_FUNCTION(inner_blocks_by_4_avx2, BLOCK_BY_4, in->q, 1, "")
BLOCK_FUNCTION(inner_blocks_by_4_min_avx2, BLOCK_BY_4, in->q, 1, EACH_TOKEN(ADD_MIN))
BLOCK_FUNCTION(inner_blocks_words_avx2, BLOCK_WORDS, in->words, 2, "")
