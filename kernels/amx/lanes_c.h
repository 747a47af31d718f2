/* lanes_c.h - the operations of lanes.h in plain C, for the emulation.
 * SPDX-License-Identifier: MIT
 * Included by lanes.h alone; what each does is said there. The types stand for registers. */
#ifndef QUERN_KERNELS_AMX_LANES_C_H
#define QUERN_KERNELS_AMX_LANES_C_H

#include "kernels/c/scalar.h"

#include <math.h>

TEMPLATE void prefetch(const void *p, size_t bytes) {
    (void)p;
    (void)bytes;
}

TEMPLATE void prefetch_line_to_write(void *p) { (void)p; }

typedef struct {
    uint8_t byte[64];
} vector;

typedef struct {
    float lane[16];
} floats;

typedef struct {
    uint16_t lane[32];
} words;

typedef struct {
    uint32_t lane[16];
} dwords;

TEMPLATE words words_of(vector v) {
    words w;
    memcpy(&w, &v, sizeof w);
    return w;
}

TEMPLATE vector of_words(words w) {
    vector v;
    memcpy(&v, &w, sizeof v);
    return v;
}

TEMPLATE dwords dwords_of(vector v) {
    dwords d;
    memcpy(&d, &v, sizeof d);
    return d;
}

TEMPLATE vector of_dwords(dwords d) {
    vector v;
    memcpy(&v, &d, sizeof v);
    return v;
}

TEMPLATE vector load64(const void *p) {
    vector v;
    memcpy(&v, p, sizeof v);
    return v;
}

TEMPLATE void store64(void *p, vector v) { memcpy(p, &v, sizeof v); }

TEMPLATE vector set_bytes(int value) {
    vector v;
    memset(&v, value, sizeof v);
    return v;
}

TEMPLATE vector set_words(int value) {
    words w;
    for (size_t i = 0; i < 32; i++)
        w.lane[i] = (uint16_t)value;
    return of_words(w);
}

TEMPLATE vector set_dwords(int value) {
    dwords d;
    for (size_t i = 0; i < 16; i++)
        d.lane[i] = (uint32_t)value;
    return of_dwords(d);
}

TEMPLATE vector and64(vector a, vector b) {
    for (size_t i = 0; i < 64; i++)
        a.byte[i] &= b.byte[i];
    return a;
}

TEMPLATE vector or64(vector a, vector b) {
    for (size_t i = 0; i < 64; i++)
        a.byte[i] |= b.byte[i];
    return a;
}

TEMPLATE vector add_bytes(vector a, vector b) {
    for (size_t i = 0; i < 64; i++)
        a.byte[i] = (uint8_t)(a.byte[i] + b.byte[i]);
    return a;
}

TEMPLATE vector sub_bytes(vector a, vector b) {
    for (size_t i = 0; i < 64; i++)
        a.byte[i] = (uint8_t)(a.byte[i] - b.byte[i]);
    return a;
}

TEMPLATE vector add_words(vector a, vector b) {
    words x = words_of(a), y = words_of(b);
    for (size_t i = 0; i < 32; i++)
        x.lane[i] = (uint16_t)(x.lane[i] + y.lane[i]);
    return of_words(x);
}

TEMPLATE vector mul_words(vector a, vector b) {
    words x = words_of(a), y = words_of(b);
    for (size_t i = 0; i < 32; i++)
        x.lane[i] = (uint16_t)((uint32_t)x.lane[i] * y.lane[i]);
    return of_words(x);
}

TEMPLATE vector sll_words(vector a, int n) {
    words x = words_of(a);
    for (size_t i = 0; i < 32; i++)
        x.lane[i] = (uint16_t)(x.lane[i] << n);
    return of_words(x);
}

TEMPLATE vector srl_words(vector a, int n) {
    words x = words_of(a);
    for (size_t i = 0; i < 32; i++)
        x.lane[i] = (uint16_t)(x.lane[i] >> n);
    return of_words(x);
}

TEMPLATE vector sra_words(vector a, int n) {
    words x = words_of(a);
    for (size_t i = 0; i < 32; i++)
        x.lane[i] = (uint16_t)((int16_t)x.lane[i] >> n);
    return of_words(x);
}

TEMPLATE vector add_dwords(vector a, vector b) {
    dwords x = dwords_of(a), y = dwords_of(b);
    for (size_t i = 0; i < 16; i++)
        x.lane[i] += y.lane[i];
    return of_dwords(x);
}

TEMPLATE vector sub_dwords(vector a, vector b) {
    dwords x = dwords_of(a), y = dwords_of(b);
    for (size_t i = 0; i < 16; i++)
        x.lane[i] -= y.lane[i];
    return of_dwords(x);
}

