/* gguf_walk.h - reads all that an open GGUF file promises to be readable.
 * SPDX-License-Identifier: MIT
 * Shared by the tests that damage files and the fuzz target: a sanitizer or a guard page tells when the
 * reader let something through. */
#ifndef QUERN_TESTS_GGUF_WALK_H
#define QUERN_TESTS_GGUF_WALK_H

#include "formats/gguf.h"

/* Every key by number and by name, every element of every value, the first and last byte of every tensor,
 * its first block decoded. Returns a number made of what was read, so that nothing is left out. */
uint64_t gguf_walk(const struct gguf *g);

#endif
