/* block32.c - y = W x for the types in blocks of 32 and A32 activations.
 * SPDX-License-Identifier: MIT
 * Eight rows and two blocks at once: the 64 products of a row are added to 16 lanes (vpdpbusd), the low half
 * of which is the first block; eight such vectors become one with a row in each lane of either half, and that
 * takes the float steps of the two blocks. vpdpbusd multiplies unsigned by signed bytes, so signed weights
 * get 128 added, and what that or an offset of the type contributes is subtracted by the sum of x. */
#include "kernels/avx512/avx512.h"
#include "kernels/avx512/gemm.h"
#include "kernels/avx512/level.h"
#include "kernels/tile.h"

#include "formats/blocks.h"
#include "formats/iq_grids.h"

/* ---- Unpack: two blocks, or one and zeros, to 64 bytes; `bytes` are those of the blocks ---- */

/* Byte 16 b + j for both halves of block b, j = 0..15, where blocks are `block_bytes` apart and the nibbles
 * start at qs: the permutation that puts the 16 bytes of nibbles where each half wants them. */
TEMPLATE __m512i nibbles_twice(__m512i blocks, int block_bytes, int qs) {
    const __m512i count =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    const __m512i begin =
        _mm512_inserti64x4(_mm512_set1_epi8((char)(qs + block_bytes)), _mm256_set1_epi8((char)qs), 0);
    return _mm512_permutexvar_epi8(_mm512_add_epi8(count, begin), blocks);
}

/* The low nibbles of each first 16 bytes, the high ones of each second. */
TEMPLATE __m512i unpack_nibbles(const uint8_t *p, size_t bytes, int block_bytes, int qs) {
    const __m512i blocks = _mm512_maskz_loadu_epi8(first_bytes(bytes), p);
    const long long low = (long long)move_bits_matrix(0, 4, 0), high = (long long)move_bits_matrix(4, 4, 0);
    return _mm512_gf2p8affine_epi64_epi8(nibbles_twice(blocks, block_bytes, qs),
                                         _mm512_setr_epi64(low, low, high, high, low, low, high, high), 0);
}

/* Bit i of the two 32-bit fields at qh of either block. */
TEMPLATE __mmask64 fifth_bits(const uint8_t *p, size_t bytes, size_t block_bytes, size_t qh) {
    uint32_t first, second = 0;
    memcpy(&first, p + qh, sizeof first);
    if (bytes > block_bytes)
        memcpy(&second, p + block_bytes + qh, sizeof second);
    return (__mmask64)second << 32 | first;
}

typedef __m512i unpack_blocks_function(const uint8_t *p, size_t bytes);

TEMPLATE __m512i unpack_q4_0_avx512(const uint8_t *p, size_t bytes) {
    return unpack_nibbles(p, bytes, sizeof(struct block_q4_0), offsetof(struct block_q4_0, qs));
}

TEMPLATE __m512i unpack_q4_1_avx512(const uint8_t *p, size_t bytes) {
    return unpack_nibbles(p, bytes, sizeof(struct block_q4_1), offsetof(struct block_q4_1, qs));
}

TEMPLATE __m512i unpack_q5_0_avx512(const uint8_t *p, size_t bytes) {
    const __m512i w = unpack_nibbles(p, bytes, sizeof(struct block_q5_0), offsetof(struct block_q5_0, qs));
    const __mmask64 k = fifth_bits(p, bytes, sizeof(struct block_q5_0), offsetof(struct block_q5_0, qh));
    return _mm512_mask_add_epi8(w, k, w, _mm512_set1_epi8(16));
}

TEMPLATE __m512i unpack_q5_1_avx512(const uint8_t *p, size_t bytes) {
    const __m512i w = unpack_nibbles(p, bytes, sizeof(struct block_q5_1), offsetof(struct block_q5_1, qs));
    const __mmask64 k = fifth_bits(p, bytes, sizeof(struct block_q5_1), offsetof(struct block_q5_1, qh));
    return _mm512_mask_add_epi8(w, k, w, _mm512_set1_epi8(16));
}

