/* gemm_inner.c - the inner loops of products with many tokens: 16 rows x 3 tokens.
 * SPDX-License-Identifier: MIT
 * Whole loops in assembly, because GCC 12 and clang 14 rearrange chains of additions into trees, for which
 * they keep every product, on the stack. All use the 16 registers alike, for tokens t = 0..2 and halves h of
 * the rows:
 *
 *     ymm 2 t + h        sums of a sub-block or block
 *     ymm 6 + 2 t + h    what they are added to, scaled
 *     ymm 12 + h         weights, then scales
 *     ymm 14             four values of x (two of words) to all lanes
 *     ymm 15             a product
 *
 * Products of bytes (vpmaddubsw) are added in 16 bits for as long as the bound of the type allows, then
 * vpmaddwd by the scales widens them. Counted in operations of the three vector ports that Intel cores have;
 * four tokens, with the totals in memory, were as fast where eight products are added and a sixth slower
 * where two are (README.md). Loops begin at cache lines: without, they took up to a third longer. */
#include "kernels/avx2/gemm_inner.h"

#include <stddef.h>

/* F(t, address of x, sums, totals). */
#define EACH_TOKEN(F)                                                                                        \
    F(0, "(%[q])", "0", "1", "6", "7")                                                                       \
    F(1, "(%[q],%[n])", "2", "3", "8", "9")                                                                  \
    F(2, "(%[q],%[n],2)", "4", "5", "10", "11")

#define LOAD_TOTAL(t, x, s0, s1, d0, d1)                                                                     \
    "vmovdqa 64*" #t "(%[total]), %%ymm" d0 "\n\t"                                                           \
    "vmovdqa 64*" #t "+32(%[total]), %%ymm" d1 "\n\t"
#define STORE_TOTAL(t, x, s0, s1, d0, d1)                                                                    \
    "vmovdqa %%ymm" d0 ", 64*" #t "(%[total])\n\t"                                                           \
    "vmovdqa %%ymm" d1 ", 64*" #t "+32(%[total])\n\t"

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

/* Two loads of weights, three of x, six products for each i of a list. */
#define PRODUCTS(list, how)                                                                                  \
    ".irp i," list "\n\t"                                                                                    \
    "vmovdqa 64*\\i(%[w]), %%ymm12\n\t"                                                                      \
    "vmovdqa 64*\\i+32(%[w]), %%ymm13\n\t" EACH_TOKEN(how) ".endr\n\t"
#define BYTES(first, others) PRODUCTS(first, SET_BYTES) PRODUCTS(others, ADD_BYTES)
#define WORDS(first, others) PRODUCTS(first, SET_WORDS) PRODUCTS(others, ADD_WORDS)

#define CLOBBERS                                                                                             \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",        \
        "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc"

/* ---- Super-blocks ---- */

/* total += sum * scale * a: a line of the table has the factor twice, for both words. */
#define SCALE(t, x, s0, s1, d0, d1)                                                                          \
    "movzwl 32*" #t "(%[line]), %k[at]\n\t"                                                                  \
    "vpmaddwd (%[scale],%[at]), %%ymm" s0 ", %%ymm" s0 "\n\t"                                                \
    "vpmaddwd 32(%[scale],%[at]), %%ymm" s1 ", %%ymm" s1 "\n\t"                                              \
    "vpaddd %%ymm" s0 ", %%ymm" d0 ", %%ymm" d0 "\n\t"                                                       \
    "vpaddd %%ymm" s1 ", %%ymm" d1 ", %%ymm" d1 "\n\t"
#define BYTE(i) PRODUCTS(i, SET_BYTES) EACH_TOKEN(SCALE)

/* `turn` is the body of a turn, which takes a line of scales and `values` of k. */
#define SUPER_LOOP(turn, values)                                                                             \
    do {                                                                                                     \
        const void *w = p->w, *line = in->line, *q = in->q;                                                  \
        size_t left = PANEL_VALUES / (values), at;                                                           \
        __asm__ volatile(EACH_TOKEN(LOAD_TOTAL) ".p2align 6\n1:\n\t" turn "addq %[w_step], %[w]\n\t"         \
                                                "addq %[q_step], %[q]\n\t"                                   \
                                                "addq $2, %[line]\n\t"                                       \
                                                "decq %[left]\n\t"                                           \
                                                "jne 1b\n\t" EACH_TOKEN(STORE_TOTAL)                         \
                         : [w] "+r"(w), [q] "+r"(q), [line] "+r"(line), [left] "+r"(left), [at] "=&r"(at)    \
                         : [n] "r"(in->q_stride), [scale] "r"(p->scale), [total] "r"(in->total),             \
                           [w_step] "i"((values)*16), [q_step] "i"(values)                                   \
                         : CLOBBERS);                                                                        \
    } while (0)

void inner_super_32_by_8_avx2(const struct panel *p, struct inner *in) {
    SUPER_LOOP(BYTES("0", "1,2,3,4,5,6,7") EACH_TOKEN(SCALE), 32);
}

void inner_super_32_by_4_avx2(const struct panel *p, struct inner *in) {
    SUPER_LOOP(BYTES("0", "1,2,3") EACH_TOKEN(SCALE) BYTES("4", "5,6,7") EACH_TOKEN(SCALE), 32);
}

