/* fuzz.h - what a fuzz target defines and replay.c or libFuzzer calls.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_TESTS_FUZZ_H
#define QUERN_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Use these bytes as an input. A crash, a sanitizer's finding or an abort() is a failure. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#endif