TEMPLATE __m512i unpack_q8_0_avx512(const uint8_t *p, size_t bytes) {
    const uint8_t *qs = p + offsetof(struct block_q8_0, qs);
    __m512i w = _mm512_zextsi256_si512(load256(qs));
    if (bytes > sizeof(struct block_q8_0))
        w = _mm512_inserti64x4(w, load256(qs + sizeof(struct block_q8_0)), 1);
    return _mm512_xor_si512(w, _mm512_set1_epi8((char)0x80));
}

TEMPLATE __m512i look_up(__m512i nibbles, const int8_t levels[16]) {
    const __m512i table = _mm512_broadcast_i32x4(load128(levels));
    return _mm512_shuffle_epi8(_mm512_xor_si512(table, _mm512_set1_epi8((char)0x80)), nibbles);
}

TEMPLATE __m512i unpack_iq4_nl_avx512(const uint8_t *p, size_t bytes) {
    const size_t qs = offsetof(struct block_iq4_nl, qs);
    return look_up(unpack_nibbles(p, bytes, sizeof(struct block_iq4_nl), qs), iq4_levels);
}

TEMPLATE __m512i unpack_mxfp4_avx512(const uint8_t *p, size_t bytes) {
    static const int8_t levels[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
    return look_up(unpack_nibbles(p, bytes, sizeof(struct block_mxfp4), offsetof(struct block_mxfp4, qs)),
                   levels);
}

/* ---- Scales ---- */

/* Bytes or f16 at offset `at` of two blocks of row r, or of one, to words r and 8 + r of `words`: from the
 * register that unpacks the row, so that no scalar load is needed. */
TEMPLATE __m512i put_words(__m512i words, const uint8_t *p, size_t bytes, size_t block_bytes, size_t at,
                           size_t r) {
    const __m512i blocks = _mm512_maskz_loadu_epi8(first_bytes(bytes), p);
    if (block_bytes % 2) { /* MXFP4: one byte */
        const __m512i index =
            _mm512_inserti32x4(_mm512_set1_epi8((char)(block_bytes + at)), _mm_set1_epi8((char)at), 0);
        const __mmask64 lanes = (__mmask64)1 << 2 * r | (__mmask64)1 << (16 + 2 * r);
        return _mm512_mask_permutexvar_epi8(words, lanes, index, blocks);
    }
    const __m512i index = _mm512_inserti32x4(_mm512_set1_epi16((short)((block_bytes + at) / 2)),
                                             _mm_set1_epi16((short)(at / 2)), 0);
    return _mm512_mask_permutexvar_epi16(words, 1u << r | 1u << (8 + r), index, blocks);
}

/* 2^(e - 128): exponent e - 1 of a float, or the subnormals 2^21 and 2^22 units for e = 0 and 1. */
TEMPLATE __m512 floats_of_e8m0(__m512i words) {
    const __m512i e = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(words));
    const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    const __m512i subnormal = _mm512_sllv_epi32(_mm512_set1_epi32(1 << 21), e);
    const __mmask16 is_normal = _mm512_cmpgt_epi32_mask(e, _mm512_set1_epi32(1));
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(subnormal, is_normal, normal));
}

TEMPLATE __m512 floats_of_halves(__m512i words) { return _mm512_cvtph_ps(_mm512_castsi512_si256(words)); }

/* ---- Multiply ---- */

/* Classes of vfpclassps: quiet NaN, both infinities, signalling NaN. */
enum { NAN_OR_INFINITE = 0x01 | 0x08 | 0x10 | 0x80 };

typedef __m512 floats_of_words(__m512i words);

struct type32 {
    size_t block_bytes;
    unpack_blocks_function *unpack;
    floats_of_words *scales; /* of what is at offset 0 of a block */
    int offset;              /* what unpacked weights are too large by */
    size_t min_offset;       /* of the f16 minimum in a block; 0: there is none */
};

/* Two blocks of eight rows: lanes 0..7 are the rows' first block, lanes 8..15 their second. */
struct scales32 {
    __m512 d, min;
};

/* The same of x. */
struct acts32 {
    __m512i q, start; /* start: what the offset takes away, in one lane of each half */
    __m512 sum;
    float d[2];
};

