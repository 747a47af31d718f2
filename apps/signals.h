/* signals.h - Ctrl-C, and files that shrink while they are mapped.
 * SPDX-License-Identifier: MIT
 * signals.c holds the only mutable file-scope state of quern: a signal handler can reach nothing else. */
#ifndef QUERN_APPS_SIGNALS_H
#define QUERN_APPS_SIGNALS_H

#include <stdbool.h>

/* A write beyond the limit on a file's size (ulimit -f) fails like one to a full disk, instead of killing. */
void file_limit_catch(void);

/* From here on the first SIGINT or SIGTERM is only remembered, so that work can stop in good order; the
 * second of the same kind ends the program at once. */
void interrupt_catch(void);

/* Whether one came; user is ignored. The form of struct quern_session_options.interrupt. */
bool interrupted(void *user);

/* Its number; SIGINT's when none came. */
int interrupt_signal(void);

/* Name the file whose mapping a SIGBUS will concern: reading a page that another program has cut off ends
 * with one line and status 1. path must live as long as the process. */
void mapped_file_watch(const char *path);

/* Name the temporary file of an unfinished output: it is removed if a second Ctrl-C or a lost page ends the
 * program. Finishing or removing the file needs no call: its name is then gone. A path of 4096 bytes or more
 * is not watched. */
void unfinished_file_watch(const char *path);

#endif
