/* options.c - parsing of flags and their help text, both from the table of rows.
 * SPDX-License-Identifier: MIT */
#include "apps/options.h"
#include "formats/nearest.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* ---- Names ---- */

/* Whether one of names is name [bytes]. */
static bool has_name(const char *const names[OPTION_NAMES], const char *name, size_t bytes) {
    for (size_t i = 0; i < OPTION_NAMES && names[i]; i++)
        if (strlen(names[i]) == bytes && !memcmp(names[i], name, bytes))
            return true;
    return false;
}

/* The name without a dash of a positional argument; NULL if the option is none. */
static const char *positional_name(const struct option *o) {
    for (size_t i = 0; i < OPTION_NAMES && o->names[i]; i++)
        if (o->names[i][0] != '-')
            return o->names[i];
    return NULL;
}

/* ---- Values ---- */

static enum quern_status fail_value(const struct option *o, const char *name, const char *value,
                                    const char *wrong, struct quern_error *err) {
    return fail(err, QUERN_RANGE, "%s: '%s' %s (allowed: %.15g..%.15g)", name, value, wrong, o->min, o->max);
}

static enum quern_status store_integer(const struct option *o, const char *name, const char *value,
                                       void *where, struct quern_error *err) {
    char *end;
    errno = 0;
    long long v = strtoll(value, &end, 10);
    if (end == value || *end)
        return fail_value(o, name, value, "is not a whole number", err);
    if (errno || (double)v < o->min || (double)v > o->max)
        return fail_value(o, name, value, "is out of range", err);
    *(int64_t *)where = v;
    return QUERN_OK;
}

static enum quern_status store_real(const struct option *o, const char *name, const char *value, void *where,
                                    struct quern_error *err) {
    char *end;
    double v = strtod(value, &end);
    if (end == value || *end || isnan(v))
        return fail_value(o, name, value, "is not a number", err);
    if (!(v >= o->min && v <= o->max))
        return fail_value(o, name, value, "is out of range", err);
    *(double *)where = v;
    return QUERN_OK;
}

static enum quern_status store_text(const struct option *o, const char *name, const char *value, void *where,
                                    struct quern_error *err) {
    (void)o, (void)name, (void)err;
    *(const char **)where = value;
    return QUERN_OK;
}

