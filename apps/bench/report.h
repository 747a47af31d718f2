/* report.h - what the benchmark found, as a table or for programs.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_BENCH_REPORT_H
#define QUERN_APPS_BENCH_REPORT_H

#include "apps/bench/figures.h"
#include "engine/quern.h"

#include <jansson.h>

enum report_format { REPORT_MD, REPORT_CSV, REPORT_JSON, REPORT_JSONL, REPORT_FORMATS };

/* Words for an OPTION_CHOICE row: the index is enum report_format. */
extern const char *const report_formats[];

/* What all tests have in common. Zero it and set the fields before tests. */
struct report {
    enum report_format format;
    const char *model_filename;
    const struct quern_model_info *info;
    const struct workload *workload;
    const struct limit_probe *probe;
    size_t n_batch;
    unsigned n_threads, n_threads_batch;
    const char *type_k, *type_v;
    const char *prefill; /* as quern_session_prefill() says it */
    double load_ms;
    char cpu[128];
    json_t *tests; /* of REPORT_JSON: what is printed at the end */
    size_t n_tests;
};

/* The processor's name as the system tells it, "" if it does not. */
void cpu_name(char *text, size_t bytes);

/* Print a test as soon as it is done; after all tests [n], the end. Errors: QUERN_MEMORY. */
enum quern_status report_test(struct report *r, const struct bench_test *t, struct quern_error *err);
enum quern_status report_end(struct report *r, const struct bench_test *tests, size_t n,
                             struct quern_error *err);
void report_close(struct report *r); /* accepts an unfinished one */

/* The parts of report_test() and report_end(): a row of the table (before the first its heading), the limits
 * under it, an object in JSON or CSV. */
void report_row(const struct report *r, const struct bench_test *t, const struct figures *f);
void report_limits(const struct report *r, const struct bench_test *t);
enum quern_status report_object(struct report *r, const struct bench_test *t, const struct figures *f,
                                struct quern_error *err);

#endif
