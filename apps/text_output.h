/* text_output.h - showing text that came from a file or a model on one line.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_TEXT_OUTPUT_H
#define QUERN_APPS_TEXT_OUTPUT_H

#include <stddef.h>

/* Print to stdout, at most max_bytes of it and then "..."; control characters and bytes that are no UTF-8
 * as \n, \t, \xHH, so that they can neither break the line nor move the cursor. */
void print_escaped(const char *text, size_t n, size_t max_bytes);

#endif
