/* nearest.c - edit distance for suggestions.
 * SPDX-License-Identifier: MIT */
#include "formats/nearest.h"

#include <ctype.h>
#include <string.h>

enum { MAX_WORD = 64 };

static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }

static int same_letter(char a, char b) { return tolower((unsigned char)a) == tolower((unsigned char)b); }

/* Optimal string alignment: three rows of the usual table, the third for swapped neighbours. */
static size_t edit_distance(const char *a, size_t n_a, const char *b, size_t n_b) {
    size_t rows[3][MAX_WORD + 1];
    for (size_t j = 0; j <= n_b; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t replace = above[j - 1] + !same_letter(a[i - 1], b[j - 1]);
            row[j] = min_size(replace, min_size(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1]))
                row[j] = min_size(row[j], above2[j - 2] + 1);
        }
    }
    return rows[n_a % 3][n_b];
}

const char *nearest_name(const char *word, const char *const *names, size_t n) {
    const char *best = NULL;
    size_t n_word = strlen(word), best_distance = n_word / 3 + 1;
    if (n_word > MAX_WORD)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t n_name = strlen(names[i]);
        if (n_name > MAX_WORD)
            continue;
        size_t distance = edit_distance(word, n_word, names[i], n_name);
        if (distance < best_distance) {
            best = names[i];
            best_distance = distance;
        }
    }
    return best;
}
