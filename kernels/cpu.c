/* cpu.c - what this processor and operating system can run.
 * SPDX-License-Identifier: MIT
 * x86: CPUID leaves 1 and 7 and the XCR0 register (Intel SDM volume 1, chapter 13 and 18.5: an instruction
 * set may be used if CPUID names it and the system saves its registers). Arm: the system's own list. */
#include "kernels/cpu.h"

#if defined(__x86_64__)
#    include <cpuid.h>
#    if defined(__linux__)
#        include <sys/syscall.h>
#        include <unistd.h>
#    endif
#elif defined(__aarch64__) && defined(__linux__)
#    include <sys/auxv.h>
#    include <asm/hwcap.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#    include <sys/sysctl.h>
#endif

struct feature_name {
    uint64_t bit;
    const char *name;
};

static const struct feature_name names[] = {
    { CPU_AVX2, "avx2" },
    { CPU_FMA, "fma" },
    { CPU_F16C, "f16c" },
    { CPU_AVX_VNNI, "avx_vnni" },
    { CPU_AVX512, "avx512" },
    { CPU_AVX512_VNNI, "avx512_vnni" },
    { CPU_AVX512_VBMI, "avx512_vbmi" },
    { CPU_AVX512_BF16, "avx512_bf16" },
    { CPU_GFNI, "gfni" },
    { CPU_AMX_TILE, "amx_tile" },
    { CPU_AMX_INT8, "amx_int8" },
    { CPU_AMX_BF16, "amx_bf16" },
    { CPU_DOTPROD, "dotprod" },
    { CPU_I8MM, "i8mm" },
    { CPU_BF16, "bf16" },
    { CPU_SVE, "sve" },
};

const char *cpu_feature_name(size_t i, uint64_t *bit) {
    if (i >= sizeof names / sizeof names[0])
        return NULL;
    *bit = names[i].bit;
    return names[i].name;
}

#if defined(__x86_64__)

enum cpuid_register { EAX, EBX, ECX, EDX };

/* Bits of XCR0: which registers the system saves. */
enum {
    XCR0_YMM = 0x6,      /* SSE and AVX state */
    XCR0_ZMM = 0xe6,     /* and masks, upper halves, registers 16 to 31 */
    XCR0_TILE = 0x60000, /* tile configuration and tile data */
};

/* Where CPUID says that a feature exists, and which state it needs. */
struct cpuid_row {
    uint64_t feature;
    uint32_t leaf, subleaf;
    enum cpuid_register reg;
    uint32_t bits; /* all of them */
    uint64_t xcr0;
};

static const struct cpuid_row cpuid_rows[] = {
    { CPU_AVX2, 7, 0, EBX, 1u << 5, XCR0_YMM },
    { CPU_FMA, 1, 0, ECX, 1u << 12, XCR0_YMM },
    { CPU_F16C, 1, 0, ECX, 1u << 29, XCR0_YMM },
    { CPU_AVX_VNNI, 7, 1, EAX, 1u << 4, XCR0_YMM },
    { CPU_AVX512, 7, 0, EBX, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31, XCR0_ZMM },
    { CPU_AVX512_VNNI, 7, 0, ECX, 1u << 11, XCR0_ZMM },
    { CPU_AVX512_VBMI, 7, 0, ECX, 1u << 1, XCR0_ZMM },
    { CPU_AVX512_BF16, 7, 1, EAX, 1u << 5, XCR0_ZMM },
    { CPU_GFNI, 7, 0, ECX, 1u << 8, 0 },
    { CPU_AMX_TILE, 7, 0, EDX, 1u << 24, XCR0_TILE },
    { CPU_AMX_INT8, 7, 0, EDX, 1u << 25, XCR0_TILE },
    { CPU_AMX_BF16, 7, 0, EDX, 1u << 22, XCR0_TILE },
};

/* XCR0, or 0 if the system has not enabled XGETBV (CPUID leaf 1, ECX bit 27: OSXSAVE). */
static uint64_t read_xcr0(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 27))
        return 0;
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0)); /* the intrinsic would need -mxsave */
    return (uint64_t)hi << 32 | lo;
}

uint64_t cpu_features(void) {
    uint64_t xcr0 = read_xcr0(), features = 0;
    for (size_t i = 0; i < sizeof cpuid_rows / sizeof cpuid_rows[0]; i++) {
        const struct cpuid_row *row = &cpuid_rows[i];
        unsigned r[4];
        /* A subleaf above the maximum reads as zeros, so only the leaf needs a check, which this does. */
        if (!__get_cpuid_count(row->leaf, row->subleaf, &r[EAX], &r[EBX], &r[ECX], &r[EDX]))
            continue;
        if ((r[row->reg] & row->bits) == row->bits && (xcr0 & row->xcr0) == row->xcr0)
            features |= row->feature;
    }
    return features;
}

bool cpu_allow_amx(void) {
#    if defined(__linux__)
    /* Linux, Documentation/arch/x86/xstate.rst: ARCH_REQ_XCOMP_PERM of XFEATURE_XTILEDATA. */
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return (cpu_features() & CPU_AMX_TILE) &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#    else
    return false;
#    endif
}

#elif defined(__aarch64__) && defined(__linux__)

uint64_t cpu_features(void) {
    unsigned long hwcap = getauxval(AT_HWCAP), hwcap2 = getauxval(AT_HWCAP2);
    uint64_t features = 0;
    if (hwcap & HWCAP_ASIMDDP)
        features |= CPU_DOTPROD;
    if (hwcap & HWCAP_SVE)
        features |= CPU_SVE;
    if (hwcap2 & HWCAP2_I8MM)
        features |= CPU_I8MM;
    if (hwcap2 & HWCAP2_BF16)
        features |= CPU_BF16;
    return features;
}

bool cpu_allow_amx(void) { return false; }

#elif defined(__aarch64__) && defined(__APPLE__)

uint64_t cpu_features(void) {
    static const struct feature_name keys[] = {
        { CPU_DOTPROD, "hw.optional.arm.FEAT_DotProd" },
        { CPU_I8MM, "hw.optional.arm.FEAT_I8MM" },
        { CPU_BF16, "hw.optional.arm.FEAT_BF16" },
    };
    uint64_t features = 0;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        int has = 0;
        size_t size = sizeof has;
        if (sysctlbyname(keys[i].name, &has, &size, NULL, 0) == 0 && has)
            features |= keys[i].bit;
    }
    return features;
}

bool cpu_allow_amx(void) { return false; }

#else

uint64_t cpu_features(void) { return 0; }

bool cpu_allow_amx(void) { return false; }

#endif
