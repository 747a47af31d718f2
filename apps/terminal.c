/* terminal.c - what stdout and stderr are connected to, and writing the product.
 * SPDX-License-Identifier: MIT */
#include "apps/terminal.h"
#include "apps/messages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

size_t terminal_columns(void) {
    enum { PIPED = 80, LEAST = 20, MOST = 100 }; /* longer lines are hard to read */
    const char *variable = getenv("COLUMNS");
    long columns = variable ? strtol(variable, NULL, 10) : 0;
    struct winsize size;
    if (columns <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        columns = size.ws_col;
    if (columns <= 0)
        return PIPED;
    return columns < LEAST ? LEAST : columns > MOST ? MOST : (size_t)columns;
}

bool stdin_is_terminal(void) { return isatty(STDIN_FILENO); }

bool stderr_is_terminal(void) { return isatty(STDERR_FILENO); }

static void complain_write(int reason) {
    if (reason != EPIPE)
        complain("standard output: %s", reason ? strerror(reason) : "a write failed");
}

bool print_now(const char *bytes, size_t n) {
    errno = 0;
    if (fwrite(bytes, 1, n, stdout) == n && !fflush(stdout))
        return true;
    complain_write(errno);
    return false;
}

int close_stdout(int status) {
    bool failed = ferror(stdout);
    errno = 0;
    if (fclose(stdout))
        failed = true;
    if (failed && status == EXIT_DONE)
        complain_write(errno);
    return failed && status == EXIT_DONE ? EXIT_FAILED : status;
}
