// SPDX-License-Identifier: MIT
//
// Files in a directory of the test's own, which is the current one. For cmocka programs:
// cmocka_unit_test_setup_teardown(name, enter_directory, leave_directory).

#ifndef IMX_TESTS_FILE_FIXTURE_H
#define IMX_TESTS_FILE_FIXTURE_H

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline int enter_directory(void **state) {
    char path[] = "/tmp/imatrix-test-XXXXXX";
    if (mkdtemp(path) == NULL || chdir(path) != 0) {
        return -1;
    }
    *state = strdup(path);
    return 0;
}

static inline int leave_directory(void **state) {
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    free(*state);
    return chdir("/") != 0 || system(command) != 0 ? -1 : 0;
}

static inline void write_bytes(const char *path, const void *bytes, size_t n_bytes) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
}

static inline void write_plain(const char *path, const char *content) {
    write_bytes(path, content, strlen(content));
}

// The content of a file, the caller's to free().
static inline uint8_t *read_bytes(const char *path, size_t *n_bytes) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *n_bytes = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*n_bytes + 1);
    assert_int_equal(fread(bytes, 1, *n_bytes, file), *n_bytes);
    fclose(file);
    return bytes;
}

static inline void assert_content(const char *path, const char *content) {
    size_t n_bytes;
    uint8_t *bytes = read_bytes(path, &n_bytes);
    assert_int_equal(n_bytes, strlen(content));
    assert_memory_equal(bytes, content, n_bytes);
    free(bytes);
}

static inline void assert_n_files(int expected) {
    int n = 0;
    DIR *dir = opendir(".");
    while (readdir(dir) != NULL) {
        ++n;
    }
    closedir(dir);
    assert_int_equal(n - 2, expected); // . and ..
}

#endif
