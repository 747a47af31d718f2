/* figures.c - a test's measurements, and what is computed from them.
 * SPDX-License-Identifier: MIT */
#include "apps/bench/figures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *test_name(const struct bench_test *t, char text[TEST_NAME]) {
    int n =
        snprintf(text, TEST_NAME, "%s%zu", t->n_prompt ? "pp" : "tg", t->n_prompt ? t->n_prompt : t->n_gen);
    if (t->n_depth)
        snprintf(text + n, TEST_NAME - (size_t)n, " @ d%zu", t->n_depth);
    return text;
}

static double mean_of(const double *v, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return sum / (double)n;
}

/* The sample's: 0 of one value. */
static double stddev_of(const double *v, size_t n) {
    double mean = mean_of(v, n), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (v[i] - mean) * (v[i] - mean);
    return n > 1 ? sqrt(sum / (double)(n - 1)) : 0;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(const double *v, size_t n, double *sorted) {
    memcpy(sorted, v, n * sizeof *v);
    qsort(sorted, n, sizeof *sorted, compare);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

double n_tokens(const struct bench_test *t) { return (double)(t->n_prompt + t->n_gen); }

/* NaN if the limit was not measured. */
static double share_of(double v, double before, double after) {
    return before > 0 && after > 0 ? v / ((before + after) / 2) : NAN;
}

enum quern_status get_figures(const struct workload *load, const struct bench_test *t, struct figures *f,
                              struct quern_error *err) {
    const size_t n = t->n_samples;
    double *ts = calloc(n, sizeof *ts), *sorted = calloc(n, sizeof *sorted);
    if (!ts || !sorted) {
        free(ts);
        free(sorted);
        return fail_memory(err, n * sizeof *ts);
    }
    for (size_t i = 0; i < n; i++)
        ts[i] = n_tokens(t) / t->samples_ns[i] * 1e9;
    *f = (struct figures){ .avg_ns = mean_of(t->samples_ns, n),
                           .stddev_ns = stddev_of(t->samples_ns, n),
                           .avg_ts = mean_of(ts, n),
                           .stddev_ts = stddev_of(ts, n),
                           .median_ts = median_of(ts, n, sorted),
                           .bandwidth_gbs = NAN,
                           .bandwidth_share = NAN,
                           .gmacs = NAN,
                           .peak_share = NAN };
    free(ts);
    free(sorted);
    if (t->n_gen) {
        f->bandwidth_gbs = load->weight_bytes * f->median_ts * 1e-9;
        f->bandwidth_share = share_of(f->bandwidth_gbs, t->before.read_gbs, t->after.read_gbs);
    } else {
        const double macs_of_token = load->token_macs + load->logits_macs / n_tokens(t);
        f->gmacs = macs_of_token * f->median_ts * 1e-9;
        f->peak_share = share_of(f->gmacs, t->before.peak.gmacs, t->after.peak.gmacs);
    }
    return QUERN_OK;
}

bool limits_moved(const struct bench_test *t, char *text, size_t bytes) {
    const bool is_read = t->n_gen > 0;
    const double before = is_read ? t->before.read_gbs : t->before.peak.gmacs,
                 after = is_read ? t->after.read_gbs : t->after.peak.gmacs;
    snprintf(text, bytes, "%.4g %s before, %.4g after", before, is_read ? "GB/s" : "GMAC/s", after);
    return fabs(before - after) > 0.1 * fmax(before, after);
}
