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
#include "formats/iq_grids.h"

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

/* ---- Sixteen sub-blocks of 16 ---- */

/* The 16 scales of each of four rows, or what belongs to them, as words. */
struct words16 {
    __m512i first, last; /* sub-blocks 0..7 and 8..15, a row in each 128 bits */
};

/* From bytes, a row in each 128 bits. */
TEMPLATE struct words16 words_of_bytes(__m512i bytes) {
    return (struct words16){ _mm512_srai_epi16(_mm512_unpacklo_epi8(bytes, bytes), 8),
                             _mm512_srai_epi16(_mm512_unpackhi_epi8(bytes, bytes), 8) };
}

/* Sixteen words that are the same for all rows. */
TEMPLATE struct words16 words_for_all(__m256i words) {
    return (struct words16){ _mm512_broadcast_i32x4(_mm256_castsi256_si128(words)),
                             _mm512_broadcast_i32x4(_mm256_extracti128_si256(words, 1)) };
}

TEMPLATE struct words16 multiply_words(struct words16 a, struct words16 b) {
    return (struct words16){ _mm512_mullo_epi16(a.first, b.first), _mm512_mullo_epi16(a.last, b.last) };
}

/* Lane r: the sum over the sub-blocks of row r of a * b. rows: the first four, the last four. */
TEMPLATE __m256i sum_of_products(const struct words16 rows[2], struct words16 b) {
    __m512i sum[2];
    UNROLL
    for (size_t i = 0; i < 2; i++)
        sum[i] = _mm512_add_epi32(_mm512_madd_epi16(rows[i].first, b.first),
                                  _mm512_madd_epi16(rows[i].last, b.last));
    return sum_rows4(sum[0], sum[1]);
}

/* Sub-scales and scaled sums of super-block i of x. */
TEMPLATE struct words16 sub_scales16(const struct acts *x, size_t i) {
    if (x->form == ACT_A256_16)
        return words_for_all(_mm256_cvtepu8_epi16(load128(x->a + i * 16)));
    const __m128i a = _mm_loadl_epi64((const __m128i *)(const void *)(x->a + i * 8));
    return words_for_all(_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, a)));
}

TEMPLATE struct words16 sums16(const struct acts *x, size_t i) {
    return words_for_all(load256(x->g16 + i * 16));
}

/* ---- Q6_K: signed scales; quants are 32 too large ---- */

/* A row; x in order, scales of the row in all 128 bits. */
TEMPLATE __m512i dot_q6_K(const uint8_t *block, const __m512i x[4], struct words16 scales) {
    const struct block_q6_K *b = (const void *)block;
    const __m512i mask = _mm512_set1_epi8(15);
    /* Of 64 values, four sub-blocks: words 0..3 or 4..7. */
    const __m512i even =
        _mm512_setr_epi64(0x0100010001000100, 0x0100010001000100, 0x0302030203020302, 0x0302030203020302,
                          0x0504050405040504, 0x0504050405040504, 0x0706070607060706, 0x0706070607060706);
    const __m512i odd = _mm512_add_epi8(even, _mm512_set1_epi8(8));
    __m512i u;
    UNROLL
    for (size_t half = 0; half < 2; half++) {
        const __m512i ql = load512(b->ql + 64 * half), qh = broadcast256(b->qh + 32 * half);
        const __m512i low = _mm512_ternarylogic_epi32(move_bits(qh, 0, 2, 2, 4), ql, mask, 0xf8);
        const __m512i high = _mm512_or_si512(move_bits(ql, 4, 4, 4, 0), move_bits(qh, 4, 6, 2, 4));
        const __m512i words = half ? scales.last : scales.first;
        const __m512i c = _mm512_shuffle_epi8(words, even);
        u = half ? add_products(u, low, x[2], c) : _mm512_madd_epi16(_mm512_maddubs_epi16(low, x[0]), c);
        u = add_products(u, high, x[2 * half + 1], _mm512_shuffle_epi8(words, odd));
    }
    return u;
}

