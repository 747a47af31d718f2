/* limits.h - what this machine can do at most, measured beside the benchmark.
 * SPDX-License-Identifier: MIT
 * Speeds of machines differ, and those of a shared one change from minute to minute; so a speed says
 * something only as a share of limits measured seconds before and after. */
#ifndef QUERN_APPS_BENCH_LIMITS_H
#define QUERN_APPS_BENCH_LIMITS_H

#include "formats/gguf.h"
#include "kernels/peak/peak.h"

struct limits {
    double read_gbs;  /* 1e9 bytes a second read from memory by all threads */
    struct peak peak; /* instruction is NULL where the level has none */
};

/* Bytes that follow each other in memory. */
struct span {
    const uint8_t *data;
    size_t bytes;
};

/* What to measure with. Zeroed before limits_open(). */
struct limit_probe {
    struct span *spans; /* [n_spans] */
    size_t n_spans, bytes;
    void *buffer; /* where the model is too small: memory of our own, while it is read */
    bool is_model;
    const char *level;
    enum peak_kind kind;
    unsigned n_threads; /* that read and multiply; may be changed between measurements */
    uint64_t checksum;  /* of what was read, so that no compiler leaves the reading out */
};

/* Bandwidth is that of reading the weights of g, which must stay open, as decoding does; of a model under
 * 64 MiB, a part of which stays in caches, that of a buffer of 256 MiB. level: as in quern_model_info.
 * Errors: QUERN_MEMORY. */
enum quern_status limits_open(struct limit_probe *probe, const struct gguf *g, const char *level,
                              enum peak_kind kind, struct quern_error *err);
void limits_close(struct limit_probe *probe);

/* Takes about half a second, for a large model longer. Of what it reads nothing stays resident in this
 * process. Errors: QUERN_INTERRUPTED, QUERN_MEMORY. */
enum quern_status limits_measure(struct limit_probe *probe, struct limits *out, struct quern_error *err);

#endif
