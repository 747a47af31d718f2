/* kernels.h - the arithmetic of quern: one table of functions per instruction set.
 * SPDX-License-Identifier: MIT
 *
 * A level fills a struct kernels; kernels/c is the definition, and every other level gives the same bits
 * (canonical arithmetic, below), so levels, thread counts and batch sizes never show in a result. Float
 * is IEEE binary32, to nearest even, subnormals kept; fma is fused, and only where written. A result
 * that is NaN is only promised to be NaN. Functions are pure: no state, no allocation, no failure; the
 * caller has checked shapes. Pointers may have any alignment; outputs do not overlap inputs unless said.
 *
 * Rows-times-tokens products ("matmul"), by the form of their activations:
 *   ACT_F32     weights F32 F16 BF16: 16 lanes, lane l takes k = l mod 16 in order, acc_l = fma(w, x, acc_l)
 *               from +0; then lanes are added as l+8, l+4, l+2, l+1.
 *   ACT_A32     weights in blocks of 32: acc = fma(dx, fl(dw * f32(I)), acc) per block in order of k, with
 *               the exact integer I = sum w*x. With a minimum m (Q4_1, Q5_1): t = fl(dw * f32(I)),
 *               t = fma(m, f32(sum x), t), acc = fma(dx, t, acc).
 *   ACT_A256_*  super-blocks of 256: I = sum over sub-blocks j of sc_j * a_j * S_j, S_j = sum q*x, exact in
 *               int32; acc = fma(dx, fl(dw * f32(I)), acc). With minima (Q2_K, Q4_K, Q5_K), M = sum m_j g_j:
 *               t = fl(dw * f32(I)), t = fma(-dm, f32(M), t), acc = fma(dx, t, acc).
 *   ACT_ROW8    weights Q8_0, one dx per token. As ACT_A32, or, where all blocks of every row have the same
 *               dw (W8A8), y = fl(fl(dw * dx) * f32(I)) with I over the whole row. Then outliers are added in
 *               order of k: y = fma(x, fl(dw * w), y).
 * Per type: kernels/README.md. */
#ifndef QUERN_KERNELS_KERNELS_H
#define QUERN_KERNELS_KERNELS_H

#include "formats/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Activations ---- */

enum act_form {
    ACT_NONE,    /* a type that cannot be multiplied */
    ACT_F32,     /* as they are */
    ACT_A32,     /* blocks of 32: int8 x, float dx */
    ACT_A256_16, /* super-blocks of 256 with an integer sub-scale per 16: Q6_K */
    ACT_A256_32, /* the same per 32: every other type of 256 */
    ACT_ROW8,    /* on request, for Q8_0: one scale per token, without its outliers; int8 x, float dx */
    ACT_FORMS,
};

/* Which form a weight type is multiplied with: a property of the type, not of the level. Never ACT_ROW8,
 * which the caller chooses for Q8_0. */
enum act_form act_form_of(uint32_t type);

/* n_tokens rows of n values in one form. Value k of row t stands for d * a * q (A256) or d * q (A32, ROW8).
 * ROW8 has the arrays of A32, the d of a token all equal, so that with `form` set to ACT_A32 a product of A32
 * takes it. Its outliers have q = 0. */
struct acts {
    enum act_form form;
    size_t n, n_tokens;
    const float *x; /* F32, ROW8: [n_tokens][n], the caller's; NULL in the other forms */
    int8_t *q;      /* [n_tokens][n], -127..127 */
    float *d;       /* [n_tokens][n / 32] (A32) or [n_tokens][n / 256]; NaN marks a block with NaN or Inf */
    int32_t *sum;   /* A32, ROW8: [n_tokens][n / 32], sum of the block's q */
    uint8_t *a;     /* A256: [n_tokens][n / 16] or [n_tokens][n / 32], 1..8 */
    int16_t *g16;   /* A256: [n_tokens][n / 16], a times the sum of 16 q: at most 8 * 127 * 16 = 16256 */
    int16_t *g32;   /* A256_32: [n_tokens][n / 32], a times the sum of 32 q: at most 32512 */
    uint32_t *mask; /* ROW8: [n_tokens][n / 32], bit k % 32 of word k / 32 marks an outlier */
    float outlier;  /* ROW8: values of a larger magnitude are outliers, finite; 0: none is. The caller's */
    uint8_t *tiles; /* what arrange() made of all this; NULL for fewer tokens than ACTS_TILED */
};

/* From how many tokens on activations are arranged for levels that want them so. */
enum { ACTS_TILED = 16 };

/* Bytes that acts_place() needs for a form; 0 for ACT_F32. n is a multiple of the form's block. */
size_t acts_bytes(enum act_form form, size_t n, size_t n_tokens);
/* Point the arrays of acts into memory [acts_bytes], 64-byte aligned. For ACT_F32 and
 * ACT_ROW8 set x yourself. */