TEMPLATE __m256 tile_q6_K(const uint8_t *rows, size_t stride, const struct acts *acts) {
    __m256 sum = _mm256_setzero_ps();
    for (size_t i = 0; i < acts->n / 256; i++, rows += sizeof(struct block_q6_K)) {
        const int8_t *q = acts->q + i * 256;
        const __m512i x[4] = { load512(q), load512(q + 64), load512(q + 128), load512(q + 192) };
        const struct words16 a = sub_scales16(acts, i);
        const uint8_t *bytes = rows + offsetof(struct block_q6_K, scales);
        const struct words16 plain[2] = { words_of_bytes(load_rows4(bytes, stride)),
                                          words_of_bytes(load_rows4(bytes + 4 * stride, stride)) };
        const struct words16 scales[2] = { multiply_words(plain[0], a), multiply_words(plain[1], a) };
        const __m512i first[2] = { scales[0].first, scales[1].first };
        const __m512i last[2] = { scales[0].last, scales[1].last };
        const uint8_t *block[8];
        __m512i u[8];
        UNROLL
        for (size_t r = 0; r < 8; r++) {
            block[r] = rows + r * stride;
            u[r] = dot_q6_K(block[r], x, (struct words16){ row_of(first, r), row_of(last, r) });
            stream_prefetch(block[r], sizeof(struct block_q6_K));
        }
        const __m256i offset = _mm256_slli_epi32(sum_of_products(plain, sums16(acts, i)), 5);
        const __m256i dots = _mm256_sub_epi32(add_halves(sum_halves(u)), offset);
        const __m256 d = gather_f16(block, offsetof(struct block_q6_K, d));
        sum = _mm256_fmadd_ps(_mm256_set1_ps(acts->d[i]), _mm256_mul_ps(d, _mm256_cvtepi32_ps(dots)), sum);
    }
    return sum;
}

/* ---- Q2_K and Q3_K: two bits, 32 values to 32 bytes; with a third bit, quants are 4 too large ---- */

/* A row. x[s]: values 32 s.. and 128 + 32 s..; scales: words 0..7 in the lower 256 bits, 8..15 in the upper.
 */
TEMPLATE __m512i dot_k2(bool has_third, const uint8_t *qs, const uint8_t *hmask, const __m512i x[4],
                        __m512i scales) {
    const __m512i q = load512(qs);
    const __m512i first =
        _mm512_setr_epi64(0x0100010001000100, 0x0100010001000100, 0x0302030203020302, 0x0302030203020302,
                          0x0100010001000100, 0x0100010001000100, 0x0302030203020302, 0x0302030203020302);
    __m512i u;
    UNROLL
    for (unsigned s = 0; s < 4; s++) {
        __m512i quants = move_bits(q, 2 * s, 2 * s, 2, 0);
        if (has_third)
            quants = _mm512_or_si512(quants, move_bits(broadcast256(hmask), s, 4 + s, 1, 2));
        const __m512i c =
            _mm512_shuffle_epi8(scales, _mm512_add_epi8(first, _mm512_set1_epi8((char)(4 * s))));
        const __m512i pairs = _mm512_maddubs_epi16(quants, x[s]);
        u = s ? dot_words(u, pairs, c) : _mm512_madd_epi16(pairs, c);
    }
    return u;
}

/* Words 0..7 and 8..15 of row r, as dot_k2() wants them. */
TEMPLATE __m512i halves_of_row(const struct words16 rows[2], size_t r) {
    const __m512i a = rows[r / 4].first, b = rows[r / 4].last;
    return r % 4 == 0   ? _mm512_shuffle_i32x4(a, b, 0x00)
           : r % 4 == 1 ? _mm512_shuffle_i32x4(a, b, 0x55)
           : r % 4 == 2 ? _mm512_shuffle_i32x4(a, b, 0xaa)
                        : _mm512_shuffle_i32x4(a, b, 0xff);
}

TEMPLATE void arrange_k2(const int8_t *q, __m512i x[4]) {
    UNROLL
    for (size_t s = 0; s < 4; s++)
        x[s] = load_halves(q + 32 * s, q + 128 + 32 * s);
}

TEMPLATE __m256 tile_q2_K(const uint8_t *rows, size_t stride, const struct acts *acts) {
    __m256 sum = _mm256_setzero_ps();
    for (size_t i = 0; i < acts->n / 256; i++, rows += sizeof(struct block_q2_K)) {
        const struct words16 a = sub_scales16(acts, i);
        const __m512i nibble = _mm512_set1_epi8(15);
        __m512i x[4], u[8];
        struct words16 scales[2], min[2];
        const uint8_t *block[8];
        arrange_k2(acts->q + i * 256, x);
        UNROLL
        for (size_t h = 0; h < 2; h++) {
            const __m512i both =
                load_rows4(rows + 4 * h * stride + offsetof(struct block_q2_K, scales), stride);
            scales[h] = multiply_words(words_of_bytes(_mm512_and_si512(both, nibble)), a);
            min[h] = words_of_bytes(move_bits(both, 4, 4, 4, 0));
        }
        UNROLL
        for (size_t r = 0; r < 8; r++) {
            block[r] = rows + r * stride;
            u[r] =
                dot_k2(false, block[r] + offsetof(struct block_q2_K, qs), NULL, x, halves_of_row(scales, r));
            stream_prefetch(block[r], sizeof(struct block_q2_K));
        }
        const __m256i dots = add_halves(sum_halves(u)), mins = sum_of_products(min, sums16(acts, i));
        const __m256 d = gather_f16(block, offsetof(struct block_q2_K, d));
        const __m256 dmin = gather_f16(block, offsetof(struct block_q2_K, dmin));
        const __m256 t =
            _mm256_fnmadd_ps(dmin, _mm256_cvtepi32_ps(mins), _mm256_mul_ps(d, _mm256_cvtepi32_ps(dots)));
        sum = _mm256_fmadd_ps(_mm256_set1_ps(acts->d[i]), t, sum);
    }
    return sum;
}

