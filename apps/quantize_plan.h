/* quantize_plan.h - which type each tensor of a file gets.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_QUANTIZE_PLAN_H
#define QUERN_APPS_QUANTIZE_PLAN_H

#include "formats/gguf.h"

/* A type that quantize can write. */
struct quantize_target {
    const char *name;
    enum quern_type type;
    uint32_t file_type; /* general.file_type */
};

/* By name, upper or lower case; NULL if there is none. */
const struct quantize_target *quantize_target_by_name(const char *name);
/* "Q8_0, F16, BF16, F32" */
const char *quantize_target_names(void);

/* Why a tensor gets its type. */
enum plan_reason {
    PLAN_CONVERT,  /* to the target */
    PLAN_COPY,     /* has the target's type already */
    PLAN_KEEP,     /* never quantized: norms, biases, routers, positions */
    PLAN_FALLBACK, /* its rows are no multiple of the target's block: F16 */
};

struct planned_tensor {
    const struct gguf_tensor *in;
    uint32_t type; /* in the output; in->type: the bytes are copied */
    enum plan_reason reason;
};

/* plan: [gguf_n_tensors(g)]. Errors: QUERN_UNSUPPORTED: a tensor to convert has a type that this build
 * cannot decode, or is quantized already and allow_requantize is false. */
enum quern_status quantize_plan(const struct gguf *g, const struct quantize_target *target,
                                bool allow_requantize, struct planned_tensor *plan, struct quern_error *err);

#endif