TEMPLATE struct acts32 load_acts32(int offset, size_t n, const struct acts *x, size_t block) {
    const int8_t *q = x->q + block * 32;
    const int32_t sum[2] = { x->sum[block], n == 2 ? x->sum[block + 1] : 0 };
    const __m512i sums = _mm512_inserti64x4(_mm512_set1_epi32(sum[1]), _mm256_set1_epi32(sum[0]), 0);
    return (struct acts32){
        .q = n == 2 ? load512(q) : _mm512_zextsi256_si512(load256(q)),
        .start = _mm512_maskz_mullo_epi32(0x0101, sums, _mm512_set1_epi32(-offset)),
        .sum = _mm512_cvtepi32_ps(sums),
        .d = { x->d[block], n == 2 ? x->d[block + 1] : 0 },
    };
}

/* Blocks i and, if n is 2, i + 1 of 8 rows times all tokens, added to sums [n_tokens][8]; i = 0 starts them.
 */
TEMPLATE void add_blocks(struct type32 type, const uint8_t *const row[8], size_t n, size_t i,
                         const struct acts *x, float sums[][8]) {
    const size_t at = i * type.block_bytes, bytes = n * type.block_bytes, n_blocks = x->n / 32;
    const bool is_new_line = at / 64 != (at + bytes) / 64;
    __m512i w[8], d = _mm512_setzero_si512(), min = d;
    UNROLL
    for (size_t r = 0; r < 8; r++) {
        const uint8_t *p = row[r] + at;
        w[r] = type.unpack(p, bytes);
        d = put_words(d, p, bytes, type.block_bytes, 0, r);
        if (type.min_offset)
            min = put_words(min, p, bytes, type.block_bytes, type.min_offset, r);
    }
    if (is_new_line) {
        UNROLL
        for (size_t r = 0; r < 8; r++)
            stream_prefetch(row[r] + at, 64);
    }
    const struct scales32 scales = { type.scales(d), floats_of_halves(min) };
    for (size_t t = 0; t < x->n_tokens; t++) {
        const struct acts32 a = load_acts32(type.offset, n, x, t * n_blocks + i);
        __m512i u[8];
        UNROLL
        for (size_t r = 0; r < 8; r++)
            u[r] = dot_bytes(a.start, w[r], a.q);
        __m512 y = _mm512_mul_ps(scales.d, _mm512_cvtepi32_ps(sum_halves(u)));
        if (type.min_offset)
            y = _mm512_fmadd_ps(scales.min, a.sum, y);
        __m256 acc = i ? _mm256_loadu_ps(sums[t]) : _mm256_setzero_ps();
        acc = _mm256_fmadd_ps(_mm256_set1_ps(a.d[0]), _mm512_castps512_ps256(y), acc);
        if (n == 2)
            acc = _mm256_fmadd_ps(_mm256_set1_ps(a.d[1]), _mm512_extractf32x8_ps(y, 1), acc);
        _mm256_storeu_ps(sums[t], acc);
    }
}

/* One token and the pairs of blocks of a full tile but the last, behind which 64 bytes may not be read: the
 * same with all that is constant in registers. Returns where the sums stand after blocks 0..n_blocks - 1,
 * n_blocks even. */
TEMPLATE __m256 add_pairs_of_one(struct type32 type, const struct tile *tile, size_t stride, size_t n_blocks,
                                 const struct acts *x) {
    const uint8_t *rows = tile->row[0];
    __m256 acc = _mm256_setzero_ps();
    for (size_t i = 0; i < n_blocks; i += 2, rows += 2 * type.block_bytes) {
        const struct acts32 a = load_acts32(type.offset, 2, x, i);
        __m512i u[8], d = _mm512_setzero_si512(), min = d;
        UNROLL
        for (size_t r = 0; r < 8; r++) {
            const uint8_t *p = rows + r * stride;
            d = put_words(d, p, 64, type.block_bytes, 0, r);
            if (type.min_offset)
                min = put_words(min, p, 64, type.block_bytes, type.min_offset, r);
            u[r] = dot_bytes(a.start, type.unpack(p, 64), a.q);
        }
        if (i * type.block_bytes / 64 != (i + 2) * type.block_bytes / 64) {
            UNROLL
            for (size_t r = 0; r < 8; r++)
                stream_prefetch(rows + r * stride, 64);
        }
        __m512 y = _mm512_mul_ps(type.scales(d), _mm512_cvtepi32_ps(sum_halves(u)));
        if (type.min_offset)
            y = _mm512_fmadd_ps(floats_of_halves(min), a.sum, y);
        acc = _mm256_fmadd_ps(_mm256_set1_ps(a.d[0]), _mm512_castps512_ps256(y), acc);
        acc = _mm256_fmadd_ps(_mm256_set1_ps(a.d[1]), _mm512_extractf32x8_ps(y, 1), acc);
    }
    return acc;
}

