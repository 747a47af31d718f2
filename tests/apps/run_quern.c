/* run_quern.c - runs the quern command and collects what it says.
 * SPDX-License-Identifier: MIT */
#include "tests/apps/run_quern.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* An unlinked file that holds text [n]. */
static int file_of(const char *text, size_t n) {
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_true(n == 0 || fwrite(text, 1, n, f) == n);
    assert_int_equal(fflush(f), 0);
    int fd = dup(fileno(f));
    fclose(f);
    assert_true(fd >= 0);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static char *contents(int fd, size_t *bytes) {
    off_t n = lseek(fd, 0, SEEK_END);
    assert_true(n >= 0);
    char *text = malloc((size_t)n + 1);
    assert_non_null(text);
    assert_int_equal(pread(fd, text, (size_t)n, 0), n);
    text[n] = 0;
    *bytes = (size_t)n;
    close(fd);
    return text;
}

static void execute(const struct run *run) {
    char *args[MAX_ARGS + 2] = { (char *)(uintptr_t)QUERN_BINARY };
    for (size_t i = 0; i < MAX_ARGS && run->args[i]; i++)
        args[i + 1] = (char *)(uintptr_t)run->args[i];
    unsetenv("QUERN_ISA");
    unsetenv("QUERN_THREADS");
    unsetenv("COLUMNS");
    for (size_t i = 0; i < MAX_ENV && run->env[i]; i++)
        putenv((char *)(uintptr_t)run->env[i]);
    if (run->file_limit) {
        struct rlimit limit = { run->file_limit, run->file_limit };
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    signal(SIGPIPE, SIG_DFL);
    execv(QUERN_BINARY, args);
    perror(QUERN_BINARY);
    _exit(127);
}

struct child start_quern(const struct run *run) {
    struct child child = { .in = -1, .out = -1, .out_file = -1 };
    int in[2] = { -1, -1 }, out[2] = { -1, -1 };
    size_t n = run->input_bytes ? run->input_bytes : run->input ? strlen(run->input) : 0;
    if (run->pipes) {
        assert_int_equal(pipe(in) | pipe(out), 0);
    } else {
        in[0] = file_of(run->input, n);
        out[1] = child.out_file = file_of("", 0);
    }
    child.err_file = file_of("", 0);
    fflush(NULL);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        dup2(child.err_file, STDERR_FILENO);
        if (run->pipes)
            close(in[0]), close(in[1]), close(out[0]), close(out[1]);
        execute(run);
    }
    close(in[0]);
    if (run->pipes) {
        close(out[1]);
        child.in = in[1];
        child.out = out[0];
    }
    return child;
}

struct result end_quern(struct child *child) {
    struct result r = { 0 };
    if (child->out >= 0) {
        enum { ROOM = 1 << 20 };
        r.out = malloc(ROOM);
        assert_non_null(r.out);
        ssize_t n;
        while ((n = read(child->out, r.out + r.out_bytes, ROOM - 1 - r.out_bytes)) > 0)
            r.out_bytes += (size_t)n;
        r.out[r.out_bytes] = 0;
        close(child->out);
    }
    int status;
    while (waitpid(child->pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    r.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (child->out_file >= 0)
        r.out = contents(child->out_file, &r.out_bytes);
    r.err = contents(child->err_file, &r.err_bytes);
    return r;
}

struct result run_quern(const struct run *run) {
    struct child child = start_quern(run);
    return end_quern(&child);
}

void free_result(struct result *r) {
    free(r->out);
    free(r->err);
    *r = (struct result){ 0 };
}

void check_status(const struct result *r, int wanted, const char *file, int line) {
    if (r->status == wanted)
        return;
    print_error("status %d, expected %d; stdout:\n%.2000s\nstderr:\n%s\n", r->status, wanted, r->out, r->err);
    _fail(file, line);
}

void check_contains(const char *text, const char *part, const char *file, int line) {
    if (strstr(text, part))
        return;
    print_error("'%s' is not in:\n%.4000s\n", part, text);
    _fail(file, line);
}

json_t *result_json(const struct result *r) {
    json_error_t at;
    json_t *json = json_loadb(r->out, r->out_bytes, 0, &at);
    if (!json)
        print_error("line %d: %s, in:\n%.2000s\n", at.line, at.text, r->out);
    assert_non_null(json);
    return json;
}

bool is_one_line(const char *text) {
    const char *end = strchr(text, '\n');
    return !strncmp(text, "quern: ", 7) && end && !end[1];
}

const char *bundled_model(void) { return QUERN_SOURCE_DIR "/models/bundled/books-7m-q8_0.gguf"; }
