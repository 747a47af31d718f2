/* spm_proto.h - a SentencePiece model file, built from a vocabulary.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_TOKENIZER_SPM_PROTO_H
#define QUERN_TOKENIZER_SPM_PROTO_H

#include "tokenizer/buffer.h"
#include "tokenizer/pieces.h"

/* Write a serialized ModelProto with these pieces into *out, which is empty; buffer_free() releases it.
 * Its normalizer changes nothing but spaces into U+2581: quern normalizes itself (normalize.h).
 * Errors: QUERN_FORMAT (more text than a protocol buffer can hold), QUERN_MEMORY. */
enum quern_status spm_proto_write(const struct pieces *p, bool is_unigram, const char *path,
                                  struct buffer *out, struct quern_error *err);

#endif
