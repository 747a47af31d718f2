/* gemm_inner.c - the inner loops of products with many tokens: 64 rows x 3 tokens.
 * SPDX-License-Identifier: MIT
 * Whole loops in assembly: they need 31 of the 32 registers at once, and GCC 12 and clang 14 copy and spill
 * such accumulators when they are written with intrinsics, at up to half of the speed. All use them alike,
 * for tokens t = 0..2 and quarters r = 0..3 of the rows:
 *
 *     zmm 4 t + r         sums of a sub-block or block
 *     zmm 12 + 4 t + r    what they are added to, scaled
 *     zmm 24 + t          four values of x, to all lanes
 *     zmm 27 + r          weights, then scales
 *
 * Loads cost speed although they have ports of their own, so the shape is the one with the fewest: 7 for 12
 * products, where 32 rows x 5 tokens take 7 for 10 (README.md). */
#include "kernels/avx512/gemm_inner.h"

/* F(t, index, sums.., what they are added to.., x): index addresses token t, n is from one to the next. */
#define EACH_TOKEN(F)                                                                                        \
    F(0, ")", "0", "1", "2", "3", "12", "13", "14", "15", "24")                                              \
    F(1, ",%[n])", "4", "5", "6", "7", "16", "17", "18", "19", "25")                                         \
    F(2, ",%[n],2)", "8", "9", "10", "11", "20", "21", "22", "23", "26")

#define LOAD_SUM(t, index, s0, s1, s2, s3, d0, d1, d2, d3, x)                                                \
    "vmovdqa64 256*" #t "(%[sum]), %%zmm" d0 "\n\t"                                                          \
    "vmovdqa64 256*" #t "+64(%[sum]), %%zmm" d1 "\n\t"                                                       \
    "vmovdqa64 256*" #t "+128(%[sum]), %%zmm" d2 "\n\t"                                                      \
    "vmovdqa64 256*" #t "+192(%[sum]), %%zmm" d3 "\n\t"
#define STORE_SUM(t, index, s0, s1, s2, s3, d0, d1, d2, d3, x)                                               \
    "vmovdqa64 %%zmm" d0 ", 256*" #t "(%[sum])\n\t"                                                          \
    "vmovdqa64 %%zmm" d1 ", 256*" #t "+64(%[sum])\n\t"                                                       \
    "vmovdqa64 %%zmm" d2 ", 256*" #t "+128(%[sum])\n\t"                                                      \
    "vmovdqa64 %%zmm" d3 ", 256*" #t "+192(%[sum])\n\t"

/* Begin the sums of a token. */
#define START(t, index, s0, s1, s2, s3, d0, d1, d2, d3, x)                                                   \
    "vpbroadcastd 64*" #t "(%[start]), %%zmm" s0 "\n\t"                                                      \
    "vpbroadcastd 64*" #t "(%[start]), %%zmm" s1 "\n\t"                                                      \
    "vpbroadcastd 64*" #t "(%[start]), %%zmm" s2 "\n\t"                                                      \
    "vpbroadcastd 64*" #t "(%[start]), %%zmm" s3 "\n\t"

/* Four values of k: four loads of weights, three of x, twelve products. i: the assembler's, of .irp. */
#define PRODUCT(t, index, s0, s1, s2, s3, d0, d1, d2, d3, x)                                                 \
    "vpbroadcastd 4*\\i(%[q]" index ", %%zmm" x "\n\t"                                                       \
    "vpdpbusd %%zmm" x ", %%zmm27, %%zmm" s0 "\n\t"                                                          \
    "vpdpbusd %%zmm" x ", %%zmm28, %%zmm" s1 "\n\t"                                                          \
    "vpdpbusd %%zmm" x ", %%zmm29, %%zmm" s2 "\n\t"                                                          \
    "vpdpbusd %%zmm" x ", %%zmm30, %%zmm" s3 "\n\t"
#define PRODUCTS(list)                                                                                       \
    ".irp i," list "\n\t"                                                                                    \
    "vmovdqa64 256*\\i(%[w]), %%zmm27\n\t"                                                                   \
    "vmovdqa64 256*\\i+64(%[w]), %%zmm28\n\t"                                                                \
    "vmovdqa64 256*\\i+128(%[w]), %%zmm29\n\t"                                                               \
    "vmovdqa64 256*\\i+192(%[w]), %%zmm30\n\t" EACH_TOKEN(PRODUCT) ".endr\n\t"

