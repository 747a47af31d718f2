/* fuzz_gguf.c - any bytes as a GGUF file: opened or refused, and all readable if opened.
 * SPDX-License-Identifier: MIT */
#include "tests/formats/gguf_walk.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

/* A refusal is one line that begins with the file's name. */
static void check_error(enum quern_status status, const struct quern_error *err) {
    if (err->status != status || strncmp(err->text, "fuzz: ", 6) != 0)
        abort();
    for (const char *p = err->text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    struct gguf *g = NULL;
    struct quern_error err;
    enum quern_status status = gguf_open_memory(data, bytes, "fuzz", &g, &err);
    if (status)
        check_error(status, &err);
    else
        gguf_walk(g);
    gguf_close(g);
    return 0;
}
