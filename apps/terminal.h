/* terminal.h - what stdout and stderr are connected to, and writing the product.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_TERMINAL_H
#define QUERN_APPS_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Columns to wrap text at: the variable COLUMNS, else the terminal's width, else 80; 20..100. */
size_t terminal_columns(void);

bool stdin_is_terminal(void);
bool stderr_is_terminal(void);

/* Bytes to stdout, at once. False, after a line that says why, if they could not be written. A closed pipe is
 * no news to the reader who closed it: then false without a line. */
bool print_now(const char *bytes, size_t n);

/* At the end of main: what is still buffered goes out. Returns status; if that is 0 and something could not
 * be written, 1, after a line as print_now() says it. */
int close_stdout(int status);

#endif
