/* quern.h - run quantized language models on the CPU.
 * SPDX-License-Identifier: MIT
 *
 * A model is opened from a GGUF file and is immutable; a session is one conversation over it. The
 * shortest complete use:
 *
 *     struct quern_error err = { 0 };
 *     struct quern_model *model = NULL;
 *     struct quern_session *session = NULL;
 *     if (quern_model_open("model.gguf", NULL, &model, &err) ||
 *         quern_session_open(model, NULL, &session, &err))
 *         return puts(err.text), 1;
 *     int32_t *ids = NULL;
 *     size_t n = 0;
 *     quern_tokenize(model, "Once upon a time", 16, QUERN_ADD_SPECIAL, &ids, &n, &err);
 *     float *logits = malloc(quern_model_n_vocab(model) * sizeof *logits);
 *     quern_session_eval(session, ids, n, logits, 1, &err);
 *     ...  pick a token with quern_sampler_draw, evaluate it, go on
 *     quern_free(ids);
 *     quern_session_close(session);
 *     quern_model_close(model);
 *
 * Rules for all functions: a function that can fail returns enum quern_status and describes the failure
 * in *err (which may be NULL). Nothing prints, nothing exits, no state is global. Options structs are
 * filled by their _defaults function before single fields are changed; NULL means all defaults. Close
 * functions accept NULL. Results do not depend on the number of threads, on how tokens are split over
 * calls, or on the kernel level: they are the same bits. */
#ifndef QUERN_H
#define QUERN_H

#include "quern_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#    define QUERN_API __attribute__((visibility("default")))
#else
#    define QUERN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0" */
QUERN_API const char *quern_version(void);

/* Release memory that a function here documents as the caller's. Accepts NULL. */
QUERN_API void quern_free(void *p);

/* ---- The machine ---- */

/* Kernel level i of this build, from the plainest on ("scalar", "avx2", ...), NULL past the end. */
QUERN_API const char *quern_isa_name(size_t i);
/* Whether this CPU and operating system can run that level. */
QUERN_API bool quern_isa_usable(const char *name);
/* Threads to use when nothing is asked for: physical cores that this process may use (affinity, cgroup
 * quota of this control group and those above), the fast ones where cores differ in kind; at least 1. */
QUERN_API unsigned quern_default_threads(void);
/* What sets that number: "physical cores", "the control group's CPU quota" and the like. */
QUERN_API const char *quern_threads_limit(void);

/* ---- Models ---- */

struct quern_model;

/* How the inputs of quantized matrices are rounded to 8 bits. */
enum quern_act {
    /* By blocks, as suits each type: a scale per 32 values, or per 256 with sub-scales per 16 or 32. */
    QUERN_ACT_BLOCK = 0,
    /* A scale per token, and values beyond `outliers` as floats (LLM.int8(), arXiv:2208.07339). Quantized
     * matrices must be Q8_0; where all blocks of every row have one scale, a product is one integer sum. */
    QUERN_ACT_INT8_ROW,
    QUERN_ACTS,
};

/* For judging what 8-bit activations cost by themselves: the inputs of float matrices (F32, F16, BF16), which
 * are otherwise used as they are, are first rounded as those of a quantized type would be. Slow. */
enum quern_round_inputs {
    QUERN_ROUND_NONE = 0,
    QUERN_ROUND_32,       /* as for types in blocks of 32 */
    QUERN_ROUND_256_16,   /* as for Q6_K */
    QUERN_ROUND_256_32,   /* as for the other types in blocks of 256 */
    QUERN_ROUND_INT8_ROW, /* as QUERN_ACT_INT8_ROW, with its `outliers` */
    QUERN_ROUNDINGS,
};

/* What to do on a machine with several memory nodes. Threads are bound to the CPUs of their node, the calling
 * thread while it is in quern_session_open() and quern_session_eval(). Where there is one node nothing is
 * done. Needs Linux and a build with libnuma. */
enum quern_numa {
    QUERN_NUMA_NONE = 0,   /* nothing: the system decides */
    QUERN_NUMA_DISTRIBUTE, /* threads on all nodes in turn; each node reads its part of the rows of every
                            * matrix, and others' when its own are done. Parts that are not in memory yet come
                            * to the node that reads them, what is there stays where it is */
    QUERN_NUMA_ISOLATE,    /* all threads on the node on which the process started */
    QUERN_NUMA_MIRROR,     /* threads on all nodes, each with its own copy of the weights */
};

