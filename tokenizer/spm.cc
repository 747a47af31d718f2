/* spm.cc - the SentencePiece library behind a C interface; the one C++ file of quern.
 * SPDX-License-Identifier: MIT */
#include <sentencepiece_processor.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string_view>
#include <vector>

extern "C" {
#include "tokenizer/spm.h"
}

struct spm {
    sentencepiece::SentencePieceProcessor processor;
};

static_assert(sizeof(int) == sizeof(int32_t), "ids are copied as they are");

/* Inside a catch clause: what was thrown, as a status. */
static enum quern_status fail_thrown(struct quern_error *err, size_t bytes) {
    try {
        throw;
    } catch (const std::bad_alloc &) {
        return fail_memory(err, bytes);
    } catch (const std::exception &e) {
        return fail(err, QUERN_FORMAT, "SentencePiece: %s", e.what());
    } catch (...) {
        return fail(err, QUERN_FORMAT, "SentencePiece: unknown exception");
    }
}

enum quern_status spm_open(const void *proto, size_t bytes, const char *path, struct spm **out,
                           struct quern_error *err) {
    struct spm *s = nullptr;
    try {
        s = new spm;
        const auto status =
            s->processor.LoadFromSerializedProto(std::string_view(static_cast<const char *>(proto), bytes));
        if (status.ok()) {
            *out = s;
            return QUERN_OK;
        }
        delete s;
        return fail(err, QUERN_FORMAT, "%s: SentencePiece refuses the vocabulary: %s", path,
                    status.error_message());
    } catch (...) {
        delete s;
        return fail_thrown(err, bytes);
    }
}

void spm_close(struct spm *s) { delete s; }

enum quern_status spm_encode(const struct spm *s, const char *text, size_t bytes, int32_t **ids, size_t *n,
                             struct quern_error *err) {
    try {
        std::vector<int> list;
        const auto status = s->processor.Encode(std::string_view(text, bytes), &list);
        if (!status.ok())
            return fail(err, QUERN_FORMAT, "SentencePiece: %s", status.error_message());
        *n = list.size();
        *ids = static_cast<int32_t *>(std::malloc(list.size() * sizeof **ids + 1));
        if (!*ids)
            return fail_memory(err, list.size() * sizeof **ids);
        if (*n)
            std::memcpy(*ids, list.data(), list.size() * sizeof **ids);
        return QUERN_OK;
    } catch (...) {
        return fail_thrown(err, bytes);
    }
}
