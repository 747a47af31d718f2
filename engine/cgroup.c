/* cgroup.c - the CPU quota of this process's control groups (Linux).
 * SPDX-License-Identifier: MIT
 * A quota is like a smaller machine: threads beyond it are stopped in the middle of a step. A container's own
 * files often show none while a group above has one, so all are read from the process's group to the root of
 * what is mounted (cgroups(7); proc(5), mountinfo). */
#include "engine/cgroup.h"

#if defined(__linux__)

#    include <stdbool.h>
#    include <stdio.h>
#    include <string.h>

enum { PATH_BYTES = 4096, LINE_BYTES = 2 * PATH_BYTES };

/* A hierarchy: where it is mounted, which group is visible there, and the process's group. */
struct hierarchy {
    bool is_v2;
    char mount[PATH_BYTES], root[PATH_BYTES], group[PATH_BYTES];
};

static FILE *open_below(const char *root, const char *folder, const char *name) {
    char path[2 * PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s%s%s", root, folder, name);
    return n > 0 && (size_t)n < sizeof path ? fopen(path, "r") : NULL;
}

/* Whether a list with commas, which ends at a blank or a colon, holds the word. */
static bool lists(const char *list, const char *word) {
    size_t n = strlen(word);
    for (;;) {
        size_t length = strcspn(list, ",: \n");
        if (length == n && !memcmp(list, word, n))
            return true;
        if (list[length] != ',')
            return false;
        list += length + 1;
    }
}

/* "36 35 98:0 /root /mount rw,noatime shared:1 - cgroup2 source rw,cpu" */
static bool read_mount(const char *line, struct hierarchy *h) {
    const char *rest = strstr(line, " - ");
    char type[32], options[PATH_BYTES] = "";
    if (!rest || sscanf(rest, " - %31s %*s %4095s", type, options) < 1)
        return false;
    if (sscanf(line, "%*s %*s %*s %4095s %4095s", h->root, h->mount) != 2)
        return false;
    h->is_v2 = !strcmp(type, "cgroup2");
    return h->is_v2 || (!strcmp(type, "cgroup") && lists(options, "cpu"));
}

/* "0::/group" in version 2, "4:cpu,cpuacct:/group" in version 1. */
static bool read_group(const char *line, struct hierarchy *h) {
    const char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group || (h->is_v2 ? controllers[1] != ':' : !lists(controllers + 1, "cpu")))
        return false;
    snprintf(h->group, sizeof h->group, "%.*s", (int)strcspn(group + 1, "\n"), group + 1);
    return true;
}

static bool find_group(const char *root, struct hierarchy *h) {
    char line[LINE_BYTES];
    bool found = false;
    FILE *f = open_below(root, "/proc/self", "/cgroup");
    while (f && !found && fgets(line, sizeof line, f))
        found = read_group(line, h);
    if (f)
        fclose(f);
    return found;
}

/* CPUs of one group, 0 if it has no quota. "max 100000" in version 2, -1 in version 1 mean none. */
static unsigned group_cpus(const char *root, const char *folder, bool is_v2) {
    double quota = 0, period = 0;
    FILE *f = open_below(root, folder, is_v2 ? "/cpu.max" : "/cpu.cfs_quota_us");
    FILE *second = is_v2 ? f : open_below(root, folder, "/cpu.cfs_period_us");
    bool known = f && second && fscanf(f, "%lf", &quota) == 1 && fscanf(second, "%lf", &period) == 1;
    if (f)
        fclose(f);
    if (second && second != f)
        fclose(second);
    if (!known || !(quota > 0) || !(period > 0))
        return 0;
    double cpus = quota / period;
    return cpus >= 1e6 ? 1000000 : (unsigned)cpus + (cpus > (double)(unsigned)cpus);
}

/* The least of the group and those above it, up to the mount. */
static unsigned hierarchy_cpus(const char *root, const struct hierarchy *h) {
    char folder[2 * PATH_BYTES];
    const char *below = h->group;
    size_t shown = strcmp(h->root, "/") ? strlen(h->root) : 0, mount = strlen(h->mount);
    /* Of a group outside what is mounted here only the mount can be read. */
    below = !strncmp(below, h->root, shown) && !strstr(below, "/..") ? below + shown : "";
    snprintf(folder, sizeof folder, "%s%s", h->mount, strcmp(below, "/") ? below : "");
    unsigned least = 0;
    for (;;) {
        unsigned n = group_cpus(root, folder, h->is_v2);
        least = n && (!least || n < least) ? n : least;
        char *slash = strrchr(folder, '/');
        if (strlen(folder) <= mount || !slash)
            return least;
        *slash = 0;
    }
}

unsigned cgroup_cpus(const char *root) {
    char line[LINE_BYTES];
    unsigned least = 0;
    FILE *f = open_below(root, "/proc/self", "/mountinfo");
    while (f && fgets(line, sizeof line, f)) {
        struct hierarchy h = { 0 };
        unsigned n = read_mount(line, &h) && find_group(root, &h) ? hierarchy_cpus(root, &h) : 0;
        least = n && (!least || n < least) ? n : least;
    }
    if (f)
        fclose(f);
    return least;
}

#endif
