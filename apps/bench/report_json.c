/* report_json.c - the benchmark's findings for programs: JSON and CSV.
 * SPDX-License-Identifier: MIT
 * Fields that llama-bench has are named and meant as there, so that its users' scripts read both. */
#include "apps/bench/report.h"
#include "apps/json_output.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static json_t *string(const char *text) { return json_text(text, strlen(text)); }
static json_t *whole(double v) { return json_integer((json_int_t)llround(v)); }
/* Zero was not measured. */
static json_t *limit(double v) { return v > 0 ? json_number(v) : json_null(); }

/* What all tests share. */
static void put_run(json_t *o, const struct report *r, bool *failed) {
    json_put(o, "build_commit", json_string(quern_version()), failed);
    json_put(o, "build_number", json_integer(0), failed);
    json_put(o, "cpu_info", string(r->cpu), failed);
    json_put(o, "gpu_info", json_string(""), failed);
    json_put(o, "backends", json_string("CPU"), failed);
    json_put(o, "model_filename", string(r->model_filename), failed);
    json_put(o, "model_type", string(r->workload->type), failed);
    json_put(o, "model_size", json_integer((json_int_t)r->info->tensor_bytes), failed);
    json_put(o, "model_n_params", json_integer((json_int_t)r->info->n_params), failed);
    json_put(o, "n_batch", json_integer((json_int_t)r->n_batch), failed);
    json_put(o, "n_ubatch", json_integer((json_int_t)r->n_batch), failed);
    json_put(o, "n_threads", json_integer(r->n_threads), failed);
    json_put(o, "n_threads_batch", json_integer(r->n_threads_batch), failed);
    json_put(o, "type_k", json_string(r->type_k), failed);
    json_put(o, "type_v", json_string(r->type_v), failed);
    json_put(o, "use_mmap", json_true(), failed);
    json_put(o, "kernel_level", json_string(r->info->isa), failed);
    json_put(o, "prefill", json_string(r->prefill), failed);
    json_put(o, "load_ms", json_number(r->load_ms), failed);
    json_put(o, "token_bytes", whole(r->workload->weight_bytes), failed);
    json_put(o, "token_macs", whole(r->workload->token_macs), failed);
}

static void put_test(json_t *o, const struct bench_test *t, const struct figures *f, bool *failed) {
    char hash[17], moved[200];
    const char *instruction = t->before.peak.instruction;
    snprintf(hash, sizeof hash, "%016" PRIx64, t->hash);
    json_put(o, "n_prompt", json_integer((json_int_t)t->n_prompt), failed);
    json_put(o, "n_gen", json_integer((json_int_t)t->n_gen), failed);
    json_put(o, "n_depth", json_integer((json_int_t)t->n_depth), failed);
    json_put(o, "test_time", json_string(t->start), failed);
    json_put(o, "avg_ns", whole(f->avg_ns), failed);
    json_put(o, "stddev_ns", whole(f->stddev_ns), failed);
    json_put(o, "avg_ts", json_number(f->avg_ts), failed);
    json_put(o, "stddev_ts", json_number(f->stddev_ts), failed);
    json_put(o, "median_ts", json_number(f->median_ts), failed);
    json_put(o, "bandwidth_gbs", json_number(f->bandwidth_gbs), failed);
    json_put(o, "bandwidth_share", json_number(f->bandwidth_share), failed);
    json_put(o, "gmacs", json_number(f->gmacs), failed);
    json_put(o, "peak_share", json_number(f->peak_share), failed);
    json_put(o, "read_gbs_before", limit(t->before.read_gbs), failed);
    json_put(o, "read_gbs_after", limit(t->after.read_gbs), failed);
    json_put(o, "peak_instruction", instruction ? json_string(instruction) : json_null(), failed);
    json_put(o, "peak_gmacs_before", limit(t->before.peak.gmacs), failed);
    json_put(o, "peak_gmacs_after", limit(t->after.peak.gmacs), failed);
    json_put(o, "limits_moved", json_boolean(limits_moved(t, moved, sizeof moved)), failed);
    json_put(o, "logits_hash", json_string(hash), failed);
    json_put(o, "logits_finite", json_boolean(t->is_finite), failed);
    json_put(o, "resident_bytes", json_integer((json_int_t)t->resident_bytes), failed);
}

static void put_samples(json_t *o, const struct bench_test *t, bool *failed) {
    json_t *ns = json_array(), *ts = json_array();
    for (size_t i = 0; i < t->n_samples; i++) {
        *failed |= json_array_append_new(ns, whole(t->samples_ns[i])) != 0;
        *failed |= json_array_append_new(ts, json_number(n_tokens(t) / t->samples_ns[i] * 1e9)) != 0;
    }
    json_put(o, "samples_ns", ns, failed);
    json_put(o, "samples_ts", ts, failed);
}

/* One cell, always in quotes; a quote in it is doubled (RFC 4180). */
static void print_cell(const char *text, bool is_first) {
    printf("%s\"", is_first ? "" : ",");
    for (; *text; text++)
        printf(*text == '"' ? "\"\"" : "%c", *text);
    printf("\"");
}

/* A line of the fields' names (before the first test) and one of their values; null is empty. */
static void print_csv(json_t *o, bool with_names) {
    const char *key;
    json_t *value;
    char number[40];
    bool is_first = true;
    if (with_names) {
        json_object_foreach(o, key, value) {
            print_cell(key, is_first);
            is_first = false;
        }
        putchar('\n');
    }
    is_first = true;
    json_object_foreach(o, key, value) {
        const char *text = json_string_value(value);
        if (json_is_integer(value))
            snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        else if (json_is_real(value))
            snprintf(number, sizeof number, "%.9g", json_real_value(value));
        else
            snprintf(number, sizeof number, "%s",
                     json_is_boolean(value) ? json_is_true(value) ? "1" : "0" : "");
        print_cell(text ? text : number, is_first);
        is_first = false;
    }
    putchar('\n');
}

enum quern_status report_object(struct report *r, const struct bench_test *t, const struct figures *f,
                                struct quern_error *err) {
    bool failed = false;
    json_t *o = json_object();
    put_run(o, r, &failed);
    put_test(o, t, f, &failed);
    if (r->format == REPORT_CSV) { /* which has no lists */
        if (!failed)
            print_csv(o, r->n_tests == 0);
        json_decref(o);
        return failed ? fail(err, QUERN_MEMORY, "out of memory while writing CSV") : QUERN_OK;
    }
    put_samples(o, t, &failed);
    if (r->format == REPORT_JSONL)
        return json_print(o, failed, err);
    if (!r->tests)
        r->tests = json_array();
    failed |= json_array_append_new(r->tests, o) != 0;
    return failed ? fail(err, QUERN_MEMORY, "out of memory while writing JSON") : QUERN_OK;
}