/* A tile times all tokens. */
TEMPLATE void tile32(struct type32 type, const struct tile *tile, size_t row_bytes, const struct acts *x,
                     float *y, size_t y_stride) {
    const size_t n_blocks = x->n / 32;
    float sums[GEMM_TOKENS][8];
    size_t i = 0;
    if (x->n_tokens == 1 && tile->n_rows == 8 && n_blocks > 4) {
        i = (n_blocks - 2) / 2 * 2;
        _mm256_storeu_ps(sums[0], add_pairs_of_one(type, tile, tile->step * row_bytes, i, x));
    }
    for (; i + 2 <= n_blocks; i += 2)
        add_blocks(type, tile->row, 2, i, x, sums);
    if (i < n_blocks)
        add_blocks(type, tile->row, 1, i, x, sums);
    for (size_t t = 0; t < x->n_tokens; t++)
        tile_store(tile, y + t * y_stride, sums[t]);
}

/* ---- Many tokens ---- */

/* Words of 16 addresses, in the low half. */
TEMPLATE __m512i gather16(const uint8_t *const p[16], size_t offset) {
    return _mm512_castsi256_si512(_mm256_inserti128_si256(_mm256_castsi128_si256(gather_words(p, offset)),
                                                          gather_words(p + 8, offset), 1));
}

TEMPLATE void fill_panel32(struct type32 type, const uint8_t *w, size_t row_bytes, size_t n_out, size_t i,
                           size_t n_blocks, struct panel *p) {
    alignas(64) uint8_t bytes[16][64];
    __mmask16 not_finite = 0;
    for (size_t half = 0; half < 2; half++) {
        const uint8_t *row[16];
        for (size_t r = 0; r < 16; r++) {
            const size_t real = 16 * half + r < n_out ? 16 * half + r : n_out - 1;
            row[r] = w + real * row_bytes + i * type.block_bytes;
            prefetch(row[r] + n_blocks * type.block_bytes, n_blocks * type.block_bytes);
        }
        for (size_t b = 0; b < n_blocks; b += 2) {
            const size_t at = b * type.block_bytes;
            for (size_t r = 0; r < 16; r++)
                store512(bytes[r], b + 1 < n_blocks ? type.unpack(row[r] + at, 2 * type.block_bytes)
                                                    : type.unpack(row[r] + at, type.block_bytes));
            panel_fill_weights_avx512(p, half, b / 2, bytes[0], sizeof bytes[0]);
        }
        for (size_t b = 0; b < n_blocks; b++) {
            const size_t at = b * type.block_bytes;
            const __m512 d = type.scales(
                _mm512_and_si512(gather16(row, at), _mm512_set1_epi16(type.block_bytes % 2 ? 0xff : -1)));
            const __m512 shift = _mm512_mul_ps(d, _mm512_set1_ps(-BLOCK_BIAS));
            _mm512_store_ps(p->d[b] + 16 * half, d);
            _mm512_store_ps(p->shift[b] + 16 * half, shift);
            not_finite |= _mm512_fpclass_ps_mask(shift, NAN_OR_INFINITE);
            if (type.min_offset)
                _mm512_store_ps(p->m[b] + 16 * half, floats_of_halves(gather16(row, at + type.min_offset)));
        }
    }
    p->is_exact = !not_finite;
}

/* self: the type's function below, which gemm_blocks calls with few tokens. */
TEMPLATE void matmul32(struct type32 type, fill_blocks *fill, kernel_matmul *self, const uint8_t *w,
                       size_t row_bytes, size_t n_rows, const struct acts *x, float *y, size_t y_stride) {
    if (x->n_tokens >= GEMM_TOKENS) {
        const struct gemm_block_type gemm = { fill, self, type.offset, type.min_offset != 0 };
        gemm_blocks_avx512(&gemm, w, row_bytes, n_rows, x, y, y_stride);
        return;
    }
    for (size_t j = 0; j < tile_count(n_rows); j++) {
        const struct tile tile = tile_at(w, row_bytes, n_rows, j);
        tile32(type, &tile, row_bytes, x, y, y_stride);
    }
}

