/* sample.c - choosing a token from logits.
 * SPDX-License-Identifier: MIT
 * A chain of stages over an array of candidates; each stage is a row of a table. Candidates are brought
 * in order only as far as a stage needs: a vocabulary of 150,000 is never sorted. */
#include "engine/quern.h"

#include "formats/status.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

struct candidate {
    float logit;
    int32_t id;
};

struct quern_sampler {
    struct quern_sampler_options options;
    struct kernels kernels; /* exp and sums: the same bits at every level */
    uint64_t random;        /* state of splitmix64 */
    size_t n_vocab;
    int32_t *recent; /* accepted tokens, the last n_recent of them */
    size_t n_recent, recent_room;
    float *probabilities;         /* [n_vocab], scratch */
    struct candidate *candidates; /* [n_vocab], scratch */
    bool *seen;                   /* [n_vocab], all false between calls */
};

void quern_sampler_defaults(struct quern_sampler_options *options) {
    *options = (struct quern_sampler_options){ .temperature = 0.8f,
                                               .top_k = 40,
                                               .top_p = 0.95f,
                                               .min_p = 0.05f,
                                               .repeat_penalty = 1,
                                               .repeat_last_n = 64 };
}

/* ---- The generator: splitmix64 (Steele, Lea, Flood, OOPSLA 2014), 53 bits a draw ---- */

static double next_uniform(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53; /* [0, 1) */
}

/* ---- Order ---- */

