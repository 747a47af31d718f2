/* gemm_inner.c - the inner loops of products with many tokens: 16 rows x 3 tokens.
 * SPDX-License-Identifier: MIT
 * As in kernels/avx2, with vpdpbusd: sums of products come as dwords, and every sum starts at what removes
 * the centre of its weights. Registers: kernels/avx2/gemm_asm.h. */
#include "kernels/avxvnni/gemm_inner.h"

#include "kernels/avx2/gemm_asm.h"

#include <stddef.h>

#define START(t, x, s0, s1, d0, d1)                                                                          \
    "vpbroadcastd 64*" #t "(%[start]), %%ymm" s0 "\n\t"                                                      \
    "vpbroadcastd 64*" #t "(%[start]), %%ymm" s1 "\n\t"

/* i: the assembler's, of .irp. */
#define ADD_BYTES(t, x, s0, s1, d0, d1)                                                                      \
    "vpbroadcastd 4*\\i" x ", %%ymm14\n\t"                                                                   \
    "%{vex%} vpdpbusd %%ymm14, %%ymm12, %%ymm" s0 "\n\t"                                                     \
    "%{vex%} vpdpbusd %%ymm14, %%ymm13, %%ymm" s1 "\n\t"

/* ---- Super-blocks ---- */

/* total += sum * scale * a: of a sum that fits a word, with scales in the low words of a line, or of any. */
#define SCALE_WORDS(t, x, s0, s1, d0, d1)                                                                    \
    "movzwl %c[line]+32*" #t "(%[in]), %k[at]\n\t"                                                           \
    "%{vex%} vpdpwssd %c[scale](%[p],%[at]), %%ymm" s0 ", %%ymm" d0 "\n\t"                                   \
    "%{vex%} vpdpwssd %c[scale]+32(%[p],%[at]), %%ymm" s1 ", %%ymm" d1 "\n\t"
#define SCALE_DWORDS(t, x, s0, s1, d0, d1)                                                                   \
    "movzwl %c[line]+32*" #t "(%[in]), %k[at]\n\t"                                                           \
    "vpmulld %c[scale](%[p],%[at]), %%ymm" s0 ", %%ymm" s0 "\n\t"                                            \
    "vpmulld %c[scale]+32(%[p],%[at]), %%ymm" s1 ", %%ymm" s1 "\n\t"                                         \
    "vpaddd %%ymm" s0 ", %%ymm" d0 ", %%ymm" d0 "\n\t"                                                       \
    "vpaddd %%ymm" s1 ", %%ymm" d1 ", %%ymm" d1 "\n\t"

/* The panel's pairs times pairs of sums of x: to totals, as what the centre took, or to the sums. */
#define PAIR(x, s0, s1)                                                                                      \
    "vpbroadcastd 4*\\i" x ", %%ymm14\n\t"                                                                   \
    "%{vex%} vpdpwssd %%ymm14, %%ymm12, %%ymm" s0 "\n\t"                                                     \
    "%{vex%} vpdpwssd %%ymm14, %%ymm13, %%ymm" s1 "\n\t"
#define PAIRS(from, list, pairs_0, pairs_1, pairs_2)                                                         \
    ".irp i," list "\n\t"                                                                                    \
    "vmovdqa %c[" from "]+64*\\i(%[p]), %%ymm12\n\t"                                                         \
    "vmovdqa %c[" from "]+64*\\i+32(%[p]), %%ymm13\n\t" pairs_0 pairs_1 pairs_2 ".endr\n\t"
#define PAIRS_TO_TOTAL(list)                                                                                 \
    EACH_TOKEN(TOTAL_TO_ZERO)                                                                                \
    PAIRS("pairs", list, PAIR("(%[g])", "6", "7"), PAIR("(%[g],%[g_n])", "8", "9"),                          \
          PAIR("(%[g],%[g_n],2)", "10", "11"))
#define MIN(list)                                                                                            \
    EACH_TOKEN(SUM_TO_ZERO)                                                                                  \
    PAIRS("min", list, PAIR("(%[g])", "0", "1"), PAIR("(%[g],%[g_n])", "2", "3"),                            \
          PAIR("(%[g],%[g_n],2)", "4", "5"))                                                                 \
    EACH_TOKEN(SUBTRACT_MIN)