/* ---- The types ---- */

static inline struct type32 type_q4_0(void) {
    return (struct type32){ sizeof(struct block_q4_0), unpack_q4_0_avx512, floats_of_halves, 8, 0 };
}

static void fill_q4_0(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                      struct panel *p) {
    fill_panel32(type_q4_0(), w, row_bytes, n_out, i, n_blocks, p);
}

void matmul_q4_0_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    matmul32(type_q4_0(), fill_q4_0, matmul_q4_0_avx512, w, row_bytes, n_rows, x, y, y_stride);
}

static inline struct type32 type_q4_1(void) {
    return (struct type32){ sizeof(struct block_q4_1), unpack_q4_1_avx512, floats_of_halves, 0,
                            offsetof(struct block_q4_1, m) };
}

static void fill_q4_1(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                      struct panel *p) {
    fill_panel32(type_q4_1(), w, row_bytes, n_out, i, n_blocks, p);
}

void matmul_q4_1_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    matmul32(type_q4_1(), fill_q4_1, matmul_q4_1_avx512, w, row_bytes, n_rows, x, y, y_stride);
}

static inline struct type32 type_q5_0(void) {
    return (struct type32){ sizeof(struct block_q5_0), unpack_q5_0_avx512, floats_of_halves, 16, 0 };
}

static void fill_q5_0(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                      struct panel *p) {
    fill_panel32(type_q5_0(), w, row_bytes, n_out, i, n_blocks, p);
}

void matmul_q5_0_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    matmul32(type_q5_0(), fill_q5_0, matmul_q5_0_avx512, w, row_bytes, n_rows, x, y, y_stride);
}

static inline struct type32 type_q5_1(void) {
    return (struct type32){ sizeof(struct block_q5_1), unpack_q5_1_avx512, floats_of_halves, 0,
                            offsetof(struct block_q5_1, m) };
}

static void fill_q5_1(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                      struct panel *p) {
    fill_panel32(type_q5_1(), w, row_bytes, n_out, i, n_blocks, p);
}

void matmul_q5_1_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    matmul32(type_q5_1(), fill_q5_1, matmul_q5_1_avx512, w, row_bytes, n_rows, x, y, y_stride);
}

static inline struct type32 type_q8_0(void) {
    return (struct type32){ sizeof(struct block_q8_0), unpack_q8_0_avx512, floats_of_halves, 128, 0 };
}

static void fill_q8_0(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                      struct panel *p) {
    fill_panel32(type_q8_0(), w, row_bytes, n_out, i, n_blocks, p);
}

void matmul_q8_0_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    matmul32(type_q8_0(), fill_q8_0, matmul_q8_0_avx512, w, row_bytes, n_rows, x, y, y_stride);
}

static inline struct type32 type_iq4_nl(void) {
    return (struct type32){ sizeof(struct block_iq4_nl), unpack_iq4_nl_avx512, floats_of_halves, 128, 0 };
}

static void fill_iq4_nl(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                        struct panel *p) {
    fill_panel32(type_iq4_nl(), w, row_bytes, n_out, i, n_blocks, p);
}

void matmul_iq4_nl_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                          size_t y_stride) {
    matmul32(type_iq4_nl(), fill_iq4_nl, matmul_iq4_nl_avx512, w, row_bytes, n_rows, x, y, y_stride);
}

static inline struct type32 type_mxfp4(void) {
    return (struct type32){ sizeof(struct block_mxfp4), unpack_mxfp4_avx512, floats_of_e8m0, 128, 0 };
}

static void fill_mxfp4(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                       struct panel *p) {
    fill_panel32(type_mxfp4(), w, row_bytes, n_out, i, n_blocks, p);
}

void matmul_mxfp4_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    matmul32(type_mxfp4(), fill_mxfp4, matmul_mxfp4_avx512, w, row_bytes, n_rows, x, y, y_stride);
}
