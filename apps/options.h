/* options.h - the one way the flags of a subcommand are declared.
 * SPDX-License-Identifier: MIT
 * A row says a flag's names, kind, range, default and help, and where its value goes: an offset into the
 * command's settings. Rows that several commands share stand in a group of their own (settings.h), whose
 * offset is that of a sub-struct. Parsing, range checks, suggestions and the help text read the same
 * rows, so none of them can disagree. */
#ifndef QUERN_APPS_OPTIONS_H
#define QUERN_APPS_OPTIONS_H

#include "formats/status.h"

#include <stdio.h>

enum option_kind {
    OPTION_FLAG,    /* bool: --name, --name=on, --name=off, or one of off_names */
    OPTION_INTEGER, /* int64_t in [min, max] */
    OPTION_REAL,    /* double in [min, max] */
    OPTION_TEXT,    /* const char *, points into argv; NULL when not given */
    OPTION_CHOICE,  /* int: index of the word in choices */
    OPTION_KINDS,
};

enum { OPTION_NAMES = 4 };

struct option {
    const char *names[OPTION_NAMES]; /* the short one first; one without a dash is a positional argument */
    const char *off_names[OPTION_NAMES]; /* of a flag: names that switch it off */
    enum option_kind kind;
    bool required;
    size_t offset;       /* of the value, in the group's struct */
    const char *metavar; /* what stands for the value in the help */
    double min, max;     /* whole numbers for OPTION_INTEGER; both below 2^53, so a double holds them */
    double initial;      /* default of a flag (0 or 1), number or choice */
    const char *const *choices; /* ended by NULL */
    const char *help;           /* without default and range: those are added */
};

struct option_group {
    const char *title; /* heading in the help */
    const struct option *options;
    size_t n_options;
    size_t offset; /* of the options' struct in the command's settings */
};

/* Store all defaults, then what argv [argc] says; a flag given twice counts the last time. *help: -h or
 * --help was among the arguments; the rest is then unchecked. Errors: QUERN_RANGE, a line that names the
 * flag, what was found and what is allowed. */
enum quern_status options_parse(const struct option_group *groups, size_t n_groups, int argc, char **argv,
                                void *settings, bool *help, struct quern_error *err);

/* All groups, as text of that many columns. */
void options_print(FILE *out, const struct option_group *groups, size_t n_groups, size_t columns);

/* Text wrapped at columns; a line that begins with a space is printed as it is. first: the column at which
 * the cursor stands; indent: that of the lines after. Ends with a newline. */
void print_wrapped(FILE *out, const char *text, size_t first, size_t indent, size_t columns);

#endif