/* A turn takes `values` of k, in dwords `list`, and a line of scales. */
#define SUPER_LOOP(begin, start_sum, list, scale_sum, values, minimum)                                       \
    do {                                                                                                     \
        const void *w = p->w, *q = in->q, *in_at = in, *start = in->start;                                   \
        size_t left = PANEL_VALUES / (values), at;                                                           \
        __asm__ volatile(                                                                                    \
            begin ".p2align 6\n1:\n\t" EACH_TOKEN(start_sum) PRODUCTS(list, ADD_BYTES)                       \
                EACH_TOKEN(scale_sum) "addq %[w_step], %[w]\n\t"                                             \
                                      "addq %[q_step], %[q]\n\t"                                             \
                                      "addq $2, %[in]\n\t"                                                   \
                                      "addq $4, %[start]\n\t"                                                \
                                      "decq %[left]\n\t"                                                     \
                                      "jne 1b\n\t" EACH_TOKEN(TO_FLOAT) minimum EACH_TOKEN(ADD_SUPER)        \
            : [w] "+&r"(w), [q] "+&r"(q), [in] "+&r"(in_at), [start] "+&r"(start), [left] "+&r"(left),       \
              [at] "=&r"(at)                                                                                 \
            : [p] "r"(p), [n] "r"(in->q_stride), [g] "r"(in->g), [g_n] "r"(in->g_stride), [dx] "r"(in->dx),  \
              [acc] "r"(in->acc), [w_step] "i"((values)*16), [q_step] "i"(values),                           \
              [line] "i"(offsetof(struct inner, line)), [scale] "i"(offsetof(struct panel, scale)),          \
              [pairs] "i"(offsetof(struct panel, pairs)), [min] "i"(offsetof(struct panel, min)),            \
              [d] "i"(offsetof(struct panel, d)), [m] "i"(offsetof(struct panel, m))                         \
            : CLOBBERS);                                                                                     \
    } while (0)

#define FOUR  "0,1,2,3"
#define EIGHT "0,1,2,3,4,5,6,7"
#define ZERO  EACH_TOKEN(TOTAL_TO_ZERO)

void inner_super_32_words_avxvnni(const struct panel *p, struct inner *in) {
    SUPER_LOOP(ZERO, START, EIGHT, SCALE_WORDS, 32, "");
}

void inner_super_32_words_min_avxvnni(const struct panel *p, struct inner *in) {
    SUPER_LOOP(PAIRS_TO_TOTAL(FOUR), START, EIGHT, SCALE_WORDS, 32, MIN(FOUR));
}

void inner_super_16_words_avxvnni(const struct panel *p, struct inner *in) {
    SUPER_LOOP(ZERO, START, FOUR, SCALE_WORDS, 16, "");
}

void inner_super_16_words_min_avxvnni(const struct panel *p, struct inner *in) {
    SUPER_LOOP(ZERO, SUM_TO_ZERO, FOUR, SCALE_WORDS, 16, MIN(EIGHT));
}

void inner_super_32_dwords_avxvnni(const struct panel *p, struct inner *in) {
    SUPER_LOOP(ZERO, START, EIGHT, SCALE_DWORDS, 32, "");
}

void inner_super_32_dwords_min_avxvnni(const struct panel *p, struct inner *in) {
    SUPER_LOOP(ZERO, SUM_TO_ZERO, EIGHT, SCALE_DWORDS, 32, MIN(FOUR));
}

void inner_super_16_dwords_avxvnni(const struct panel *p, struct inner *in) {
    SUPER_LOOP(ZERO, START, FOUR, SCALE_DWORDS, 16, "");
}

/* ---- Blocks of 32 ---- */

static const int32_t sum_bias_bits = SUM_BIAS_BITS;

#define BLOCK_LOOP(multiply, minimum)                                                                        \
    do {                                                                                                     \
        const void *w = p->w, *d = p->d, *start = in->start, *q = in->q, *dx = in->dx, *x_sum = in->x_sum;   \
        size_t left = in->n_blocks;                                                                          \
        __asm__ volatile(EACH_TOKEN(LOAD_ACC) ".p2align 6\n1:\n\t" EACH_TOKEN(START)                         \
                             PRODUCTS(EIGHT, ADD_BYTES) LOAD_SCALES EACH_TOKEN(multiply)                     \
                                 minimum EACH_TOKEN(ADD_BLOCK) "addq $512, %[w]\n\t"                         \
                                                               "addq $32, %[q]\n\t"                          \
                                                               "addq $4, %[start]\n\t"                       \
                                                               "addq $4, %[dx]\n\t"                          \
                                                               "addq $4, %[x_sum]\n\t"                       \
                                                               "addq $64, %[d]\n\t"                          \
                                                               "decq %[left]\n\t"                            \
                                                               "jne 1b\n\t" EACH_TOKEN(STORE_ACC)            \
                         : [w] "+&r"(w), [q] "+&r"(q), [d] "+&r"(d), [dx] "+&r"(dx), [start] "+&r"(start),   \
                           [left] "+&r"(left), [x_sum] "+&r"(x_sum)                                          \
                         : [n] "r"(in->q_stride), [acc] "r"(in->acc), [bias] "m"(sum_bias_bits),             \
                           [d_bias] "i"(offsetof(struct panel, d_bias) - offsetof(struct panel, d)),         \
                           [m] "i"(offsetof(struct panel, m) - offsetof(struct panel, d))                    \
                         : CLOBBERS);                                                                        \
    } while (0)

void inner_blocks_avxvnni(const struct panel *p, struct inner *in) {
    if (p->is_finite)
        BLOCK_LOOP(MULTIPLY_BIASED, "");
    else
        BLOCK_LOOP(MULTIPLY_PLAIN, "");
}

void inner_blocks_min_avxvnni(const struct panel *p, struct inner *in) {
    if (p->is_finite)
        BLOCK_LOOP(MULTIPLY_BIASED, EACH_TOKEN(ADD_MIN));
    else
        BLOCK_LOOP(MULTIPLY_PLAIN, EACH_TOKEN(ADD_MIN));
}
