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

/* 2^(e - 128): exponent e - 1 of a float, or the subnormals 2^21 and 2^22 units for e = 0 and 1. */
TEMPLATE __m256 scales_e8m0(const uint8_t *const row[8], size_t offset) {
    const __m256i e =
        _mm256_and_si256(_mm256_cvtepu16_epi32(gather_words(row, offset)), _mm256_set1_epi32(255));
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(1 << 21), e);
    const __mmask8 is_normal = _mm256_cmpgt_epi32_mask(e, _mm256_set1_epi32(1));
    return _mm256_castsi256_ps(_mm256_mask_mov_epi32(subnormal, is_normal, normal));
}

/* ---- Multiply ---- */

/* Classes of vfpclassps: quiet NaN, both infinities, signalling NaN. */
enum { NAN_OR_INFINITE = 0x01 | 0x08 | 0x10 | 0x80 };

struct type32 {
    size_t block_bytes;
    unpack_blocks_function *unpack;
    scales_function *scales; /* at offset 0 of a block */
    int offset;              /* what unpacked weights are too large by */
    size_t min_offset;       /* of the f16 minimum in a block; 0: there is none */
};

/* The float step of a block of 8 rows, `block` of x. */
TEMPLATE __m256 add_block(struct type32 type, const uint8_t *const row[8], size_t at, const struct acts *x,
                          size_t block, __m256i dot, __m256 d, __m256 acc) {
    __m256 r = _mm256_mul_ps(d, _mm256_cvtepi32_ps(dot));
    if (type.min_offset)
        r = _mm256_fmadd_ps(gather_f16(row, at + type.min_offset), _mm256_set1_ps((float)x->sum[block]), r);
    return _mm256_fmadd_ps(_mm256_set1_ps(x->d[block]), r, acc);
}

/* Blocks i and, if n is 2, i + 1 of 8 rows times all tokens, added to sums [n_tokens][8]; i = 0 starts them.
 */
TEMPLATE void add_blocks(struct type32 type, const uint8_t *const row[8], size_t n, size_t i,
                         const struct acts *x, float sums[][8]) {
    const size_t at = i * type.block_bytes, n_blocks = x->n / 32;
    __m512i w[8];
    UNROLL
    for (size_t r = 0; r < 8; r++)
        w[r] = type.unpack(row[r] + at, n * type.block_bytes);
    const __m256 d0 = type.scales(row, at);
    const __m256 d1 = n == 2 ? type.scales(row, at + type.block_bytes) : d0;
    for (size_t t = 0; t < x->n_tokens; t++) {
        const size_t block = t * n_blocks + i;
        const int8_t *q = x->q + block * 32;
        const __m512i xq = n == 2 ? load512(q) : _mm512_zextsi256_si512(load256(q));
        __m512i start = _mm512_setzero_si512(), u[8]; /* start: the offset, in one lane of each half */
        if (type.offset)
            start = _mm512_mask_set1_epi32(start, 0x0001, -type.offset * x->sum[block]);
        if (type.offset && n == 2)
            start = _mm512_mask_set1_epi32(start, 0x0100, -type.offset * x->sum[block + 1]);
        UNROLL
        for (size_t r = 0; r < 8; r++)
            u[r] = _mm512_dpbusd_epi32(start, w[r], xq);
        const __m512i dots = sum_halves(u);
        __m256 acc = i ? _mm256_loadu_ps(sums[t]) : _mm256_setzero_ps();
        acc = add_block(type, row, at, x, block, _mm512_castsi512_si256(dots), d0, acc);
        if (n == 2)
            acc = add_block(type, row, at + type.block_bytes, x, block + 1,
                            _mm512_extracti64x4_epi64(dots, 1), d1, acc);
        _mm256_storeu_ps(sums[t], acc);
    }
}

/* A tile times all tokens. */
TEMPLATE void tile32(struct type32 type, const struct tile *tile, const struct acts *x, float *y,
                     size_t y_stride) {
    const size_t n_blocks = x->n / 32;
    float sums[GEMM_TOKENS][8];
    size_t i = 0;
    for (; i + 2 <= n_blocks; i += 2) {
        add_blocks(type, tile->row, 2, i, x, sums);
        tile_prefetch(tile, i * type.block_bytes, 2 * type.block_bytes);
    }
    if (i < n_blocks)
        add_blocks(type, tile->row, 1, i, x, sums);
    for (size_t t = 0; t < x->n_tokens; t++)
        tile_store(tile, y + t * y_stride, sums[t]);
}

/* ---- Many tokens ---- */

TEMPLATE void fill_panel32(struct type32 type, const uint8_t *w, size_t row_bytes, size_t n_out, size_t i,
                           size_t n_blocks, struct panel *p) {
    alignas(64) uint8_t bytes[16][64];
    __mmask8 not_finite = 0;
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
        for (size_t b = 0; b < n_blocks; b++)
            for (size_t r = 0; r < 16; r += 8) {
                const size_t at = b * type.block_bytes, lane = 16 * half + r;
                const __m256 d = type.scales(row + r, at);
                const __m256 shift = _mm256_mul_ps(d, _mm256_set1_ps(-BLOCK_BIAS));
                _mm256_store_ps(p->d[b] + lane, d);
                _mm256_store_ps(p->shift[b] + lane, shift);
                not_finite |= _mm256_fpclass_ps_mask(shift, NAN_OR_INFINITE);
                if (type.min_offset)
                    _mm256_store_ps(p->m[b] + lane, gather_f16(row + r, at + type.min_offset));
            }
    }
    p->is_exact = !not_finite;
}