struct quern_model_options {
    /* Kernel level to use: a name from quern_isa_name(). NULL: the best one this CPU has. A level that
     * the build or the CPU lacks is an error, never replaced. */
    const char *isa;
    enum quern_act act; /* default QUERN_ACT_BLOCK */
    /* Magnitude beyond which a value is an outlier, finite; 0: none is. Default 6. It does nothing where no
     * activations have a scale per token. */
    float outliers;
    enum quern_round_inputs round_inputs; /* default QUERN_ROUND_NONE */
    enum quern_numa numa;                 /* of all its sessions; default none */
    /* Called during open with one line about each thing that is odd but harmless (extra tensors, a norm
     * in a quantized type). NULL: not told. */
    void (*note)(void *user, const char *text);
    void *note_user;
};

QUERN_API void quern_model_defaults(struct quern_model_options *options);

/* Map the GGUF file at path (for a split model: its first part) and check everything that running it
 * relies on: metadata ranges, tensor types, shapes. Weights are used from the mapping, nothing is read
 * but metadata, norms and biases.
 * Errors: QUERN_IO, QUERN_FORMAT, QUERN_UNSUPPORTED (architecture, tensor type, also one that `act` or
 * `round_inputs` cannot go with, numa), QUERN_RANGE (an option), QUERN_MEMORY (also when a node has no room
 * for its copy). *out is set only on success; quern_model_close() releases it, after its sessions. */
QUERN_API enum quern_status quern_model_open(const char *path, const struct quern_model_options *options,
                                             struct quern_model **out, struct quern_error *err);
/* The same over the bytes of a file in memory, which stay the caller's and must outlive the model. name
 * stands for the path in messages. */
QUERN_API enum quern_status quern_model_open_memory(const void *data, size_t bytes, const char *name,
                                                    const struct quern_model_options *options,
                                                    struct quern_model **out, struct quern_error *err);
QUERN_API void quern_model_close(struct quern_model *model);

/* Strings live as long as the model. */
struct quern_model_info {
    const char *architecture; /* "llama" */
    const char *name;         /* general.name, "" if absent */
    const char *isa;          /* kernel level in use */
    size_t n_vocab;           /* rows of the token embedding; logits per position */
    size_t n_ctx_train;       /* context length it was trained with, tokens */
    size_t n_embd, n_layer, n_head, n_head_kv, n_ff, n_expert, n_expert_used;
    uint64_t n_params;     /* values in all tensors */
    uint64_t tensor_bytes; /* of all tensors */
    uint64_t file_bytes;   /* of all parts */
};

QUERN_API void quern_model_get_info(const struct quern_model *model, struct quern_model_info *info);
QUERN_API size_t quern_model_n_vocab(const struct quern_model *model);

/* ---- Text and tokens ----
 * The tokenizer is opened with the model. A file without one, or with one that this build lacks, still
 * opens and runs on ids; then these return QUERN_UNSUPPORTED with the reason. */

/* QUERN_OK, or why the model has no usable tokenizer. */
QUERN_API enum quern_status quern_tokenizer_check(const struct quern_model *model, struct quern_error *err);

enum quern_tokenize_flags {
    QUERN_ADD_SPECIAL = 1,   /* add BOS and EOS where the vocabulary wants them */
    QUERN_PARSE_SPECIAL = 2, /* texts of control tokens ("</s>") become those tokens, not plain text */
};

/* Tokenize text [bytes], any bytes. *ids [*n] is the caller's: quern_free().
 * Errors: QUERN_UNSUPPORTED (no tokenizer), QUERN_RANGE (over 2^31 - 1 bytes), QUERN_MEMORY. */
QUERN_API enum quern_status quern_tokenize(const struct quern_model *model, const char *text, size_t bytes,
                                           int flags, int32_t **ids, size_t *n, struct quern_error *err);

/* Begin- and end-of-sequence ids, -1 if there is none. */
QUERN_API int32_t quern_token_bos(const struct quern_model *model);
QUERN_API int32_t quern_token_eos(const struct quern_model *model);
/* Whether the vocabulary puts BOS in front of a text. */
QUERN_API bool quern_adds_bos(const struct quern_model *model);
/* Whether this id ends a generation (end of sequence, of turn, of message). */
QUERN_API bool quern_token_is_eog(const struct quern_model *model, int32_t id);