TEMPLATE vector sll_dwords(vector a, int n) {
    dwords x = dwords_of(a);
    for (size_t i = 0; i < 16; i++)
        x.lane[i] <<= n;
    return of_dwords(x);
}

TEMPLATE vector srl_dwords(vector a, int n) {
    dwords x = dwords_of(a);
    for (size_t i = 0; i < 16; i++)
        x.lane[i] >>= n;
    return of_dwords(x);
}

TEMPLATE vector sra_dwords(vector a, int n) {
    dwords x = dwords_of(a);
    for (size_t i = 0; i < 16; i++)
        x.lane[i] = (uint32_t)((int32_t)x.lane[i] >> n);
    return of_dwords(x);
}

TEMPLATE vector mix_bytes(vector odd, vector even) {
    for (size_t i = 0; i < 64; i += 2)
        odd.byte[i] = even.byte[i];
    return odd;
}

TEMPLATE vector lookup(const int8_t table[16], vector v) {
    for (size_t i = 0; i < 64; i++)
        v.byte[i] = (uint8_t)table[v.byte[i]];
    return v;
}

TEMPLATE vector spread_bytes(const uint8_t *bytes, size_t n) {
    words w;
    for (size_t i = 0; i < 32; i++)
        w.lane[i] = bytes[i * n / 32];
    return of_words(w);
}

TEMPLATE vector dot_words(vector acc, vector a, vector b) {
    dwords s = dwords_of(acc);
    const words x = words_of(a), y = words_of(b);
    for (size_t i = 0; i < 32; i++)
        s.lane[i / 2] += (uint32_t)((int16_t)x.lane[i] * (int16_t)y.lane[i]);
    return of_dwords(s);
}

TEMPLATE floats load_floats(const float *p) {
    floats v;
    memcpy(&v, p, sizeof v);
    return v;
}

TEMPLATE void store_floats(float *p, floats v) { memcpy(p, &v, sizeof v); }

TEMPLATE void store_first_floats(float *p, size_t n, floats v) { memcpy(p, &v, n * sizeof *p); }

TEMPLATE floats set_floats(float value) {
    floats v;
    for (size_t i = 0; i < 16; i++)
        v.lane[i] = value;
    return v;
}

TEMPLATE floats floats_of_dwords(vector v) {
    const dwords d = dwords_of(v);
    floats f;
    for (size_t i = 0; i < 16; i++)
        f.lane[i] = (float)(int32_t)d.lane[i];
    return f;
}

TEMPLATE floats mul_floats(floats a, floats b) {
    for (size_t i = 0; i < 16; i++)
        a.lane[i] *= b.lane[i];
    return a;
}

TEMPLATE floats fma_floats(floats a, floats b, floats c) {
    for (size_t i = 0; i < 16; i++)
        c.lane[i] = fmaf(a.lane[i], b.lane[i], c.lane[i]);
    return c;
}

TEMPLATE floats fnma_floats(floats a, floats b, floats c) {
    for (size_t i = 0; i < 16; i++)
        c.lane[i] = fmaf(-a.lane[i], b.lane[i], c.lane[i]);
    return c;
}

TEMPLATE floats floats_of_halves(vector v) {
    const dwords d = dwords_of(v);
    floats f;
    for (size_t i = 0; i < 16; i++)
        f.lane[i] = half_to_float((uint16_t)d.lane[i]);
    return f;
}

TEMPLATE floats floats_of_bits(vector v) {
    floats f;
    memcpy(&f, &v, sizeof f);
    return f;
}

/* To nearest even; a NaN becomes a quiet one. */
TEMPLATE uint16_t bf16_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

TEMPLATE vector round_bf16(floats low, floats high) {
    words w;
    for (size_t i = 0; i < 16; i++) {
        w.lane[i] = bf16_of(low.lane[i]);
        w.lane[16 + i] = bf16_of(high.lane[i]);
    }
    return of_words(w);
}

TEMPLATE vector pair_bf16(floats even, floats odd) {
    words w;
    for (size_t i = 0; i < 16; i++) {
        w.lane[2 * i] = bf16_of(even.lane[i]);
        w.lane[2 * i + 1] = bf16_of(odd.lane[i]);
    }
    return of_words(w);
}

TEMPLATE void transpose(const uint8_t *const row[16], size_t offset, size_t n_dwords, vector *out) {
    for (size_t i = 0; i < n_dwords; i++)
        for (size_t r = 0; r < 16; r++)
            memcpy(out[i].byte + 4 * r, row[r] + offset + 4 * i, 4);
}

TEMPLATE void transpose_two(const uint8_t *const row[16], size_t first, size_t second, vector out[16]) {
    transpose(row, first, 8, out);
    transpose(row, second, 8, out + 8);
}

#endif
