// SPDX-License-Identifier: MIT
//
// What the system says about memory.

#ifndef IMX_CALIB_SYSTEM_MEMORY_H
#define IMX_CALIB_SYSTEM_MEMORY_H

#include <stdint.h>

// Bytes that processes can still get: those available on the machine, or less where a memory cgroup
// (version 1 or 2) around this process leaves less. File caches count as available. UINT64_MAX when
// the system does not say.
uint64_t imx_memory_available(void);

// Bytes of memory this process has now; 0 when the system does not say.
uint64_t imx_memory_resident(void);

#endif
