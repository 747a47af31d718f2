/* gemm_inner.c - the inner loops of products with many tokens: 32 rows x 3 tokens.
 * SPDX-License-Identifier: MIT
 * Whole loops in assembly, as in kernels/avx2. Two vpdpbusd start in a cycle and each takes 5, so that ten
 * sums or more must be under way (with 16 rows, six of them, products alone reached 60 % of the peak). So all
 * of the 16 registers, for tokens t = 0..2 and quarters r = 0..3 of the rows, of two panels:
 *
 *     ymm 4 t + r    sums of a sub-block or block
 *     ymm 12 + t     four values of x to all lanes
 *     ymm 15         weights
 *
 * and what sums are added to is in memory. Every sum starts at what removes the centre of its weights. */
#include "kernels/avxvnni/gemm_inner.h"

#include <stddef.h>

/* F(t, address of x, register of x, sums). */
#define EACH_TOKEN(F)                                                                                        \
    F(0, ")", "12", "0", "1", "2", "3")                                                                      \
    F(1, ",%[n])", "13", "4", "5", "6", "7")                                                                 \
    F(2, ",%[n],2)", "14", "8", "9", "10", "11")

/* j counts bytes: two a turn of super-blocks, four a block. */
#define START(t, x, xr, s0, s1, s2, s3)                                                                      \
    "vpbroadcastd %c[start]+64*" #t "(%[in],%[j],%c[j_scale]), %%ymm" s0 "\n\t"                              \
    "vmovdqa %%ymm" s0 ", %%ymm" s1 "\n\t"                                                                   \
    "vmovdqa %%ymm" s0 ", %%ymm" s2 "\n\t"                                                                   \
    "vmovdqa %%ymm" s0 ", %%ymm" s3 "\n\t"
#define SET_ZERO(t, x, xr, s0, s1, s2, s3)                                                                   \
    "vpxor %%xmm" s0 ", %%xmm" s0 ", %%xmm" s0 "\n\t"                                                        \
    "vpxor %%xmm" s1 ", %%xmm" s1 ", %%xmm" s1 "\n\t"                                                        \
    "vpxor %%xmm" s2 ", %%xmm" s2 ", %%xmm" s2 "\n\t"                                                        \
    "vpxor %%xmm" s3 ", %%xmm" s3 ", %%xmm" s3 "\n\t"

/* Three loads of x, four of weights, twelve products for each i of a list, the assembler's, of .irp. */
#define LOAD_X(t, x, xr, s0, s1, s2, s3) "vpbroadcastd 4*\\i(%[q]" x ", %%ymm" xr "\n\t"
#define QUARTER(instruction, address, s0, s1, s2)                                                            \
    "vmovdqa " address ", %%ymm15\n\t"                                                                       \
    "%{vex%} " instruction " %%ymm12, %%ymm15, %%ymm" s0 "\n\t"                                              \
    "%{vex%} " instruction " %%ymm13, %%ymm15, %%ymm" s1 "\n\t"                                              \
    "%{vex%} " instruction " %%ymm14, %%ymm15, %%ymm" s2 "\n\t"
#define PRODUCTS(list)                                                                                       \
    ".irp i," list "\n\t" EACH_TOKEN(LOAD_X) QUARTER("vpdpbusd", "64*\\i(%[w])", "0", "4", "8")              \
        QUARTER("vpdpbusd", "64*\\i+32(%[w])", "1", "5", "9")                                                \
            QUARTER("vpdpbusd", "64*\\i+%c[panel](%[w])", "2", "6", "10")                                    \
                QUARTER("vpdpbusd", "64*\\i+%c[panel]+32(%[w])", "3", "7", "11") ".endr\n\t"

#define CLOBBERS                                                                                             \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",        \
        "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc"

#define FOUR  "0,1,2,3"
#define EIGHT "0,1,2,3,4,5,6,7"

/* ---- Super-blocks ---- */

#define TOTAL(t, r) "%c[total]+64*" #t "+" r "(%[in])"
#define STORE_TOTAL(t, x, xr, s0, s1, s2, s3)                                                                \
    "vmovdqa %%ymm" s0                                                                                       \
    ", " TOTAL(t, "0") "\n\t"                                                                                \
                       "vmovdqa %%ymm" s1                                                                    \
                       ", " TOTAL(t, "32") "\n\t"                                                            \
                                           "vmovdqa %%ymm" s2                                                \
                                           ", " TOTAL(t, "192") "\n\t"                                       \
                                                                "vmovdqa %%ymm" s3                           \
                                                                ", " TOTAL(t, "224") "\n\t"

