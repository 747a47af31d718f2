/* gemv.c - y = W x for one token and the K types that most files are made of, in registers.
 * SPDX-License-Identifier: MIT
 * Decoding one token reads all weights once, so a super-block of a row may take no longer than its bytes take
 * from memory: some 12 cycles on a core that reads 25 GB/s. super.h unpacks rows to memory, which pays from
 * the second token on; here quants go from the file's bytes to words of two products (vpmaddubsw) to scaled
 * sums (vpdpwssd) without leaving the registers. Eight rows at a time: their scales are unpacked four rows
 * together, a row in each 128 bits, and the eight sums of a super-block become one register by a tree.
 *
 * Values are multiplied in the order in which the bytes hold them, so x is arranged once for eight rows. */
#include "kernels/avx512/avx512.h"
#include "kernels/avx512/gemv.h"
#include "kernels/tile.h"

#include "formats/blocks.h"

/* ---- Parts ---- */

/* 16 bytes of four rows, a row in each 128 bits. */
TEMPLATE __m512i load_rows4(const uint8_t *rows, size_t stride) {
    __m512i v = _mm512_castsi128_si512(load128(rows));
    v = _mm512_inserti32x4(v, load128(rows + stride), 1);
    v = _mm512_inserti32x4(v, load128(rows + 2 * stride), 2);
    return _mm512_inserti32x4(v, load128(rows + 3 * stride), 3);
}

/* 32 bytes at p and 32 at q. */
TEMPLATE __m512i load_halves(const void *p, const void *q) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(load256(p)), load256(q), 1);
}

/* The 128 bits of row r to all. */
TEMPLATE __m512i row_of(const __m512i rows[2], size_t r) {
    const __m512i v = rows[r / 4];
    return r % 4 == 0   ? _mm512_shuffle_i32x4(v, v, 0x00)
           : r % 4 == 1 ? _mm512_shuffle_i32x4(v, v, 0x55)
           : r % 4 == 2 ? _mm512_shuffle_i32x4(v, v, 0xaa)
                        : _mm512_shuffle_i32x4(v, v, 0xff);
}

/* Word i of each 128 bits of two times four rows, as floats. */
TEMPLATE __m256 halves_of_rows(__m512i rows03, __m512i rows47, int i) {
    const __m512i first = _mm512_zextsi128_si512(_mm_setr_epi16(0, 8, 16, 24, 32, 40, 48, 56));
    const __m512i index = _mm512_add_epi16(first, _mm512_set1_epi16((short)i));
    return _mm256_cvtph_ps(_mm512_castsi512_si128(_mm512_permutex2var_epi16(rows03, index, rows47)));
}

/* The sums of each 128 bits: lane r is that of row r. */
TEMPLATE __m256i sum_rows4(__m512i rows03, __m512i rows47) {
    const __m512i pairs = add_unpacked32(rows03, rows47); /* { r, 4 + r, r, 4 + r } in each 128 bits */
    const __m512i sums = _mm512_add_epi32(pairs, _mm512_shuffle_epi32(pairs, _MM_PERM_BADC));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_castsi512_si256(_mm512_permutexvar_epi32(order, sums));
}

/* Word `low` of each 128 bits to the low half, word `high` to the high half. */
TEMPLATE __m512i spread(__m512i words, int low, int high) {
    const __m512i pattern = _mm512_inserti64x4(_mm512_set1_epi16((short)(0x0101 * 2 * low + 0x0100)),
                                               _mm256_set1_epi16((short)(0x0101 * 2 * high + 0x0100)), 1);
    return _mm512_shuffle_epi8(words, pattern);
}

/* u + the scaled products of 64 quants: at most 2 * 63 * 127 in a word. */
TEMPLATE __m512i add_products(__m512i u, __m512i quants, __m512i x, __m512i scales) {
    return dot_words(u, _mm512_maddubs_epi16(quants, x), scales);
}

/* ---- Q4_K and Q5_K: eight sub-blocks of 32 with scales and minima of six bits ---- */

static_assert(offsetof(struct block_q4_K, scales) == 4 && offsetof(struct block_q5_K, scales) == 4 &&
                  offsetof(struct block_q4_K, dmin) == 2 && sizeof((struct block_q4_K){ 0 }.scales) == 12,
              "d, dmin and scales are the first 16 bytes");

/* Words 0..7 of each 128 bits: the scales of a row whose first 16 bytes they were. Scale j < 4 is six bits of
 * byte j, j >= 4 four bits of byte j + 4 and the upper two of byte j - 4. */
TEMPLATE __m512i scales_k4(__m512i rows) {
    const __m512i words = _mm512_shuffle_epi8(
        rows, _mm512_broadcast_i32x4(_mm_setr_epi8(4, -1, 5, -1, 6, -1, 7, -1, 12, 4, 13, 5, 14, 6, 15, 7)));
    const __m512i low = _mm512_broadcast_i32x4(_mm_setr_epi16(63, 63, 63, 63, 15, 15, 15, 15));
    const __m512i high = _mm512_broadcast_i32x4(_mm_setr_epi16(0, 0, 0, 0, 0x30, 0x30, 0x30, 0x30));
    const __m512i upper = _mm512_and_si512(_mm512_srli_epi16(words, 10), high);
    return _mm512_ternarylogic_epi32(upper, words, low, 0xf8); /* upper | (words & low) */
}

/* The minima likewise: j < 4 six bits of byte j + 4, j >= 4 the upper four bits of byte j + 4 and the upper
 * two of byte j. */
