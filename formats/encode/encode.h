/* encode.h - the encoders behind the table of formats/types.c.
 * SPDX-License-Identifier: MIT
 * Private to formats/. Input is finite. Output depends on the input alone, never on the machine: float32
 * in the order written, no fused multiply-add, rounding to nearest with ties to even. */
#ifndef QUERN_FORMATS_ENCODE_H
#define QUERN_FORMATS_ENCODE_H

#include "formats/blocks.h"
#include "formats/status.h"
#include "formats/types.h"

/* plain.c */
type_encode encode_f32, encode_f16, encode_bf16;

/* q8_0.c */
type_encode encode_q8_0;

static inline void store_le16(uint8_t *p, uint16_t v) {
    memcpy(p, &v, sizeof v);
}

#endif