static enum quern_status store_choice(const struct option *o, const char *name, const char *value,
                                      void *where, struct quern_error *err) {
    char list[200] = "";
    for (int i = 0; o->choices[i]; i++) {
        if (!strcmp(value, o->choices[i])) {
            *(int *)where = i;
            return QUERN_OK;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", o->choices[i]);
    }
    return fail(err, QUERN_RANGE, "%s: '%s' is not known (allowed: %s)", name, value, list);
}

static enum quern_status store_flag(const struct option *o, const char *name, const char *value, void *where,
                                    struct quern_error *err) {
    (void)o;
    bool on = !strcmp(value, "on");
    if (!on && strcmp(value, "off"))
        return fail(err, QUERN_RANGE, "%s: '%s' is not known (allowed: on, off)", name, value);
    *(bool *)where = on;
    return QUERN_OK;
}

typedef enum quern_status store_value(const struct option *o, const char *name, const char *value,
                                      void *where, struct quern_error *err);

static store_value *const stores[OPTION_KINDS] = {
    [OPTION_FLAG] = store_flag, [OPTION_INTEGER] = store_integer, [OPTION_REAL] = store_real,
    [OPTION_TEXT] = store_text, [OPTION_CHOICE] = store_choice,
};

static void store_default(const struct option *o, void *where) {
    if (o->kind == OPTION_FLAG)
        *(bool *)where = o->initial != 0;
    else if (o->kind == OPTION_INTEGER)
        *(int64_t *)where = (int64_t)o->initial;
    else if (o->kind == OPTION_REAL)
        *(double *)where = o->initial;
    else if (o->kind == OPTION_TEXT)
        *(const char **)where = NULL;
    else
        *(int *)where = (int)o->initial;
}

/* ---- Parsing ---- */

enum { MAX_OPTIONS = 64 }; /* of one command: a bit each in parser.given */

struct parser {
    const struct option_group *groups;
    size_t n_groups;
    uint8_t *settings;
    int argc;
    char **argv;
    int i; /* the argument being looked at */
    uint64_t given;
};

/* Walk all options: *i from 0, false past the last. */
static bool next_option(const struct parser *p, size_t *i, const struct option **o, void **where) {
    size_t first = 0;
    for (size_t g = 0; g < p->n_groups; first += p->groups[g++].n_options) {
        if (*i - first >= p->groups[g].n_options)
            continue;
        *o = &p->groups[g].options[*i - first];
        *where = p->settings + p->groups[g].offset + (*o)->offset;
        assert(*i < MAX_OPTIONS);
        ++*i;
        return true;
    }
    return false;
}

static enum quern_status fail_unknown(const struct parser *p, const char *name, struct quern_error *err) {
    const char *known[2 * MAX_OPTIONS * OPTION_NAMES];
    size_t n_known = 0;
    const struct option *o;
    void *where;
    for (size_t i = 0; next_option(p, &i, &o, &where);) {
        for (size_t k = 0; k < OPTION_NAMES; k++) {
            if (o->names[k] && o->names[k][0] == '-')
                known[n_known++] = o->names[k];
            if (o->off_names[k])
                known[n_known++] = o->off_names[k];
        }
    }
    const char *meant = nearest_name(name, known, n_known);
    if (!meant)
        return fail(err, QUERN_RANGE, "unknown option '%s'; --help lists those that exist", name);
    return fail(err, QUERN_RANGE, "unknown option '%s'; did you mean '%s'? (--help lists all)", name, meant);
}

/* The value of option o as named in the current argument, which is name [name_bytes] with "=value" after it
 * when value is not NULL. Takes the next argument where one is needed. */
static enum quern_status parse_value(struct parser *p, const struct option *o, bool off, const char *name,
                                     const char *value, void *where, struct quern_error *err) {
    if (o->kind == OPTION_FLAG) {
        if (off && value)
            return fail(err, QUERN_RANGE, "%s takes no value, found '%s'", name, value);
        return store_flag(o, name, value ? value : off ? "off" : "on", where, err);
    }
    if (!value) {
        if (p->i + 1 >= p->argc)
            return fail(err, QUERN_RANGE, "%s needs a value: %s %s", name, name, o->metavar);
        value = p->argv[++p->i];
    }
    return stores[o->kind](o, name, value, where, err);
}

static enum quern_status parse_named(struct parser *p, struct quern_error *err) {
    const char *argument = p->argv[p->i], *equals = strchr(argument, '=');
    size_t name_bytes = equals ? (size_t)(equals - argument) : strlen(argument);
    char name[100]; /* longer than any that exists; the rest of a wrong one is not missed */
    snprintf(name, sizeof name, "%.*s", (int)(name_bytes < sizeof name ? name_bytes : sizeof name), argument);
    const struct option *o;
    void *where;
    for (size_t i = 0; next_option(p, &i, &o, &where);) {
        bool off = has_name(o->off_names, argument, name_bytes);
        if (!off && !has_name(o->names, argument, name_bytes))
            continue;
        p->given |= (uint64_t)1 << (i - 1);
        return parse_value(p, o, off, name, equals ? equals + 1 : NULL, where, err);
    }
    return fail_unknown(p, name, err);
}

static enum quern_status parse_positional(struct parser *p, struct quern_error *err) {
    const struct option *o;
    void *where;
    for (size_t i = 0; next_option(p, &i, &o, &where);) {
        const char *name = positional_name(o);
        uint64_t bit = (uint64_t)1 << (i - 1);
        if (!name || (p->given & bit))
            continue;
        p->given |= bit;
        return stores[o->kind](o, name, p->argv[p->i], where, err);
    }
    return fail(err, QUERN_RANGE, "unexpected argument '%s'; --help shows what is taken", p->argv[p->i]);
}

static enum quern_status check_required(const struct parser *p, struct quern_error *err) {
    const struct option *o;
    void *where;
    for (size_t i = 0; next_option(p, &i, &o, &where);)
        if (o->required && !(p->given & (uint64_t)1 << (i - 1)))
            return fail(err, QUERN_RANGE, "%s is missing; --help shows what is needed", o->names[0]);
    return QUERN_OK;
}

enum quern_status options_parse(const struct option_group *groups, size_t n_groups, int argc, char **argv,
                                void *settings, bool *help, struct quern_error *err) {
    struct parser p = { groups, n_groups, settings, argc, argv, 0, 0 };
    const struct option *o;
    void *where;
    for (size_t i = 0; next_option(&p, &i, &o, &where);)
        store_default(o, where);
    *help = false;
    bool only_positionals = false;
    for (; p.i < argc; p.i++) {
        const char *argument = argv[p.i];
        enum quern_status st = QUERN_OK;
        if (only_positionals || argument[0] != '-' || !argument[1])
            st = parse_positional(&p, err);
        else if (!strcmp(argument, "--"))
            only_positionals = true;
        else if (!strcmp(argument, "--help") || !strcmp(argument, "-h"))
            return *help = true, QUERN_OK;
        else
            st = parse_named(&p, err);
        if (st)
            return st;
    }
    return check_required(&p, err);
}

/* ---- Help ---- */

/* The words of one line [n]; the cursor stands at column. */
static void print_words(FILE *out, const char *line, size_t n, size_t column, size_t indent, size_t columns) {
    for (size_t i = 0; i < n;) {
        size_t word = 0;
        while (i + word < n && line[i + word] != ' ')
            word++;
        if (column > indent && column + 1 + word > columns) {
            fputc('\n', out);
            column = 0;
        }
        size_t space = column < indent ? indent - column : column > indent;
        fprintf(out, "%*s%.*s", (int)space, "", (int)word, line + i);
        column += space + word;
        i += word;
        while (i < n && line[i] == ' ')
            i++;
    }
}

void print_wrapped(FILE *out, const char *text, size_t first, size_t indent, size_t columns) {
    size_t column = first;
    while (*text) {
        size_t n = strcspn(text, "\n");
        if (*text == ' ')
            fprintf(out, "%.*s", (int)n, text);
        else
            print_words(out, text, n, column, indent, columns);
        fputc('\n', out);
        column = 0;
        text += n + (text[n] == '\n');
    }
}

/* "-n, --predict, --n-predict N", into text. */
static void option_heading(const struct option *o, char *text, size_t bytes) {
    size_t used = 0;
    text[0] = 0;
    for (size_t k = 0; k < 2 * OPTION_NAMES && used < bytes; k++) {
        const char *name = k < OPTION_NAMES ? o->names[k] : o->off_names[k - OPTION_NAMES];
        if (name)
            used += (size_t)snprintf(text + used, bytes - used, "%s%s", used ? ", " : "", name);
    }
    if (o->metavar && o->names[0][0] == '-' && used < bytes)
        snprintf(text + used, bytes - used, " %s", o->metavar);
}

/* The help with what the row says about default and range. */
static void option_details(const struct option *o, char *text, size_t bytes) {
    size_t used = (size_t)snprintf(text, bytes, "%s", o->help);
    if (used >= bytes)
        return;
    text += used, bytes -= used;
    if (o->kind == OPTION_FLAG && o->initial != 0) {
        snprintf(text, bytes, " (default on)");
    } else if (o->kind == OPTION_INTEGER || o->kind == OPTION_REAL) {
        if (o->max >= INT32_MAX) /* no limit that a reader of the help would meet */
            snprintf(text, bytes, " (default %.15g; at least %.15g)", o->initial, o->min);
        else
            snprintf(text, bytes, " (default %.15g; %.15g..%.15g)", o->initial, o->min, o->max);
    } else if (o->kind == OPTION_CHOICE) {
        used = (size_t)snprintf(text, bytes, " (default %s;", o->choices[(int)o->initial]);
        for (int i = 0; o->choices[i] && used < bytes; i++)
            used += (size_t)snprintf(text + used, bytes - used, " %s", o->choices[i]);
        if (used < bytes)
            snprintf(text + used, bytes - used, ")");
    }
}

/* Names in the left column, help in the right one; on a narrow terminal the help below the names. */
static void option_print(FILE *out, const struct option *o, size_t columns) {
    enum { LEFT = 28, NARROW = 64, NARROW_INDENT = 6 };
    char heading[120], details[600];
    option_heading(o, heading, sizeof heading);
    option_details(o, details, sizeof details);
    size_t indent = columns < NARROW ? NARROW_INDENT : LEFT;
    if (columns < NARROW) {
        fprintf(out, "  ");
        print_wrapped(out, heading, 2, 2, columns);
        print_wrapped(out, details, 0, indent, columns);
        return;
    }
    int width = fprintf(out, "  %s", heading);
    bool beside = width >= 0 && (size_t)width + 2 <= indent;
    if (!beside)
        fputc('\n', out);
    fprintf(out, "%*s", beside ? (int)indent - width : (int)indent, "");
    print_wrapped(out, details, indent, indent, columns);
}

void options_print(FILE *out, const struct option_group *groups, size_t n_groups, size_t columns) {
    for (size_t g = 0; g < n_groups; g++) {
        fprintf(out, "\n%s\n", groups[g].title);
        for (size_t i = 0; i < groups[g].n_options; i++)
            option_print(out, &groups[g].options[i], columns);
    }
}
