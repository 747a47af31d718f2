/* special.c - finding the texts of special tokens in a text.
 * SPDX-License-Identifier: MIT */
#include "tokenizer/special.h"

#include <stdlib.h>

static int compare_entries(const void *a, const void *b) {
    const struct special_entry *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->bytes < y->bytes ? x->bytes : y->bytes);
    if (order == 0)
        order = (x->bytes > y->bytes) - (x->bytes < y->bytes);
    return order ? order : (x->id > y->id) - (x->id < y->id);
}

static bool is_wanted(const struct vocab_token *token, unsigned kinds) {
    return (kinds >> token->kind & 1) && token->bytes;
}

enum quern_status special_build(const struct vocab *v, unsigned kinds, struct special_table *s,
                                struct quern_error *err) {
    *s = (struct special_table){ 0 };
    size_t n = 0;
    for (size_t i = 0; i < v->n_tokens; i++)
        n += is_wanted(&v->tokens[i], kinds);
    if (n == 0)
        return QUERN_OK;
    s->entries = calloc(n, sizeof *s->entries);
    if (!s->entries)
        return fail_memory(err, n * sizeof *s->entries);
    n = 0;
    for (size_t i = 0; i < v->n_tokens; i++)
        if (is_wanted(&v->tokens[i], kinds))
            s->entries[n++] = (struct special_entry){ v->tokens[i].text, v->tokens[i].bytes, (int32_t)i };
    qsort(s->entries, n, sizeof *s->entries, compare_entries);
    for (size_t i = 0; i < n; i++) {
        const struct special_entry *entry = &s->entries[i], *last = s->n ? &s->entries[s->n - 1] : NULL;
        if (!last || last->bytes != entry->bytes || memcmp(last->text, entry->text, entry->bytes) != 0)
            s->entries[s->n++] = *entry;
    }
    for (size_t i = 0; i < s->n; i++)
        s->first[(uint8_t)s->entries[i].text[0] + 1] = i + 1;
    for (size_t b = 1; b <= 256; b++)
        if (s->first[b] < s->first[b - 1])
            s->first[b] = s->first[b - 1];
    return QUERN_OK;
}

void special_free(struct special_table *s) {
    free(s->entries);
    *s = (struct special_table){ 0 };
}

/* The first entry in [low, high) whose byte at depth is at least `byte`; all are longer than depth and
 * equal before it. */
static size_t lower_bound(const struct special_entry *entries, size_t low, size_t high, size_t depth,
                          unsigned byte) {
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((uint8_t)entries[middle].text[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t special_match(const struct special_table *s, const char *text, size_t bytes, size_t *matched) {
    int32_t best = -1;
    if (bytes == 0)
        return best;
    size_t low = s->first[(uint8_t)text[0]], high = s->first[(uint8_t)text[0] + 1];
    /* Entries low..high begin with the first `depth` bytes of the text; the shortest comes first. */
    for (size_t depth = 1; low < high; depth++) {
        if (s->entries[low].bytes == depth) {
            best = s->entries[low++].id;
            *matched = depth;
        }
        if (depth == bytes)
            break;
        unsigned byte = (uint8_t)text[depth];
        low = lower_bound(s->entries, low, high, depth, byte);
        high = lower_bound(s->entries, low, high, depth, byte + 1);
    }
    return best;
}
