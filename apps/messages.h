/* messages.h - what quern says on stderr, one line each.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_MESSAGES_H
#define QUERN_APPS_MESSAGES_H

#include "apps/command.h"

/* "quern: " and the line; control characters become '?'. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The line of a failure. Returns the exit status that belongs to it. */
int complain_error(const struct quern_error *err);

/* complain() with "note: " in front. The form that the callbacks of the library take: user points at the
 * bool `quiet`, which silences it. */
void print_note(void *user, const char *text);

/* "7.6 MiB", into text; returns text. */
enum { SIZE_TEXT = 32 };
const char *size_text(uint64_t bytes, char text[SIZE_TEXT]);

#endif
