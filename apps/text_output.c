/* text_output.c - showing text that came from a file or a model on one line.
 * SPDX-License-Identifier: MIT */
#include "apps/text_output.h"
#include "tokenizer/utf8.h"

#include <stdio.h>

void print_escaped(const char *text, size_t n, size_t max_bytes) {
    for (size_t i = 0; i < n;) {
        if (i >= max_bytes) {
            fputs("...", stdout);
            return;
        }
        uint32_t code;
        size_t length = utf8_decode(text + i, n - i, &code);
        unsigned char c = (unsigned char)text[i];
        if (c == '\n')
            fputs("\\n", stdout);
        else if (c == '\t')
            fputs("\\t", stdout);
        else if (length == 0 || c < 0x20 || c == 0x7f)
            printf("\\x%02X", c);
        else
            fwrite(text + i, 1, length, stdout);
        i += length ? length : 1;
    }
}