/* The scales of four rows, from the 16 bytes of each that end with d: bytes 2..9 hold the low four bits of
 * scales 0..7 and 8..15, bytes 10..13 the upper two of scales k, 4 + k, 8 + k, 12 + k. */
TEMPLATE struct words16 scales_q3_K(__m512i rows) {
    const __m512i low = _mm512_shuffle_epi8(
        rows, _mm512_broadcast_i32x4(_mm_setr_epi8(2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6, 7, 8, 9)));
    const __m512i high =
        _mm512_shuffle_epi8(rows, _mm512_broadcast_i32x4(_mm_setr_epi8(10, 11, 12, 13, 10, 11, 12, 13, 10, 11,
                                                                       12, 13, 10, 11, 12, 13)));
    const long long first = (long long)move_bits_matrix(0, 4, 0), last = (long long)move_bits_matrix(4, 4, 0);
    const __m512i nibbles = _mm512_gf2p8affine_epi64_epi8(
        low, _mm512_setr_epi64(first, last, first, last, first, last, first, last), 0);
    const __m512i pairs = _mm512_srlv_epi32(high, _mm512_broadcast_i32x4(_mm_setr_epi32(0, 2, 4, 6)));
    const __m512i bits = _mm512_or_si512(nibbles, move_bits(pairs, 0, 0, 2, 4));
    return words_of_bytes(_mm512_sub_epi8(bits, _mm512_set1_epi8(32)));
}

TEMPLATE __m256 tile_q3_K(const uint8_t *rows, size_t stride, const struct acts *acts) {
    __m256 sum = _mm256_setzero_ps();
    for (size_t i = 0; i < acts->n / 256; i++, rows += sizeof(struct block_q3_K)) {
        const uint8_t *end = rows + sizeof(struct block_q3_K) - 16;
        const struct words16 a = sub_scales16(acts, i);
        const __m512i rows03 = load_rows4(end, stride), rows47 = load_rows4(end + 4 * stride, stride);
        const struct words16 plain[2] = { scales_q3_K(rows03), scales_q3_K(rows47) };
        const struct words16 scales[2] = { multiply_words(plain[0], a), multiply_words(plain[1], a) };
        __m512i x[4], u[8];
        arrange_k2(acts->q + i * 256, x);
        UNROLL
        for (size_t r = 0; r < 8; r++) {
            const struct block_q3_K *b = (const void *)(rows + r * stride);
            u[r] = dot_k2(true, b->qs, b->hmask, x, halves_of_row(scales, r));
            stream_prefetch(rows + r * stride, sizeof *b);
        }
        const __m256i offset = _mm256_slli_epi32(sum_of_products(plain, sums16(acts, i)), 2);
        const __m256i dots = _mm256_sub_epi32(add_halves(sum_halves(u)), offset);
        const __m256 d = halves_of_rows(rows03, rows47, 7);
        sum = _mm256_fmadd_ps(_mm256_set1_ps(acts->d[i]), _mm256_mul_ps(d, _mm256_cvtepi32_ps(dots)), sum);
    }
    return sum;
}

/* ---- IQ4_XS: levels of both signs up to 127, multiplied as |level| times x with the level's sign ---- */

/* A row. x[2 i]: the first 16 values of sub-blocks 4 i.. 4 i + 3, x[2 i + 1]: their last 16; scales: eight
 * words in all 128 bits. */
