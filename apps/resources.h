/* resources.h - time and memory of this process.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_RESOURCES_H
#define QUERN_APPS_RESOURCES_H

#include <stdint.h>

/* Milliseconds of a clock that never goes back. */
double now_ms(void);

/* The most memory that was resident at any time, file mappings included, in bytes; 0 if unknown. */
uint64_t peak_resident_bytes(void);

/* 32 bits that differ from run to run. */
uint32_t random_seed(void);

#endif