/* Turns a sequence of ids into text, token by token, and never splits a UTF-8 character. */
struct quern_text;

enum quern_text_flags {
    QUERN_TEXT_SPECIAL = 1,     /* write control tokens as their text; otherwise they write nothing */
    QUERN_TEXT_KEEP_PREFIX = 2, /* keep the space that tokenizing puts before the first word */
};

QUERN_API enum quern_status quern_text_open(const struct quern_model *model, int flags,
                                            struct quern_text **out, struct quern_error *err);
/* The text that id adds, *bytes long, not terminated; valid until the next call on this object. */
QUERN_API const char *quern_text_add(struct quern_text *text, int32_t id, size_t *bytes);
/* The bytes of an unfinished character that are still held, at the end of the sequence. */
QUERN_API const char *quern_text_end(struct quern_text *text, size_t *bytes);
QUERN_API void quern_text_close(struct quern_text *text);

/* ---- Sessions ---- */

struct quern_session;

/* Q8_0 and Q4_0: 8 and 4 bits with a scale per 32 values, a half and a quarter of the size of F16; they need
 * heads of a multiple of 32. */
enum quern_cache_type {
    QUERN_CACHE_F16 = 0,
    QUERN_CACHE_F32,
    QUERN_CACHE_Q8_0,
    QUERN_CACHE_BF16,
    QUERN_CACHE_Q4_0
};

/* How an evaluation of many tokens multiplies. Fewer than 32 at once, and so generating, are always direct.
 * DIRECT: the arithmetic in which results depend on nothing but the model and the tokens. BF16: weights and
 * activations rounded to bf16, for machines that have instructions for it; results differ in the last digits
 * between machines and between batch sizes, never between thread counts. AUTO: bf16 for the matrices whose type it
 * is known to be faster for on this kernel level; quern_session_prefill() tells which. */
enum quern_prefill { QUERN_PREFILL_DIRECT = 0, QUERN_PREFILL_BF16, QUERN_PREFILL_AUTO };

struct quern_session_options {
    size_t n_ctx;       /* tokens the cache can hold; 0 (default): the trained length, at most 4096 */
    size_t n_batch;     /* tokens evaluated at once inside, 1..65536; default 512. Memory grows with it */
    unsigned n_threads; /* 0 (default): quern_default_threads(), fewer for a model of a few megabytes */
    /* For several tokens at once, as in a prompt; 0 (default): n_threads if that is given, else
     * quern_default_threads(), fewer for a model under a megabyte. */
    unsigned n_threads_batch;
    enum quern_cache_type cache_k, cache_v; /* default F16 */
    enum quern_prefill prefill;             /* default direct */
    /* Asked between batches and layers of a long evaluation, on the calling thread; true stops it with
     * QUERN_INTERRUPTED and leaves the session as before the call. NULL: not asked. */
    bool (*interrupt)(void *user);
    void *interrupt_user;
};

QUERN_API void quern_session_defaults(struct quern_session_options *options);

/* What a session with these options takes, in bytes: the key-value cache and the working memory
 * (activations, scores). Weights are the model's tensor_bytes. Errors: QUERN_RANGE. */
QUERN_API enum quern_status quern_session_memory(const struct quern_model *model,
                                                 const struct quern_session_options *options,
                                                 uint64_t *cache_bytes, uint64_t *work_bytes,
                                                 struct quern_error *err);

/* Any number of sessions may share a model, each used by one thread at a time.
 * Errors: QUERN_RANGE (an option), QUERN_UNSUPPORTED (the cache type for this model; prefill in bf16 at this
 * kernel level), QUERN_MEMORY. */
QUERN_API enum quern_status quern_session_open(const struct quern_model *model,
                                               const struct quern_session_options *options,
                                               struct quern_session **out, struct quern_error *err);
QUERN_API void quern_session_close(struct quern_session *session);

