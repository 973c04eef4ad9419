// SPDX-License-Identifier: MIT

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/file_map.h"

static void test_content(void **state) {
    (void)state;
    char path[] = "/tmp/imatrix-test-map-XXXXXX";
    uint8_t *content = malloc(300000);
    for (size_t i = 0; i < 300000; ++i) {
        content[i] = (uint8_t)(i % 251);
    }
    const int fd = mkstemp(path);
    assert_int_equal(write(fd, content, 300000), 300000);
    imx_file_map map;
    assert_int_equal(imx_file_map_open(&map, path, NULL), IMX_OK);
    assert_int_equal(map.size_bytes, 300000);
    assert_string_equal(map.path, path);
    // Advice about any range, also one inside a page or empty, changes nothing.
    imx_file_map_will_need(map.data + 5, 200000);
    imx_file_map_release(map.data + 5, 200000);
    imx_file_map_release(map.data + 5, 10);
    imx_file_map_drop(map.data + 5, 200000);
    imx_file_map_will_need(map.data + 5, 0);
    assert_memory_equal(map.data, content, 300000);
    imx_file_map_close(&map);
    assert_null(map.data);
    imx_file_map_close(&map);

    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(imx_file_map_open(&map, path, NULL), IMX_OK);
    assert_int_equal(map.size_bytes, 0);
    assert_non_null(map.data);
    imx_file_map_close(&map);
    close(fd);
    unlink(path);
    free(content);
}

static void assert_refused(const char *path) {
    imx_file_map map = {.size_bytes = 1};
    imx_error err = {0};
    assert_int_equal(imx_file_map_open(&map, path, &err), IMX_ERR_IO);
    assert_non_null(strstr(err.message, path));
    assert_null(map.data);
    assert_null(map.path);
    assert_int_equal(map.size_bytes, 0);
}

static void test_refused(void **state) {
    (void)state;
    char path[] = "/tmp/imatrix-test-map-XXXXXX";
    assert_refused("/nowhere/at/all");
    assert_refused("/tmp");
    assert_refused("/dev/null");
    assert_non_null(mkdtemp(path));
    char fifo[64] = {0};
    strcat(strcpy(fifo, path), "/fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_refused(fifo); // and does not wait for a writer
    unlink(fifo);
    rmdir(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
