/* gemm_asm.h - what the inner loops of two levels share: registers, loads, float steps.
 * SPDX-License-Identifier: MIT
 * Private to kernels/avx2 and kernels/avxvnni. Text of assembly for tokens t = 0..2 and halves h of 16 rows:
 *
 *     ymm 2 t + h        sums of a sub-block or block
 *     ymm 6 + 2 t + h    what they are added to, scaled
 *     ymm 12 + h         weights, then scales
 *     ymm 14             four values of x (two of words) to all lanes
 *     ymm 15             a product
 *
 * Operands: w, q and n (from token to token) of the products, acc; p, dx of super-blocks; d, dx, x_sum,
 * start, bias of blocks. */
#ifndef QUERN_KERNELS_AVX2_GEMM_ASM_H
#define QUERN_KERNELS_AVX2_GEMM_ASM_H

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

/* ---- Blocks of 32 ---- */

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

#endif
