/* gemm_inner.c - the inner loops of products with many tokens: 32 rows x 7 tokens.
 * SPDX-License-Identifier: MIT
 * Whole loops in assembly: they need all 32 registers at once, and GCC 12 and clang 14 copy and spill such
 * accumulators when they are written with intrinsics, at up to half of the speed. All use them alike, for
 * tokens t = 0..6 and halves r = 0, 1 of the rows:
 *
 *     zmm 2 t + r         sums of a sub-block or block
 *     zmm 14 + 2 t + r    what they are added to, scaled
 *     zmm 28 + r          weights, then scales
 *     zmm 30              four values of x, to all lanes
 *
 * Instructions are what limits these loops, not the multipliers: where two threads share a core, as in most
 * virtual machines, each gets three a cycle at best, and a product of two operands that were loaded is two or
 * three. So operands stay in memory where they can: five tokens of seven broadcast x inside of vpdpbusd, once
 * for each half; the other two load it once for both, because loads are two a cycle (README.md has the
 * measurements). No index registers: such an operand would be split off again. */
#include "kernels/avx512/gemm_inner.h"

/* F(t, sums.., what they are added to.., address of x, further argument). */
#define EACH_TOKEN(F, arg)                                                                                   \
    F(0, "0", "1", "14", "15", "r8", arg)                                                                    \
    F(1, "2", "3", "16", "17", "r9", arg)                                                                    \
    F(2, "4", "5", "18", "19", "r10", arg)                                                                   \
    F(3, "6", "7", "20", "21", "r11", arg)                                                                   \
    F(4, "8", "9", "22", "23", "r12", arg)                                                                   \
    F(5, "10", "11", "24", "25", "r13", arg)                                                                 \
    F(6, "12", "13", "26", "27", "r14", arg)

#define ADDRESS(t, s0, s1, d0, d1, q, arg)    "movq 8*" #t "(%[at]), %%" q "\n\t"
#define ADVANCE_32(t, s0, s1, d0, d1, q, arg) "addq $32, %%" q "\n\t"
#define ADVANCE(t, s0, s1, d0, d1, q, arg)    "addq $64, %%" q "\n\t"
#define ZERO(t, s0, s1, d0, d1, q, arg)                                                                      \
    "vpxord %%zmm" d0 ", %%zmm" d0 ", %%zmm" d0 "\n\t"                                                       \
    "vpxord %%zmm" d1 ", %%zmm" d1 ", %%zmm" d1 "\n\t"
#define LOAD(t, s0, s1, d0, d1, q, arg)                                                                      \
    "vmovdqa64 128*" #t "(%[sum]), %%zmm" d0 "\n\t"                                                          \
    "vmovdqa64 128*" #t "+64(%[sum]), %%zmm" d1 "\n\t"
#define STORE(t, s0, s1, d0, d1, q, arg)                                                                     \
    "vmovdqa64 %%zmm" d0 ", 128*" #t "(%[sum])\n\t"                                                          \
    "vmovdqa64 %%zmm" d1 ", 128*" #t "+64(%[sum])\n\t"

/* Begin the sums; arg is the sub-block. The copy is done by renaming. */
#define START(t, s0, s1, d0, d1, q, sub)                                                                     \
    "vpbroadcastd 64*" #t "+4*" sub "(%[start]), %%zmm" s0 "\n\t"                                            \
    "vmovdqa64 %%zmm" s0 ", %%zmm" s1 "\n\t"

/* Four values of k; \i, of .irp, counts them. */
#define WEIGHTS                                                                                              \
    "vmovdqa64 128*\\i(%[w]), %%zmm28\n\t"                                                                   \
    "vmovdqa64 128*\\i+64(%[w]), %%zmm29\n\t"
#define IN_MEMORY(s0, s1, q)                                                                                 \
    "vpdpbusd 4*\\i(%%" q ")%{1to16%}, %%zmm28, %%zmm" s0 "\n\t"                                             \
    "vpdpbusd 4*\\i(%%" q ")%{1to16%}, %%zmm29, %%zmm" s1 "\n\t"
#define LOADED(s0, s1, q)                                                                                    \
    "vpbroadcastd 4*\\i(%%" q "), %%zmm30\n\t"                                                               \
    "vpdpbusd %%zmm30, %%zmm28, %%zmm" s0 "\n\t"                                                             \
    "vpdpbusd %%zmm30, %%zmm29, %%zmm" s1 "\n\t"
