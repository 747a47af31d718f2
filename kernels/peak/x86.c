/* x86.c - multiply-add loops for x86-64.
 * SPDX-License-Identifier: MIT
 * Inline assembly, so that the folder needs no flags of its own and no compiler adds a move or a spill. Two
 * such instructions can start in a cycle and each takes 3 to 5 cycles, so that ten chains suffice; twelve
 * leave four registers. Operands are zero: how many start in a cycle does not depend on them. */
#include "kernels/peak/loops.h"

#include "kernels/cpu.h"

#include <assert.h>

enum { CHAINS = 12 };

#define REGISTERS "0,1,2,3,4,5,6,7,8,9,10,11"
/* The text of a loop over %0; \r in the instruction is the number of a chain's register. */
#define LOOP(instruction)                                                                                    \
    ".irp r," REGISTERS ",14,15\n\t"                                                                         \
    "vpxor %%xmm\\r, %%xmm\\r, %%xmm\\r\n\t"                                                                 \
    ".endr\n\t"                                                                                              \
    ".p2align 5\n"                                                                                           \
    "1:\n\t"                                                                                                 \
    ".irp r," REGISTERS "\n\t" instruction "\n\t"                                                            \
    ".endr\n\t"                                                                                              \
    "dec %0\n\t"                                                                                             \
    "jnz 1b\n\t"                                                                                             \
    "vzeroupper"
#define CHANGED                                                                                              \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",        \
        "xmm14", "xmm15", "cc"

static void vpmaddubsw_ymm(size_t n) {
    __asm__ volatile(LOOP("vpmaddubsw %%ymm15, %%ymm14, %%ymm\\r") : "+r"(n) : : CHANGED);
}

static void vpdpbusd_ymm(size_t n) {
    __asm__ volatile(LOOP("%{vex%} vpdpbusd %%ymm15, %%ymm14, %%ymm\\r") : "+r"(n) : : CHANGED);
}

static void vpdpbusd_zmm(size_t n) {
    __asm__ volatile(LOOP("vpdpbusd %%zmm15, %%zmm14, %%zmm\\r") : "+r"(n) : : CHANGED);
}

static void vfmadd_ymm(size_t n) {
    __asm__ volatile(LOOP("vfmadd231ps %%ymm15, %%ymm14, %%ymm\\r") : "+r"(n) : : CHANGED);
}

static void vfmadd_zmm(size_t n) {
    __asm__ volatile(LOOP("vfmadd231ps %%zmm15, %%zmm14, %%zmm\\r") : "+r"(n) : : CHANGED);
}

enum { TILES = 8, TILE_ROWS = 16, TILE_ROW_BYTES = 64, TILE_PRODUCTS = 4 };

/* The operand of ldtilecfg (Intel SDM volume 1, 18.3: palette 1). */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};
static_assert(sizeof(struct tile_config) == 64, "what ldtilecfg reads");

/* A 2 x 2 square of accumulators, as a matrix kernel has it: each operand tile is used twice. */
#define TILE_LOOP(product)                                                                                   \
    "ldtilecfg %1\n\t"                                                                                       \
    ".irp r,0,1,2,3,4,5,6,7\n\t"                                                                             \
    "tilezero %%tmm\\r\n\t"                                                                                  \
    ".endr\n"                                                                                                \
    "1:\n\t" product " %%tmm4, %%tmm6, %%tmm0\n\t" product " %%tmm5, %%tmm6, %%tmm1\n\t" product             \
    " %%tmm4, %%tmm7, %%tmm2\n\t" product " %%tmm5, %%tmm7, %%tmm3\n\t"                                      \
    "dec %0\n\t"                                                                                             \
    "jnz 1b\n\t"                                                                                             \
    "tilerelease"

static struct tile_config full_tiles(void) {
    struct tile_config config = { .palette = 1 };
    for (size_t i = 0; i < TILES; i++)
        config.row_bytes[i] = TILE_ROW_BYTES, config.rows[i] = TILE_ROWS;
    return config;
}

static void tdpbusd(size_t n) {
    struct tile_config config = full_tiles();
    __asm__ volatile(TILE_LOOP("tdpbusd") : "+r"(n) : "m"(config) : "cc");
}

static void tdpbf16ps(size_t n) {
    struct tile_config config = full_tiles();
    __asm__ volatile(TILE_LOOP("tdpbf16ps") : "+r"(n) : "m"(config) : "cc");
}

static void vdpbf16ps_zmm(size_t n) {
    __asm__ volatile(LOOP("vdpbf16ps %%zmm15, %%zmm14, %%zmm\\r") : "+r"(n) : : CHANGED);
}

#undef TILE_LOOP
#undef REGISTERS
#undef LOOP
#undef CHANGED

/* Multiply-adds of an iteration. */
enum {
    YMM_INT8 = CHAINS * 32,
    YMM_F32 = CHAINS * 8,
    ZMM_INT8 = CHAINS * 64,
    ZMM_BF16 = CHAINS * 32,
    ZMM_F32 = CHAINS * 16,
    TILE_INT8 = TILE_PRODUCTS * TILE_ROWS * (TILE_ROW_BYTES / 4) * TILE_ROW_BYTES,
    TILE_BF16 = TILE_INT8 / 2,
};

/* clang-format off */
static const struct peak_loop rows[] = {
    { "avx2",    PEAK_INT8,  "vpmaddubsw ymm",  CPU_AVX2,                    YMM_INT8,  vpmaddubsw_ymm },
    { "avx2",    PEAK_FLOAT, "vfmadd231ps ymm", CPU_AVX2 | CPU_FMA,          YMM_F32,   vfmadd_ymm     },
    { "avxvnni", PEAK_INT8,  "vpdpbusd ymm",    CPU_AVX2 | CPU_AVX_VNNI,     YMM_INT8,  vpdpbusd_ymm   },
    { "avxvnni", PEAK_FLOAT, "vfmadd231ps ymm", CPU_AVX2 | CPU_FMA,          YMM_F32,   vfmadd_ymm     },
    { "avx512",  PEAK_INT8,  "vpdpbusd zmm",    CPU_AVX512_VNNI,             ZMM_INT8,  vpdpbusd_zmm   },
    { "avx512",  PEAK_BF16,  "vdpbf16ps zmm",   CPU_AVX512 | CPU_AVX512_BF16, ZMM_BF16, vdpbf16ps_zmm  },
    { "avx512",  PEAK_FLOAT, "vfmadd231ps zmm", CPU_AVX512,                  ZMM_F32,   vfmadd_zmm     },
    { "amx",     PEAK_INT8,  "tdpbusd",         CPU_AMX_TILE | CPU_AMX_INT8, TILE_INT8, tdpbusd        },
    { "amx",     PEAK_BF16,  "tdpbf16ps",       CPU_AMX_TILE | CPU_AMX_BF16, TILE_BF16, tdpbf16ps      },
    { "amx",     PEAK_FLOAT, "vfmadd231ps zmm", CPU_AVX512,                  ZMM_F32,   vfmadd_zmm     },
};
/* clang-format on */

const struct peak_loop *peak_loop_row(size_t i) { return i < sizeof rows / sizeof *rows ? &rows[i] : NULL; }
