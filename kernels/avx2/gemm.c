/* gemm.c - products with many tokens: what surrounds the inner loops.
 * SPDX-License-Identifier: MIT
 * For 32 rows, 256 values of k and three tokens at a time: what the loop reads of the tokens is gathered once
 * for two panels. The same integers and the same float chain as one token at a time, so the same bits. */
#include "kernels/avx2/gemm.h"

#include "kernels/avx2/avx2.h"

enum {
    TILE_ROWS = PANELS * PANEL_ROWS,
    TILE_TOKENS = 510, /* whose sums, 64 KB, stay in the second cache */
    LINE_BYTES = PANEL_ROWS * 4,
    TABLE_BYTES = 8 * LINE_BYTES, /* of a sub-block's scale and each a */
};

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static inline void store_aligned(void *p, __m256i v) { _mm256_store_si256(p, v); }

/* ---- Fill ---- */

/* 8 rows of 8 dwords to 8 columns: unpack pairs of rows, pairs of pairs, then the halves. */
static inline void transpose8(const uint8_t *rows, size_t stride, __m256i out[8]) {
    __m256i a[8], b[8];
    UNROLL
    for (size_t i = 0; i < 8; i += 2) {
        const __m256i even = load256(rows + i * stride), odd = load256(rows + (i + 1) * stride);
        a[i] = _mm256_unpacklo_epi32(even, odd);
        a[i + 1] = _mm256_unpackhi_epi32(even, odd);
    }
    UNROLL
    for (size_t i = 0; i < 8; i += 4) {
        b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        out[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
        out[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
}

/* n dwords of each row to columns 64 bytes apart. */
static void fill_columns(uint8_t *columns, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t k = 0; k < n; k += 8) {
        __m256i column[8];
        transpose8(rows + 4 * k, stride, column);
        UNROLL
        for (size_t i = 0; i < 8; i++)
            store_aligned(columns + 64 * (k + i), column[i]);
    }
}

void panel_fill_weights_avx2(struct panel *p, size_t half, const int8_t *rows, size_t stride) {
    fill_columns(p->w[0][half], (const uint8_t *)rows, stride, PANEL_VALUES / 4);
}

void panel_fill_words_avx2(struct panel *p, size_t half, const int16_t *rows, size_t stride) {
    fill_columns((uint8_t *)p->words[0][half], (const uint8_t *)rows, stride, PANEL_VALUES / 2);
}

/* ---- Tiles ---- */

/* The tokens [t0, t0 + n_tokens) and what 32 rows have summed up for them: per group of TOKENS,
 * [panel][token] [row]. */
struct tile {
    const struct acts *x;
    size_t t0, n_tokens;
    alignas(32) float acc[TILE_TOKENS / TOKENS + 1][PANELS][TOKENS][PANEL_ROWS];
};

static size_t n_groups(const struct tile *tile) { return (tile->n_tokens + TOKENS - 1) / TOKENS; }

/* The first token of a group: the last group begins early enough to be full. What it computes again has sums
 * of its own and gives the same outputs. */
static size_t group_begin(const struct tile *tile, size_t group) {
    return tile->t0 + smaller(group * TOKENS, tile->n_tokens - TOKENS);
}

/* Make *tile the one that begins at *t, which moves to the next. False at the end. */
static bool next_tile(struct tile *tile, size_t *t) {
    const size_t n = tile->x->n_tokens, rest = n - *t;
    if (!rest)
        return false;
    tile->n_tokens = rest < TOKENS ? TOKENS : smaller(rest, TILE_TOKENS);
    tile->t0 = rest < TOKENS ? n - TOKENS : *t;
    *t += smaller(rest, TILE_TOKENS);
    return true;
}

static void clear_tile(struct tile *tile) { memset(tile->acc, 0, n_groups(tile) * sizeof tile->acc[0]); }

/* To columns 0 .. n_out - 1 of y. */
static void store_tile(const struct tile *tile, size_t n_out, float *y, size_t y_stride) {
    for (size_t g = 0; g < n_groups(tile); g++)
        for (size_t t = 0; t < TOKENS; t++)
            for (size_t r = 0; r < n_out; r += 8)
                _mm256_maskstore_ps(y + (group_begin(tile, g) + t) * y_stride + r,
                                    first_lanes(smaller(n_out - r, 8)),
                                    _mm256_load_ps(tile->acc[g][r / PANEL_ROWS][t] + r % PANEL_ROWS));
}

/* Addresses of rows [first, first + 8), the last row several times. */
static void row_addresses(const uint8_t *w, size_t row_bytes, size_t n_out, size_t first,
                          const uint8_t *row[8]) {
    for (size_t r = 0; r < 8; r++)
        row[r] = w + smaller(first + r, n_out - 1) * row_bytes;
}

/* x as words, times the sub-scales where there are some. */
static void fill_words(const struct acts *x, size_t t, size_t i, int16_t words[PANEL_VALUES], size_t n) {
    const int8_t *q = x->q + t * x->n + i * PANEL_VALUES;
    const size_t n_a = x->form == ACT_A256_16 ? 16 : 8;
    const uint8_t *a = x->a ? x->a + (t * (x->n / PANEL_VALUES) + i) * n_a : NULL;
    for (size_t k = 0; k < n; k += 16) {
        __m256i v = _mm256_cvtepi8_epi16(load128(q + k));
        if (a)
            v = _mm256_mullo_epi16(v, _mm256_set1_epi16(a[k * n_a / PANEL_VALUES]));
        store_aligned(words + k, v);
    }
}

/* ---- Blocks of 32 ---- */

/* Blocks [i, i + n_blocks) of the tokens from t on. */
static void gather_blocks(const struct gemm_block_type *type, const struct acts *x, size_t t, size_t i,
                          size_t n_blocks, struct inner *in) {
    const __m256i lanes = first_lanes(n_blocks), bias = _mm256_set1_epi32(SUM_BIAS_BITS);
    in->q = x->q + t * x->n + i * 32;
    in->q_stride = x->n;
    in->n_blocks = n_blocks;
    for (size_t k = 0; k < TOKENS; k++) {
        const size_t at = (t + k) * (x->n / 32) + i;
        const __m256i sum = _mm256_maskload_epi32(x->sum + at, lanes);
        const __m256i offset = _mm256_mullo_epi32(sum, _mm256_set1_epi32(type->offset));
        store_aligned(in->start[k], _mm256_sub_epi32(bias, offset));
        _mm256_store_ps(in->x_sum[k], _mm256_cvtepi32_ps(sum));
        _mm256_store_ps(in->dx[k], _mm256_maskload_ps(x->d + at, lanes));
        if (type->is_words)
            fill_words(x, t + k, i / 8, in->words[k], n_blocks * 32);
    }
}

/* d times SUM_BIAS, and whether that is finite. */
static void fill_bias(struct panel *p, size_t n_blocks) {
    const __m256 largest = _mm256_set1_ps(0x1.fffffep127f), sign = _mm256_set1_ps(-0.0f);
    __m256 all = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
    for (size_t b = 0; b < n_blocks; b++)
        for (size_t r = 0; r < PANEL_ROWS; r += 8) {
            const __m256 bias = _mm256_mul_ps(_mm256_load_ps(p->d[b] + r), _mm256_set1_ps(-SUM_BIAS));
            _mm256_store_ps(p->d_bias[b] + r, bias);
            all = _mm256_and_ps(all, _mm256_cmp_ps(_mm256_andnot_ps(sign, bias), largest, _CMP_LE_OQ));
        }
    p->is_finite = _mm256_movemask_ps(all) == 0xff;
}

static void multiply_blocks(const struct gemm_block_type *type, const struct panel p[PANELS], size_t i,
                            size_t n_blocks, struct tile *tile) {
    struct inner in;
    for (size_t g = 0; g < n_groups(tile); g++) {
        gather_blocks(type, tile->x, group_begin(tile, g), i, n_blocks, &in);
        in.acc = tile->acc[g][0][0];
        type->loop(p, &in);
    }
}

void gemm_blocks_avx2(const struct gemm_block_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                      const struct acts *x, float *y, size_t y_stride) {
    enum { PANEL_BLOCKS = PANEL_VALUES / 32 };
    const size_t n_blocks = x->n / 32;
    struct panel p[PANELS];
    struct tile tile;
    tile.x = x;
    for (size_t t = 0; next_tile(&tile, &t);)
        for (size_t r = 0; r < n_rows; r += TILE_ROWS) {
            const size_t n_out = smaller(n_rows - r, TILE_ROWS);
            clear_tile(&tile);
            for (size_t i = 0; i < n_blocks; i += PANEL_BLOCKS) {
                const size_t n = smaller(n_blocks - i, PANEL_BLOCKS);
                for (size_t first = 0; first < TILE_ROWS; first += 8) {
                    const uint8_t *row[8];
                    row_addresses(w + r * row_bytes, row_bytes, n_out, first, row);
                    type->fill(row, i, n, first / 8 % 2, &p[first / PANEL_ROWS]);
                }
                for (size_t k = 0; k < PANELS; k++)
                    fill_bias(&p[k], n);
                multiply_blocks(type, p, i, n, &tile);
            }
            store_tile(&tile, n_out, y + r, y_stride);
        }
}

/* ---- Super-blocks ---- */

/* -centre times the sums of x: n_g of g = a * sum, divided by a. That is exact: a word times 2^15 / a, whose
 * rounding error is below 1/2 and |g| <= a * 4064, rounded to the nearest integer of g / a by vpmulhrsw with
 * an error below 1/2. */
static void fill_start(int centre, size_t n_g, __m256i a, const int16_t *g, int32_t start[16]) {
    /* 2^15 / a for a = 8, 1 .. 7. 2^15 itself is not a word; 2^15 - 1 does. */
    const __m128i inverse = _mm_setr_epi16(4096, 32767, 16384, 10923, 8192, 6554, 5461, 4681);
    const __m256i low_bits = _mm256_and_si256(a, _mm256_set1_epi16(7)), two_bytes = _mm256_set1_epi16(0x0202);
    const __m256i bytes =
        _mm256_add_epi16(_mm256_mullo_epi16(low_bits, two_bytes), _mm256_set1_epi16(0x0100));
    const __m256i words = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(inverse), bytes);
    const __m256i by = _mm256_set1_epi32(-centre);
    for (size_t j = 0; j < n_g; j += 8) {
        const __m128i inverses = j ? _mm256_extracti128_si256(words, 1) : _mm256_castsi256_si128(words);
        const __m128i sums = _mm_mulhrs_epi16(load128(g + j), inverses);
        store_aligned(start + j, _mm256_mullo_epi32(_mm256_cvtepi16_epi32(sums), by));
    }
}

/* Super-block i of the tokens from t on. */
static void gather_super(const struct gemm_super_type *type, const struct acts *x, size_t t, size_t i,
                         struct inner *in) {
    const __m256i step = _mm256_set1_epi16(TABLE_BYTES);
    const __m256i tables =
        _mm256_mullo_epi16(step, _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    const __m256i base = _mm256_sub_epi16(tables, _mm256_set1_epi16(LINE_BYTES));
    const size_t n_blocks = x->n / PANEL_VALUES, n_g = type->scale_values == 32 ? 8 : 16;
    in->q = x->q + t * x->n + i * PANEL_VALUES;
    in->q_stride = x->n;
    in->g = (n_g == 8 ? x->g32 : x->g16) + (t * n_blocks + i) * n_g;
    in->g_stride = n_blocks * n_g * sizeof *in->g;
    for (size_t k = 0; k < TOKENS; k++) {
        const size_t at = (t + k) * n_blocks + i;
        __m128i a;
        in->dx[k][0] = x->d[at];
        if (type->is_words) {
            fill_words(x, t + k, i, in->words[k], PANEL_VALUES);
            continue;
        }
        if (x->form == ACT_A256_16) {
            a = load128(x->a + at * 16);
        } else {
            a = _mm_loadl_epi64((const __m128i *)(const void *)(x->a + at * 8));
            if (type->scale_values == 16)
                a = _mm_unpacklo_epi8(a, a);
        }
        const __m256i lines = _mm256_mullo_epi16(_mm256_cvtepu8_epi16(a), _mm256_set1_epi16(LINE_BYTES));
        store_aligned(in->line[k], _mm256_add_epi16(base, lines));
        if (type->centre) {
            const int16_t *g = in->g + k * n_blocks * n_g;
            fill_start(type->centre, n_g, _mm256_cvtepu8_epi16(a), g, in->start[k]);
        }
    }
}

/* scale * a for every a, of scales in the low words of dwords. */
static void fill_table(enum scale_table table, int32_t (*line)[PANEL_ROWS], size_t half, __m256i scales) {
    const __m256i upper = _mm256_slli_epi32(scales, 16);
    const __m256i once = table == TABLE_DWORD ? _mm256_srai_epi32(upper, 16)
                         : table == TABLE_LOW ? _mm256_srli_epi32(upper, 16)
                                              : _mm256_blend_epi16(scales, upper, 0xaa);
    __m256i c = once;
    for (size_t a = 0; a < 8; a++) {
        store_aligned(line[a] + 8 * half, c);
        c = table == TABLE_DWORD ? _mm256_add_epi32(c, once) : _mm256_add_epi16(c, once);
    }
}

/* Words 2 j and 2 j + 1 of 8 rows to pairs [j], times a factor; for sub-blocks of 32, which have all words
 * twice, words 4 j and 4 j + 2. */
static void fill_pairs(int16_t (*pairs)[2][16], size_t half, size_t scale_values, const __m256i column[8],
                       int factor) {
    const __m256i by = _mm256_set1_epi16((short)factor); /* |scale * factor| <= 128 * 32 */
    for (size_t j = 0; j < 8; j++) {
        if (scale_values == 16)
            store_aligned(pairs[j][half], _mm256_mullo_epi16(column[j], by));
        else if (j % 2 == 0)
            store_aligned(pairs[j / 2][half],
                          _mm256_mullo_epi16(_mm256_blend_epi16(column[j], column[j + 1], 0xaa), by));
    }
}

/* What the panel's weights are too large by. */
static int panel_offset(const struct gemm_super_type *type) {
    return type->offset + (type->is_signed && !type->is_words ? 128 : 0);
}

/* Scales and what the sums of x are multiplied with. */
static void fill_scales(const struct gemm_super_type *type, struct panel *p, size_t half,
                        const struct super_block row[8]) {
    __m256i column[8]; /* words 2 j and 2 j + 1 */
    transpose8((const uint8_t *)row[0].scale, sizeof row[0], column);
    UNROLL
    for (size_t j = 0; j < 8; j++) {
        if (type->scale_values == 32) {
            fill_table(type->table, p->scale[j], half, column[j]);
        } else {
            fill_table(type->table, p->scale[2 * j], half, column[j]);
            fill_table(type->table, p->scale[2 * j + 1], half, _mm256_srli_epi32(column[j], 16));
        }
    }
    fill_pairs(p->pairs, half, type->scale_values, column, type->centre - panel_offset(type));
    if (type->has_min) {
        transpose8((const uint8_t *)row[0].min, sizeof row[0], column);
        fill_pairs(p->min, half, type->scale_values, column, 1);
    }
}

/* Weights times their scales, as words. */
static void fill_scaled_words(struct panel *p, size_t half, const struct super_block row[8]) {
    alignas(32) int16_t words[8][PANEL_VALUES];
    for (size_t r = 0; r < 8; r++)
        for (size_t j = 0; j < 16; j++)
            store_aligned(words[r] + 16 * j,
                          _mm256_mullo_epi16(_mm256_cvtepi8_epi16(load128(row[r].w + 16 * j)),
                                             _mm256_set1_epi16(row[r].scale[j])));
    panel_fill_words_avx2(p, half, words[0], sizeof words[0]);
}

/* Super-block i of 8 rows, the half-th of a panel. The next one is fetched meanwhile. */
static void fill_super(const struct gemm_super_type *type, const uint8_t *const rows[8], size_t i,
                       size_t half, struct panel *p) {
    const bool flip = type->is_signed && !type->is_words; /* adds 128 */
    struct super_block row[8];
    for (size_t r = 0; r < 8; r++) {
        const uint8_t *block = rows[r] + i * type->block_bytes;
        for (size_t b = 0; b < type->block_bytes; b += 64)
            __asm__ volatile("prefetcht0 %0" : : "m"(block[type->block_bytes + b]));
        type->unpack(block, &row[r]);
        if (flip)
            for (size_t k = 0; k < PANEL_VALUES; k += 32)
                _mm256_storeu_si256((__m256i *)(void *)(row[r].w + k),
                                    _mm256_xor_si256(load256(row[r].w + k), _mm256_set1_epi8((char)128)));
        p->d[0][8 * half + r] = row[r].d;
        p->m[0][8 * half + r] = type->has_min ? row[r].dmin : 0;
    }
    if (type->is_words) {
        fill_scaled_words(p, half, row);
    } else {
        panel_fill_weights_avx2(p, half, row[0].w, sizeof row[0]);
        fill_scales(type, p, half, row);
    }
}

void gemm_super_avx2(const struct gemm_super_type *type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                     const struct acts *x, float *y, size_t y_stride) {
    struct panel p[PANELS];
    struct tile tile;
    struct inner in;
    tile.x = x;
    for (size_t t = 0; next_tile(&tile, &t);)
        for (size_t r = 0; r < n_rows; r += TILE_ROWS) {
            const size_t n_out = smaller(n_rows - r, TILE_ROWS);
            clear_tile(&tile);
            for (size_t i = 0; i < x->n / PANEL_VALUES; i++) {
                for (size_t first = 0; first < TILE_ROWS; first += 8) {
                    const uint8_t *row[8];
                    row_addresses(w + r * row_bytes, row_bytes, n_out, first, row);
                    fill_super(type, row, i, first / 8 % 2, &p[first / PANEL_ROWS]);
                }
                for (size_t g = 0; g < n_groups(&tile); g++) {
                    gather_super(type, x, group_begin(&tile, g), i, &in);
                    in.acc = tile.acc[g][0][0];
                    type->loop(p, &in);
                }
            }
            store_tile(&tile, n_out, y + r, y_stride);
        }
}