#define PRODUCTS(list)                                                                                       \
    ".irp i," list "\n\t" WEIGHTS IN_MEMORY("0", "1", "r8") IN_MEMORY("2", "3", "r9")                        \
        LOADED("4", "5", "r10") IN_MEMORY("6", "7", "r11") IN_MEMORY("8", "9", "r12")                        \
            LOADED("10", "11", "r13") IN_MEMORY("12", "13", "r14") ".endr\n\t"

#define SCALE_WORDS(t, s0, s1, d0, d1, q, sub)                                                               \
    "movq 128*" #t "+8*" sub "(%[line]), %[at]\n\t"                                                          \
    "vpdpwssd (%[at]), %%zmm" s0 ", %%zmm" d0 "\n\t"                                                         \
    "vpdpwssd 64(%[at]), %%zmm" s1 ", %%zmm" d1 "\n\t"
#define SCALE_DWORDS(t, s0, s1, d0, d1, q, sub)                                                              \
    "movq 128*" #t "+8*" sub "(%[line]), %[at]\n\t"                                                          \
    "vpmulld (%[at]), %%zmm" s0 ", %%zmm" s0 "\n\t"                                                          \
    "vpmulld 64(%[at]), %%zmm" s1 ", %%zmm" s1 "\n\t"                                                        \
    "vpaddd %%zmm" s0 ", %%zmm" d0 ", %%zmm" d0 "\n\t"                                                       \
    "vpaddd %%zmm" s1 ", %%zmm" d1 ", %%zmm" d1 "\n\t"

#define CLOBBERS                                                                                             \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",        \
        "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22",   \
        "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "r8", "r9", "r10", "r11",    \
        "r12", "r13", "r14", "memory", "cc"

static_assert(TOKENS == 7 && PANEL_ROWS == 32 && PANEL_VALUES == 256,
              "the loops below are written for these");

/* ---- Super-blocks ---- */

/* Pairs of words times pairs of sums of x, into F's registers; the pairs' address is in r9. */
#define PAIRS(label, F)                                                                                      \
    "movq %c[pairs](%[f]), %%r10\n\t"                                                                        \
    "movq %c[g](%[f]), %%r8\n\t" label ":\n\t"                                                               \
    "vmovdqa64 (%%r9), %%zmm28\n\t"                                                                          \
    "vmovdqa64 64(%%r9), %%zmm29\n\t" EACH_TOKEN(F, ) "addq $128, %%r9\n\t"                                  \
                                                      "addq $4, %%r8\n\t"                                    \
                                                      "decq %%r10\n\t"                                       \
                                                      "jne " label "b\n\t"
#define PAIR_OF_CENTRE(t, s0, s1, d0, d1, q, arg)                                                            \
    "vpdpwssd 32*" #t "(%%r8)%{1to16%}, %%zmm28, %%zmm" d0 "\n\t"                                            \
    "vpdpwssd 32*" #t "(%%r8)%{1to16%}, %%zmm29, %%zmm" d1 "\n\t"
#define PAIR_OF_MIN(t, s0, s1, d0, d1, q, arg)                                                               \
    "vpdpwssd 32*" #t "(%%r8)%{1to16%}, %%zmm28, %%zmm" s0 "\n\t"                                            \
    "vpdpwssd 32*" #t "(%%r8)%{1to16%}, %%zmm29, %%zmm" s1 "\n\t"
#define ZERO_MIN(t, s0, s1, d0, d1, q, arg)                                                                  \
    "vpxord %%zmm" s0 ", %%zmm" s0 ", %%zmm" s0 "\n\t"                                                       \
    "vpxord %%zmm" s1 ", %%zmm" s1 ", %%zmm" s1 "\n\t"
#define TIMES_D(t, s0, s1, d0, d1, q, arg)                                                                   \
    "vcvtdq2ps %%zmm" d0 ", %%zmm" d0 "\n\t"                                                                 \
    "vcvtdq2ps %%zmm" d1 ", %%zmm" d1 "\n\t"                                                                 \
    "vmulps %%zmm28, %%zmm" d0 ", %%zmm" d0 "\n\t"                                                           \
    "vmulps %%zmm29, %%zmm" d1 ", %%zmm" d1 "\n\t"
#define LESS_MIN(t, s0, s1, d0, d1, q, arg)                                                                  \
    "vcvtdq2ps %%zmm" s0 ", %%zmm" s0 "\n\t"                                                                 \
    "vcvtdq2ps %%zmm" s1 ", %%zmm" s1 "\n\t"                                                                 \
    "vfnmadd231ps %%zmm" s0 ", %%zmm28, %%zmm" d0 "\n\t"                                                     \
    "vfnmadd231ps %%zmm" s1 ", %%zmm29, %%zmm" d1 "\n\t"
