// SPDX-License-Identifier: MIT
//
// A cgroup's usage counts the file cache of its processes, which the kernel gives back under
// pressure: what is left is limit − (usage − cache). Every group up to the root can be the narrow
// one.

#include "calib/system_memory.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

// How the two versions of cgroups name things.
typedef struct cgroup_kind {
    const char *mark; // before the group's path in a line of /proc/self/cgroup
    const char *root;
    const char *limit;
    const char *usage;
    const char *cache; // key in memory.stat
} cgroup_kind;

static const cgroup_kind cgroup_kinds[] = {
    {"0::", "/sys/fs/cgroup", "memory.max", "memory.current", "file"},
    {":memory:", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
     "total_cache"},
};

// The number behind `key` and white space at the beginning of a line ("": of the first line);
// `otherwise` when there is none.
static uint64_t read_number(const char *path, const char *key, uint64_t otherwise) {
    char line[256];
    uint64_t number = otherwise;
    FILE *file = fopen(path, "r");
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = strncmp(line, key, strlen(key)) == 0 &&
                sscanf(line + strlen(key), " %" SCNu64, &number) == 1;
    }
    if (file != NULL) {
        fclose(file);
    }
    return number;
}

static uint64_t group_number(const cgroup_kind *kind, const char *group, const char *name,
                             const char *key, uint64_t otherwise) {
    char path[PATH_MAX];
    const int n = snprintf(path, sizeof path, "%s%s/%s", kind->root, group, name);
    return n > 0 && (size_t)n < sizeof path ? read_number(path, key, otherwise) : otherwise;
}

static uint64_t left_in_group(const cgroup_kind *kind, const char *group) {
    const uint64_t limit = group_number(kind, group, kind->limit, "", UINT64_MAX);
    const uint64_t usage = group_number(kind, group, kind->usage, "", 0);
    const uint64_t cache = group_number(kind, group, "memory.stat", kind->cache, 0);
    const uint64_t held = usage > cache ? usage - cache : 0;
    return limit > held ? limit - held : 0;
}

// The least that is left in `group` and those around it. Cuts the path up.
static uint64_t left_up_to_root(const cgroup_kind *kind, char *group) {
    uint64_t least = UINT64_MAX;
    for (char *slash = group + strlen(group); slash != NULL; slash = strrchr(group, '/')) {
        *slash = '\0';
        const uint64_t left = left_in_group(kind, group);
        least = left < least ? left : least;
    }
    return least;
}

static uint64_t left_in_cgroups(void) {
    char line[PATH_MAX];
    uint64_t least = UINT64_MAX;
    FILE *file = fopen("/proc/self/cgroup", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        for (size_t i = 0; i < sizeof cgroup_kinds / sizeof *cgroup_kinds; ++i) {
            char *mark = strstr(line, cgroup_kinds[i].mark);
            if (mark != NULL) {
                char *group = mark + strlen(cgroup_kinds[i].mark);
                const uint64_t left = left_up_to_root(&cgroup_kinds[i], group);
                least = left < least ? left : least;
            }
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return least;
}

uint64_t imx_memory_available(void) {
    const uint64_t in_groups = left_in_cgroups();
    const uint64_t kib = read_number("/proc/meminfo", "MemAvailable:", UINT64_MAX / 1024);
    return kib * 1024 < in_groups ? kib * 1024 : in_groups;
}

uint64_t imx_memory_resident(void) {
    return read_number("/proc/self/status", "VmRSS:", 0) * 1024;
}