#define SCALE_WORDS(t, index, s0, s1, s2, s3, d0, d1, d2, d3, x)                                             \
    "movl 64*" #t "(%[line]), %k[at]\n\t"                                                                    \
    "vpdpwssd (%[scale],%[at]), %%zmm" s0 ", %%zmm" d0 "\n\t"                                                \
    "vpdpwssd 64(%[scale],%[at]), %%zmm" s1 ", %%zmm" d1 "\n\t"                                              \
    "vpdpwssd 128(%[scale],%[at]), %%zmm" s2 ", %%zmm" d2 "\n\t"                                             \
    "vpdpwssd 192(%[scale],%[at]), %%zmm" s3 ", %%zmm" d3 "\n\t"
#define SCALE_DWORDS(t, index, s0, s1, s2, s3, d0, d1, d2, d3, x)                                            \
    "movl 64*" #t "(%[line]), %k[at]\n\t"                                                                    \
    "vpmulld (%[scale],%[at]), %%zmm" s0 ", %%zmm" s0 "\n\t"                                                 \
    "vpmulld 64(%[scale],%[at]), %%zmm" s1 ", %%zmm" s1 "\n\t"                                               \
    "vpmulld 128(%[scale],%[at]), %%zmm" s2 ", %%zmm" s2 "\n\t"                                              \
    "vpmulld 192(%[scale],%[at]), %%zmm" s3 ", %%zmm" s3 "\n\t"                                              \
    "vpaddd %%zmm" s0 ", %%zmm" d0 ", %%zmm" d0 "\n\t"                                                       \
    "vpaddd %%zmm" s1 ", %%zmm" d1 ", %%zmm" d1 "\n\t"                                                       \
    "vpaddd %%zmm" s2 ", %%zmm" d2 ", %%zmm" d2 "\n\t"                                                       \
    "vpaddd %%zmm" s3 ", %%zmm" d3 ", %%zmm" d3 "\n\t"

#define CLOBBERS                                                                                             \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",        \
        "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22",   \
        "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "memory", "cc"

/* ---- Super-blocks ---- */

/* `turn` is the body of a turn, values what it takes of k. A turn of scales is
 * 2048 bytes of the table, a dword of `line`. */
#define SUPER_LOOP(turn, values)                                                                             \
    do {                                                                                                     \
        const void *w = p->w, *scale = p->scale, *line = in->line, *start = in->start, *q = in->q;           \
        size_t left = 256 / (values), at;                                                                    \
        __asm__ volatile(                                                                                    \
            EACH_TOKEN(LOAD_SUM) "1:\n\t" turn "addq %[w_step], %[w]\n\t"                                    \
                                 "addq %[q_step], %[q]\n\t"                                                  \
                                 "addq $4, %[start]\n\t"                                                     \
                                 "addq $4, %[line]\n\t"                                                      \
                                 "addq $2048, %[scale]\n\t"                                                  \
                                 "decq %[left]\n\t"                                                          \
                                 "jne 1b\n\t" EACH_TOKEN(STORE_SUM)                                          \
            : [w] "+r"(w), [q] "+r"(q), [scale] "+r"(scale), [line] "+r"(line), [start] "+r"(start),         \
              [left] "+r"(left), [at] "=&r"(at)                                                              \
            : [n] "r"(in->q_stride), [sum] "r"(in->sum), [w_step] "i"((values)*64), [q_step] "i"(values)     \
            : CLOBBERS);                                                                                     \
    } while (0)

void inner_words_16_avx512(const struct panel *p, struct inner *in) {
    SUPER_LOOP(EACH_TOKEN(START) PRODUCTS("0,1,2,3") EACH_TOKEN(SCALE_WORDS), 16);
}

void inner_words_32_avx512(const struct panel *p, struct inner *in) {
    SUPER_LOOP(EACH_TOKEN(START) PRODUCTS("0,1,2,3,4,5,6,7") EACH_TOKEN(SCALE_WORDS), 32);
}

void inner_dwords_16_avx512(const struct panel *p, struct inner *in) {
    SUPER_LOOP(EACH_TOKEN(START) PRODUCTS("0,1,2,3") EACH_TOKEN(SCALE_DWORDS), 16);
}

void inner_dwords_32_avx512(const struct panel *p, struct inner *in) {
    SUPER_LOOP(EACH_TOKEN(START) PRODUCTS("0,1,2,3,4,5,6,7") EACH_TOKEN(SCALE_DWORDS), 32);
}

/* ---- Blocks of 32 ---- */