#define TO_ACC(t, s0, s1, d0, d1, q, arg)                                                                    \
    "vbroadcastss 4*" #t "(%%r8), %%zmm" s0 "\n\t"                                                           \
    "vfmadd213ps 128*" #t "(%%r9), %%zmm" s0 ", %%zmm" d0 "\n\t"                                             \
    "vfmadd213ps 128*" #t "+64(%%r9), %%zmm" s0 ", %%zmm" d1 "\n\t"                                          \
    "vmovaps %%zmm" d0 ", 128*" #t "(%%r9)\n\t"                                                              \
    "vmovaps %%zmm" d1 ", 128*" #t "+64(%%r9)\n\t"

/* t = fl(d * f32(I)), with minima t = fma(-dmin, f32(M), t); acc = fma(dx, t, acc). */
#define FINISH                                                                                               \
    "movq %c[centre](%[f]), %%r9\n\t"                                                                        \
    "testq %%r9, %%r9\n\t"                                                                                   \
    "je 3f\n\t" PAIRS(                                                                                       \
        "2", PAIR_OF_CENTRE) "3:\n\t"                                                                        \
                             "movq %c[d](%[f]), %%r8\n\t"                                                    \
                             "vmovaps (%%r8), %%zmm28\n\t"                                                   \
                             "vmovaps 64(%%r8), %%zmm29\n\t" EACH_TOKEN(                                     \
                                 TIMES_D, ) "movq %c[min](%[f]), %%r9\n\t"                                   \
                                            "testq %%r9, %%r9\n\t"                                           \
                                            "je 5f\n\t" EACH_TOKEN(ZERO_MIN, ) PAIRS(                        \
                                                "4",                                                         \
                                                PAIR_OF_MIN) "movq %c[dmin](%[f]), %%r8\n\t"                 \
                                                             "vmovaps (%%r8), %%zmm28\n\t"                   \
                                                             "vmovaps 64(%%r8), %%zmm29\n\t" EACH_TOKEN(     \
                                                                 LESS_MIN, ) "5:\n\t"                        \
                                                                             "movq %c[dx](%[f]), %%r8\n\t"   \
                                                                             "movq %c[acc](%[f]), "          \
                                                                             "%%r9\n\t" EACH_TOKEN(TO_ACC, )

#define FIELD(name) [name] "i"(offsetof(struct super_step, name))

/* `turn` takes 64 values of k: n_subs sub-blocks. */
#define SUPER_LOOP(turn, n_subs)                                                                             \
    do {                                                                                                     \
        const void *w = f->panel->w, *line = f->group->super.line, *start = f->group->start;                 \
        const void *at = f->group->q;                                                                        \
        size_t left = PANEL_VALUES / 64;                                                                     \
        __asm__ volatile(                                                                                    \
            EACH_TOKEN(ADDRESS, ) EACH_TOKEN(ZERO, ) ".p2align 6\n1:\n\t" turn EACH_TOKEN(                   \
                ADVANCE, ) "addq $2048, %[w]\n\t"                                                            \
                           "addq %[start_step], %[start]\n\t"                                                \
                           "addq %[line_step], %[line]\n\t"                                                  \
                           "decq %[left]\n\t"                                                                \
                           "jne 1b\n\t" FINISH                                                               \
            : [w] "+&r"(w), [line] "+&r"(line), [start] "+&r"(start), [left] "+&r"(left), [at] "+&r"(at)     \
            : [f] "r"(f), [start_step] "i"(4 * (n_subs)), [line_step] "i"(8 * (n_subs)), FIELD(centre),      \
              FIELD(min), FIELD(pairs), FIELD(g), FIELD(d), FIELD(dmin), FIELD(dx), FIELD(acc)               \
            : CLOBBERS);                                                                                     \
    } while (0)

#define SUB(scale, sub, list) EACH_TOKEN(START, sub) PRODUCTS(list) EACH_TOKEN(scale, sub)
#define TURN_16(scale)                                                                                       \
    SUB(scale, "0", "0,1,2,3")                                                                               \
    SUB(scale, "1", "4,5,6,7") SUB(scale, "2", "8,9,10,11") SUB(scale, "3", "12,13,14,15")
#define TURN_32(scale) SUB(scale, "0", "0,1,2,3,4,5,6,7") SUB(scale, "1", "8,9,10,11,12,13,14,15")

