/* tokenizer_private.h - what a tokenizer holds.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_TOKENIZER_TOKENIZER_PRIVATE_H
#define QUERN_TOKENIZER_TOKENIZER_PRIVATE_H

#include "tokenizer/joints.h"
#include "tokenizer/normalize.h"
#include "tokenizer/spm.h"

struct tokenizer {
    struct vocab vocab;
    struct spm *spm;
    struct normalizer normalizer;
    struct special_table specials; /* looked for where special tokens are parsed */
    struct joints joints;
    bool byte_fallback;
    int32_t byte_ids[256]; /* -1: no token */
};

#endif
