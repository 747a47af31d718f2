/* limits.c - what this machine can do at most, measured beside the benchmark.
 * SPDX-License-Identifier: MIT */
#include "apps/bench/limits.h"
#include "apps/resources.h"
#include "apps/signals.h"

#include <omp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    LEAST_MODEL_BYTES = 64 << 20, /* below, a part stays in the caches of a server */
    BUFFER_BYTES = 256 << 20,
};
static const size_t most_bytes = (size_t)4 << 30; /* of a large model as many as no cache has room for */

/* ---- What is read ---- */

/* The weights of each part of the model: from its first to its last tensor. */
static enum quern_status take_model(struct limit_probe *probe, const struct gguf *g,
                                    struct quern_error *err) {
    const size_t n_parts = gguf_n_parts(g);
    probe->spans = calloc(n_parts, sizeof *probe->spans); /* the parts are in memory already, each larger */
    if (!probe->spans)
        return fail_memory(err, n_parts * sizeof *probe->spans);
    probe->n_spans = n_parts;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        struct span *span = &probe->spans[t->part];
        const uint8_t *end = t->data + t->bytes;
        if (!span->data)
            *span = (struct span){ t->data, t->bytes };
        const uint8_t *span_end = span->data + span->bytes;
        span->data = t->data < span->data ? t->data : span->data;
        span->bytes = (size_t)((end > span_end ? end : span_end) - span->data);
    }
    for (size_t i = 0; i < n_parts; i++) {
        if (probe->spans[i].bytes > most_bytes - probe->bytes)
            probe->spans[i].bytes = most_bytes - probe->bytes;
        probe->bytes += probe->spans[i].bytes;
    }
    return QUERN_OK;
}

enum quern_status limits_open(struct limit_probe *probe, const struct gguf *g, const char *level,
                              enum peak_kind kind, struct quern_error *err) {
    *probe = (struct limit_probe){ .level = level, .kind = kind, .n_threads = 1 };
    enum quern_status st = take_model(probe, g, err);
    probe->is_model = probe->bytes >= LEAST_MODEL_BYTES;
    if (!st && !probe->is_model) {
        probe->spans[0] = (struct span){ NULL, BUFFER_BYTES };
        probe->n_spans = 1;
        probe->bytes = BUFFER_BYTES;
    }
    return st;
}

void limits_close(struct limit_probe *probe) {
    free(probe->spans);
    *probe = (struct limit_probe){ 0 };
}

/* ---- Reading ---- */

enum { LINE_BYTES = 64, STREAMS = 4 };

/* One load of each cache line is enough to have all of it brought from memory, and needs no wide register: it
 * is as fast as loads of 64 bytes, where four of 16 a line are 10 % slower (Xeon with AMX, 33 GB/s). Streams
 * side by side, so that a core has enough reads under way. Returns a checksum. */
static uint64_t read_lines(const uint8_t *data, size_t bytes) {
    const size_t n = bytes / STREAMS / LINE_BYTES * LINE_BYTES;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i += LINE_BYTES)
        for (size_t k = 0; k < STREAMS; k++)
            sum ^= load_le64(data + k * n + i);
    return sum;
}

/* Every thread reads its share of every span. */
static void read_all(struct limit_probe *probe) {
    uint64_t sum = 0;
#pragma omp parallel num_threads((int)probe->n_threads) reduction(^ : sum)
    {
        const size_t id = (size_t)omp_get_thread_num(), n = (size_t)omp_get_num_threads();
        for (size_t i = 0; i < probe->n_spans; i++) {
            const size_t share = probe->spans[i].bytes / n;
            sum ^= read_lines(probe->spans[i].data + id * share, share);
        }
    }
    probe->checksum ^= sum;
}

/* Have the bytes to read in memory. Only what is measured needs the buffer, so it is not kept: the process's
 * resident size in between is that of the engine. */
static enum quern_status hold(struct limit_probe *probe, struct quern_error *err) {
    if (!probe->is_model) {
        void *buffer = malloc(BUFFER_BYTES);
        if (!buffer)
            return fail_memory(err, BUFFER_BYTES);
        memset(buffer, 1, BUFFER_BYTES); /* pages that were never written are all the same one */
        probe->spans[0].data = probe->buffer = buffer;
    }
    read_all(probe); /* has the model's pages mapped */
    return QUERN_OK;
}

/* The model's pages stay in the system's cache, only this mapping of them goes. */
static void let_go(struct limit_probe *probe) {
    free(probe->buffer);
    probe->buffer = NULL;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < probe->n_spans && probe->is_model; i++) {
        const uintptr_t start = (uintptr_t)probe->spans[i].data / page * page;
        madvise((void *)start, (uintptr_t)probe->spans[i].data + probe->spans[i].bytes - start,
                MADV_DONTNEED);
    }
}

static enum quern_status measure_read(struct limit_probe *probe, double *gbs, struct quern_error *err) {
    enum { PASSES = 4 };
    const double least_ms = 200;
    double all_ms = 0;
    for (int i = 0; i < PASSES || all_ms < least_ms; i++) {
        if (interrupted(NULL))
            return fail(err, QUERN_INTERRUPTED, "interrupted");
        const double start = now_ms();
        read_all(probe);
        const double ms = now_ms() - start, rate = (double)probe->bytes / ms * 1e-6;
        *gbs = rate > *gbs ? rate : *gbs;
        all_ms += ms;
    }
    return QUERN_OK;
}

enum quern_status limits_measure(struct limit_probe *probe, struct limits *out, struct quern_error *err) {
    const double peak_seconds = 0.2;
    *out = (struct limits){ 0 };
    enum quern_status st = hold(probe, err);
    if (!st)
        st = measure_read(probe, &out->read_gbs, err);
    let_go(probe);
    if (!st)
        peak_measure(probe->level, probe->kind, probe->n_threads, peak_seconds, &out->peak);
    return st;
}