void inner_words_16_avx512(const struct super_step *f) { SUPER_LOOP(TURN_16(SCALE_WORDS), 4); }

void inner_words_32_avx512(const struct super_step *f) { SUPER_LOOP(TURN_32(SCALE_WORDS), 2); }

void inner_dwords_16_avx512(const struct super_step *f) { SUPER_LOOP(TURN_16(SCALE_DWORDS), 4); }

void inner_dwords_32_avx512(const struct super_step *f) { SUPER_LOOP(TURN_32(SCALE_DWORDS), 2); }

/* ---- Blocks of 32 ---- */

/* fl(d * f32(I)) of the sum's bits, by one fma with shift = -d * bias (gemm.h). Shifts stand 1024 bytes
 * behind the scales, minima 2048. */
#define SCALES                                                                                               \
    "vmovaps (%[d]), %%zmm28\n\t"                                                                            \
    "vmovaps 64(%[d]), %%zmm29\n\t"
#define TO_FLOAT(t, s0, s1, d0, d1, q, arg)                                                                  \
    "vfmadd213ps 1024(%[d]), %%zmm28, %%zmm" s0 "\n\t"                                                       \
    "vfmadd213ps 1088(%[d]), %%zmm29, %%zmm" s1 "\n\t"
#define MINIMA                                                                                               \
    "vmovaps 2048(%[d]), %%zmm28\n\t"                                                                        \
    "vmovaps 2112(%[d]), %%zmm29\n\t"
#define ADD_MIN(t, s0, s1, d0, d1, q, arg)                                                                   \
    "vfmadd231ps 448+64*" #t "(%[dx])%{1to16%}, %%zmm28, %%zmm" s0 "\n\t"                                    \
    "vfmadd231ps 448+64*" #t "(%[dx])%{1to16%}, %%zmm29, %%zmm" s1 "\n\t"
#define ADD_BLOCK(t, s0, s1, d0, d1, q, arg)                                                                 \
    "vfmadd231ps 64*" #t "(%[dx])%{1to16%}, %%zmm" s0 ", %%zmm" d0 "\n\t"                                    \
    "vfmadd231ps 64*" #t "(%[dx])%{1to16%}, %%zmm" s1 ", %%zmm" d1 "\n\t"

static_assert(sizeof(((struct group_blocks *)0)->d) == 448 && offsetof(struct group_blocks, sum) == 448,
              "sums stand 448 bytes behind scales");
static_assert(offsetof(struct panel, shift) == offsetof(struct panel, d) + 1024 &&
                  offsetof(struct panel, m) == offsetof(struct panel, d) + 2048,
              "shifts and minima stand behind scales");

#define BLOCK_LOOP(minimum)                                                                                  \
    do {                                                                                                     \
        const void *w = p->w, *d = p->d, *start = g->start, *at = g->q, *dx = g->blocks.d;                   \
        size_t left = n_blocks;                                                                              \
        __asm__ volatile(EACH_TOKEN(ADDRESS, )                                                               \
                             EACH_TOKEN(LOAD, ) ".p2align 6\n1:\n\t" EACH_TOKEN(START, "0")                  \
                                 PRODUCTS("0,1,2,3,4,5,6,7") SCALES EACH_TOKEN(TO_FLOAT, )                   \
                                     minimum EACH_TOKEN(ADD_BLOCK, ) "addq $1024, %[w]\n\t" EACH_TOKEN(      \
                                         ADVANCE_32, ) "addq $4, %[start]\n\t"                               \
                                                       "addq $4, %[dx]\n\t"                                  \
                                                       "addq $128, %[d]\n\t"                                 \
                                                       "decq %[left]\n\t"                                    \
                                                       "jne 1b\n\t" EACH_TOKEN(STORE, )                      \
                         : [w] "+&r"(w), [at] "+&r"(at), [d] "+&r"(d), [dx] "+&r"(dx), [start] "+&r"(start), \
                           [left] "+&r"(left)                                                                \
                         : [sum] "r"(acc)                                                                    \
                         : CLOBBERS);                                                                        \
    } while (0)

void inner_blocks_avx512(const struct panel *p, const struct group *g, size_t n_blocks,
                         float acc[TOKENS][PANEL_ROWS]) {
    BLOCK_LOOP("");
}

void inner_blocks_min_avx512(const struct panel *p, const struct group *g, size_t n_blocks,
                             float acc[TOKENS][PANEL_ROWS]) {
    BLOCK_LOOP(MINIMA EACH_TOKEN(ADD_MIN, ));
}
