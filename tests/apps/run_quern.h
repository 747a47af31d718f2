/* run_quern.h - runs the quern command and collects what it says.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_TESTS_APPS_RUN_QUERN_H
#define QUERN_TESTS_APPS_RUN_QUERN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { MAX_ARGS = 24, MAX_ENV = 4 };

/* A run: arguments after the program's name, what stdin holds, variables as NAME=VALUE. */
struct run {
    const char *args[MAX_ARGS];
    const char *input; /* [input_bytes], or a string if that is 0; NULL: nothing */
    size_t input_bytes;
    const char *env[MAX_ENV];
    size_t file_limit; /* bytes a file may have; 0: no limit */
    bool pipes;        /* start_quern(): stdin and stdout are pipes */
};

struct result {
    int status;      /* exit status, or 128 and the signal that ended it */
    char *out, *err; /* [out_bytes], [err_bytes], with a zero behind; free_result() */
    size_t out_bytes, err_bytes;
};

/* Run to its end. Variables that would change what quern does are removed first. */
struct result run_quern(const struct run *run);
void free_result(struct result *r);

/* The same in two steps. With run->pipes, in is the end to write stdin to (the caller closes it) and out
 * that to read stdout from; end_quern() reads what is left there. */
struct child {
    pid_t pid;
    int in, out, out_file, err_file;
};

struct child start_quern(const struct run *run);
struct result end_quern(struct child *child);

/* The run's status; says output and messages if it is another. */
#define assert_status(result, wanted) check_status(&(result), (wanted), __FILE__, __LINE__)
void check_status(const struct result *r, int wanted, const char *file, int line);

/* Both fail the test, showing the text, unless it holds the part. */
#define assert_contains(text, part) check_contains((text), (part), __FILE__, __LINE__)
void check_contains(const char *text, const char *part, const char *file, int line);

/* stdout as JSON; json_decref() it. */
json_t *result_json(const struct result *r);

/* stderr is one line that begins with "quern: ". */
bool is_one_line(const char *text);

/* The bundled model. */
const char *bundled_model(void);

#endif
