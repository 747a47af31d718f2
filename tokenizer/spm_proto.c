/* spm_proto.c - a SentencePiece model file, built from a vocabulary.
 * SPDX-License-Identifier: MIT
 * Wire format: protobuf.dev/programming-guides/encoding. A field is a varint of number * 8 + wire type,
 * then the value: a varint (0), a length and bytes (2), four bytes (5). Field numbers:
 * sentencepiece_model.proto, messages ModelProto, SentencePiece, TrainerSpec and NormalizerSpec. */
#include "tokenizer/spm_proto.h"

#include <stdio.h>

enum wire_type { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* clang-format off */
enum field {
    MODEL_PIECES = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3,
    PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3,
    TRAINER_MODEL_TYPE = 3, TRAINER_BYTE_FALLBACK = 35,
    NORMALIZER_NAME = 1, NORMALIZER_ADD_DUMMY_PREFIX = 3, NORMALIZER_REMOVE_EXTRA_WHITESPACES = 4,
    NORMALIZER_ESCAPE_WHITESPACES = 5,
};
/* clang-format on */

enum { MODEL_TYPE_UNIGRAM = 1, MODEL_TYPE_BPE = 2 };

/* SentencePiece.Type: GGUF took over its numbers. */
static const uint8_t piece_types[] = {
    [TOKEN_NORMAL] = 1,       [TOKEN_UNKNOWN] = 2, [TOKEN_CONTROL] = 3,
    [TOKEN_USER_DEFINED] = 4, [TOKEN_UNUSED] = 5,  [TOKEN_BYTE] = 6,
};

static void put_varint(struct buffer *b, uint64_t value) {
    uint8_t bytes[10];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[n++] = (uint8_t)(value | 0x80);
    bytes[n++] = (uint8_t)value;
    buffer_put(b, bytes, n);
}

static void put_number(struct buffer *b, enum field field, uint64_t value) {
    put_varint(b, (uint64_t)field << 3 | WIRE_VARINT);
    put_varint(b, value);
}

static void put_bytes(struct buffer *b, enum field field, const void *data, size_t bytes) {
    put_varint(b, (uint64_t)field << 3 | WIRE_BYTES);
    put_varint(b, bytes);
    buffer_put(b, data, bytes);
}

static void put_float(struct buffer *b, enum field field, float value) {
    put_varint(b, (uint64_t)field << 3 | WIRE_FIXED32);
    buffer_put(b, &value, sizeof value); /* little-endian, as this machine */
}

/* A piece that text cannot become needs a name that no text and no other piece can have: 0xff occurs in no
 * UTF-8. SentencePiece looks control pieces up by name too, and would otherwise give "<s>" put together
 * from "<s" and ">" the id of the control piece. */
static void put_piece(struct buffer *out, struct buffer *scratch, const struct piece *piece, size_t id) {
    char name[32];
    int name_bytes = piece->role == TOKEN_BYTE ? snprintf(name, sizeof name, "<0x%02X>", piece->byte)
                                               : snprintf(name, sizeof name, "\xff%zu", id);
    scratch->n = 0;
    if (piece_is_matched(piece))
        put_bytes(scratch, PIECE_TEXT, piece->text, piece->bytes);
    else
        put_bytes(scratch, PIECE_TEXT, name, (size_t)name_bytes);
    put_float(scratch, PIECE_SCORE, piece->score);
    put_number(scratch, PIECE_TYPE, piece_types[piece->role]);
    put_bytes(out, MODEL_PIECES, scratch->data, scratch->n);
}

static void put_specs(struct buffer *out, struct buffer *scratch, bool is_unigram, bool byte_fallback) {
    scratch->n = 0;
    put_number(scratch, TRAINER_MODEL_TYPE, is_unigram ? MODEL_TYPE_UNIGRAM : MODEL_TYPE_BPE);
    put_number(scratch, TRAINER_BYTE_FALLBACK, byte_fallback);
    put_bytes(out, MODEL_TRAINER, scratch->data, scratch->n);
    scratch->n = 0;
    put_bytes(scratch, NORMALIZER_NAME, "identity", strlen("identity"));
    put_number(scratch, NORMALIZER_ADD_DUMMY_PREFIX, false);
    put_number(scratch, NORMALIZER_REMOVE_EXTRA_WHITESPACES, false);
    put_number(scratch, NORMALIZER_ESCAPE_WHITESPACES, true);
    put_bytes(out, MODEL_NORMALIZER, scratch->data, scratch->n);
}

enum quern_status spm_proto_write(const struct pieces *p, bool is_unigram, const char *path,
                                  struct buffer *out, struct quern_error *err) {
    struct buffer scratch = { 0 };
    for (size_t i = 0; i < p->n && !out->failed; i++)
        put_piece(out, &scratch, &p->list[i], i);
    put_specs(out, &scratch, is_unigram, p->byte_fallback);
    bool failed = out->failed || scratch.failed;
    buffer_free(&scratch);
    if (failed)
        return fail_memory(err, out->n);
    if (out->n > INT32_MAX) /* the library's own limit */
        return fail(err, QUERN_FORMAT, "%s: the texts of the tokens make a model of %zu bytes (at most %d)",
                    path, out->n, INT32_MAX);
    return QUERN_OK;
}
