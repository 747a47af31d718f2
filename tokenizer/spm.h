/* spm.h - the SentencePiece library behind a C interface.
 * SPDX-License-Identifier: MIT
 * No exception leaves these functions. An open spm is immutable and may be used by any number of threads. */
#ifndef QUERN_TOKENIZER_SPM_H
#define QUERN_TOKENIZER_SPM_H

#include "formats/status.h"

struct spm;

/* Open a serialized ModelProto. Nothing of it is kept. path begins the messages.
 * Errors: QUERN_FORMAT (in the library's words), QUERN_MEMORY. */
enum quern_status spm_open(const void *proto, size_t bytes, const char *path, struct spm **out,
                           struct quern_error *err);
void spm_close(struct spm *s); /* accepts NULL */

/* Encode text [bytes], valid UTF-8, without special tokens. *ids [*n]: allocated, the caller frees it.
 * Takes some 200 bytes of memory per byte of text. Errors: QUERN_FORMAT, QUERN_MEMORY. */
enum quern_status spm_encode(const struct spm *s, const char *text, size_t bytes, int32_t **ids, size_t *n,
                             struct quern_error *err);

#endif