TEMPLATE __m512i dot_iq4_xs(const uint8_t *block, const __m512i x[4], __m512i scales) {
    const struct block_iq4_xs *b = (const void *)block;
    const __m512i levels = _mm512_abs_epi8(_mm512_broadcast_i32x4(load128(iq4_levels)));
    const __m512i first =
        _mm512_setr_epi64(0x0100010001000100, 0x0100010001000100, 0x0302030203020302, 0x0302030203020302,
                          0x0504050405040504, 0x0504050405040504, 0x0706070607060706, 0x0706070607060706);
    const __m512i mask = _mm512_set1_epi8(15), zero = _mm512_setzero_si512();
    __m512i u;
    UNROLL
    for (size_t i = 0; i < 2; i++) {
        const __m512i q = load512(b->qs + 64 * i);
        const __m512i c =
            _mm512_shuffle_epi8(scales, _mm512_add_epi8(first, _mm512_set1_epi8((char)(8 * i))));
        UNROLL
        for (size_t h = 0; h < 2; h++) {
            const __m512i codes = h ? move_bits(q, 4, 4, 4, 0) : _mm512_and_si512(q, mask);
            /* Levels 0..7 are negative; x is never -128. */
            const __mmask64 negative = _mm512_testn_epi8_mask(q, _mm512_set1_epi8(h ? (char)0x80 : 0x08));
            const __m512i signed_x = _mm512_mask_sub_epi8(x[2 * i + h], negative, zero, x[2 * i + h]);
            const __m512i pairs = _mm512_maddubs_epi16(_mm512_shuffle_epi8(levels, codes), signed_x);
            u = i + h ? dot_words(u, pairs, c) : _mm512_madd_epi16(pairs, c);
        }
    }
    return u;
}

/* The scales of four rows whose first 16 bytes are given: bytes 2, 3 hold the upper two bits, bytes 4..7 the
 * low four.
 */
TEMPLATE __m512i scales_iq4_xs(__m512i rows) {
    const __m512i low = _mm512_shuffle_epi8(
        rows, _mm512_broadcast_i32x4(_mm_setr_epi8(4, -1, 4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7, -1)));
    const __m512i high = _mm512_shuffle_epi8(
        rows, _mm512_broadcast_i32x4(_mm_setr_epi8(2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3)));
    const __m512i nibbles =
        _mm512_srlv_epi16(low, _mm512_broadcast_i32x4(_mm_setr_epi16(0, 4, 0, 4, 0, 4, 0, 4)));
    const __m512i pairs =
        _mm512_srlv_epi16(high, _mm512_broadcast_i32x4(_mm_setr_epi16(0, 2, 4, 6, 8, 10, 12, 14)));
    const __m512i bits = _mm512_or_si512(_mm512_and_si512(nibbles, _mm512_set1_epi16(15)),
                                         _mm512_slli_epi16(_mm512_and_si512(pairs, _mm512_set1_epi16(3)), 4));
    return _mm512_sub_epi16(bits, _mm512_set1_epi16(32));
}

TEMPLATE __m256 tile_iq4_xs(const uint8_t *rows, size_t stride, const struct acts *acts) {
    __m256 sum = _mm256_setzero_ps();
    for (size_t i = 0; i < acts->n / 256; i++, rows += sizeof(struct block_iq4_xs)) {
        const int8_t *q = acts->q + i * 256;
        const __m512i a = _mm512_broadcast_i32x4(
            _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(acts->a + i * 8))));
        const __m512i rows03 = load_rows4(rows, stride), rows47 = load_rows4(rows + 4 * stride, stride);
        const __m512i scales[2] = { _mm512_mullo_epi16(scales_iq4_xs(rows03), a),
                                    _mm512_mullo_epi16(scales_iq4_xs(rows47), a) };
        __m512i x[4], u[8];
        UNROLL
        for (size_t h = 0; h < 2; h++) {
            const __m512i v = load512(q + 128 * h), w = load512(q + 128 * h + 64);
            x[2 * h] = _mm512_shuffle_i32x4(v, w, 0x88);
            x[2 * h + 1] = _mm512_shuffle_i32x4(v, w, 0xdd);
        }
        UNROLL
        for (size_t r = 0; r < 8; r++) {
            u[r] = dot_iq4_xs(rows + r * stride, x, row_of(scales, r));
            stream_prefetch(rows + r * stride, sizeof(struct block_iq4_xs));
        }
        const __m256 d = halves_of_rows(rows03, rows47, 0);
        const __m256 t = _mm256_mul_ps(d, _mm256_cvtepi32_ps(add_halves(sum_halves(u))));
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

size_t gemv_q2_K_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y) {
    return full_tiles(tile_q2_K, w, row_bytes, n_rows, x, y);
}

size_t gemv_q3_K_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y) {
    return full_tiles(tile_q3_K, w, row_bytes, n_rows, x, y);
}

size_t gemv_q6_K_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y) {
    return full_tiles(tile_q6_K, w, row_bytes, n_rows, x, y);
}

size_t gemv_iq4_xs_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y) {
    return full_tiles(tile_iq4_xs, w, row_bytes, n_rows, x, y);
}
