/* joints.h - where a text can be cut without changing its tokens.
 * SPDX-License-Identifier: MIT
 * A cut between two characters that no piece has side by side is exact: BPE merges two symbols only into a
 * piece, so no merge crosses the cut and those on one side know nothing of the other; the best path of a
 * unigram model has a boundary there anyway. Single characters and runs of unknown ones are the caller's. */
#ifndef QUERN_TOKENIZER_JOINTS_H
#define QUERN_TOKENIZER_JOINTS_H

#include "tokenizer/pieces.h"

/* A set of pairs of characters, by hash: a pair that is not in it stands in no piece. 2^20 bits are 128
 * KiB; the 200,000 pairs of a large vocabulary fill a fifth, and a false hit only moves a cut. */
enum { JOINTS_BITS = 20 };

struct joints {
    uint64_t words[1 << (JOINTS_BITS - 6)];
};

void joints_build(const struct pieces *p, struct joints *j); /* j is zeroed */

static inline uint32_t joint_slot(uint32_t left, uint32_t right) {
    /* Code points have 21 bits. */
    uint64_t pair = (uint64_t)left << 21 | right;
    return (uint32_t)(pair * 0x9e3779b97f4a7c15 >> (64 - JOINTS_BITS)); /* 2^64 / golden ratio */
}

static inline bool joints_may_join(const struct joints *j, uint32_t left, uint32_t right) {
    uint32_t slot = joint_slot(left, right);
    return j->words[slot >> 6] >> (slot & 63) & 1;
}

#endif
