/* report_table.c - the benchmark's findings for readers: a table in Markdown.
 * SPDX-License-Identifier: MIT
 * The first columns are those of llama-bench. */
#include "apps/bench/report.h"
#include "apps/messages.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CELL = 128 };

struct row {
    const struct report *r;
    const struct bench_test *t;
    const struct figures *f;
};

static void percent(double share, char *cell) {
    if (isnan(share))
        snprintf(cell, CELL, "-");
    else
        snprintf(cell, CELL, "%.0f %%", 100 * share);
}

static void decimal(double v, int digits, char *cell) {
    if (isnan(v))
        snprintf(cell, CELL, "-");
    else
        snprintf(cell, CELL, "%.*f", digits, v);
}

static void cell_model(const struct row *row, char *cell) {
    snprintf(cell, CELL, "%s", row->r->workload->type);
}
static void cell_size(const struct row *row, char *cell) {
    char size[SIZE_TEXT];
    snprintf(cell, CELL, "%s", size_text(row->r->info->tensor_bytes, size));
}
static void cell_params(const struct row *row, char *cell) {
    const double n = (double)row->r->info->n_params;
    snprintf(cell, CELL, n < 1e9 ? "%.2f M" : "%.2f B", n < 1e9 ? n * 1e-6 : n * 1e-9);
}
static void cell_backend(const struct row *row, char *cell) {
    (void)row;
    snprintf(cell, CELL, "CPU");
}
static void cell_threads(const struct row *row, char *cell) {
    snprintf(cell, CELL, "%u", row->t->n_prompt > 1 ? row->r->n_threads_batch : row->r->n_threads);
}
static void cell_test(const struct row *row, char *cell) {
    char name[TEST_NAME];
    snprintf(cell, CELL, "%s", test_name(row->t, name));
}
static void cell_speed(const struct row *row, char *cell) {
    snprintf(cell, CELL, "%.2f ± %.2f", row->f->avg_ts, row->f->stddev_ts);
}
static void cell_median(const struct row *row, char *cell) { decimal(row->f->median_ts, 2, cell); }
static void cell_level(const struct row *row, char *cell) { snprintf(cell, CELL, "%s", row->r->info->isa); }
/* The mode; what auto chose is in the line below. */
static void cell_prefill(const struct row *row, char *cell) {
    snprintf(cell, CELL, "%.*s", (int)strcspn(row->r->prefill, ":"), row->r->prefill);
}
static void cell_bandwidth(const struct row *row, char *cell) { decimal(row->f->bandwidth_gbs, 1, cell); }
static void cell_bandwidth_share(const struct row *row, char *cell) {
    percent(row->f->bandwidth_share, cell);
}
static void cell_gmacs(const struct row *row, char *cell) { decimal(row->f->gmacs, 1, cell); }
static void cell_peak_share(const struct row *row, char *cell) { percent(row->f->peak_share, cell); }
static void cell_hash(const struct row *row, char *cell) {
    snprintf(cell, CELL, "%016" PRIx64, row->t->hash);
}

static const struct column {
    const char *title;
    int width; /* columns of the terminal; 0: that of the cell in the first row */
    bool is_left;
    void (*write)(const struct row *row, char *cell);
} columns[] = {
    { "model", 0, true, cell_model },      { "size", 10, false, cell_size },
    { "params", 10, false, cell_params },  { "backend", 7, true, cell_backend },
    { "threads", 7, false, cell_threads }, { "test", 13, false, cell_test },
    { "t/s", 18, false, cell_speed },      { "median", 9, false, cell_median },
    { "level", 7, true, cell_level },      { "prefill", 7, true, cell_prefill },
    { "GB/s", 6, false, cell_bandwidth },  { "of read", 7, false, cell_bandwidth_share },
    { "GMAC/s", 7, false, cell_gmacs },    { "of peak", 7, false, cell_peak_share },
    { "logits", 16, true, cell_hash },
};

enum { N_COLUMNS = sizeof columns / sizeof *columns };

/* Bytes are not columns: "±" has two of one. */
static int width_of(const char *text) {
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_padded(const char *text, int width, bool is_left) {
    int pad = width - width_of(text);
    printf("| %*s%s%*s ", is_left || pad < 0 ? 0 : pad, "", text, is_left && pad > 0 ? pad : 0, "");
}

static void print_heading(const struct row *row) {
    static const char dashes[] = "----------------------------------------------------------------";
    char cell[CELL];
    for (int line = 0; line < 2; line++) {
        for (size_t i = 0; i < N_COLUMNS; i++) {
            const struct column *c = &columns[i];
            c->write(row, cell);
            int width = c->width ? c->width : width_of(cell);
            if (line == 0)
                print_padded(c->title, width, c->is_left);
            else
                printf("| %.*s%s ", c->is_left ? width : width - 1, dashes, c->is_left ? "" : ":");
        }
        printf("|\n");
    }
}

void report_row(const struct report *r, const struct bench_test *t, const struct figures *f) {
    const struct row row = { r, t, f };
    char cell[CELL];
    if (r->n_tests == 0)
        print_heading(&row);
    for (size_t i = 0; i < N_COLUMNS; i++) {
        columns[i].write(&row, cell);
        print_padded(cell, columns[i].width, columns[i].is_left);
    }
    printf("|\n");
    fflush(stdout); /* the next test may take minutes */
}

/* The limits that the shares refer to, under the table. */
void report_limits(const struct report *r, const struct bench_test *t) {
    char name[TEST_NAME], size[SIZE_TEXT];
    printf("%s:", test_name(t, name));
    if (t->before.read_gbs > 0)
        printf(" read %.1f GB/s before, %.1f after (%s, %s);", t->before.read_gbs, t->after.read_gbs,
               r->probe->is_model ? "the weights" : "a buffer", size_text(r->probe->bytes, size));
    if (t->before.peak.instruction)
        printf(" peak %.0f GMAC/s before, %.0f after (%s);", t->before.peak.gmacs, t->after.peak.gmacs,
               t->before.peak.instruction);
    printf(" resident %s\n", size_text(t->resident_bytes, size));
}
