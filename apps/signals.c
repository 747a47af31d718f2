/* signals.c - Ctrl-C, and files that shrink while they are mapped.
 * SPDX-License-Identifier: MIT */
#include "apps/signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t caught; /* number of the signal that asked to stop; 0: none */
static const char *volatile mapped_path;
static char unfinished_path[4096];               /* empty: no unfinished output */
static atomic_flag is_ending = ATOMIC_FLAG_INIT; /* a thread is telling about a lost page */

void file_limit_catch(void) { signal(SIGXFSZ, SIG_IGN); }

/* Handlers call only what is safe in one: unlink(), write(), signal(), raise(), _exit(). */
static void remove_unfinished(void) {
    if (unfinished_path[0])
        unlink(unfinished_path);
}

/* If stopping in good order hangs, the second signal still ends the program, with the status of one. */
static void remember(int signal_number) {
    if (caught) {
        remove_unfinished();
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
    caught = signal_number;
}

void interrupt_catch(void) {
    struct sigaction action = { .sa_handler = remember, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupted(void *user) {
    (void)user;
    return caught != 0;
}

int interrupt_signal(void) { return caught ? caught : SIGINT; }

static void write_text(const char *text) {
    size_t left = strlen(text);
    while (left) {
        ssize_t n = write(STDERR_FILENO, text, left);
        if (n <= 0)
            return;
        text += n;
        left -= (size_t)n;
    }
}

/* The signal comes in the middle of any read of the mapping. Several threads may meet it at once; the first
 * one speaks. */
static void end_on_lost_page(int signal_number) {
    (void)signal_number;
    while (atomic_flag_test_and_set(&is_ending))
        pause();
    remove_unfinished();
    write_text("quern: ");
    write_text(mapped_path);
    write_text(": was changed while in use\n");
    _exit(1);
}

void mapped_file_watch(const char *path) {
    mapped_path = path;
    struct sigaction action = { .sa_handler = end_on_lost_page };
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

void unfinished_file_watch(const char *path) {
    size_t bytes = strlen(path) + 1;
    if (bytes <= sizeof unfinished_path)
        memcpy(unfinished_path, path, bytes);
}
