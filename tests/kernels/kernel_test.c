/* kernel_test.c - every level of kernels against the scalar one, bit for bit; and how fast it is.
 * SPDX-License-Identifier: MIT
 * Usage: kernels_levels [--level=NAME] [--function=PART] [--seed=N] [--list] [--bench] [--best] [--quick]
 * In the manner of checkasm: each entry of a level's table that is not the one of the scalar level gets
 * random and extreme inputs in memory that faults when left. --bench times instead, the scalar level too.
 * --best only names the best level of this machine; --quick leaves out shapes and contents, where a
 * build is slow (sanitizers, qemu, the second compiler). */
#include "tests/kernels/check.h"

#include "kernels/amx/emulated.h"
#include "kernels/cpu.h"
#include "tests/support.h"

#include <errno.h>
#include <fenv.h>
#include <float.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What the handler of a fault reports: the only way for a signal handler to know. */
static const struct check *running;

static void report_fault(int signal_number) {
    char line[512];
    int n = snprintf(line, sizeof line, "FAULT (signal %d) in %s, level %s, seed %llu: %s\n", signal_number,
                     running->function, running->got.name, (unsigned long long)running->seed, running->what);
    if (write(STDERR_FILENO, line, (size_t)n) != n)
        _exit(2);
    _exit(1);
}

/* ---- Checks ---- */

bool check_begin(struct check *c, bool differs, const char *name, ...) {
    va_list args;
    va_start(args, name);
    vsnprintf(c->function, sizeof c->function, name, args);
    va_end(args);
    if ((!differs && !c->bench) || (c->filter && !strstr(c->function, c->filter)))
        return false;
    c->total_functions++;
    if (c->list) {
        printf("%-8s %s\n", c->got.name, c->function);
        return false;
    }
    c->random = c->seed;
    c->n_cases = c->n_failures = 0;
    return true;
}

/* A kernel leaves rounding and subnormals as they were. */
static bool float_environment_is_intact(void) {
    volatile float smallest = FLT_MIN;
    return fegetround() == FE_TONEAREST && smallest / 2 != 0;
}

void check_end(struct check *c) {
    if (!float_environment_is_intact())
        check_fail(c, "the rounding mode or the treatment of subnormals has changed");
    if (!c->bench)
        printf("%-8s %-22s %6zu cases %s\n", c->got.name, c->function, c->n_cases,
               c->n_failures ? "FAILED" : "ok");
    c->total_failures += c->n_failures;
    c->function[0] = 0;
}

void check_case(struct check *c, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(c->what, sizeof c->what, format, args);
    va_end(args);
    c->n_cases++;
}

void check_fail(struct check *c, const char *format, ...) {
    enum { MOST = 5 }; /* lines per function: the first tell what is wrong */
    if (++c->n_failures > MOST)
        return;
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "%s, level %s, seed %llu: %s: %s\n", c->function, c->got.name,
            (unsigned long long)c->seed, c->what, text);
}

void check_floats(struct check *c, const char *name, const float *got, const float *want, size_t n) {
    size_t i = support_first_difference(got, want, n);
    if (i < n)
        check_fail(c, "%s[%zu]: got %.9g (%a), want %.9g (%a)", name, i, (double)got[i], (double)got[i],
                   (double)want[i], (double)want[i]);
}

void check_bytes(struct check *c, const char *name, const void *got, const void *want, size_t bytes) {
    const uint8_t *g = got, *w = want;
    for (size_t i = 0; i < bytes; i++)
        if (g[i] != w[i]) {
            check_fail(c, "%s, byte %zu: got 0x%02x, want 0x%02x", name, i, g[i], w[i]);
            return;
        }
}

/* ---- Time ---- */

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The best of some runs of at least 20 ms each: what else runs on the machine only ever adds time. */
void check_time(struct check *c, const char *shape, void (*call)(const struct check *c, void *arg), void *arg,
                double bytes, double operations) {
    enum { RUNS = 7 };
    double best = 0;
    size_t calls = 1;
    for (size_t run = 0; run < RUNS; run++) {
        double begin = seconds();
        for (size_t i = 0; i < calls; i++)
            call(c, arg);
        double each = (seconds() - begin) / (double)calls;
        if (!run)
            calls = each < 0.02 ? (size_t)(0.02 / (each + 1e-9)) + 1 : 1;
        if (!run || each < best)
            best = each;
    }
    printf("%-8s %-22s %-22s %12.0f ns", c->got.name, c->function, shape, best * 1e9);
    if (bytes > 0)
        printf(" %8.2f GB/s", bytes / best * 1e-9);
    if (operations > 0)
        printf(" %8.2f GMAC/s", operations / best * 1e-9);
    printf("\n");
    fflush(stdout);
}