/* acc = fma(dx, fl(d * f32(sum)), acc), with the minimum's part between. Minima stand 2048 bytes behind d. */
#define TO_FLOAT(t, index, s0, s1, s2, s3, d0, d1, d2, d3, x)                                                \
    "vcvtdq2ps %%zmm" s0 ", %%zmm" s0 "\n\t"                                                                 \
    "vcvtdq2ps %%zmm" s1 ", %%zmm" s1 "\n\t"                                                                 \
    "vcvtdq2ps %%zmm" s2 ", %%zmm" s2 "\n\t"                                                                 \
    "vcvtdq2ps %%zmm" s3 ", %%zmm" s3 "\n\t"                                                                 \
    "vmulps %%zmm27, %%zmm" s0 ", %%zmm" s0 "\n\t"                                                           \
    "vmulps %%zmm28, %%zmm" s1 ", %%zmm" s1 "\n\t"                                                           \
    "vmulps %%zmm29, %%zmm" s2 ", %%zmm" s2 "\n\t"                                                           \
    "vmulps %%zmm30, %%zmm" s3 ", %%zmm" s3 "\n\t"
#define ADD_MIN(t, index, s0, s1, s2, s3, d0, d1, d2, d3, x)                                                 \
    "vbroadcastss 32*" #t "(%[x_sum]), %%zmm" x "\n\t"                                                       \
    "vfmadd231ps %%zmm27, %%zmm" x ", %%zmm" s0 "\n\t"                                                       \
    "vfmadd231ps %%zmm28, %%zmm" x ", %%zmm" s1 "\n\t"                                                       \
    "vfmadd231ps %%zmm29, %%zmm" x ", %%zmm" s2 "\n\t"                                                       \
    "vfmadd231ps %%zmm30, %%zmm" x ", %%zmm" s3 "\n\t"
#define ADD_BLOCK(t, index, s0, s1, s2, s3, d0, d1, d2, d3, x)                                               \
    "vbroadcastss 32*" #t "(%[dx]), %%zmm" x "\n\t"                                                          \
    "vfmadd231ps %%zmm" s0 ", %%zmm" x ", %%zmm" d0 "\n\t"                                                   \
    "vfmadd231ps %%zmm" s1 ", %%zmm" x ", %%zmm" d1 "\n\t"                                                   \
    "vfmadd231ps %%zmm" s2 ", %%zmm" x ", %%zmm" d2 "\n\t"                                                   \
    "vfmadd231ps %%zmm" s3 ", %%zmm" x ", %%zmm" d3 "\n\t"
#define LOAD_SCALES(offset)                                                                                  \
    "vmovaps " offset "(%[d]), %%zmm27\n\t"                                                                  \
    "vmovaps " offset "+64(%[d]), %%zmm28\n\t"                                                               \
    "vmovaps " offset "+128(%[d]), %%zmm29\n\t"                                                              \
    "vmovaps " offset "+192(%[d]), %%zmm30\n\t"

#define BLOCK_LOOP(minimum)                                                                                  \
    do {                                                                                                     \
        const void *w = p->w, *d = p->d, *start = in->start, *q = in->q, *dx = in->dx;                       \
        size_t left = in->n_blocks;                                                                          \
        const void *x_sum = in->x_sum;                                                                       \
        __asm__ volatile(EACH_TOKEN(LOAD_SUM) "1:\n\t" EACH_TOKEN(START) PRODUCTS("0,1,2,3,4,5,6,7")         \
                             LOAD_SCALES("0") EACH_TOKEN(TO_FLOAT)                                           \
                                 minimum EACH_TOKEN(ADD_BLOCK) "addq $2048, %[w]\n\t"                        \
                                                               "addq $32, %[q]\n\t"                          \
                                                               "addq $4, %[start]\n\t"                       \
                                                               "addq $4, %[dx]\n\t"                          \
                                                               "addq $4, %[x_sum]\n\t"                       \
                                                               "addq $256, %[d]\n\t"                         \
                                                               "decq %[left]\n\t"                            \
                                                               "jne 1b\n\t" EACH_TOKEN(STORE_SUM)            \
                         : [w] "+r"(w), [q] "+r"(q), [d] "+r"(d), [dx] "+r"(dx), [start] "+r"(start),        \
                           [left] "+r"(left), [x_sum] "+r"(x_sum)                                            \
                         : [n] "r"(in->q_stride), [sum] "r"(in->sum)                                         \
                         : CLOBBERS);                                                                        \
    } while (0)

void inner_blocks_avx512(const struct panel *p, struct inner *in) { BLOCK_LOOP(""); }

void inner_blocks_min_avx512(const struct panel *p, struct inner *in) {
    BLOCK_LOOP(LOAD_SCALES("2048") EACH_TOKEN(ADD_MIN));
}
