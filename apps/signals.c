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
static atomic_flag is_ending = ATOMIC_FLAG_INIT; /* a thread is telling about a lost page */

void file_limit_catch(void) { signal(SIGXFSZ, SIG_IGN); }

static void remember(int signal_number) { caught = signal_number; }

void interrupt_catch(void) {
    /* Reset after the first: if stopping in good order hangs, the second Ctrl-C still ends the program. */
    struct sigaction action = { .sa_handler = remember, .sa_flags = (int)SA_RESETHAND | SA_RESTART };
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

/* Only async-signal-safe calls: the signal comes in the middle of any read of the mapping. Several threads
 * may meet it at once; the first one speaks. */
static void end_on_lost_page(int signal_number) {
    (void)signal_number;
    while (atomic_flag_test_and_set(&is_ending))
        pause();
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
