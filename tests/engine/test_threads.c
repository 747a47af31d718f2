/* test_threads.c - how many threads a machine is good for, asked of trees of files as Linux shows them.
 * SPDX-License-Identifier: MIT */
#include "engine/cgroup.h"
#include "engine/threads.h"
#include "tests/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#if defined(__linux__)

struct file {
    const char *path, *text;
};

/* Files of all machines of a kind are written by loops; a machine adds its own. */
struct machine {
    const char *name;
    unsigned n_cpus, threads_per_core; /* siblings are neighbours, as Intel numbers them under hypervisors */
    unsigned first_allowed, n_allowed;
    struct file files[8];
    unsigned want;
    enum thread_limit limit;
};

#    define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#    define V1_MOUNT                                                                                         \
        "31 23 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"                                  \
        "32 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
#    define CAPACITY(cpu, value)                                                                             \
        { "/sys/devices/system/cpu/cpu" #cpu "/cpu_capacity", value "\n" }

static const struct machine machines[] = {
    { .name = "plain", .n_cpus = 4, .threads_per_core = 1, .n_allowed = 4, .want = 4 },
    { .name = "hyper-threads", .n_cpus = 16, .threads_per_core = 2, .n_allowed = 16, .want = 8 },
    { .name = "bound to three CPUs of two cores",
      .n_cpus = 16,
      .threads_per_core = 2,
      .first_allowed = 4,
      .n_allowed = 3,
      .want = 2,
      .limit = LIMIT_AFFINITY },
    { .name = "Intel with slow cores",
      .n_cpus = 20,
      .threads_per_core = 1,
      .n_allowed = 20,
      .files = { { "/sys/devices/cpu_core/cpus", "0-7\n" } },
      .want = 8,
      .limit = LIMIT_FAST_CORES },
    { .name = "bound to Intel's slow cores",
      .n_cpus = 20,
      .threads_per_core = 1,
      .first_allowed = 8,
      .n_allowed = 12,
      .files = { { "/sys/devices/cpu_core/cpus", "0-7\n" } },
      .want = 12,
      .limit = LIMIT_AFFINITY },
    { .name = "Arm with big, middle and little cores",
      .n_cpus = 8,
      .threads_per_core = 1,
      .n_allowed = 8,
      .files = { CAPACITY(0, "250"), CAPACITY(1, "250"), CAPACITY(2, "250"), CAPACITY(3, "250"),
                 CAPACITY(4, "870"), CAPACITY(5, "870"), CAPACITY(6, "870"), CAPACITY(7, "1024") },
      .want = 4,
      .limit = LIMIT_FAST_CORES },
    { .name = "Arm with cores all alike",
      .n_cpus = 4,
      .threads_per_core = 1,
      .n_allowed = 4,
      .files = { CAPACITY(0, "1024"), CAPACITY(1, "1024"), CAPACITY(2, "1024"), CAPACITY(3, "1024") },
      .want = 4 },
    { .name = "bound to Arm's little cores",
      .n_cpus = 4,
      .threads_per_core = 1,
      .n_allowed = 2,
      .files = { CAPACITY(0, "530"), CAPACITY(1, "530"), CAPACITY(2, "1024"), CAPACITY(3, "1024") },
      .want = 2,
      .limit = LIMIT_AFFINITY },
    { .name = "quota, version 2, of the root as a container sees it",
      .n_cpus = 8,
      .threads_per_core = 1,
      .n_allowed = 8,
      .files = { { "/proc/self/mountinfo", V2_MOUNT },
                 { "/proc/self/cgroup", "0::/\n" },
                 { "/sys/fs/cgroup/cpu.max", "250000 100000\n" } },
      .want = 3,
      .limit = LIMIT_QUOTA },
    { .name = "quota, version 2, two levels above",
      .n_cpus = 8,
      .threads_per_core = 1,
      .n_allowed = 8,
      .files = { { "/proc/self/mountinfo", V2_MOUNT },
                 { "/proc/self/cgroup", "0::/user.slice/pod/box\n" },
                 { "/sys/fs/cgroup/user.slice/cpu.max", "200000 100000\n" },
                 { "/sys/fs/cgroup/user.slice/pod/cpu.max", "500000 100000\n" },
                 { "/sys/fs/cgroup/user.slice/pod/box/cpu.max", "max 100000\n" } },
      .want = 2,
      .limit = LIMIT_QUOTA },
    { .name = "no quota, version 2",
      .n_cpus = 8,
      .threads_per_core = 1,
      .n_allowed = 8,
      .files = { { "/proc/self/mountinfo", V2_MOUNT },
                 { "/proc/self/cgroup", "0::/box\n" },
                 { "/sys/fs/cgroup/box/cpu.max", "max 100000\n" } },
      .want = 8 },
    { .name = "quota, version 1, in the own group",
      .n_cpus = 8,
      .threads_per_core = 1,
      .n_allowed = 8,
      .files = { { "/proc/self/mountinfo", V1_MOUNT },
                 { "/proc/self/cgroup", "9:cpuset:/other\n4:cpu,cpuacct:/box\n" },
                 { "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n" },
                 { "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n" },
                 { "/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "150000\n" },
                 { "/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "50000\n" } },
      .want = 3,
      .limit = LIMIT_QUOTA },
    { .name = "quota, version 1, mounted from the group on",
      .n_cpus = 8,
      .threads_per_core = 1,
      .n_allowed = 8,
      .files = { { "/proc/self/mountinfo",
                   "32 23 0:28 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n" },
                 { "/proc/self/cgroup", "4:cpu:/docker/abc\n" },
                 { "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n" },
                 { "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n" } },
      .want = 1,
      .limit = LIMIT_QUOTA },
    { .name = "a quota above the cores",
      .n_cpus = 4,
      .threads_per_core = 2,
      .n_allowed = 4,
      .files = { { "/proc/self/mountinfo", V2_MOUNT },
                 { "/proc/self/cgroup", "0::/\n" },
                 { "/sys/fs/cgroup/cpu.max", "1600000 100000\n" } },
      .want = 2 },
    { .name = "files that say nothing",
      .n_cpus = 2,
      .threads_per_core = 1,
      .n_allowed = 2,
      .files = { { "/proc/self/mountinfo", "nonsense\n - cgroup2\n" V2_MOUNT },
                 { "/proc/self/cgroup", "nonsense\n0::/../..\n" },
                 { "/sys/fs/cgroup/cpu.max", "\n" },
                 { "/sys/devices/cpu_core/cpus", "nonsense\n" } },
      .want = 2 },
};

static void write_file(const char *root, const char *path, const char *text) {
    char full[4096];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(full, 0700);
        *slash = '/';
    }
    support_write(full, text, strlen(text));
}

static void write_machine(const char *root, const struct machine *m) {
    char path[128], text[64];
    snprintf(text, sizeof text, "0-%u\n", m->n_cpus - 1);
    write_file(root, "/sys/devices/system/cpu/online", text);
    for (unsigned cpu = 0; cpu < m->n_cpus; cpu++) {
        unsigned first = cpu / m->threads_per_core * m->threads_per_core;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
        snprintf(text, sizeof text, m->threads_per_core > 1 ? "%u-%u\n" : "%u\n", first,
                 first + m->threads_per_core - 1);
        write_file(root, path, text);
    }
    for (const struct file *f = m->files; f < m->files + 8 && f->path; f++)
        write_file(root, f->path, f->text);
}

static void every_kind_of_machine_gets_its_threads(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        const struct machine *m = &machines[i];
        struct cpu_mask allowed = { { 0 } };
        enum thread_limit limit;
        char *root = support_temporary_folder();
        write_machine(root, m);
        for (unsigned cpu = m->first_allowed; cpu < m->first_allowed + m->n_allowed; cpu++)
            allowed.words[cpu / 64] |= (uint64_t)1 << cpu % 64;
        unsigned n = count_threads(root, &allowed, &limit);
        support_remove_folder(root);
        if (n != m->want || limit != m->limit)
            fail_msg("%s: %u threads by limit %d, expected %u by %d", m->name, n, limit, m->want, m->limit);
    }
}

static void a_machine_that_tells_nothing_gets_a_thread_for_each_cpu(void **state) {
    (void)state;
    struct cpu_mask allowed = { { 7 } };
    enum thread_limit limit;
    assert_int_equal(count_threads("/nonexistent", &allowed, &limit), 3);
    assert_int_equal(cgroup_cpus("/nonexistent"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_machine_gets_its_threads),
        cmocka_unit_test(a_machine_that_tells_nothing_gets_a_thread_for_each_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void) {
    printf("SKIPPED: these files are Linux's\n");
    return 77;
}

#endif
