/* attention_softmax.c - the running softmax of attention.
 * SPDX-License-Identifier: MIT */
#include "kernels/avx512/avx512.h"
#include "kernels/avx512/level.h"

#include <math.h>

static void shrink(struct attn_softmax *state, float factor, float *o, size_t head_dim) {
    const __m512 f = _mm512_set1_ps(factor);
    _mm512_storeu_ps(state->l, _mm512_mul_ps(_mm512_loadu_ps(state->l), f));
    for (size_t d = 0; d < head_dim; d += 16) {
        const __mmask16 lanes = lanes_left(head_dim - d);
        _mm512_mask_storeu_ps(o + d, lanes, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, o + d), f));
    }
}

/* Lanes of each quarter of a block that lie in [begin, end). */
struct within {
    __mmask16 lanes[4];
};

static inline struct within lanes_within(size_t begin, size_t end) {
    const __mmask64 all = first_bytes(end) & ~first_bytes(begin);
    return (struct within){ { (__mmask16)all, (__mmask16)(all >> 16), (__mmask16)(all >> 32),
                              (__mmask16)(all >> 48) } };
}

static inline void softmax_of_query(float *s, size_t begin, size_t end, struct attn_softmax *state, float *o,
                                    size_t head_dim) {
    const struct within within = lanes_within(begin, end);
    __m512 score[4], max_lanes = _mm512_set1_ps(-INFINITY);
    UNROLL
    for (size_t i = 0; i < 4; i++) { /* the operand order lets no NaN in */
        score[i] = _mm512_maskz_loadu_ps(within.lanes[i], s + i * 16);
        max_lanes = _mm512_mask_max_ps(max_lanes, within.lanes[i], score[i], max_lanes);
    }
    const float max = max16(max_lanes);
    if (max > state->m) {
        shrink(state, kernels_exp(state->m - max), o, head_dim);
        state->m = max + 0.0f; /* never -0 */
    }
    __m512 l = _mm512_loadu_ps(state->l);
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        const __m512 p = exp16(_mm512_sub_ps(score[i], _mm512_set1_ps(state->m)));
        _mm512_mask_storeu_ps(s + i * 16, within.lanes[i], p);
        l = _mm512_mask_add_ps(l, within.lanes[i], l, p);
    }
    _mm512_storeu_ps(state->l, l);
}

void attn_softmax_avx512(float *s, const struct attn_span *spans, size_t n, struct attn_softmax *states,
                         float *o, size_t head_dim) {
    for (size_t i = 0; i < n; i++)
        softmax_of_query(s + i * ATTN_BLOCK, spans[i].begin, spans[i].end, &states[i], o + i * head_dim,
                         head_dim);
}
