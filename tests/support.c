/* support.c - what the tests share.
 * SPDX-License-Identifier: MIT */
#ifndef _XOPEN_SOURCE
#    define _XOPEN_SOURCE 700 /* nftw */
#endif
#include "tests/support.h"

#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, PATHS = 16 };

static void __attribute__((noreturn, format(printf, 2, 3))) stop(int status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(status);
}

/* ---- Reference data ---- */

/* root/middle/relative if it exists. */
static const char *find_below(const char *root, const char *middle, const char *relative) {
    static char paths[PATHS][PATH_BYTES];
    static unsigned next;
    char *path = paths[next % PATHS];
    const int length = snprintf(path, PATH_BYTES, "%s/%s%s", root, middle, relative);
    if (length < 0 || length >= PATH_BYTES || access(path, R_OK))
        return NULL;
    next++;
    return path;
}

const char *support_data(const char *relative) {
    const char *shared = getenv("QUERN_SHARED");
    /* clang-format off */
    const struct {
        const char *root, *middle;
    } places[] = {
        { QUERN_SOURCE_DIR, "tests/data/" },
        { shared, "" },
        { shared, "golden/" },
        { QUERN_SOURCE_DIR, "../shared/" },
        { QUERN_SOURCE_DIR, "../shared/golden/" },
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *path = places[i].root ? find_below(places[i].root, places[i].middle, relative) : NULL;
        if (path)
            return path;
    }
    return NULL;
}

const char *support_require_shared(const char *relative) {
    const char *path = support_data(relative);
    if (path)
        return path;
    const char *ci = getenv("CI");
    const int is_failure = ci && !strcmp(ci, "true");
    stop(is_failure ? 1 : 77,
         "%s: reference data '%s' is missing; it is looked for in %s/tests/data, in the folder that "
         "QUERN_SHARED names (now %s) and in %s/../shared",
         is_failure ? "FAILED" : "SKIPPED", relative, QUERN_SOURCE_DIR,
         getenv("QUERN_SHARED") ? getenv("QUERN_SHARED") : "not set", QUERN_SOURCE_DIR);
}

/* ---- Files ---- */

uint8_t *support_read(const char *path, size_t *bytes) {
    FILE *f = path ? fopen(path, "rb") : NULL;
    if (!f || fseek(f, 0, SEEK_END))
        stop(1, "%s: %s", path ? path : "(missing file)", strerror(errno));
    const long size = ftell(f);
    uint8_t *data = size < 0 ? NULL : malloc((size_t)size + 1);
    rewind(f);
    if (!data || fread(data, 1, (size_t)size, f) != (size_t)size)
        stop(1, "%s: %s", path, strerror(errno));
    fclose(f);
    data[size] = 0;
    *bytes = (size_t)size;
    return data;
}

float *support_read_f32(const char *path, size_t *n) {
    size_t bytes;
    void *data = support_read(path, &bytes);
    if (bytes % sizeof(float))
        stop(1, "%s: %zu bytes are not a whole number of floats", path, bytes);
    *n = bytes / sizeof(float);
    return data;
}

void support_write(const char *path, const void *data, size_t bytes) {
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f))
        stop(1, "%s: %s", path, strerror(errno));
}

json_t *support_read_json(const char *path) {
    json_error_t error;
    json_t *json = json_load_file(path ? path : "(missing file)", 0, &error);
    if (!json)
        stop(1, "%s:%d: %s", error.source, error.line, error.text);
    return json;
}

char *support_temporary_folder(void) {
    const char *root = getenv("TMPDIR");
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/quern-test-XXXXXX", root ? root : "/tmp");
    char *copy = mkdtemp(path) ? strdup(path) : NULL;
    if (!copy)
        stop(1, "%s: %s", path, strerror(errno));
    return copy;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

void support_remove_folder(char *path) {
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS))
        stop(1, "%s: %s", path, strerror(errno));
    free(path);
}

/* ---- Comparing ---- */

uint32_t support_crc32(const void *data, size_t bytes) {
    const uint8_t *p = data;
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

size_t support_first_difference(const float *got, const float *want, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(got + i, want + i, sizeof *got) && !(isnan(got[i]) && isnan(want[i])))
            return i;
    return n;
}

struct support_distance support_compare(const float *got, const float *want, size_t n) {
    struct support_distance d = { 0 };
    double gg = 0, ww = 0, gw = 0, ee = 0;
    for (size_t i = 0; i < n; i++) {
        const double g = got[i], w = want[i], e = fabs(g - w);
        gg += g * g;
        ww += w * w;
        gw += g * w;
        ee += e * e;
        if (!(e <= d.max_abs)) { /* also when e is NaN, which then stays */
            if (!isnan(d.max_abs))
                d.worst = i;
            d.max_abs = isnan(d.max_abs) ? d.max_abs : e;
        }
    }
    /* Two zero vectors are equal. */
    d.relative_rms = ee == 0 ? 0 : sqrt(ee / ww);
    d.cosine = gg == 0 && ww == 0 ? 1 : gw / sqrt(gg * ww);
    return d;
}

/* ---- Random numbers ---- */

/* Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (2014). */
uint64_t support_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

float support_random_unit(uint64_t *state) {
    return (float)((int32_t)(support_random(state) >> 40) - (1 << 23)) * 0x1p-23f;
}
