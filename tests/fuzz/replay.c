/* replay.c - feeds every file of a folder to a fuzz target.
 * SPDX-License-Identifier: MIT
 * Usage: TARGET FOLDER. Names are printed before a file is used, so the last one is the one that fails.
 * Buffers end where the file ends, so that a sanitizer sees a read past it. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void replay(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END)) {
        perror(path);
        exit(1);
    }
    size_t bytes = (size_t)ftell(f);
    uint8_t *data = malloc(bytes ? bytes : 1);
    rewind(f);
    if (!data || fread(data, 1, bytes, f) != bytes) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(1);
    }
    fclose(f);
    LLVMFuzzerTestOneInput(data, bytes);
    free(data);
}

int main(int argc, char **argv) {
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (!dir) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    size_t n = 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        puts(entry->d_name);
        fflush(stdout);
        replay(path);
        n++;
    }
    closedir(dir);
    printf("%zu inputs\n", n);
    return n == 0; /* a corpus that is not there tests nothing */
}