/* total += sum * scale * a: of a sum that fits a word, with scales in the low words of a line, or of any. */
#define SCALE_WORD(t, at_panel, r, s)                                                                        \
    "vmovdqa " TOTAL(t, r) ", %%ymm15\n\t"                                                                   \
                           "%{vex%} vpdpwssd %c[scale]+" at_panel "(%[p],%[at]), %%ymm" s ", %%ymm15\n\t"    \
                           "vmovdqa %%ymm15, " TOTAL(t, r) "\n\t"
#define SCALE_DWORD(t, at_panel, r, s)                                                                       \
    "vpmulld %c[scale]+" at_panel "(%[p],%[at]), %%ymm" s ", %%ymm15\n\t"                                    \
    "vpaddd " TOTAL(t, r) ", %%ymm15, %%ymm15\n\t"                                                           \
                          "vmovdqa %%ymm15, " TOTAL(t, r) "\n\t"
#define EACH_QUARTER(F, t, s0, s1, s2, s3)                                                                   \
    F(t, "0", "0", s0) F(t, "32", "32", s1) F(t, "%c[panel]", "192", s2) F(t, "%c[panel]+32", "224", s3)
#define SCALE_WORDS(t, x, xr, s0, s1, s2, s3)                                                                \
    "movzwl %c[line]+32*" #t "(%[in],%[j]), %k[at]\n\t" EACH_QUARTER(SCALE_WORD, t, s0, s1, s2, s3)
#define SCALE_DWORDS(t, x, xr, s0, s1, s2, s3)                                                               \
    "movzwl %c[line]+32*" #t "(%[in],%[j]), %k[at]\n\t" EACH_QUARTER(SCALE_DWORD, t, s0, s1, s2, s3)

/* The panels' pairs times pairs of sums of x. */
#define PAIRS(from, list)                                                                                    \
    EACH_TOKEN(SET_ZERO)                                                                                     \
    ".irp i," list "\n\t"                                                                                    \
    "vpbroadcastd 4*\\i(%[g]), %%ymm12\n\t"                                                                  \
    "vpbroadcastd 4*\\i(%[g],%[g_n]), %%ymm13\n\t"                                                           \
    "vpbroadcastd 4*\\i(%[g],%[g_n],2), %%ymm14\n\t" QUARTER("vpdpwssd", "%c[" from "]+64*\\i(%[p])", "0",   \
                                                             "4", "8")                                       \
        QUARTER("vpdpwssd", "%c[" from "]+64*\\i+32(%[p])", "1", "5", "9")                                   \
            QUARTER("vpdpwssd", "%c[" from "]+64*\\i+%c[panel](%[p])", "2", "6", "10")                       \
                QUARTER("vpdpwssd", "%c[" from "]+64*\\i+%c[panel]+32(%[p])", "3", "7", "11") ".endr\n\t"

/* acc = fma(dx, fl(d * f32(total)), acc), with the minimum's part between. */
#define TO_FLOAT(t, at_panel, r)                                                                             \
    "vcvtdq2ps " TOTAL(t, r) ", %%ymm12\n\t"                                                                 \
                             "vmulps %c[d]+" at_panel "(%[p]), %%ymm12, %%ymm12\n\t"
#define ADD_TO_ACC(t, r)                                                                                     \
    "vbroadcastss %c[dx]+32*" #t "(%[in]), %%ymm13\n\t"                                                      \
    "vfmadd213ps 64*" #t "+" r "(%[acc]), %%ymm13, %%ymm12\n\t"                                              \
    "vmovaps %%ymm12, 64*" #t "+" r "(%[acc])\n\t"
#define FINISH_ONE(t, at_panel, r, s) TO_FLOAT(t, at_panel, r) ADD_TO_ACC(t, r)
#define FINISH_ONE_MIN(t, at_panel, r, s)                                                                    \
    "vcvtdq2ps %%ymm" s ", %%ymm" s "\n\t" TO_FLOAT(t, at_panel, r) "vfnmadd231ps %c[m]+" at_panel           \
                                                                    "(%[p]), %%ymm" s                        \
                                                                    ", %%ymm12\n\t" ADD_TO_ACC(t, r)
#define FINISH(t, x, xr, s0, s1, s2, s3)     EACH_QUARTER(FINISH_ONE, t, s0, s1, s2, s3)
#define FINISH_MIN(t, x, xr, s0, s1, s2, s3) EACH_QUARTER(FINISH_ONE_MIN, t, s0, s1, s2, s3)

