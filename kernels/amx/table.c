/* table.c - the AMX level (tiles of bytes, over AVX-512): products with many tokens.
 * SPDX-License-Identifier: MIT
 * Compiled twice (tiles.h); the emulation fills a table for tests. */
#include "kernels/amx/level.h"
#include "kernels/cpu.h"
#include "kernels/levels.h"

#ifdef AMX_EMULATED
#    include "kernels/amx/emulated.h"
#endif

/* Types whose canonical arithmetic is a chain of floats, several times slower. */
static void prefer_bf16(struct kernels *k) {
    k->bf16_is_faster[TYPE_F32] = k->bf16_is_faster[TYPE_F16] = k->bf16_is_faster[TYPE_BF16] = true;
}

#ifdef AMX_EMULATED
static bool has(uint64_t features) { return features != 0; }
#else
static bool has(uint64_t features) { return (cpu_features() & features) == features; }

void kernels_fill_avx512_bf16(struct kernels *k) {
    if (!has(CPU_AVX512_BF16))
        return;
    k->round_bf16 = round_row_avx512;
    k->matmul_bf16 = matmul_bf16_mode_avx512;
    prefer_bf16(k);
}
#endif

/* With tiles bf16 sums over all of k at half the rate, the exact integers of these types at a third of it and
 * less: 1.1 (Q3_K) to 3.9 times as fast (kernels/README.md). Other types are unpacked too slowly. */
static void prefer_bf16_tiles(struct kernels *k) {
    static const uint32_t types[] = { TYPE_Q4_0,   TYPE_Q4_1,  TYPE_Q5_0,  TYPE_Q5_1, TYPE_Q8_0,
                                      TYPE_IQ4_NL, TYPE_MXFP4, TYPE_Q2_K,  TYPE_Q3_K, TYPE_Q4_K,
                                      TYPE_Q5_K,   TYPE_Q6_K,  TYPE_IQ4_XS };
    prefer_bf16(k);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        k->bf16_is_faster[types[i]] = true;
}

void AMX(kernels_fill)(struct kernels *k) {
    if (has(CPU_AMX_BF16 | CPU_AVX512_BF16)) { /* more than the level needs */
        k->round_bf16 = AMX(round_row);
        k->matmul_bf16 = AMX(matmul_bf16_mode);
        prefer_bf16_tiles(k);
    }
    k->arrange[ACT_A32] = AMX(arrange_a32);
    k->arrange[ACT_ROW8] = AMX(arrange_a32); /* the same arrays */
    k->arrange[ACT_A256_16] = AMX(arrange_a256_16);
    k->arrange[ACT_A256_32] = AMX(arrange_a256_32);
    k->matmul[TYPE_Q4_0] = AMX(matmul_q4_0);
    k->matmul[TYPE_Q4_1] = AMX(matmul_q4_1);
    k->matmul[TYPE_Q5_0] = AMX(matmul_q5_0);
    k->matmul[TYPE_Q5_1] = AMX(matmul_q5_1);
    k->matmul[TYPE_Q8_0] = AMX(matmul_q8_0);
    k->matmul[TYPE_IQ4_NL] = AMX(matmul_iq4_nl);
    k->matmul[TYPE_MXFP4] = AMX(matmul_mxfp4);
    k->matmul[TYPE_Q2_K] = AMX(matmul_q2_K);
    k->matmul[TYPE_Q3_K] = AMX(matmul_q3_K);
    k->matmul[TYPE_Q4_K] = AMX(matmul_q4_K);
    k->matmul[TYPE_Q5_K] = AMX(matmul_q5_K);
    k->matmul[TYPE_Q6_K] = AMX(matmul_q6_K);
    k->matmul[TYPE_IQ4_XS] = AMX(matmul_iq4_xs);
    k->matmul_w8a8 = AMX(matmul_w8a8);
}
