/* messages.c - what quern says on stderr, one line each.
 * SPDX-License-Identifier: MIT */
#include "apps/messages.h"
#include "apps/signals.h"

#include <stdarg.h>
#include <stdio.h>

void complain(const char *format, ...) {
    char text[sizeof((struct quern_error *)0)->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct quern_error line;
    fail(&line, QUERN_IO, "%s", text); /* for what it does to control characters */
    fprintf(stderr, "quern: %s\n", line.text);
}

int complain_error(const struct quern_error *err) {
    if (err->status == QUERN_INTERRUPTED) {
        complain("interrupted");
        return EXIT_SIGNALLED + interrupt_signal();
    }
    complain("%s", err->text);
    return err->status == QUERN_CONTEXT ? EXIT_CONTEXT : EXIT_FAILED;
}

void print_note(void *user, const char *text) {
    const bool *quiet = user;
    if (!*quiet)
        complain("note: %s", text);
}

const char *size_text(uint64_t bytes, char text[SIZE_TEXT]) {
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    size_t unit = 0;
    double v = (double)bytes;
    for (; v >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        v /= 1024;
    snprintf(text, SIZE_TEXT, unit ? "%.1f %s" : "%.0f %s", v, units[unit]);
    return text;
}