/* A turn takes `values` of k, in dwords `list`, and a line of scales. */
#define SUPER_LOOP(begin, start_sum, list, scale_sum, values, finish)                                        \
    do {                                                                                                     \
        const void *w = p->w, *q = in->q;                                                                    \
        size_t j = 0, at;                                                                                    \
        __asm__ volatile(                                                                                    \
            begin EACH_TOKEN(STORE_TOTAL) ".p2align 6\n1:\n\t" EACH_TOKEN(start_sum) PRODUCTS(list)          \
                EACH_TOKEN(scale_sum) "addq %[w_step], %[w]\n\t"                                             \
                                      "addq %[q_step], %[q]\n\t"                                             \
                                      "addq $2, %[j]\n\t"                                                    \
                                      "cmpq %[j_end], %[j]\n\t"                                              \
                                      "jne 1b\n\t" finish                                                    \
            : [w] "+&r"(w), [q] "+&r"(q), [j] "+&r"(j), [at] "=&r"(at)                                       \
            : [p] "r"(p), [in] "r"(in), [n] "r"(in->q_stride), [g] "r"(in->g), [g_n] "r"(in->g_stride),      \
              [acc] "r"(in->acc), [w_step] "i"((values)*16), [q_step] "i"(values),                           \
              [j_end] "i"(2 * PANEL_VALUES / (values)), [j_scale] "i"(2),                                    \
              [line] "i"(offsetof(struct inner, line)), [start] "i"(offsetof(struct inner, start)),          \
              [total] "i"(offsetof(struct inner, total)), [dx] "i"(offsetof(struct inner, dx)),              \
              [scale] "i"(offsetof(struct panel, scale)), [pairs] "i"(offsetof(struct panel, pairs)),        \
              [min] "i"(offsetof(struct panel, min)), [d] "i"(offsetof(struct panel, d)),                    \
              [m] "i"(offsetof(struct panel, m)), [panel] "i"(sizeof(struct panel))                          \
            : CLOBBERS);                                                                                     \
    } while (0)

#define ZERO EACH_TOKEN(SET_ZERO)

void inner_super_32_words_avxvnni(const struct panel *p, struct inner *in) {
    SUPER_LOOP(ZERO, START, EIGHT, SCALE_WORDS, 32, EACH_TOKEN(FINISH));
}

void inner_super_32_words_min_avxvnni(const struct panel *p, struct inner *in) {
    SUPER_LOOP(PAIRS("pairs", FOUR), START, EIGHT, SCALE_WORDS, 32,
               PAIRS("min", FOUR) EACH_TOKEN(FINISH_MIN));
}

void inner_super_16_words_avxvnni(const struct panel *p, struct inner *in) {
    SUPER_LOOP(ZERO, START, FOUR, SCALE_WORDS, 16, EACH_TOKEN(FINISH));
}

void inner_super_16_words_min_avxvnni(const struct panel *p, struct inner *in) {
    SUPER_LOOP(ZERO, SET_ZERO, FOUR, SCALE_WORDS, 16, PAIRS("min", EIGHT) EACH_TOKEN(FINISH_MIN));
}

void inner_super_32_dwords_avxvnni(const struct panel *p, struct inner *in) {
    SUPER_LOOP(ZERO, START, EIGHT, SCALE_DWORDS, 32, EACH_TOKEN(FINISH));
}

void inner_super_32_dwords_min_avxvnni(const struct panel *p, struct inner *in) {
    SUPER_LOOP(ZERO, SET_ZERO, EIGHT, SCALE_DWORDS, 32, PAIRS("min", FOUR) EACH_TOKEN(FINISH_MIN));
}

void inner_super_16_dwords_avxvnni(const struct panel *p, struct inner *in) {
    SUPER_LOOP(ZERO, START, FOUR, SCALE_DWORDS, 16, EACH_TOKEN(FINISH));
}

/* ---- Blocks of 32 ---- */

static const int32_t sum_bias_bits = SUM_BIAS_BITS;

/* d * f32(sum): as SUM_BIAS says, or for a d that is too large for that. */
#define MULTIPLY_BIASED(t, at_panel, r, s)                                                                   \
    "vmovaps %c[d]+" at_panel "(%[p_d]), %%ymm15\n\t"                                                        \
    "vfmadd213ps %c[d_bias]+" at_panel "(%[p_d]), %%ymm15, %%ymm" s "\n\t"
#define MULTIPLY_PLAIN(t, at_panel, r, s)                                                                    \
    "vpbroadcastd %[bias], %%ymm15\n\t"                                                                      \
    "vpsubd %%ymm15, %%ymm" s ", %%ymm" s "\n\t"                                                             \
    "vcvtdq2ps %%ymm" s ", %%ymm" s "\n\t"                                                                   \
    "vmulps %c[d]+" at_panel "(%[p_d]), %%ymm" s ", %%ymm" s "\n\t"