TEMPLATE void multiply_few32(struct type32 type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                             const struct acts *x, float *y, size_t y_stride) {
    for (size_t j = 0; j < tile_count(n_rows); j++) {
        const struct tile tile = tile_at(w, row_bytes, n_rows, j);
        tile32(type, &tile, x, y, y_stride);
    }
}

TEMPLATE void matmul32(struct type32 type, fill_blocks *fill, kernel_matmul *few, const uint8_t *w,
                       size_t row_bytes, size_t n_rows, const struct acts *x, float *y, size_t y_stride) {
    const struct gemm_block_type gemm = { fill, few, type.offset, type.min_offset != 0 };
    if (x->n_tokens >= GEMM_TOKENS)
        gemm_blocks_avx512(&gemm, w, row_bytes, n_rows, x, y, y_stride);
    else
        few(w, row_bytes, n_rows, x, y, y_stride);
}

/* ---- The types ---- */

static inline struct type32 type_q4_0(void) {
    return (struct type32){ sizeof(struct block_q4_0), unpack_q4_0_avx512, gather_f16, 8, 0 };
}

static void fill_q4_0(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                      struct panel *p) {
    fill_panel32(type_q4_0(), w, row_bytes, n_out, i, n_blocks, p);
}

static void few_q4_0(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                     size_t y_stride) {
    multiply_few32(type_q4_0(), w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q4_0_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    matmul32(type_q4_0(), fill_q4_0, few_q4_0, w, row_bytes, n_rows, x, y, y_stride);
}

static inline struct type32 type_q4_1(void) {
    return (struct type32){ sizeof(struct block_q4_1), unpack_q4_1_avx512, gather_f16, 0,
                            offsetof(struct block_q4_1, m) };
}

static void fill_q4_1(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                      struct panel *p) {
    fill_panel32(type_q4_1(), w, row_bytes, n_out, i, n_blocks, p);
}

static void few_q4_1(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                     size_t y_stride) {
    multiply_few32(type_q4_1(), w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q4_1_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    matmul32(type_q4_1(), fill_q4_1, few_q4_1, w, row_bytes, n_rows, x, y, y_stride);
}

static inline struct type32 type_q5_0(void) {
    return (struct type32){ sizeof(struct block_q5_0), unpack_q5_0_avx512, gather_f16, 16, 0 };
}

static void fill_q5_0(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                      struct panel *p) {
    fill_panel32(type_q5_0(), w, row_bytes, n_out, i, n_blocks, p);
}

static void few_q5_0(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                     size_t y_stride) {
    multiply_few32(type_q5_0(), w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q5_0_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    matmul32(type_q5_0(), fill_q5_0, few_q5_0, w, row_bytes, n_rows, x, y, y_stride);
}

static inline struct type32 type_q5_1(void) {
    return (struct type32){ sizeof(struct block_q5_1), unpack_q5_1_avx512, gather_f16, 0,
                            offsetof(struct block_q5_1, m) };
}

static void fill_q5_1(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                      struct panel *p) {
    fill_panel32(type_q5_1(), w, row_bytes, n_out, i, n_blocks, p);
}

static void few_q5_1(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                     size_t y_stride) {
    multiply_few32(type_q5_1(), w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q5_1_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    matmul32(type_q5_1(), fill_q5_1, few_q5_1, w, row_bytes, n_rows, x, y, y_stride);
}

static inline struct type32 type_q8_0(void) {
    return (struct type32){ sizeof(struct block_q8_0), unpack_q8_0_avx512, gather_f16, 128, 0 };
}

static void fill_q8_0(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                      struct panel *p) {
    fill_panel32(type_q8_0(), w, row_bytes, n_out, i, n_blocks, p);
}

static void few_q8_0(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                     size_t y_stride) {
    multiply_few32(type_q8_0(), w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_q8_0_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                        size_t y_stride) {
    matmul32(type_q8_0(), fill_q8_0, few_q8_0, w, row_bytes, n_rows, x, y, y_stride);
}

static inline struct type32 type_iq4_nl(void) {
    return (struct type32){ sizeof(struct block_iq4_nl), unpack_iq4_nl_avx512, gather_f16, 128, 0 };
}

static void fill_iq4_nl(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                        struct panel *p) {
    fill_panel32(type_iq4_nl(), w, row_bytes, n_out, i, n_blocks, p);
}

static void few_iq4_nl(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                       size_t y_stride) {
    multiply_few32(type_iq4_nl(), w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_iq4_nl_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                          size_t y_stride) {
    matmul32(type_iq4_nl(), fill_iq4_nl, few_iq4_nl, w, row_bytes, n_rows, x, y, y_stride);
}

static inline struct type32 type_mxfp4(void) {
    return (struct type32){ sizeof(struct block_mxfp4), unpack_mxfp4_avx512, scales_e8m0, 128, 0 };
}

static void fill_mxfp4(const uint8_t *w, size_t row_bytes, size_t n_out, size_t i, size_t n_blocks,
                       struct panel *p) {
    fill_panel32(type_mxfp4(), w, row_bytes, n_out, i, n_blocks, p);
}

static void few_mxfp4(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                      size_t y_stride) {
    multiply_few32(type_mxfp4(), w, row_bytes, n_rows, x, y, y_stride);
}

void matmul_mxfp4_avx512(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                         size_t y_stride) {
    matmul32(type_mxfp4(), fill_mxfp4, few_mxfp4, w, row_bytes, n_rows, x, y, y_stride);
}