/* Evaluate tokens at the session's position and append them to its cache.
 * tokens: [n_tokens], each in [0, n_vocab); n_tokens >= 1.
 * logits: [n_logits][n_vocab] of the last n_logits tokens, oldest first, natural-log scale, not
 * normalized; n_logits 0..n_tokens; logits may be NULL when n_logits is 0.
 * Errors: QUERN_RANGE (a token, a count), QUERN_CONTEXT (more tokens than the cache has room for),
 * QUERN_INTERRUPTED. On error the session is as before. Not for two threads on one session. */
QUERN_API enum quern_status quern_session_eval(struct quern_session *session, const int32_t *tokens,
                                               size_t n_tokens, float *logits, size_t n_logits,
                                               struct quern_error *err);

/* Tokens in the cache, and how many it can hold. */
QUERN_API size_t quern_session_position(const struct quern_session *session);
QUERN_API size_t quern_session_n_ctx(const struct quern_session *session);
/* Threads in use for one token, and for several. */
QUERN_API unsigned quern_session_n_threads(const struct quern_session *session);
QUERN_API unsigned quern_session_n_threads_batch(const struct quern_session *session);
/* What was done about memory nodes, one line; "" without quern_model_options.numa. Lives as long as the
 * session. */
QUERN_API const char *quern_session_numa(const struct quern_session *session);
/* "direct", "bf16", or what auto chose: "auto: bf16 for F16", "auto: direct". Lives as long as the session. */
QUERN_API const char *quern_session_prefill(const struct quern_session *session);
/* Forget all tokens from position on; position <= the current one, else QUERN_RANGE. */
QUERN_API enum quern_status quern_session_rewind(struct quern_session *session, size_t position,
                                                 struct quern_error *err);

/* Outliers among the inputs of the model's matrix i, of all tokens that the session evaluated; matrices that
 * share their input are counted by their first. */
struct quern_outliers {
    const char *tensor; /* name of the matrix [tensor_bytes], as long as the model lives */
    size_t tensor_bytes;
    size_t layer;                 /* n_layer: the output matrix */
    size_t n_columns, n_affected; /* values of a row, and how many of these were ever an outlier */
    uint64_t n_values, n_outliers;
};

/* False past the last matrix, and in sessions that have no outliers. */
QUERN_API bool quern_session_outliers(const struct quern_session *session, size_t i,
                                      struct quern_outliers *out);

/* ---- Sampling ---- */

/* Applied in this order: repetition penalty, top-k, top-p, min-p, temperature, draw. Ties between equal
 * logits go to the smaller id. temperature <= 0: the largest logit, no randomness. */
struct quern_sampler_options {
    uint64_t seed;         /* default 0; equal seeds draw equal tokens from equal logits */
    float temperature;     /* default 0.8 */
    int32_t top_k;         /* keep the k largest; <= 0 keeps all; default 40 */
    float top_p;           /* keep the smallest set with this probability, 0..1; >= 1 off; default 0.95 */
    float min_p;           /* drop what is less likely than min_p times the best, 0..1; 0 off; 0.05 */
    float repeat_penalty;  /* > 0; divides positive and multiplies negative logits of tokens among the
                            * last repeat_last_n accepted ones; 1 off; default 1 */
    int32_t repeat_last_n; /* default 64; 0 off; -1: all accepted */
};

struct quern_sampler;

QUERN_API void quern_sampler_defaults(struct quern_sampler_options *options);
/* For logits of n_vocab values. Errors: QUERN_RANGE (an option, NaN), QUERN_MEMORY. */
QUERN_API enum quern_status quern_sampler_open(size_t n_vocab, const struct quern_sampler_options *options,
                                               struct quern_sampler **out, struct quern_error *err);
QUERN_API void quern_sampler_close(struct quern_sampler *sampler);
/* Tell the sampler about a token of the text (prompt tokens too), for the repetition penalty.
 * Errors: QUERN_RANGE (id), QUERN_MEMORY. */
QUERN_API enum quern_status quern_sampler_accept(struct quern_sampler *sampler, int32_t id,
                                                 struct quern_error *err);
/* Choose a token. logits: [n_vocab], not changed. The choice is not accepted by itself.
 * Errors: QUERN_RANGE if a logit is NaN or +Inf (says which). */
QUERN_API enum quern_status quern_sampler_draw(struct quern_sampler *sampler, const float *logits,
                                               int32_t *id, struct quern_error *err);

#ifdef __cplusplus
}
#endif
#endif