/* Larger logits first, equal ones by id: a total order, so that the result of a selection is unique. */
static bool is_before(struct candidate a, struct candidate b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static int compare(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    return is_before(*x, *y) ? -1 : is_before(*y, *x);
}

/* Bring the k first of c [n] to the front, in order (quickselect, then a sort of k). */
static void select_first(struct candidate *c, size_t n, size_t k) {
    size_t low = 0, high = n;
    while (k < n && high - low > 1) {
        struct candidate pivot = c[low + (high - low - 1) / 2]; /* never the last: both parts shrink */
        size_t i = low, j = high - 1;
        for (;;) {
            while (is_before(c[i], pivot))
                i++;
            while (is_before(pivot, c[j]))
                j--;
            if (i >= j)
                break;
            struct candidate t = c[i];
            c[i++] = c[j];
            c[j--] = t;
        }
        /* c[low..j] come before or are the pivot, c[j+1..high) come after or are it. */
        size_t split = j + 1;
        if (k == split)
            break;
        if (k < split)
            high = split;
        else
            low = split;
    }
    qsort(c, k < n ? k : n, sizeof *c, compare);
}

/* ---- Stages: candidates in, fewer or changed candidates out ---- */

struct chain {
    struct quern_sampler *sampler;
    struct candidate *c;
    size_t n;
    size_t n_sorted; /* the first ones that are in order */
};

static void sort_first(struct chain *chain, size_t k) {
    if (chain->n_sorted >= k)
        return;
    select_first(chain->c, chain->n, k);
    chain->n_sorted = k < chain->n ? k : chain->n;
}

static void penalize_repeats(struct chain *chain) {
    struct quern_sampler *s = chain->sampler;
    int32_t last_n = s->options.repeat_last_n;
    float penalty = s->options.repeat_penalty;
    if (penalty == 1 || !last_n)
        return;
    size_t n = last_n < 0 || (size_t)last_n > s->n_recent ? s->n_recent : (size_t)last_n;
    const int32_t *recent = s->recent + (s->n_recent - n);
    for (size_t i = 0; i < n; i++) {
        if (s->seen[recent[i]])
            continue;
        s->seen[recent[i]] = true;
        struct candidate *c = &chain->c[recent[i]]; /* first stage: still in order of id */
        c->logit = c->logit <= 0 ? c->logit * penalty : c->logit / penalty;
    }
    for (size_t i = 0; i < n; i++)
        s->seen[recent[i]] = false;
}

static void keep_top_k(struct chain *chain) {
    int32_t k = chain->sampler->options.top_k;
    if (k <= 0)
        return;
    sort_first(chain, (size_t)k);
    if (chain->n > (size_t)k)
        chain->n = (size_t)k;
}

/* Probabilities of the candidates as they stand into sampler->probabilities. */
static float *softmax(struct chain *chain) {
    float *p = chain->sampler->probabilities;
    for (size_t i = 0; i < chain->n; i++)
        p[i] = chain->c[i].logit;
    chain->sampler->kernels.softmax(p, chain->n);
    return p;
}

static void keep_top_p(struct chain *chain) {
    float limit = chain->sampler->options.top_p;
    if (limit >= 1)
        return;
    /* The set is usually a few dozen of many thousand: order twice as many until they suffice. */
    for (size_t k = 64;; k *= 2) {
        sort_first(chain, k);
        const float *p = softmax(chain);
        double sum = 0;
        for (size_t i = 0; i < chain->n && i < chain->n_sorted; i++) {
            sum += (double)p[i];
            if (sum >= (double)limit) {
                chain->n = i + 1;
                return;
            }
        }
        if (chain->n_sorted >= chain->n)
            return;
    }
}

static void keep_min_p(struct chain *chain) {
    float min_p = chain->sampler->options.min_p;
    if (min_p <= 0)
        return;
    sort_first(chain, 1);
    /* p >= min_p * p_max; the first always stays. */
    const float *p = softmax(chain);
    float limit = min_p * p[0];
    size_t n = 0;
    for (size_t i = 0; i < chain->n; i++)
        if (i == 0 || p[i] >= limit)
            chain->c[n++] = chain->c[i];
    chain->n_sorted = chain->n_sorted < n ? chain->n_sorted : n;
    chain->n = n;
}

static void apply_temperature(struct chain *chain) {
    for (size_t i = 0; i < chain->n; i++)
        chain->c[i].logit /= chain->sampler->options.temperature;
}

static const struct {
    const char *name;
    void (*apply)(struct chain *chain);
} stages[] = {
    { "penalties", penalize_repeats },
    { "top-k", keep_top_k },
    { "top-p", keep_top_p },
    { "min-p", keep_min_p },
    { "temperature", apply_temperature },
};

/* The first candidate whose cumulative probability exceeds a uniform number. Candidates are put in order
 * first: how far earlier stages ordered them must not show. */
static int32_t draw(struct chain *chain) {
    sort_first(chain, chain->n);
    const float *p = softmax(chain);
    double total = 0, sum = 0, u = next_uniform(&chain->sampler->random);
    for (size_t i = 0; i < chain->n; i++)
        total += (double)p[i];
    for (size_t i = 0; i < chain->n; i++) {
        sum += (double)p[i];
        if (sum > u * total)
            return chain->c[i].id;
    }
    return chain->c[chain->n - 1].id; /* only if rounding kept sum below total */
}

/* ---- Public ---- */

static enum quern_status check_options(const struct quern_sampler_options *o, struct quern_error *err) {
    if (!(o->temperature >= 0) || isinf(o->temperature))
        return fail(err, QUERN_RANGE, "temperature = %g (allowed: 0 or more)", (double)o->temperature);
    if (!(o->top_p >= 0))
        return fail(err, QUERN_RANGE, "top_p = %g (allowed: 0 to 1)", (double)o->top_p);
    if (!(o->min_p >= 0 && o->min_p <= 1))
        return fail(err, QUERN_RANGE, "min_p = %g (allowed: 0 to 1)", (double)o->min_p);
    if (!(o->repeat_penalty > 0) || isinf(o->repeat_penalty))
        return fail(err, QUERN_RANGE, "repeat_penalty = %g (allowed: more than 0)",
                    (double)o->repeat_penalty);
    if (o->repeat_last_n < -1)
        return fail(err, QUERN_RANGE, "repeat_last_n = %d (allowed: -1 or more)", (int)o->repeat_last_n);
    return QUERN_OK;
}

enum quern_status quern_sampler_open(size_t n_vocab, const struct quern_sampler_options *options,
                                     struct quern_sampler **out, struct quern_error *err) {
    struct quern_sampler_options o;
    quern_sampler_defaults(&o);
    if (options)
        o = *options;
    enum quern_status st = check_options(&o, err);
    if (st)
        return st;
    if (n_vocab < 1 || n_vocab > INT32_MAX)
        return fail(err, QUERN_RANGE, "n_vocab = %zu (allowed: 1 to 2^31 - 1)", n_vocab);
    struct quern_sampler *s = calloc(1, sizeof *s);
    if (!s)
        return fail_memory(err, sizeof *s);
    s->options = o;
    s->random = o.seed;
    s->n_vocab = n_vocab;
    kernels_init(&s->kernels, NULL);
    s->probabilities = malloc(n_vocab * sizeof *s->probabilities);
    s->candidates = malloc(n_vocab * sizeof *s->candidates);
    s->seen = calloc(n_vocab, sizeof *s->seen);
    if (!s->probabilities || !s->candidates || !s->seen) {
        quern_sampler_close(s);
        return fail_memory(err,
                           n_vocab * (sizeof *s->probabilities + sizeof *s->candidates + sizeof *s->seen));
    }
    *out = s;
    return QUERN_OK;
}

void quern_sampler_close(struct quern_sampler *s) {
    if (!s)
        return;
    free(s->recent);
    free(s->probabilities);
    free(s->candidates);
    free(s->seen);
    free(s);
}

enum quern_status quern_sampler_accept(struct quern_sampler *s, int32_t id, struct quern_error *err) {
    if (id < 0 || (size_t)id >= s->n_vocab)
        return fail(err, QUERN_RANGE, "token %d is not in the vocabulary (allowed: 0 to %zu)", (int)id,
                    s->n_vocab - 1);
    if (s->n_recent == s->recent_room) {
        size_t room = s->recent_room ? 2 * s->recent_room : 256;
        int32_t *grown = realloc(s->recent, room * sizeof *grown);
        if (!grown)
            return fail_memory(err, room * sizeof *grown);
        s->recent = grown;
        s->recent_room = room;
    }
    s->recent[s->n_recent++] = id;
    return QUERN_OK;
}

enum quern_status quern_sampler_draw(struct quern_sampler *s, const float *logits, int32_t *id,
                                     struct quern_error *err) {
    struct chain chain = { .sampler = s, .c = s->candidates, .n = s->n_vocab };
    for (size_t i = 0; i < s->n_vocab; i++) {
        if (isnan(logits[i]) || logits[i] == INFINITY)
            return fail(err, QUERN_RANGE, "logit %zu is %g (allowed: finite values)", i, (double)logits[i]);
        s->candidates[i] = (struct candidate){ logits[i], (int32_t)i };
    }
    if (s->options.temperature <= 0) {
        penalize_repeats(&chain);
        sort_first(&chain, 1);
        *id = chain.c[0].id;
        return QUERN_OK;
    }
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        stages[i].apply(&chain);
    *id = draw(&chain);
    return QUERN_OK;
}
