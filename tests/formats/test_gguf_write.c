/* test_gguf_write.c - what was written reads back, and a file is complete or as before.
 * SPDX-License-Identifier: MIT */
#include "formats/gguf_write.h"
#include "tests/formats/failing_malloc.h"
#include "tests/formats/gguf_build.h"
#include "tests/support.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#    include <sched.h>
#    include <sys/mount.h>
#endif

#include <cmocka.h>

enum { PATH_BYTES = 4096 };

/* A folder for one test, and the path in it that is written. */
struct place {
    char *folder;
    char path[PATH_BYTES];
};

static struct place new_place(void) {
    struct place p = { .folder = support_temporary_folder() };
    snprintf(p.path, sizeof p.path, "%s/out.gguf", p.folder);
    return p;
}

static size_t n_files(const char *folder) {
    size_t n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

/* Nothing but the file of 3 bytes that write_old() made. */
static void write_old(const struct place *p) { support_write(p->path, "old", 3); }

static void check_only_old(const struct place *p) {
    size_t bytes;
    uint8_t *data = support_read(p->path, &bytes);
    assert_int_equal(bytes, 3);
    assert_memory_equal(data, "old", 3);
    free(data);
    assert_int_equal(n_files(p->folder), 1);
}

static void check(enum quern_status status, const struct quern_error *err) {
    if (status)
        fail_msg("%s", err->text);
}

static void check_error(enum quern_status status, enum quern_status expected, const struct quern_error *err,
                        const char *text) {
    if (status != expected || err->status != expected || !strstr(err->text, text))
        fail_msg("status %d, '%s', expected %d, '%s'", status, err->text, expected, text);
}

static struct gguf_string name_of(const char *text) {
    return (struct gguf_string){ .data = text, .bytes = strlen(text) };
}

/* A key and the tensors "a" F32 [8, 2] and "b" I8 [n_bytes]. */
static struct gguf_writer *open_small(const char *path, uint64_t n_bytes) {
    struct gguf_writer *w = NULL;
    struct quern_error err;
    check(gguf_writer_open(path, &w, &err), &err);
    check(gguf_set_string(w, "general.architecture", "llama", &err), &err);
    check(gguf_add_tensor(w, name_of("a"), TYPE_F32, 2, (const uint64_t[4]){ 8, 2 }, &err), &err);
    check(gguf_add_tensor(w, name_of("b"), TYPE_I8, 1, (const uint64_t[4]){ n_bytes }, &err), &err);
    return w;
}

/* ---- Reading back ---- */

static void file_reads_back_as_written(void **state) {
    (void)state;
    struct place p = new_place();
    struct gguf_build source = { .alignment = 32 };
    struct gguf *from = NULL, *g = NULL;
    struct quern_error err;
    build_sample(&source);
    check(gguf_open_memory(source.data, source.bytes, "source", &from, &err), &err);

    struct gguf_writer *w = NULL;
    check(gguf_writer_open(p.path, &w, &err), &err);
    check(gguf_set_u32(w, "general.alignment", 1024, &err), &err);
    check(gguf_set_f32(w, "f32", 0.5f, &err), &err);
    check(gguf_set_bool(w, "bool", true, &err), &err);
    check(gguf_set_string(w, "empty", "", &err), &err);
    for (size_t i = 0; i < gguf_n_kv(from); i++)
        check(gguf_copy_kv(w, gguf_kv(from, i), &err), &err);
    check(gguf_set_u32(w, "general.alignment", 64, &err), &err); /* the source says 32 */
    for (size_t i = 0; i < gguf_n_tensors(from); i++) {
        const struct gguf_tensor *t = gguf_tensor(from, i);
        check(gguf_add_tensor(w, t->name, t->type, t->n_dims, t->ne, &err), &err);
    }
    uint64_t file_bytes = 0;
    check(gguf_begin_data(w, &file_bytes, &err), &err);
    for (size_t i = 0; i < gguf_n_tensors(from); i++) { /* in pieces, and once none at all */
        const struct gguf_tensor *t = gguf_tensor(from, i);
        check(gguf_write_data(w, t->data, 1, &err), &err);
        check(gguf_write_data(w, NULL, 0, &err), &err);
        check(gguf_write_data(w, t->data + 1, t->bytes - 1, &err), &err);
    }
    check(gguf_commit(w, &err), &err);

    check(gguf_open(p.path, &g, &err), &err);
    assert_int_equal(gguf_file_bytes(g), file_bytes);
    assert_int_equal(gguf_version(g), 3);
    assert_int_equal(gguf_alignment(g), 64);
    assert_int_equal(gguf_n_kv(g), gguf_n_kv(from) + 3);
    assert_true(gguf_string_is(gguf_kv(g, 0)->key, "general.alignment")); /* where it was set first */
    for (size_t i = 0; i < gguf_n_kv(from); i++) {
        const struct gguf_kv *kv = gguf_kv(from, i);
        char key[64];
        snprintf(key, sizeof key, "%.*s", (int)kv->key.bytes, kv->key.data);
        const struct gguf_kv *copy = gguf_find_kv(g, key);
        assert_non_null(copy);
        assert_int_equal(copy->type, kv->type);
        assert_int_equal(copy->element, kv->element);
        assert_int_equal(copy->n, kv->n);
        assert_int_equal(copy->data_bytes, kv->data_bytes);
        if (strcmp(key, "general.alignment") != 0 && kv->data_bytes)
            assert_memory_equal(copy->data, kv->data, kv->data_bytes);
    }
    size_t cursor = 0;
    assert_true(gguf_real(gguf_find_kv(g, "f32"), 0) == 0.5);
    assert_int_equal(gguf_integer(gguf_find_kv(g, "bool"), 0), 1);
    assert_true(gguf_string_is(gguf_next_string(gguf_find_kv(g, "empty"), &cursor), ""));
    assert_int_equal(gguf_n_tensors(g), gguf_n_tensors(from));
    for (size_t i = 0; i < gguf_n_tensors(from); i++) {
        const struct gguf_tensor *a = gguf_tensor(from, i), *b = gguf_tensor(g, i);
        assert_int_equal(b->file_offset % 64, 0);
        assert_int_equal(b->type, a->type);
        assert_int_equal(b->n_dims, a->n_dims);
        assert_memory_equal(b->ne, a->ne, sizeof a->ne);
        assert_int_equal(b->bytes, a->bytes);
        assert_memory_equal(b->data, a->data, a->bytes);
    }
    gguf_close(g);
    gguf_close(from);
    build_free(&source);
    support_remove_folder(p.folder);
}

static void large_data_and_metadata_pass_the_buffer_unharmed(void **state) {
    (void)state;
    enum { N_KEYS = 20000, N_BYTES = 3000001, PIECES = 3 };
    static const size_t pieces[PIECES] = { 100, 2000000, N_BYTES - 2000100 };
    struct place p = new_place();
    struct quern_error err;
    struct gguf_writer *w = NULL;
    uint8_t *data = malloc(N_BYTES);
    uint64_t random = 1;
    char key[32];
    assert_non_null(data);
    for (size_t i = 0; i < N_BYTES; i++)
        data[i] = (uint8_t)support_random(&random);

    check(gguf_writer_open(p.path, &w, &err), &err);
    check(gguf_set_u32(w, "general.alignment", 16384, &err), &err);
    for (unsigned round = 0; round < 2; round++) /* the second time each is replaced */
        for (unsigned i = 0; i < N_KEYS; i++) {
            snprintf(key, sizeof key, "key.%x", i * 2654435761u);
            check(gguf_set_u32(w, key, i + round, &err), &err);
        }
    check(gguf_add_tensor(w, name_of("t"), TYPE_I8, 1, (const uint64_t[4]){ N_BYTES }, &err), &err);
    check(gguf_begin_data(w, NULL, &err), &err);
    for (size_t i = 0, at = 0; i < PIECES; at += pieces[i++])
        check(gguf_write_data(w, data + at, pieces[i], &err), &err);
    check(gguf_commit(w, &err), &err);

    struct gguf *g = NULL;
    check(gguf_open(p.path, &g, &err), &err);
    assert_int_equal(gguf_n_kv(g), N_KEYS + 1);
    snprintf(key, sizeof key, "key.%x", 777 * 2654435761u);
    assert_int_equal(gguf_integer(gguf_find_kv(g, key), 0), 778);
    assert_memory_equal(gguf_tensor(g, 0)->data, data, N_BYTES);
    gguf_close(g);
    free(data);
    support_remove_folder(p.folder);
}

static void file_without_tensors_reads_back(void **state) {
    (void)state;
    struct place p = new_place();
    struct quern_error err;
    struct gguf_writer *w = NULL;
    struct gguf *g = NULL;
    check(gguf_writer_open(p.path, &w, &err), &err);
    check(gguf_begin_data(w, NULL, &err), &err);
    check(gguf_commit(w, &err), &err);
    check(gguf_open(p.path, &g, &err), &err);
    assert_int_equal(gguf_n_kv(g) + gguf_n_tensors(g), 0);
    gguf_close(g);
    support_remove_folder(p.folder);
}

/* ---- Complete or as before ---- */

static void commit_replaces_the_old_file_and_nothing_sooner(void **state) {
    (void)state;
    static const uint8_t data[64];
    struct place p = new_place();
    struct quern_error err;
    struct gguf_build old = { .alignment = 32 };
    struct gguf *before = NULL, *after = NULL;
    struct stat info;
    build_sample(&old);
    support_write(p.path, old.data, old.bytes);
    check(gguf_open(p.path, &before, &err), &err);

    mode_t mask = umask(026);
    struct gguf_writer *w = open_small(p.path, 64);
    check(gguf_begin_data(w, NULL, &err), &err);
    check(gguf_write_data(w, data, 64, &err), &err);
    check(gguf_write_data(w, data, 64, &err), &err);
    assert_int_equal(n_files(p.folder), 2);
    check(gguf_open(p.path, &after, &err), &err);
    assert_int_equal(gguf_n_tensors(after), 3);
    gguf_close(after);

    check(gguf_commit(w, &err), &err);
    umask(mask);
    assert_int_equal(n_files(p.folder), 1);
    check(gguf_open(p.path, &after, &err), &err);
    assert_int_equal(gguf_n_tensors(after), 2);
    assert_int_equal(stat(p.path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);

    /* Who had the old file open keeps it: an input may be replaced while it is mapped. */
    assert_memory_equal(gguf_tensor(before, 1)->data, old.data + gguf_tensor(before, 1)->file_offset, 36);
    gguf_close(before);
    gguf_close(after);
    build_free(&old);
    support_remove_folder(p.folder);
}

static void abandoned_write_leaves_the_old_file(void **state) {
    (void)state;
    struct place p = new_place();
    struct quern_error err;
    write_old(&p);
    gguf_abandon(open_small(p.path, 64));
    check_only_old(&p);
    struct gguf_writer *w = open_small(p.path, 1000000);
    check(gguf_begin_data(w, NULL, &err), &err);
    check(gguf_write_data(w, (const uint8_t[64]){ 0 }, 64, &err), &err);
    gguf_abandon(w);
    check_only_old(&p);
    gguf_abandon(NULL);
    support_remove_folder(p.folder);
}

static void incomplete_file_is_not_committed(void **state) {
    (void)state;
    static const uint8_t data[64];
    struct place p = new_place();
    struct quern_error err;
    write_old(&p);
    check_error(gguf_commit(open_small(p.path, 64), &err), QUERN_RANGE, &err,
                "out.gguf: committed before gguf_begin_data()");

    struct gguf_writer *w = open_small(p.path, 64);
    check(gguf_begin_data(w, NULL, &err), &err);
    check(gguf_write_data(w, data, 64, &err), &err);
    check(gguf_write_data(w, data, 63, &err), &err);
    check_error(gguf_commit(w, &err), QUERN_RANGE, &err, "tensor 'b' has 64 bytes, only 63 were written");

    w = open_small(p.path, 64);
    check(gguf_begin_data(w, NULL, &err), &err);
    check_error(gguf_commit(w, &err), QUERN_RANGE, &err, "tensor 'a' has 64 bytes, only 0 were written");
    check_only_old(&p);
    support_remove_folder(p.folder);
}

/* ---- Misuse ---- */

static void data_beyond_a_tensor_is_refused(void **state) {
    (void)state;
    static const uint8_t data[65];
    struct place p = new_place();
    struct quern_error err;
    struct gguf_writer *w = open_small(p.path, 64);
    check_error(gguf_write_data(w, data, 1, &err), QUERN_RANGE, &err, "data comes before gguf_begin_data()");
    check(gguf_begin_data(w, NULL, &err), &err);
    check_error(gguf_begin_data(w, NULL, &err), QUERN_RANGE, &err, "has already begun");
    check_error(gguf_write_data(w, data, 65, &err), QUERN_RANGE, &err,
                "tensor 'a' has 64 bytes, 0 were written");
    check(gguf_write_data(w, data, 60, &err), &err);
    check_error(gguf_write_data(w, data, 5, &err), QUERN_RANGE, &err, "60 were written and 5 more are given");
    check(gguf_write_data(w, data, 4, &err), &err);
    check(gguf_write_data(w, data, 64, &err), &err);
    check_error(gguf_write_data(w, data, 1, &err), QUERN_RANGE, &err, "come after the last tensor");
    check_error(gguf_set_u32(w, "late", 1, &err), QUERN_RANGE, &err,
                "key 'late' comes after the data has begun");
    check_error(gguf_add_tensor(w, name_of("c"), TYPE_F32, 1, (const uint64_t[4]){ 1 }, &err), QUERN_RANGE,
                &err, "tensor 'c' comes after the data has begun");
    check(gguf_commit(w, &err), &err); /* none of the refused calls did harm */
    struct gguf *g = NULL;
    check(gguf_open(p.path, &g, &err), &err);
    gguf_close(g);
    support_remove_folder(p.folder);
}

static void what_the_reader_would_refuse_is_not_written(void **state) {
    (void)state;
    static char long_name[65538];
    memset(long_name, 'k', sizeof long_name - 1);
    const uint64_t ne[4] = { 33, 1, 1, 0 };
    struct place p = new_place();
    struct quern_error err;
    struct gguf_writer *w = open_small(p.path, 64);
    const struct gguf_string b = name_of("b"), c = name_of("c");
    char *long_value = malloc((1 << 26) + 2);
    assert_non_null(long_value);
    memset(long_value, 'v', (1 << 26) + 1);
    long_value[(1 << 26) + 1] = 0;
    check_error(gguf_set_string(w, "s", long_value, &err), QUERN_RANGE, &err, "key 's' has 67108865 bytes");
    free(long_value);
    check_error(gguf_set_u32(w, "", 1, &err), QUERN_RANGE, &err, "the name of a key has 0 bytes");
    check_error(gguf_set_u32(w, long_name, 1, &err), QUERN_RANGE, &err,
                "has 65537 bytes, allowed are 1 to 65536");
    check_error(gguf_add_tensor(w, b, TYPE_F32, 1, ne, &err), QUERN_RANGE, &err, "tensor 'b' is added twice");
    check_error(gguf_add_tensor(w, name_of(""), TYPE_F32, 1, ne, &err), QUERN_RANGE, &err, "has 0 bytes");
    check_error(gguf_add_tensor(w, c, TYPE_Q8_0, 1, ne, &err), QUERN_FORMAT, &err, "row 33 of tensor 'c'");
    check_error(gguf_add_tensor(w, c, TYPE_F32, 0, ne, &err), QUERN_FORMAT, &err, "has 0 dimensions");
    check_error(gguf_add_tensor(w, c, TYPE_F32, 4, ne, &err), QUERN_FORMAT, &err, "no dimension may be 0");
    check_error(gguf_add_tensor(w, c, 31, 1, ne, &err), QUERN_UNSUPPORTED, &err, "tensor 'c': type 31");
    check(gguf_set_string(w, "general.alignment", "32", &err), &err);
    check_error(gguf_begin_data(w, NULL, &err), QUERN_RANGE, &err, "is a string, integer expected");
    check(gguf_set_u32(w, "general.alignment", 24, &err), &err);
    check_error(gguf_begin_data(w, NULL, &err), QUERN_RANGE, &err,
                "is 24, allowed are powers of two up to 1048576");
    gguf_abandon(w);

    check(gguf_writer_open(p.path, &w, &err), &err);
    for (const char *name = "abc"; *name; name++) {
        const struct gguf_string one = { .data = name, .bytes = 1 };
        check(gguf_add_tensor(w, one, TYPE_I8, 1, (const uint64_t[4]){ 1ull << 61 }, &err), &err);
    }
    check_error(gguf_begin_data(w, NULL, &err), QUERN_RANGE, &err, "tensor 'c' ends past 2^62 bytes");
    gguf_abandon(w);
    assert_int_equal(n_files(p.folder), 0);
    support_remove_folder(p.folder);
}

/* ---- The system refuses ---- */

static void check_open_error(const char *path, const char *expected) {
    struct gguf_writer *w = NULL;
    struct quern_error err;
    check_error(gguf_writer_open(path, &w, &err), QUERN_IO, &err, expected);
    assert_null(w);
}

static void target_that_cannot_be_a_file_is_refused_at_once(void **state) {
    (void)state;
    struct place p = new_place();
    char path[PATH_BYTES + 8];
    check_open_error(p.folder, "is a directory, cannot be replaced by a file");
    check_open_error("/dev/null", "/dev/null: is not a regular file, cannot be replaced by a file");
    snprintf(path, sizeof path, "%s/x", p.path);
    check_open_error(path, ": No such file or directory");
    write_old(&p);
    check_open_error(path, ": Not a directory");
    check_only_old(&p);
    support_remove_folder(p.folder);
}

static void failed_rename_leaves_no_temporary_file(void **state) {
    (void)state;
    struct place p = new_place();
    struct quern_error err;
    struct gguf_writer *w = NULL;
    check(gguf_writer_open(p.path, &w, &err), &err);
    check(gguf_begin_data(w, NULL, &err), &err);
    assert_int_equal(mkdir(p.path, 0700), 0); /* somebody puts a folder where the file shall be */
    check_error(gguf_commit(w, &err), QUERN_IO, &err, "out.gguf: cannot rename ");
    assert_int_equal(n_files(p.folder), 1);
    support_remove_folder(p.folder);
}

static void read_only_folder_is_refused_at_once(void **state) {
    (void)state;
    struct place p = new_place();
    assert_int_equal(chmod(p.folder, 0500), 0);
    bool is_refused = access(p.folder, W_OK) != 0;
    if (is_refused)
        check_open_error(p.path, ": Permission denied");
    assert_int_equal(chmod(p.folder, 0700), 0);
    support_remove_folder(p.folder);
    if (!is_refused) {
        print_message("skipped: read-only folder (this user may write all)\n");
        skip();
    }
}

/* Write tensor b of n_bytes until it fails or is done; returns the status of the commit or the failure. */
static enum quern_status write_much(struct gguf_writer *w, size_t n_bytes, struct quern_error *err) {
    static const uint8_t zeros[1 << 16];
    enum quern_status status = gguf_write_data(w, zeros, 64, err);
    while (status == QUERN_OK && n_bytes > 0) {
        size_t n = n_bytes < sizeof zeros ? n_bytes : sizeof zeros;
        status = gguf_write_data(w, zeros, n, err);
        n_bytes -= n;
    }
    if (status == QUERN_OK)
        return gguf_commit(w, err);
    struct quern_error again; /* the file stays failed, and says so */
    assert_int_equal(gguf_commit(w, &again), status);
    return status;
}

static void write_beyond_the_size_limit_leaves_the_old_file(void **state) {
    (void)state;
    enum { N_BYTES = 4000000 };
    struct place p = new_place();
    struct quern_error err;
    struct rlimit kept;
    write_old(&p);
    struct gguf_writer *w = open_small(p.path, N_BYTES);
    check(gguf_begin_data(w, NULL, &err), &err);

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &kept), 0);
    const struct rlimit small = { .rlim_cur = 1000000, .rlim_max = kept.rlim_max };
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum quern_status status = write_much(w, N_BYTES, &err);
    setrlimit(RLIMIT_FSIZE, &kept);
    signal(SIGXFSZ, handler);
    check_error(status, QUERN_IO, &err, "out.gguf: cannot write at byte 1000000: File too large");
    check_only_old(&p);
    support_remove_folder(p.folder);
}