#define ADD_MIN(t, at_panel, r, s)                                                                           \
    "vbroadcastss %c[x_sum]+32*" #t "(%[in],%[j]), %%ymm15\n\t"                                              \
    "vfmadd231ps %c[m]+" at_panel "(%[p_d]), %%ymm15, %%ymm" s "\n\t"
#define ADD_BLOCK(t, at_panel, r, s)                                                                         \
    "vbroadcastss %c[dx]+32*" #t "(%[in],%[j]), %%ymm15\n\t"                                                 \
    "vfmadd213ps 64*" #t "+" r "(%[acc]), %%ymm15, %%ymm" s "\n\t"                                           \
    "vmovaps %%ymm" s ", 64*" #t "+" r "(%[acc])\n\t"

#define STEP_BIASED(t, at_panel, r, s) MULTIPLY_BIASED(t, at_panel, r, s) ADD_BLOCK(t, at_panel, r, s)
#define STEP_PLAIN(t, at_panel, r, s)  MULTIPLY_PLAIN(t, at_panel, r, s) ADD_BLOCK(t, at_panel, r, s)
#define STEP_BIASED_MIN(t, at_panel, r, s)                                                                   \
    MULTIPLY_BIASED(t, at_panel, r, s) ADD_MIN(t, at_panel, r, s) ADD_BLOCK(t, at_panel, r, s)
#define STEP_PLAIN_MIN(t, at_panel, r, s)                                                                    \
    MULTIPLY_PLAIN(t, at_panel, r, s) ADD_MIN(t, at_panel, r, s) ADD_BLOCK(t, at_panel, r, s)
#define BIASED(t, x, xr, s0, s1, s2, s3)     EACH_QUARTER(STEP_BIASED, t, s0, s1, s2, s3)
#define PLAIN(t, x, xr, s0, s1, s2, s3)      EACH_QUARTER(STEP_PLAIN, t, s0, s1, s2, s3)
#define BIASED_MIN(t, x, xr, s0, s1, s2, s3) EACH_QUARTER(STEP_BIASED_MIN, t, s0, s1, s2, s3)
#define PLAIN_MIN(t, x, xr, s0, s1, s2, s3)  EACH_QUARTER(STEP_PLAIN_MIN, t, s0, s1, s2, s3)

#define BLOCK_LOOP(step)                                                                                     \
    do {                                                                                                     \
        const void *w = p->w, *q = in->q, *p_d = p;                                                          \
        size_t j = 0;                                                                                        \
        __asm__ volatile(                                                                                    \
            ".p2align 6\n1:\n\t" EACH_TOKEN(START) PRODUCTS(EIGHT)                                           \
                EACH_TOKEN(step) "addq $512, %[w]\n\t"                                                       \
                                 "addq $32, %[q]\n\t"                                                        \
                                 "addq $64, %[p_d]\n\t"                                                      \
                                 "addq $4, %[j]\n\t"                                                         \
                                 "cmpq %[j_end], %[j]\n\t"                                                   \
                                 "jne 1b"                                                                    \
            : [w] "+&r"(w), [q] "+&r"(q), [p_d] "+&r"(p_d), [j] "+&r"(j)                                     \
            : [in] "r"(in), [n] "r"(in->q_stride), [acc] "r"(in->acc), [j_end] "r"(4 * in->n_blocks),        \
              [j_scale] "i"(1), [bias] "m"(sum_bias_bits), [start] "i"(offsetof(struct inner, start)),       \
              [dx] "i"(offsetof(struct inner, dx)), [x_sum] "i"(offsetof(struct inner, x_sum)),              \
              [d] "i"(offsetof(struct panel, d)), [d_bias] "i"(offsetof(struct panel, d_bias)),              \
              [m] "i"(offsetof(struct panel, m)), [panel] "i"(sizeof(struct panel))                          \
            : CLOBBERS);                                                                                     \
    } while (0)

void inner_blocks_avxvnni(const struct panel *p, struct inner *in) {
    if (p[0].is_finite && p[1].is_finite)
        BLOCK_LOOP(BIASED);
    else
        BLOCK_LOOP(PLAIN);
}

void inner_blocks_min_avxvnni(const struct panel *p, struct inner *in) {
    if (p[0].is_finite && p[1].is_finite)
        BLOCK_LOOP(BIASED_MIN);
    else
        BLOCK_LOOP(PLAIN_MIN);
}