void inner_super_32_by_1_avx2(const struct panel *p, struct inner *in) {
    SUPER_LOOP(BYTE("0") BYTE("1") BYTE("2") BYTE("3") BYTE("4") BYTE("5") BYTE("6") BYTE("7"), 32);
}

void inner_super_16_by_4_avx2(const struct panel *p, struct inner *in) {
    SUPER_LOOP(BYTES("0", "1,2,3") EACH_TOKEN(SCALE), 16);
}

void inner_super_16_by_2_avx2(const struct panel *p, struct inner *in) {
    SUPER_LOOP(BYTES("0", "1") EACH_TOKEN(SCALE) BYTES("2", "3") EACH_TOKEN(SCALE), 16);
}

void inner_super_16_by_1_avx2(const struct panel *p, struct inner *in) {
    SUPER_LOOP(BYTE("0") BYTE("1") BYTE("2") BYTE("3"), 16);
}

#define WORDS_TO_TOTAL(t, x, s0, s1, d0, d1)                                                                 \
    "vmovdqa %%ymm" s0 ", 64*" #t "(%[total])\n\t"                                                           \
    "vmovdqa %%ymm" s1 ", 64*" #t "+32(%[total])\n\t"
#define SET_ZERO(t, x, s0, s1, d0, d1)                                                                       \
    "vpxor %%xmm" s0 ", %%xmm" s0 ", %%xmm" s0 "\n\t"                                                        \
    "vpxor %%xmm" s1 ", %%xmm" s1 ", %%xmm" s1 "\n\t"

void inner_super_words_avx2(const struct panel *p, struct inner *in) {
    const void *w = p->words, *q = in->words;
    size_t left = PANEL_VALUES / 16;
    __asm__ volatile(EACH_TOKEN(SET_ZERO) ".p2align 6\n1:\n\t" PRODUCTS(
                         "0,1,2,3,4,5,6,7", ADD_WORDS) "addq $512, %[w]\n\t"
                                                       "addq $32, %[q]\n\t"
                                                       "decq %[left]\n\t"
                                                       "jne 1b\n\t" EACH_TOKEN(WORDS_TO_TOTAL)
                     : [w] "+r"(w), [q] "+r"(q), [left] "+r"(left)
                     : [n] "r"(sizeof in->words[0]), [total] "r"(in->total)
                     : CLOBBERS);
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
    "vpbroadcastd 32*" #t "(%[start]), %%ymm14\n\t"                                                          \
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
    do {                                                                                                     \
        const void *w = p->w, *d = p->d, *start = in->start, *q = q_begin, *dx = in->dx, *x_sum = in->x_sum; \
        size_t left = in->n_blocks;                                                                          \
        __asm__ volatile(EACH_TOKEN(LOAD_TOTAL) ".p2align 6\n1:\n\t" products EACH_TOKEN(ADD_START)          \
                             LOAD_SCALES EACH_TOKEN(multiply)                                                \
                                 minimum EACH_TOKEN(ADD_BLOCK) "addq %[w_step], %[w]\n\t"                    \
                                                               "addq %[q_step], %[q]\n\t"                    \
                                                               "addq $4, %[start]\n\t"                       \
                                                               "addq $4, %[dx]\n\t"                          \
                                                               "addq $4, %[x_sum]\n\t"                       \
                                                               "addq $64, %[d]\n\t"                          \
                                                               "decq %[left]\n\t"                            \
                                                               "jne 1b\n\t" EACH_TOKEN(STORE_TOTAL)          \
                         : [w] "+r"(w), [q] "+r"(q), [d] "+r"(d), [dx] "+r"(dx), [start] "+r"(start),        \
                           [left] "+r"(left), [x_sum] "+r"(x_sum)                                            \
                         : [n] "r"((q_bytes) == 1 ? in->q_stride : sizeof in->words[0]),                     \
                           [total] "r"(in->total), [half] "r"(in->half), [w_step] "i"((q_bytes)*512),        \
                           [q_step] "i"((q_bytes)*32), [one] "m"(constants.one), [bias] "m"(constants.bias), \
                           [d_bias] "i"(offsetof(struct panel, d_bias) - offsetof(struct panel, d)),         \
                           [m] "i"(offsetof(struct panel, m) - offsetof(struct panel, d))                    \
                         : CLOBBERS);                                                                        \
    } while (0)

#define BLOCK_FUNCTION(name, products, q_begin, q_bytes, minimum)                                            \
    void name(const struct panel *p, struct inner *in) {                                                     \
        if (p->is_finite)                                                                                    \
            BLOCK_LOOP(products, q_begin, q_bytes, MULTIPLY_BIASED, minimum);                                \
        else                                                                                                 \
            BLOCK_LOOP(products, q_begin, q_bytes, MULTIPLY_PLAIN, minimum);                                 \
    }

BLOCK_FUNCTION(inner_blocks_by_8_avx2, BLOCK_BY_8, in->q, 1, "")
BLOCK_FUNCTION(inner_blocks_by_8_min_avx2, BLOCK_BY_8, in->q, 1, EACH_TOKEN(ADD_MIN))
BLOCK_FUNCTION(inner_blocks_by_4_avx2, BLOCK_BY_4, in->q, 1, "")
BLOCK_FUNCTION(inner_blocks_by_4_min_avx2, BLOCK_BY_4, in->q, 1, EACH_TOKEN(ADD_MIN))
BLOCK_FUNCTION(inner_blocks_words_avx2, BLOCK_WORDS, in->words, 2, "")
