// SPDX-License-Identifier: MIT

#include "formats/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t empty_file[1];

static imx_status map_descriptor(imx_file_map *map, int fd, const char *path, imx_error *err) {
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return imx_fail(err, IMX_ERR_IO, "%s: cannot read its size: %s", path, strerror(errno));
    }
    if (!S_ISREG(info.st_mode)) {
        return imx_fail(err, IMX_ERR_IO, "%s: is not a regular file", path);
    }
    map->size_bytes = (uint64_t)info.st_size;
    map->data = empty_file;
    if (map->size_bytes > 0) {
        void *data = mmap(NULL, (size_t)map->size_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            return imx_fail(err, IMX_ERR_IO, "%s: cannot map it: %s", path, strerror(errno));
        }
        map->data = data;
    }
    return IMX_OK;
}

imx_status imx_file_map_open(imx_file_map *map, const char *path, imx_error *err) {
    memset(map, 0, sizeof *map);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return imx_fail(err, IMX_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    }
    imx_status status = map_descriptor(map, fd, path, err);
    close(fd);
    if (status == IMX_OK) {
        map->path = strdup(path);
        if (map->path == NULL) {
            status = imx_fail_memory(err, strlen(path) + 1);
        }
    }
    if (status != IMX_OK) {
        imx_file_map_close(map);
    }
    return status;
}

void imx_file_map_close(imx_file_map *map) {
    if (map->data != NULL && map->data != empty_file) {
        // The const of the view is ours; the mapping itself is returned to the system.
        munmap((void *)(uintptr_t)map->data, (size_t)map->size_bytes);
    }
    free(map->path);
    memset(map, 0, sizeof *map);
}

// Widens (or, when `inner`, narrows) the range to whole pages and passes the advice on.
static void advise(const uint8_t *data, uint64_t size_bytes, int advice, int inner) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)data;
    uintptr_t end = begin + (uintptr_t)size_bytes;
    begin = inner ? (begin + page - 1) / page * page : begin / page * page;
    end = inner ? end / page * page : end;
    if (begin < end) {
        madvise((void *)begin, end - begin, advice);
    }
}

void imx_file_map_will_need(const uint8_t *data, uint64_t size_bytes) {
    advise(data, size_bytes, MADV_WILLNEED, 0);
}

void imx_file_map_release(const uint8_t *data, uint64_t size_bytes) {
    advise(data, size_bytes, MADV_DONTNEED, 1);
}

void imx_file_map_drop(const uint8_t *data, uint64_t size_bytes) {
#ifdef MADV_PAGEOUT // Linux 5.4; reaches only what is mapped, so it comes first
    advise(data, size_bytes, MADV_PAGEOUT, 1);
#endif
    imx_file_map_release(data, size_bytes);
}