void acts_place(struct acts *acts, enum act_form form, size_t n, size_t n_tokens, void *memory);
/* x [acts->n] = what row t stands for, outliers as they were. Not for ACT_F32. */
void acts_values(const struct acts *acts, size_t t, float *x);
/* Tokens [begin, begin + n_tokens) of acts, in place; without tiles, which hold tokens in groups. */
struct acts acts_of_tokens(const struct acts *acts, size_t begin, size_t n_tokens);
/* Bytes of acts.tiles for any number of tokens; 0 for ACT_F32. */
size_t acts_tile_bytes(enum act_form form, size_t n, size_t n_tokens);

/* ---- bf16 ----
 * Another arithmetic, for many tokens: weights and activations are rounded to bf16 (to nearest even) and
 * multiplied with sums in float32 in order of k, by instructions that differ in how they round inside. Not
 * the same bits on every machine; on one machine they depend on no other output, nor on how rows are dealt.
 */

/* n_tokens rows of n values. */
struct acts_bf16 {
    size_t n, n_tokens;
    uint16_t *x; /* 64-byte aligned: [values / 512][groups of 16 tokens, evenly many][16][16 tokens][32
                  * values], zero behind both ends */
};

enum { ACTS_BF16_VALUES = 512 };

/* Bytes of acts_bf16.x. */
size_t acts_bf16_bytes(size_t n, size_t n_tokens);

/* ---- Attention ----
 * Keys of one kv head lie in tiles of 16 positions, [n_tiles][head_dim][16]; values in rows,
 * [n_positions][head_dim]. Positions are taken in blocks of ATTN_BLOCK.
 * Types in blocks of 32 (Q8_0, Q4_0) need a head_dim of whole blocks; a value row is blocks as in a tensor. A
 * tile of keys is the quants, then f16 scales [head_dim / 32][16]. Quants of Q8_0: int8 [head_dim /
 * 4][16][4]; of Q4_0: bytes [head_dim / 8][16][4], where byte i of a position has dimension i of the eight in
 * the low and i + 4 in the high nibble, each 8 more than its value. Q8_0 is rounded as A32. In Q4_0 the
 * largest magnitude m, negative if both signs have it, becomes -8: d = m / -8, value = clamp(rne(x * fl(-8 /
 * m)), -8, 7); blocks below 2^-100 or with Inf or NaN as in A32. Scales are then rounded to f16. */

enum cache_type { CACHE_F32, CACHE_F16, CACHE_BF16, CACHE_Q8_0, CACHE_Q4_0, CACHE_TYPES };

enum { ATTN_TILE = 16, ATTN_BLOCK = 64, ATTN_MAX_HEAD_DIM = 1024 };

struct cache_layout {
    uint8_t values, bytes; /* of a block */
};

static inline struct cache_layout cache_layout(enum cache_type type) {
    static const struct cache_layout layouts[CACHE_TYPES] = { [CACHE_F32] = { 1, 4 },
                                                              [CACHE_F16] = { 1, 2 },
                                                              [CACHE_BF16] = { 1, 2 },
                                                              [CACHE_Q8_0] = { 32, 34 },
                                                              [CACHE_Q4_0] = { 32, 18 } };
    return layouts[type];
}

/* Values that a head has a multiple of. */
static inline size_t cache_block(enum cache_type type) { return cache_layout(type).values; }

/* Bytes of n cached values, a multiple of cache_block(): of a row, or with n = head_dim * ATTN_TILE of a
 * tile. */
static inline size_t cache_bytes(enum cache_type type, size_t n) {
    return n / cache_block(type) * cache_layout(type).bytes;
}

/* The form in which queries meet keys of a type. */
static inline enum act_form cache_query_form(enum cache_type type) {
    return cache_block(type) == 32 ? ACT_A32 : ACT_F32;
}

/* The positions [begin, end) of a block that a query sees, begin < end <= ATTN_BLOCK. */
struct attn_span {
    uint8_t begin, end;
};

/* The running softmax of one query. Start with m = -INFINITY and l = 0. */
struct attn_softmax {
    float m;     /* largest score so far */
    float l[16]; /* sums of exp(score - m), lane = position mod 16 */
};

/* ---- The table ---- */

/* Longest row whose exact sum fits: 128 * 127 * 2^17 < 2^31. */
enum { ROW8_MAX = 1 << 17 };

/* y[t * y_stride + r] = dot(row r of w, row t of x), r < n_rows, t < x->n_tokens. Row r begins at
 * w + r * row_bytes and has x->n values. Reads nothing outside the n_rows rows. */
typedef void kernel_matmul(const uint8_t *w, size_t row_bytes, size_t n_rows, const struct acts *x, float *y,
                           size_t y_stride);

/* The same in bf16, for weights of any type that can be multiplied. Error against the exact product of the
 * exact weights and activations: up to 2^-7 of the sum of |w * x| for the two roundings, and n * 2^-24 of it
 * for the sum. */
typedef void kernel_matmul_bf16(uint32_t type, const uint8_t *w, size_t row_bytes, size_t n_rows,
                                const struct acts_bf16 *x, float *y, size_t y_stride);

struct kernels {
    const char *name; /* of the level */

