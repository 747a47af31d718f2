/* command.h - what a subcommand of quern is.
 * SPDX-License-Identifier: MIT
 * A subcommand is a file that defines one struct command and a row in the table of quern.c. Its options
 * are tables too (options.h), so that parsing, checks and help come from the same rows. */
#ifndef QUERN_APPS_COMMAND_H
#define QUERN_APPS_COMMAND_H

#include "apps/options.h"

enum exit_status {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_CONTEXT = 3,     /* the prompt does not fit the context */
    EXIT_SIGNALLED = 128, /* plus the number of the signal: 130 for Ctrl-C */
};

struct command {
    const char *name;
    const char *summary;     /* one line, for the list of commands */
    const char *usage;       /* what follows the name */
    const char *description; /* paragraphs for the help, separated by newlines; a line that begins with a
                              * space (an example) is printed as it is */
    const struct option_group *groups;
    size_t n_groups;
    size_t settings_bytes; /* of the struct that the groups' offsets refer to */
    /* What single rows cannot say, such as two flags that exclude each other; may be NULL. Errors are wrong
     * usage. */
    enum quern_status (*check)(const void *settings, struct quern_error *err);
    /* settings: parsed and in range. Returns an exit status. */
    int (*run)(const void *settings);
};

extern const struct command command_complete, command_tokenize, command_logits, command_inspect,
    command_quantize, command_bench;

#endif
