/* normalize.c - text as SentencePiece's models want it before they look for pieces.
 * SPDX-License-Identifier: MIT
 * precompiled_charsmap: u32 little-endian size of a trie in bytes, the trie, the pool. The trie is a double
 * array of u32 units (Darts-clone, "darts.h", struct DoubleArrayUnit): bits 0-7 the byte that leads to the
 * unit, bit 8 whether a rule ends here, bits 10-30 the offset to the children, to be shifted left by 8 if
 * bit 9 is set. The child of unit i for byte b is i ^ offset ^ b. The child for byte 0 holds a value: bit 31
 * is set, the rest is the place of the replacement in the pool. */
#include "tokenizer/normalize.h"

#include "tokenizer/utf8.h"

/* Known rules replace at most some 20 bytes by at most 33 (U+FDFA). The limits keep the time and the memory
 * for a text within a constant factor of its length, whatever a file says. */
enum { MAX_RULE_BYTES = 256, MAX_REPLACEMENT_BYTES = 256 };

static enum quern_status open_rules(const struct vocab *v, const char *path, struct normalizer *nz,
                                    struct quern_error *err) {
    static const char key[] = "tokenizer.ggml.precompiled_charsmap";
    size_t trie_bytes = v->charsmap_bytes < 4 ? 0 : load_le32(v->charsmap);
    if (trie_bytes == 0 || trie_bytes % 4 || trie_bytes >= v->charsmap_bytes - 4)
        return fail(err, QUERN_FORMAT,
                    "%s: key '%s': a trie of %zu bytes in %zu bytes (4 * n and more expected)", path, key,
                    trie_bytes, v->charsmap_bytes);
    nz->units = v->charsmap + 4;
    nz->n_units = trie_bytes / 4;
    nz->pool = (const char *)v->charsmap + 4 + trie_bytes;
    nz->pool_bytes = v->charsmap_bytes - 4 - trie_bytes;
    size_t run = 0;
    for (size_t i = 0; i < nz->pool_bytes; i++) {
        run = nz->pool[i] ? run + 1 : 0;
        if (run > MAX_REPLACEMENT_BYTES)
            return fail(err, QUERN_FORMAT, "%s: key '%s': a replacement of more than %d bytes at byte %zu",
                        path, key, MAX_REPLACEMENT_BYTES, 4 + trie_bytes + i - MAX_REPLACEMENT_BYTES);
    }
    if (run)
        return fail(err, QUERN_FORMAT, "%s: key '%s': the last replacement has no end", path, key);
    return QUERN_OK;
}

enum quern_status normalizer_build(const struct vocab *v, const char *path, struct normalizer *nz,
                                   struct quern_error *err) {
    *nz = (struct normalizer){
        .add_prefix = v->add_space_prefix,
        .remove_extra_whitespaces = v->remove_extra_whitespaces,
        .replace_invalid = v->is_unigram,
    };
    enum quern_status st = special_build(v, 1u << TOKEN_USER_DEFINED, &nz->kept, err);
    if (st || !v->charsmap)
        return st;
    return open_rules(v, path, nz, err);
}

void normalizer_free(struct normalizer *nz) {
    special_free(&nz->kept);
    *nz = (struct normalizer){ 0 };
}

static uint32_t unit_offset(uint32_t unit) {
    return unit >> 10 << ((unit >> 6) & 8); /* bit 9 moved to bit 3: a shift by 8 or 0 */
}

/* The longest rule that text [bytes] begins with: its length, 0 if there is none, and its replacement. */
static size_t find_rule(const struct normalizer *nz, const char *text, size_t bytes, const char **replacement,
                        size_t *replacement_bytes) {
    size_t longest = 0, value = 0;
    if (!nz->units)
        return 0;
    if (bytes > MAX_RULE_BYTES)
        bytes = MAX_RULE_BYTES;
    size_t at = unit_offset(load_le32(nz->units));
    for (size_t i = 0; i < bytes; i++) {
        at ^= (uint8_t)text[i];
        if (at >= nz->n_units)
            break;
        uint32_t unit = load_le32(nz->units + 4 * at);
        if ((unit & 0x800000ff) != (uint8_t)text[i])
            break;
        at ^= unit_offset(unit);
        if ((unit & 0x100) && at < nz->n_units) {
            longest = i + 1;
            value = load_le32(nz->units + 4 * at) & 0x7fffffff;
        }
    }
    if (longest == 0 || value >= nz->pool_bytes)
        return 0;
    *replacement = nz->pool + value;
    *replacement_bytes = strlen(*replacement); /* the pool ends with NUL */
    return longest;
}

/* The next piece of text [bytes], bytes > 0: how much of it is taken, and what it becomes. */
static size_t next_chunk(const struct normalizer *nz, const char *text, size_t bytes, const char **to,
                         size_t *to_bytes) {
    size_t taken;
    uint32_t code;
    if (special_match(&nz->kept, text, bytes, &taken) >= 0) {
        *to = text;
        *to_bytes = taken;
        return taken;
    }
    if ((taken = find_rule(nz, text, bytes, to, to_bytes)))
        return taken;
    taken = utf8_decode(text, bytes, &code);
    *to = text;
    *to_bytes = taken;
    if (taken)
        return taken;
    *to = nz->replace_invalid ? REPLACEMENT_CHARACTER : text;
    *to_bytes = nz->replace_invalid ? REPLACEMENT_CHARACTER_BYTES : 1;
    return 1;
}

static void put_escaped(struct buffer *out, const char *text, size_t bytes) {
    for (size_t start = 0, end; start < bytes; start = end) {
        if (text[start] == ' ') {
            buffer_put(out, SPACE_SYMBOL, SPACE_SYMBOL_BYTES);
            end = start + 1;
            continue;
        }
        const char *space = memchr(text + start, ' ', bytes - start);
        end = space ? (size_t)(space - text) : bytes;
        buffer_put(out, text + start, end - start);
    }
}

static bool ends_with_space_symbol(const struct buffer *b, size_t start) {
    return b->n - start >= SPACE_SYMBOL_BYTES &&
           !memcmp(b->data + b->n - SPACE_SYMBOL_BYTES, SPACE_SYMBOL, SPACE_SYMBOL_BYTES);
}

void normalize(const struct normalizer *nz, const char *text, size_t bytes, struct buffer *out) {
    size_t start = out->n;
    if (!nz->units && !nz->remove_extra_whitespaces && !nz->replace_invalid) {
        if (bytes && nz->add_prefix)
            buffer_put(out, SPACE_SYMBOL, SPACE_SYMBOL_BYTES);
        put_escaped(out, text, bytes);
        return;
    }
    const char *to = NULL;
    size_t i = 0, n = 0, taken = 0;
    for (; i < bytes && nz->remove_extra_whitespaces; i += taken) {
        taken = next_chunk(nz, text + i, bytes - i, &to, &n);
        if (n != 1 || *to != ' ')
            break;
    }
    if (i < bytes && nz->add_prefix)
        buffer_put(out, SPACE_SYMBOL, SPACE_SYMBOL_BYTES);
    bool after_space = nz->remove_extra_whitespaces;
    while (i < bytes && !out->failed) {
        i += next_chunk(nz, text + i, bytes - i, &to, &n);
        while (after_space && n && *to == ' ')
            to++, n--;
        if (n == 0)
            continue;
        put_escaped(out, to, n);
        after_space = nz->remove_extra_whitespaces && to[n - 1] == ' ';
    }
    while (nz->remove_extra_whitespaces && !out->failed && ends_with_space_symbol(out, start))
        out->n -= SPACE_SYMBOL_BYTES;
}
