/* digits.h - integers as two bytes of base 64 and their sum, for super-blocks (super.h).
 * SPDX-License-Identifier: MIT
 * Private to kernels/amx. */
#ifndef QUERN_KERNELS_AMX_DIGITS_H
#define QUERN_KERNELS_AMX_DIGITS_H

#include "kernels/amx/arranged.h"
#include "kernels/amx/lanes.h"

/* The digits of words even and odd, the values of even and odd bytes, as row `row` of tile `tile`. */
TEMPLATE void store_digits(bool is_signed, vector even, vector odd, struct operand *out, size_t tile,
                           size_t row) {
    if (is_signed) {
        even = add_words(even, set_words(32));
        odd = add_words(odd, set_words(32));
    }
    const vector high = mix_bytes(sll_words(odd, 2), srl_words(even, 6));
    vector low = and64(mix_bytes(sll_words(odd, 8), even), set_bytes(63));
    if (is_signed)
        low = sub_bytes(low, set_bytes(32));
    store64(out->plane[0][tile].row[row], high);
    store64(out->plane[1][tile].row[row], low);
    store64(out->plane[2][tile].row[row], add_bytes(high, low));
}

#endif
