/* cgroup.h - the CPU quota of this process's control groups (Linux).
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_ENGINE_CGROUP_H
#define QUERN_ENGINE_CGROUP_H

/* CPUs that the process's control group and all above it may keep busy, rounded up; 0: there is no quota.
 * Version 2 and version 1. root: put before all paths, "" but in tests. */
unsigned cgroup_cpus(const char *root);

#endif
