/* workload.h - what a model asks of the machine: bytes to read and multiply-adds to do.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_BENCH_WORKLOAD_H
#define QUERN_APPS_BENCH_WORKLOAD_H

#include "engine/quern.h"
#include "formats/gguf.h"
#include "kernels/peak/peak.h"

struct workload {
    double weight_bytes; /* read to decode a token: all matrices but what only a lookup reads, and of experts
                          * those that a token uses; an embedding that is the output matrix too counts once */
    double token_macs;   /* multiply-adds of the layers' matrices for a token; attention is not counted */
    double logits_macs;  /* of the output matrix, for each position whose logits are wanted */
    enum peak_kind kind; /* of most multiply-adds */
    char type[96];       /* "llama 1.24B Q4_K_M" */
};

void workload_of(const struct gguf *g, const struct quern_model_info *info, struct workload *out);

#endif