#ifdef __linux__
static void full_disk_is_told_before_and_while_writing(void **state) {
    (void)state;
    enum { DISK_BYTES = 1 << 20, N_BYTES = 800000 };
    struct place p = new_place();
    struct quern_error err;
    /* In a mount namespace of its own: whatever happens here, the small file system ends with the test. */
    if (unshare(CLONE_NEWNS) || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", p.folder, "tmpfs", 0, "size=1m")) {
        print_message("skipped: full disk (a small file system needs root: %s)\n", strerror(errno));
        support_remove_folder(p.folder);
        skip();
    }
    write_old(&p);
    uint64_t file_bytes = 0;
    struct gguf_writer *w = open_small(p.path, 2 * DISK_BYTES);
    check_error(gguf_begin_data(w, &file_bytes, &err), QUERN_IO, &err,
                "out.gguf: needs 2097376 bytes, the file sy");
    assert_int_equal(file_bytes, 2097376);
    gguf_abandon(w);
    check_only_old(&p);

    w = open_small(p.path, N_BYTES);
    check(gguf_begin_data(w, NULL, &err), &err);
    char other[PATH_BYTES]; /* somebody else takes the room */
    snprintf(other, sizeof other, "%s/other", p.folder);
    uint8_t *filler = calloc(1, DISK_BYTES / 2);
    support_write(other, filler, DISK_BYTES / 2);
    free(filler);
    check_error(write_much(w, N_BYTES, &err), QUERN_IO, &err, ": No space left on device");
    assert_int_equal(unlink(other), 0);
    check_only_old(&p);
    assert_int_equal(umount(p.folder), 0);
    support_remove_folder(p.folder);
}
#endif

