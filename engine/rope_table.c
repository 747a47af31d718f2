/* rope_table.c - rotary frequencies: base, linear scaling, Llama 3 divisors, YaRN.
 * SPDX-License-Identifier: MIT
 * Pair i of a head turns by position * inv_freq[i], inv_freq[i] = theta^(-2i / n_rot) (RoFormer,
 * arXiv:2104.09864). Linear scaling divides it by the factor. Llama 3 divides each by a number that the
 * converter stored in rope_freqs.weight. YaRN (arXiv:2309.00071, section 3.2) leaves fast pairs alone,
 * interpolates slow ones and blends between, and stretches cosine and sine by 1 + 0.1 ln(factor). */
#include "engine/rope_table.h"
#include "engine/detmath.h"

#include <math.h>
#include <stdlib.h>

/* Turns over the original context at which YaRN's blend begins and ends. */
static const double yarn_beta_fast = 32, yarn_beta_slow = 1;

/* The (fractional) pair index that makes n_turns turns over the original context. */
static double yarn_pair(const struct hparams *hp, double n_turns) {
    const double two_pi = 6.283185307179586;
    return (double)hp->n_rot * det_log((double)hp->n_ctx_original / (n_turns * two_pi)) /
           (2 * det_log(hp->rope_theta));
}

/* 1 where pair i keeps its frequency, 0 where it is interpolated. */
static double yarn_keep(const struct hparams *hp, size_t i) {
    double low = fmax(0, floor(yarn_pair(hp, yarn_beta_fast)));
    double high = fmin((double)hp->n_rot - 1, ceil(yarn_pair(hp, yarn_beta_slow)));
    double ramp = ((double)i - low) / fmax(0.001, high - low);
    return 1 - fmin(1, fmax(0, ramp));
}

enum quern_status rope_table_make(struct quern_model *m, struct quern_error *err) {
    const struct hparams *hp = &m->hp;
    size_t n = hp->n_rot / 2;
    m->inv_freq = malloc(n * sizeof *m->inv_freq);
    if (!m->inv_freq)
        return fail_memory(err, n * sizeof *m->inv_freq);
    double log_theta = det_log(hp->rope_theta);
    for (size_t i = 0; i < n; i++) {
        double freq = det_exp(-2.0 * (double)i / (double)hp->n_rot * log_theta);
        if (m->rope_freqs) {
            if (!(m->rope_freqs[i] > 0))
                return fail(err, QUERN_FORMAT,
                            "%s: tensor 'rope_freqs.weight' holds %g at index %zu (allowed: > 0)",
                            gguf_path(m->gguf), (double)m->rope_freqs[i], i);
            freq /= (double)m->rope_freqs[i];
        }
        double keep = hp->rope_scaling == ROPE_SCALING_YARN ? yarn_keep(hp, i) : 0;
        double factor = hp->rope_scaling == ROPE_SCALING_NONE ? 1 : hp->rope_factor;
        m->inv_freq[i] = freq * (keep + (1 - keep) / factor);
    }
    double magnitude = hp->rope_attn_factor;
    if (hp->rope_scaling == ROPE_SCALING_YARN)
        magnitude *= 1 + 0.1 * det_log(hp->rope_factor);
    m->rope_magnitude = (float)magnitude;
    return QUERN_OK;
}