    kernel_matmul *matmul[TYPE_COUNT]; /* NULL for types of form ACT_NONE */
    /* ACT_ROW8 times Q8_0 rows whose blocks have one scale, of at most ROW8_MAX values, without outliers. */
    kernel_matmul *matmul_w8a8;
    /* ACT_ROW8, any Q8_0: y[t * y_stride + r] = fma(x_tk, fl(dw * w_rk), y) for the outliers k of token t in
     * order; y holds the product of the rest. */
    kernel_matmul *add_outliers;

    /* x [n]: row t of acts (kernels/README.md, Activations). NULL for ACT_F32. */
    void (*quantize[ACT_FORMS])(const float *x, const struct acts *acts, size_t t);
    /* Arrange row t, which is quantized, in acts->tiles, in the level's own way: where there is such a
     * function and acts has tiles, its matmul wants this for all rows. NULL: nothing to arrange. */
    void (*arrange[ACT_FORMS])(const struct acts *acts, size_t t);

    /* NULL where the level or the CPU has no bf16. */
    kernel_matmul_bf16 *matmul_bf16;
    bool bf16_is_faster[TYPE_COUNT]; /* than matmul, with many tokens, as measured: kernels/README.md */
    /* x [n]: row t of acts. */
    void (*round_bf16)(const float *x, const struct acts_bf16 *acts, size_t t);

    /* y[i] = fl(fl(x[i] * r) * w[i]), r = 1 / sqrt(S / n + eps), S = sum x*x by the ACT_F32 rule.
     * y may be x. */
    void (*rms_norm)(const float *x, const float *w, float eps, float *y, size_t n);
    /* x[i] = fl(x[i] + y[i]) */
    void (*add)(float *x, const float *y, size_t n);
    /* x[i] = fma(scale, y[i], x[i]) */
    void (*add_scaled)(float *x, const float *y, float scale, size_t n);
    /* y[i] = fl(fl(gate[i] / fl(1 + exp(-gate[i]))) * up[i]). y may be gate or up. */
    void (*silu_mul)(const float *gate, const float *up, float *y, size_t n);
    /* x[i] = fl(e_i * fl(1 / L)), e_i = exp(fl(x[i] - max)), L = sum of e by 16 lanes (as ACT_F32, with
     * plain additions). */
    void (*softmax)(float *x, size_t n);
    /* Adjacent pairs of x [n] are rotated: x0' = fma(x0, c, -fl(x1 * s)), x1' = fma(x1, c, fl(x0 * s));
     * cs [n / 2][2] holds cosine and sine. */
    void (*rope_pairs)(float *x, const float *cs, size_t n);

    /* Store a key: k [head_dim] into lane `lane` of a tile, rounded to the cache's type. */
    void (*store_key[CACHE_TYPES])(const float *k, size_t head_dim, void *tile, size_t lane);
    /* Store a value row. */
    void (*store_value[CACHE_TYPES])(const float *v, size_t head_dim, void *row);
    /* Several queries of one kv head over one block of positions; rows of s and p are ATTN_BLOCK apart.
     * s[i][p] for each query of q (cache_query_form) and the 16 * n_tiles positions, 1 <= n_tiles <= 4: a
     * chain over d, s = fma(k_d, q_d, s) from +0. In blocks of 32: s = fma(dq, fl(dk * f32(sum
     * k*q)), s). */
    void (*attn_scores[CACHE_TYPES])(const struct acts *q, const void *tiles, size_t n_tiles, float *s);
    /* Scores s[i][span) of n queries become p = exp(fl(s - m)). If the largest exceeds state->m: m grows to
     * it and the old sums and o[i] [head_dim] are multiplied by exp(fl(old m - new m)). l[j mod 16] += p_j
     * in order of j. */
    void (*attn_softmax)(float *s, const struct attn_span *spans, size_t n, struct attn_softmax *states,
                         float *o, size_t head_dim);
    /* o[i][d] = fma(p_ij, v_jd, o[i][d]) for j in spans[i], in order; rows [ATTN_BLOCK][head_dim], of which
     * only those in spans are read. In blocks of 32 v_jd = fl(dv * f32(quant)). */
    void (*attn_values[CACHE_TYPES])(const float *p, const struct attn_span *spans, size_t n,
                                     const void *rows, size_t head_dim, float *o);
};

/* exp(x): x clamped to [-126 ln 2, 127 ln 2] (NaN stays), n = the integer nearest to x * log2(e), f = the
 * rest, by two fma, a polynomial in f by Horner with fma, times 2^n (exp.h). Relative error below 2e-7 for x
 * in [-87, 88]. The scalar form, for the few places outside the table that need one value. */
float kernels_exp(float x);

/* Levels of this build, plainest first; NULL past the end. */
const char *kernels_level(size_t i);
/* Whether this CPU and operating system can run the level of that name. */
bool kernels_usable(const char *level);
/* Fill *k with a level, NULL for the best usable one. False if the build or the CPU lacks it. */
bool kernels_init(struct kernels *k, const char *level);

#endif
