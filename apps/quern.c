/* quern.c - the quern command: its subcommands, help and version.
 * SPDX-License-Identifier: MIT */
#include "apps/command.h"
#include "apps/messages.h"
#include "apps/signals.h"
#include "apps/terminal.h"
#include "engine/quern.h"
#include "formats/nearest.h"

#include <stdlib.h>

static const struct command *const commands[] = {
    &command_complete, &command_tokenize, &command_logits,
    &command_inspect,  &command_quantize, &command_bench,
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const struct command *find_command(const char *name) {
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

static int unknown_command(const char *name) {
    const char *names[N_COMMANDS + 1] = { "help" };
    for (size_t i = 0; i < N_COMMANDS; i++)
        names[i + 1] = commands[i]->name;
    const char *meant = nearest_name(name, names, N_COMMANDS + 1);
    const char *kind = name[0] == '-' ? "option" : "command";
    if (meant)
        complain("unknown %s '%s'; did you mean '%s'? (quern --help lists all)", kind, name, meant);
    else
        complain("unknown %s '%s'; quern --help lists those that exist", kind, name);
    return EXIT_USAGE;
}

static void print_general_help(FILE *out) {
    enum { LEFT = 14 };
    size_t columns = terminal_columns();
    print_wrapped(out, "quern runs quantized language models on the CPU, from one GGUF file.", 0, 0, columns);
    fprintf(out, "\nUsage: quern COMMAND [OPTION]...\n\nCommands\n");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        int width = fprintf(out, "  %s", commands[i]->name);
        fprintf(out, "%*s", LEFT - width, "");
        print_wrapped(out, commands[i]->summary, LEFT, LEFT, columns);
    }
    fputc('\n', out);
    print_wrapped(out,
                  "quern COMMAND --help tells a command's options, quern --version the version and the "
                  "instruction sets that this CPU can use.\n"
                  "\n"
                  "The product goes to standard output, everything else to standard error. Exit status: 0 "
                  "done, 1 failed, 2 wrong usage, 3 the prompt does not fit the context, 130 interrupted.\n"
                  "\n"
                  "Example:\n"
                  "  quern complete -p \"The old man walked\"",
                  0, 0, columns);
}

static void print_command_help(const struct command *c) {
    size_t columns = terminal_columns();
    printf("Usage: ");
    char usage[300];
    snprintf(usage, sizeof usage, "quern %s %s", c->name, c->usage);
    print_wrapped(stdout, usage, 7, 7, columns);
    fputc('\n', stdout);
    print_wrapped(stdout, c->description, 0, 0, columns);
    options_print(stdout, c->groups, c->n_groups, columns);
}

static void print_version(void) {
    printf("quern %s\ninstruction sets:", quern_version());
    for (size_t i = 0; quern_isa_name(i); i++)
        printf("%s %s%s", i ? "," : "", quern_isa_name(i),
               quern_isa_usable(quern_isa_name(i)) ? "" : " (not on this CPU)");
    printf("\n");
}

static int run_command(const struct command *c, int argc, char **argv) {
    struct quern_error err;
    bool help;
    void *settings = calloc(1, c->settings_bytes);
    if (!settings) {
        fail_memory(&err, c->settings_bytes);
        return complain_error(&err);
    }
    int status = EXIT_DONE;
    if (options_parse(c->groups, c->n_groups, argc, argv, settings, &help, &err)) {
        complain("%s: %s", c->name, err.text);
        status = EXIT_USAGE;
    } else if (help) {
        print_command_help(c);
    } else if (c->check && c->check(settings, &err)) {
        complain("%s: %s", c->name, err.text);
        status = EXIT_USAGE;
    } else {
        status = c->run(settings);
    }
    free(settings);
    return status;
}

static int run_help(const char *name) {
    const struct command *c = name ? find_command(name) : NULL;
    if (name && !c)
        return unknown_command(name);
    if (c)
        print_command_help(c);
    else
        print_general_help(stdout);
    return EXIT_DONE;
}

static int run(int argc, char **argv) {
    if (argc < 2) {
        print_general_help(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "help") || !strcmp(name, "--help") || !strcmp(name, "-h"))
        return run_help(argc > 2 ? argv[2] : NULL);
    if (!strcmp(name, "--version") || !strcmp(name, "-V") || !strcmp(name, "version")) {
        print_version();
        return EXIT_DONE;
    }
    const struct command *c = find_command(name);
    return c ? run_command(c, argc - 2, argv + 2) : unknown_command(name);
}

int main(int argc, char **argv) {
    file_limit_catch();
    return close_stdout(run(argc, argv));
}
