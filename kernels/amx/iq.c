/* iq.c - y = W x for IQ4_XS.
 * SPDX-License-Identifier: MIT
 * The other table types are looked up row by row, which costs more than the tiles gain. */
#include "kernels/amx/level.h"
#include "kernels/amx/super.h"

#include "formats/blocks.h"
#include "formats/iq_grids.h"

/* ---- Unpack ---- */

/* The low words of dwords in both words. */
static inline vector spread_low(vector v) { return or64(and64(v, set_dwords(0xffff)), sll_dwords(v, 16)); }

static void unpack_iq4_xs(const uint8_t *const row[16], struct columns *c, struct panel_half *out) {
    vector header[4];
    transpose(row, 0, 2, header); /* d and scales_h; scales_l */
    for (int half = 0; half < 2; half++) {
        vector qs[16];
        transpose(row, offsetof(struct block_iq4_xs, qs) + 64 * (size_t)half, 16, qs);
        UNROLL
        for (int i = 0; i < 16; i++) {
            const size_t k = (size_t)(32 * half + i / 4 * 8 + i % 4);
            c->q[k] = lookup(iq4_levels, and64(qs[i], set_bytes(15)));
            c->q[k + 4] = lookup(iq4_levels, and64(srl_words(qs[i], 4), set_bytes(15)));
        }
    }
    for (int s = 0; s < 8; s++) {
        const vector low = and64(srl_dwords(header[1], 4 * s), set_dwords(15));
        const vector high = and64(srl_dwords(header[0], 16 + 2 * s), set_dwords(3));
        const vector scale = sub_dwords(or64(low, sll_dwords(high, 4)), set_dwords(32));
        c->scale[2 * s] = c->scale[2 * s + 1] = spread_low(scale);
    }
    store_floats(out->d, floats_of_halves(header[0]));
}

/* ---- The types ---- */

const struct super_type AMX(iq4_xs_type) = {
    sizeof(struct block_iq4_xs), unpack_iq4_xs, SUPER_DIGITS, { BELOW(matmul_iq4_xs), 64, 12 }
};

void AMX(matmul_iq4_xs)(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    AMX(matmul_super)(&AMX(iq4_xs_type), w, row_bytes, n_rows, x, y, y_stride);
}
