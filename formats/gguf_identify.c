/* gguf_identify.c - what a file is that was given as a model and is not GGUF.
 * SPDX-License-Identifier: MIT
 * Users mistake files in a few well-known ways; the first bytes tell which. */
#include "formats/gguf_private.h"

#include <strings.h>

struct signature {
    const char *bytes;
    size_t n;
    const char *what;
};

/* A signature may hold NUL bytes: n comes from the literal. */
#define SIGNATURE(literal, text)                                                                             \
    { literal, sizeof(literal) - 1, text }

static const char old_format[] = "is a GGML file from before August 2023; convert the model again to GGUF";
static const char packed[] = "is a compressed file; unpack it first";

static const struct signature signatures[] = {
    SIGNATURE("FUGG", "is a big-endian GGUF file; only little-endian files can be used"),
    SIGNATURE("version https://git-lfs",
              "is a Git LFS pointer: only the pointer was downloaded, not the model (try git lfs pull)"),
    SIGNATURE(
        "PK\003\004",
        "is a zip archive, most likely a PyTorch checkpoint, which executes code when read; convert the "
        "model to safetensors, then to GGUF"),
    SIGNATURE("\200\002", "is a Python pickle, which executes code when read; convert the model to GGUF"),
    SIGNATURE("\200\003", "is a Python pickle, which executes code when read; convert the model to GGUF"),
    SIGNATURE("\200\004", "is a Python pickle, which executes code when read; convert the model to GGUF"),
    SIGNATURE("\200\005", "is a Python pickle, which executes code when read; convert the model to GGUF"),
    /* Their magic numbers were written as little-endian words: ggml, ggmf, ggjt, ggla. */
    SIGNATURE("lmgg", old_format),
    SIGNATURE("fmgg", old_format),
    SIGNATURE("tjgg", old_format),
    SIGNATURE("algg", "is a GGML LoRA adapter from before 2024; convert the adapter again to GGUF"),
    SIGNATURE("\037\213", packed),
    SIGNATURE("BZh", packed),
    SIGNATURE("\3757zXZ\0", packed),
    SIGNATURE("\050\265\057\375", packed),
    SIGNATURE("7z\274\257\047\034", packed),
};
#undef SIGNATURE

static bool is_safetensors(const uint8_t *data, size_t bytes) {
    /* u64 length of the JSON header, then the header; 100 MB is the format's own limit. */
    return bytes >= 9 && load_le64(data) >= 2 && load_le64(data) <= 100000000 && data[8] == '{';
}

static bool is_web_page(const uint8_t *data, size_t bytes) {
    static const char *const starts[] = { "<!doctype", "<html", "<?xml" };
    size_t i = bytes >= 3 && memcmp(data, "\357\273\277", 3) == 0 ? 3 : 0;
    while (i < bytes && (data[i] == ' ' || data[i] == '\t' || data[i] == '\r' || data[i] == '\n'))
        i++;
    for (size_t k = 0; k < sizeof starts / sizeof *starts; k++) {
        size_t n = strlen(starts[k]);
        if (n <= bytes - i && strncasecmp((const char *)data + i, starts[k], n) == 0)
            return true;
    }
    return false;
}

static bool is_zero(const uint8_t *data, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (data[i])
            return false;
    return true;
}

static bool is_text(const uint8_t *data, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (data[i] == 0x7f || (data[i] < 0x20 && (data[i] < '\t' || data[i] > '\r')))
            return false;
    return true;
}

static const char *identify(const uint8_t *data, size_t bytes) {
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
        if (signatures[i].n <= bytes && memcmp(data, signatures[i].bytes, signatures[i].n) == 0)
            return signatures[i].what;
    if (is_safetensors(data, bytes))
        return "is a safetensors file; convert the model to GGUF first";
    if (is_web_page(data, bytes))
        return "is a web page that was saved in place of the model; download it again";
    size_t seen = bytes < 512 ? bytes : 512;
    if (is_zero(data, seen))
        return "begins with zeros: its content never arrived; download it again";
    if (is_text(data, seen))
        return "is a text file, a GGUF file is needed";
    return NULL;
}

enum quern_status gguf_fail_not_gguf(const char *path, const uint8_t *data, size_t bytes,
                                     struct quern_error *err) {
    const char *what = identify(data, bytes);
    if (what)
        return fail(err, QUERN_FORMAT, "%s: %s", path, what);
    uint8_t first[4] = { 0 };
    memcpy(first, data, bytes < 4 ? bytes : 4);
    return fail(err, QUERN_FORMAT,
                "%s: is not a GGUF file: it begins with %02x %02x %02x %02x, not with "
                "47 47 55 46 (\"GGUF\")",
                path, first[0], first[1], first[2], first[3]);
}