static enum quern_status write_all(const char *path, const struct gguf_kv *kv, struct quern_error *err) {
    static const uint8_t data[64];
    const uint64_t ne[4] = { 64 };
    struct gguf_writer *w = NULL;
    enum quern_status status = gguf_writer_open(path, &w, err);
    if (status)
        return status;
    if ((status = gguf_set_u32(w, "n", 1, err)) || (status = gguf_set_u32(w, "n", 2, err)) ||
        (status = gguf_set_string(w, "s", "text", err)) || (status = gguf_copy_kv(w, kv, err)) ||
        (status = gguf_add_tensor(w, name_of("t"), TYPE_I8, 1, ne, err)) ||
        (status = gguf_begin_data(w, NULL, err)) || (status = gguf_write_data(w, data, 64, err))) {
        gguf_abandon(w);
        return status;
    }
    return gguf_commit(w, err);
}

/* But for the last one, which flushes the folder when the file is already in place. */
static void any_allocation_may_fail_and_leaves_the_old_file(void **state) {
    (void)state;
    struct place p = new_place();
    struct quern_error err;
    struct gguf_build b = { .alignment = 32 };
    struct gguf *g = NULL;
    build_sample(&b);
    check(gguf_open_memory(b.data, b.bytes, "sample", &g, &err), &err);
    const struct gguf_kv *kv = gguf_find_kv(g, "x.words");

    failing_malloc_start(0);
    enum quern_status status = write_all(p.path, kv, &err);
    size_t n_calls = failing_malloc_stop().calls;
    check(status, &err);
    assert_true(n_calls > 10);
    write_old(&p);
    for (size_t i = 1; i <= n_calls; i++) {
        failing_malloc_start(i);
        status = write_all(p.path, kv, &err);
        struct malloc_count count = failing_malloc_stop();
        assert_int_equal(count.live, 0);
        if (i < n_calls) {
            assert_int_equal(status, QUERN_MEMORY);
            check_only_old(&p);
        } else {
            check_error(status, QUERN_IO, &err, "is complete, but its folder cannot be written to the disk");
        }
    }
    gguf_close(g);
    build_free(&b);
    support_remove_folder(p.folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_reads_back_as_written),
        cmocka_unit_test(large_data_and_metadata_pass_the_buffer_unharmed),
        cmocka_unit_test(file_without_tensors_reads_back),
        cmocka_unit_test(commit_replaces_the_old_file_and_nothing_sooner),
        cmocka_unit_test(abandoned_write_leaves_the_old_file),
        cmocka_unit_test(incomplete_file_is_not_committed),
        cmocka_unit_test(data_beyond_a_tensor_is_refused),
        cmocka_unit_test(what_the_reader_would_refuse_is_not_written),
        cmocka_unit_test(target_that_cannot_be_a_file_is_refused_at_once),
        cmocka_unit_test(failed_rename_leaves_no_temporary_file),
        cmocka_unit_test(read_only_folder_is_refused_at_once),
        cmocka_unit_test(write_beyond_the_size_limit_leaves_the_old_file),
#ifdef __linux__
        cmocka_unit_test(full_disk_is_told_before_and_while_writing),
#endif
        cmocka_unit_test(any_allocation_may_fail_and_leaves_the_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
