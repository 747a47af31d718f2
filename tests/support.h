/* support.h - what the tests share: reference data, files, comparisons, random numbers.
 * SPDX-License-Identifier: MIT
 * A test that cannot get what it needs ends here with a line on stderr: status 77 (skipped) if reference
 * data is not there, 1 otherwise. */
#ifndef QUERN_TESTS_SUPPORT_H
#define QUERN_TESTS_SUPPORT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* The path of a file or folder of reference data, NULL if it is nowhere. Looked for, in this order, in
 * tests/data, in the folder that the environment variable QUERN_SHARED names, and in ../shared beside the
 * source tree; in the latter two also below golden/, so that "types/Q4_0.gguf" finds the committed copy or
 * the original. The string is overwritten by the 16th next call. */
const char *support_data(const char *relative);

/* The same for data that is not committed. If it is missing the whole program ends: with 77, which CTest
 * shows as skipped, or with 1 where the environment says CI=true. So this is called in main(), before
 * any test. */
const char *support_require_shared(const char *relative);

/* The bytes of a file, with a 0 after the last. free() it. */
uint8_t *support_read(const char *path, size_t *bytes);
/* A file of float32, [*n]. free() it. */
float *support_read_f32(const char *path, size_t *n);
void support_write(const char *path, const void *data, size_t bytes);
/* json_decref() it. */
json_t *support_read_json(const char *path);

/* A new empty folder; support_remove_folder() deletes it with all that it holds, and frees the string. */
char *support_temporary_folder(void);
void support_remove_folder(char *path);

/* CRC-32 as in zlib and PNG. */
uint32_t support_crc32(const void *data, size_t bytes);

/* The first i where got[i] and want[i] differ in a bit, n if none does. All NaN count as equal: their
 * payloads differ between machines. */
size_t support_first_difference(const float *got, const float *want, size_t n);

struct support_distance {
    double relative_rms; /* rms(got - want) / rms(want) */
    double cosine;       /* between got and want */
    double max_abs;      /* largest |got - want| */
    size_t worst;        /* where it is */
};

/* How far got [n] is from want [n]. A NaN on either side makes all three NaN, so write conditions that
 * NaN fails: assert_true(d.relative_rms < 1e-5). */
struct support_distance support_compare(const float *got, const float *want, size_t n);

/* 64 random bits (splitmix64); any state is a valid seed. */
uint64_t support_random(uint64_t *state);
/* Random float in [-1, 1). */
float support_random_unit(uint64_t *state);

#endif
