/* row8_inner.c - the inner loop of W8A8 with many tokens: 64 rows x 6 tokens.
 * SPDX-License-Identifier: MIT
 * Sums run through a whole row, so nothing but products is in the loop, and the registers that a scale per
 * block would need hold more sums: 24, fed by ten loads for 24 products (gemm_inner.c says why loads count).
 * Token t and quarter r of the rows have zmm 4 t + r, weights are in zmm 28..31, x in zmm 24..26. */
#include "kernels/avx512/row8.h"

/* Sums 256 * t bytes from `sum` on, to or from registers. */
#define SUM_LOAD(t, s0, s1, s2, s3)                                                                          \
    "vmovdqa64 256*" #t "(%[sum]), %%zmm" #s0 "\n\t"                                                         \
    "vmovdqa64 256*" #t "+64(%[sum]), %%zmm" #s1 "\n\t"                                                      \
    "vmovdqa64 256*" #t "+128(%[sum]), %%zmm" #s2 "\n\t"                                                     \
    "vmovdqa64 256*" #t "+192(%[sum]), %%zmm" #s3 "\n\t"
#define SUM_STORE(t, s0, s1, s2, s3)                                                                         \
    "vmovdqa64 %%zmm" #s0 ", 256*" #t "(%[sum])\n\t"                                                         \
    "vmovdqa64 %%zmm" #s1 ", 256*" #t "+64(%[sum])\n\t"                                                      \
    "vmovdqa64 %%zmm" #s2 ", 256*" #t "+128(%[sum])\n\t"                                                     \
    "vmovdqa64 %%zmm" #s3 ", 256*" #t "+192(%[sum])\n\t"
#define EACH_SUM(F)                                                                                          \
    F(0, 0, 1, 2, 3)                                                                                         \
    F(1, 4, 5, 6, 7) F(2, 8, 9, 10, 11) F(3, 12, 13, 14, 15) F(4, 16, 17, 18, 19) F(5, 20, 21, 22, 23)

/* Four values of one token. */
#define PRODUCT(address, x, s0, s1, s2, s3)                                                                  \
    "vpbroadcastd 4*\\i(" address "), %%zmm" #x "\n\t"                                                       \
    "vpdpbusd %%zmm" #x ", %%zmm28, %%zmm" #s0 "\n\t"                                                        \
    "vpdpbusd %%zmm" #x ", %%zmm29, %%zmm" #s1 "\n\t"                                                        \
    "vpdpbusd %%zmm" #x ", %%zmm30, %%zmm" #s2 "\n\t"                                                        \
    "vpdpbusd %%zmm" #x ", %%zmm31, %%zmm" #s3 "\n\t"

void row8_inner_avx512(const struct row8_panel *p, size_t n_blocks, const int8_t *q, size_t q_stride,
                       int32_t sum[ROW8_TOKENS][ROW8_ROWS]) {
    const void *w = p->w;
    const int8_t *q3 = q + 3 * q_stride;
    __asm__ volatile(
        EACH_SUM(
            SUM_LOAD) "1:\n\t"
                      ".irp i,0,1,2,3,4,5,6,7\n\t"
                      "vmovdqa64 256*\\i(%[w]), %%zmm28\n\t"
                      "vmovdqa64 256*\\i+64(%[w]), %%zmm29\n\t"
                      "vmovdqa64 256*\\i+128(%[w]), %%zmm30\n\t"
                      "vmovdqa64 256*\\i+192(%[w]), %%zmm31\n\t" PRODUCT("%[q]", 24, 0, 1, 2, 3)
                          PRODUCT("%[q],%[n]", 25, 4, 5, 6, 7) PRODUCT("%[q],%[n],2", 26, 8, 9, 10, 11)
                              PRODUCT("%[q3]", 24, 12, 13, 14, 15) PRODUCT("%[q3],%[n]", 25, 16, 17, 18, 19)
                                  PRODUCT("%[q3],%[n],2", 26, 20, 21, 22, 23) ".endr\n\t"
                                                                              "addq $2048, %[w]\n\t"
                                                                              "addq $32, %[q]\n\t"
                                                                              "addq $32, %[q3]\n\t"
                                                                              "decq %[left]\n\t"
                                                                              "jne 1b\n\t" EACH_SUM(SUM_STORE)
        : [w] "+&r"(w), [q] "+&r"(q), [q3] "+&r"(q3), [left] "+&r"(n_blocks)
        : [n] "r"(q_stride), [sum] "r"(sum)
        : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
          "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22",
          "xmm23", "xmm24", "xmm25", "xmm26", "xmm28", "xmm29", "xmm30", "xmm31", "memory", "cc");
}
