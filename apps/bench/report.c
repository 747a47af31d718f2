/* report.c - what the benchmark found, as a table or for programs.
 * SPDX-License-Identifier: MIT */
#include "apps/bench/report.h"
#include "apps/json_output.h"

#include <stdio.h>
#if defined(__APPLE__)
#    include <sys/sysctl.h>
#endif

const char *const report_formats[] = {
    [REPORT_MD] = "md", [REPORT_CSV] = "csv", [REPORT_JSON] = "json", [REPORT_JSONL] = "jsonl", NULL,
};

void cpu_name(char *text, size_t bytes) {
    text[0] = 0;
#if defined(__APPLE__)
    if (sysctlbyname("machdep.cpu.brand_string", text, &bytes, NULL, 0))
        text[0] = 0;
#else
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (f && !text[0] && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (!strncmp(line, "model name", 10) && colon)
            snprintf(text, bytes, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    if (f)
        fclose(f);
#endif
}

enum quern_status report_test(struct report *r, const struct bench_test *t, struct quern_error *err) {
    struct figures f;
    enum quern_status st = get_figures(r->workload, t, &f, err);
    if (st)
        return st;
    if (r->format == REPORT_MD)
        report_row(r, t, &f);
    else
        st = report_object(r, t, &f, err);
    r->n_tests++;
    return st;
}

enum quern_status report_end(struct report *r, const struct bench_test *tests, size_t n,
                             struct quern_error *err) {
    if (r->format == REPORT_JSON) {
        json_t *all = r->tests;
        r->tests = NULL;
        return json_print(all, all == NULL, err);
    }
    if (r->format != REPORT_MD)
        return QUERN_OK;
    printf("\nquern %s; %s; cache %s, %s; batches of %zu; prefill %s; loaded in %.0f ms\n", quern_version(),
           r->cpu[0] ? r->cpu : "unknown processor", r->type_k, r->type_v, r->n_batch, r->prefill,
           r->load_ms);
    for (size_t i = 0; i < n; i++)
        report_limits(r, &tests[i]);
    return QUERN_OK;
}

void report_close(struct report *r) {
    json_decref(r->tests);
    r->tests = NULL;
}
