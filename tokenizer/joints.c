/* joints.c - where a text can be cut without changing its tokens.
 * SPDX-License-Identifier: MIT */
#include "tokenizer/joints.h"

#include "tokenizer/utf8.h"

void joints_build(const struct pieces *p, struct joints *j) {
    for (size_t i = 0; i < p->n; i++) {
        const struct piece *piece = &p->list[i];
        uint32_t left = 0, right = 0;
        for (size_t at = 0, n; at < piece->bytes; at += n, left = right) {
            n = utf8_decode(piece->text + at, piece->bytes - at, &right);
            if (n == 0) /* not in a matched piece */
                break;
            uint32_t slot = joint_slot(left, right);
            if (at)
                j->words[slot >> 6] |= (uint64_t)1 << (slot & 63);
        }
    }
}
