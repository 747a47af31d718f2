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

/* Bytes to stdout, at once. False if they could not be written; stdout then keeps its error flag, and
 * close_stdout() says so at the end. */
bool print_now(const char *bytes, size_t n);

/* At the end of main: what is still buffered goes out. status, or 1 after a line about a failed write. A
 * closed pipe is no news to the reader who closed it: then 1 without a line. */
int close_stdout(int status);

#endif