/* ---- Levels ---- */

/* False if this machine lacks it. */
static bool run_level(struct check *c, const char *level) {
    if (!kernels_init(&c->got, level)) {
        printf("%-8s skipped: this machine lacks it (it has", level);
        uint64_t bit, has = cpu_features();
        const char *name;
        for (size_t i = 0; (name = cpu_feature_name(i, &bit)); i++)
            if (has & bit)
                printf(" %s", name);
        printf(")\n");
        return false;
    }
    c->is_tiled = strcmp(level, "amx") == 0;
    check_quantize(c);
    check_matmul(c);
    check_row8(c);
    check_bf16(c);
    check_elementwise(c);
    check_attention(c);
    return true;
}

/* The kernels of the AMX level in plain C: on machines without AMX the only way that they run, and everywhere
 * with shapes that the level leaves to the one below. */
static void run_emulated(struct check *c) {
    c->got = c->want;
    c->got.name = "amx-in-c";
    kernels_fill_amx_emulated(&c->got);
    if (!kernels_usable("amx"))
        printf("%-8s is the only way to check the level amx here\n", c->got.name);
    c->is_tiled = c->is_emulated = true;
    check_matmul(c);
    check_row8(c);
    check_bf16(c);
}

/* The value of an option --name=value, NULL if arg is another. */
static const char *option(const char *arg, const char *name) {
    size_t n = strlen(name);
    return strncmp(arg, name, n) == 0 && arg[n] == '=' ? arg + n + 1 : NULL;
}

static bool parse(int argc, char **argv, struct check *c, const char **level) {
    for (int i = 1; i < argc; i++) {
        const char *value;
        char *end;
        if (strcmp(argv[i], "--list") == 0) {
            c->list = true;
        } else if (strcmp(argv[i], "--bench") == 0) {
            c->bench = true;
        } else if (strcmp(argv[i], "--best") == 0) {
            c->best = true;
        } else if (strcmp(argv[i], "--quick") == 0) {
            c->is_quick = true;
        } else if ((value = option(argv[i], "--level"))) {
            *level = value;
        } else if ((value = option(argv[i], "--function"))) {
            c->filter = value;
        } else if ((value = option(argv[i], "--seed"))) {
            errno = 0;
            c->seed = strtoull(value, &end, 10);
            if (errno || *end || end == value)
                return false;
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv) {
    struct check c = { .seed = (uint64_t)time(NULL) };
    const char *only = NULL, *level;
    if (!parse(argc, argv, &c, &only)) {
        fprintf(
            stderr,
            "usage: %s [--level=NAME] [--function=PART] [--seed=N] [--list] [--bench] [--best] [--quick]\n",
            argv[0]);
        return 2;
    }
    if (!kernels_init(&c.want, "scalar"))
        return 1;
    if (c.best) {
        puts(kernels_init(&c.got, NULL) ? c.got.name : "none");
        return 0;
    }
    running = &c;
    signal(SIGSEGV, report_fault);
    signal(SIGBUS, report_fault);
    signal(SIGILL, report_fault);
    if (!c.list)
        printf("seed %llu\n", (unsigned long long)c.seed);
    if (c.is_quick && !c.list)
        printf("QUICK: left out: products with rows not next to a multiple of 8, of more than 17 blocks, "
               "with more "
               "than 265 tokens, and 3 in 4 of the contents; attention: 2 in 3 head sizes, 3 in 4 numbers of "
               "queries (the release build takes all)\n");
    /* The scalar level is what others are compared with: it is only listed and timed. */
    bool is_known = false, has_run = false;
    for (size_t i = c.bench ? 0 : 1; (level = kernels_level(i)); i++)
        if (!only || strcmp(level, only) == 0) {
            is_known = true;
            has_run |= run_level(&c, level);
        }
    if (!c.bench && (!only || strcmp(only, "amx-in-c") == 0)) {
        run_emulated(&c);
        is_known = has_run = true;
    }
    if (!is_known) {
        fprintf(stderr, "--level: '%s' is no level of this build\n", only);
        return 2;
    }
    if (c.total_failures)
        fprintf(stderr, "%zu failures; repeat with --seed=%llu\n", c.total_failures,
                (unsigned long long)c.seed);
    enum { SKIPPED = 77 };
    return c.total_failures ? 1 : has_run ? 0 : SKIPPED;
}