TEMPLATE __m512i minima_k4(__m512i rows) {
    const __m512i words = _mm512_shuffle_epi8(
        rows,
        _mm512_broadcast_i32x4(_mm_setr_epi8(8, -1, 9, -1, 10, -1, 11, -1, 8, 12, 9, 13, 10, 14, 11, 15)));
    const __m512i shift = _mm512_broadcast_i32x4(_mm_setr_epi16(0, 0, 0, 0, 12, 12, 12, 12));
    const __m512i low = _mm512_broadcast_i32x4(_mm_setr_epi16(63, 63, 63, 63, 15, 15, 15, 15));
    const __m512i high = _mm512_broadcast_i32x4(_mm_setr_epi16(0, 0, 0, 0, 0x30, 0x30, 0x30, 0x30));
    const __m512i upper = _mm512_and_si512(_mm512_srli_epi16(words, 2), high);
    return _mm512_ternarylogic_epi32(upper, _mm512_srlv_epi16(words, shift), low, 0xf8);
}

/* A row's super-block of Q4_K or, with fifth bits, Q5_K. x: as arranged below; scales: eight words, in all
 * 128 bits. */
TEMPLATE __m512i dot_k4(bool has_fifth, const uint8_t *block, const __m512i x[4], __m512i scales) {
    const struct block_q4_K *b4 = (const void *)block;
    const struct block_q5_K *b5 = (const void *)block;
    const uint8_t *qs = has_fifth ? b5->qs : b4->qs;
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i u;
    UNROLL
    for (unsigned i = 0; i < 2; i++) {
        const __m512i q = load512(qs + 64 * i);
        __m512i low, high = move_bits(q, 4, 4, 4, 0);
        if (has_fifth) {
            const __m512i qh = broadcast256(b5->qh);
            const __m512i low_bits = move_bits(qh, 4 * i, 4 * i + 2, 1, 4);
            low = _mm512_ternarylogic_epi32(low_bits, q, mask, 0xf8);
            high = _mm512_or_si512(high, move_bits(qh, 4 * i + 1, 4 * i + 3, 1, 4));
        } else {
            low = _mm512_and_si512(q, mask);
        }
        const int sub = 4 * (int)i;
        u = i ? add_products(u, low, x[2 * i], spread(scales, sub, sub + 2))
              : _mm512_madd_epi16(_mm512_maddubs_epi16(low, x[0]), spread(scales, sub, sub + 2));
        u = add_products(u, high, x[2 * i + 1], spread(scales, sub + 1, sub + 3));
    }
    return u;
}

/* Eight rows, `stride` apart. */
TEMPLATE __m256 tile_k4(bool has_fifth, size_t block_bytes, const uint8_t *rows, size_t stride,
                        const struct acts *acts) {
    __m256 sum = _mm256_setzero_ps();
    for (size_t i = 0; i < acts->n / 256; i++, rows += block_bytes) {
        const int8_t *q = acts->q + i * 256;
        /* A byte of qs holds values 32 apart. */
        const __m512i x[4] = { load_halves(q, q + 64), load_halves(q + 32, q + 96),
                               load_halves(q + 128, q + 192), load_halves(q + 160, q + 224) };
        const __m512i a = _mm512_broadcast_i32x4(
            _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(acts->a + i * 8))));
        const __m512i g = _mm512_broadcast_i32x4(load128(acts->g32 + i * 8));
        const __m512i rows03 = load_rows4(rows, stride), rows47 = load_rows4(rows + 4 * stride, stride);
        const __m512i scales[2] = { _mm512_mullo_epi16(scales_k4(rows03), a),
                                    _mm512_mullo_epi16(scales_k4(rows47), a) };
        __m512i u[8];
        UNROLL
        for (size_t r = 0; r < 8; r++) {
            u[r] = dot_k4(has_fifth, rows + r * stride, x, row_of(scales, r));
            stream_prefetch(rows + r * stride, block_bytes);
        }
        const __m256i dots = add_halves(sum_halves(u));
        const __m256i min =
            sum_rows4(_mm512_madd_epi16(minima_k4(rows03), g), _mm512_madd_epi16(minima_k4(rows47), g));
        const __m256 d = halves_of_rows(rows03, rows47, 0), dmin = halves_of_rows(rows03, rows47, 1);
        const __m256 t =
            _mm256_fnmadd_ps(dmin, _mm256_cvtepi32_ps(min), _mm256_mul_ps(d, _mm256_cvtepi32_ps(dots)));
        sum = _mm256_fmadd_ps(_mm256_set1_ps(acts->d[i]), t, sum);
    }
    return sum;
}

/* ---- The types ---- */

typedef __m256 tile_function(const uint8_t *rows, size_t stride, const struct acts *acts);

/* Full tiles; returns how many rows they are. */
TEMPLATE size_t full_tiles(tile_function *multiply, const uint8_t *w, size_t row_bytes, size_t n_rows,
                           const struct acts *x, float *y) {
    const size_t n_full = n_rows / 8;
    for (size_t j = 0; j < n_full; j++) {
        const struct tile tile = tile_at(w, row_bytes, n_rows, j);
        float outputs[8];
        _mm256_storeu_ps(outputs, multiply(tile.row[0], tile.step * row_bytes, x));
        tile_store(&tile, y, outputs);
    }
    return 8 * n_full;
}

TEMPLATE __m256 tile_q4_K(const uint8_t *rows, size_t stride, const struct acts *x) {
    return tile_k4(false, sizeof(struct block_q4_K), rows, stride, x);
}

size_t gemv_q4_K_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y) {
    return full_tiles(tile_q4_K, w, row_bytes, n_rows, x, y);
}

TEMPLATE __m256 tile_q5_K(const uint8_t *rows, size_t stride, const struct acts *x) {
    return tile_k4(true, sizeof(struct block_q5_K), rows, stride, x);
}

size_t gemv_q5_K_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y) {
    return full_tiles(tile_q5_K, w, row_bytes, n_rows, x, y);
}
