/* figures.h - a test's measurements, and what is computed from them.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_BENCH_FIGURES_H
#define QUERN_APPS_BENCH_FIGURES_H

#include "apps/bench/limits.h"
#include "apps/bench/workload.h"

/* Prefill of n_prompt tokens at once or decoding of n_gen one by one; the other is 0. */
struct bench_test {
    size_t n_prompt, n_gen, n_depth; /* n_depth: tokens in the cache before */
    char start[32];                  /* when, "2026-01-31T12:00:00Z" */
    double *samples_ns;              /* [n_samples], one per repetition */
    size_t n_samples;
    struct limits before, after; /* zero where not measured */
    uint64_t hash;               /* FNV-1a of the last logits, the same in every repetition */
    bool is_finite;
    uint64_t resident_bytes;
};

/* Where a figure does not apply it is NaN. */
struct figures {
    double avg_ns, stddev_ns;
    double avg_ts, stddev_ts, median_ts;   /* tokens a second */
    double bandwidth_gbs, bandwidth_share; /* of decoding */
    double gmacs, peak_share;              /* of prefill */
};

/* "pp512", "tg128 @ d4096" */
enum { TEST_NAME = 64 };
const char *test_name(const struct bench_test *t, char text[TEST_NAME]);

/* Of one repetition. */
double n_tokens(const struct bench_test *t);

/* Bandwidth and multiply-adds belong to the median speed, shares to the mean of the limits before and after.
 * Errors: QUERN_MEMORY. */
enum quern_status get_figures(const struct workload *load, const struct bench_test *t, struct figures *f,
                              struct quern_error *err);

/* Whether the limit of the test's share moved by more than a tenth while it ran; text: from what to what. */
bool limits_moved(const struct bench_test *t, char *text, size_t bytes);

#endif
