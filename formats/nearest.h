/* nearest.h - which known name was probably meant.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_FORMATS_NEAREST_H
#define QUERN_FORMATS_NEAREST_H

#include <stddef.h>

/* The name of names [n] with the smallest edit distance (insert, delete, replace, swap neighbours) to
 * word; NULL if that is more than a third of the word's length, so no guess would be a help. Upper and
 * lower case count as equal. Words over 64 bytes have no nearest name. */
const char *nearest_name(const char *word, const char *const *names, size_t n);

#endif
