// SPDX-License-Identifier: MIT
//
// Partial files in a directory of their own: what stays, what is replaced, and who may write.

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "file_fixture.h"
#include "formats/output_target.h"
#include "formats/partial_file.h"

static imx_partial_file *open_file(const char *path) {
    imx_partial_file *file;
    imx_error err = {0};
    if (imx_partial_file_open(&file, path, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    return file;
}

static void append_text(imx_partial_file *file, const char *text) {
    assert_int_equal(imx_partial_file_append(file, text, strlen(text), NULL), IMX_OK);
}

static void commit(imx_partial_file *file) {
    assert_int_equal(imx_partial_file_sync(file, NULL), IMX_OK);
    assert_int_equal(imx_partial_file_commit(file, NULL), IMX_OK);
}

static void assert_refused(const char *path, const char *words) {
    imx_partial_file *file;
    imx_error err = {0};
    assert_int_equal(imx_partial_file_open(&file, path, &err), IMX_ERR_IO);
    assert_null(file);
    if (strstr(err.message, path) == NULL || strstr(err.message, words) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, words);
    }
}

static void test_the_name_comes_last(void **state) {
    (void)state;
    write_plain("model", "old content");
    imx_partial_file *file = open_file("model");
    append_text(file, "new content");
    assert_string_equal(strrchr(imx_partial_file_path(file), '/'), "/model.partial");
    assert_content("model", "old content");
    assert_content("model.partial", "new content");
    commit(file);
    assert_content("model", "new content");
    assert_n_files(1);
}

static void test_what_is_left_is_found(void **state) {
    (void)state;
    bool is_equal;
    imx_partial_file *file = open_file("model");
    assert_int_equal(imx_partial_file_size(file), 0);
    append_text(file, "whole tensor, half a ten");
    imx_partial_file_close(file);

    file = open_file("model");
    assert_int_equal(imx_partial_file_size(file), 24);
    assert_int_equal(imx_partial_file_compare(file, 6, "tensor", 6, &is_equal, NULL), IMX_OK);
    assert_true(is_equal);
    assert_int_equal(imx_partial_file_compare(file, 6, "tensqr", 6, &is_equal, NULL), IMX_OK);
    assert_false(is_equal);
    assert_int_equal(imx_partial_file_resize(file, 14, NULL), IMX_OK);
    append_text(file, "whole again");
    assert_int_equal(imx_partial_file_write(file, 0, "W", 1, NULL), IMX_OK);
    append_text(file, ".");
    commit(file);
    assert_content("model", "Whole tensor, whole again.");
    assert_n_files(1);
}

// Pieces in any order, with a gap that stays.
static void test_holes(void **state) {
    (void)state;
    enum { N = 1 << 20 };
    bool is_equal;
    uint8_t *expected = calloc(N, 1);
    imx_partial_file *file = open_file("model");
    assert_false(imx_partial_file_is_special(file));
    assert_int_equal(imx_partial_file_write(file, N - 4, "last", 4, NULL), IMX_OK);
    assert_int_equal(imx_partial_file_size(file), N);
    assert_int_equal(imx_partial_file_write(file, 9, "second", 6, NULL), IMX_OK);
    assert_int_equal(imx_partial_file_write(file, 2, "first", 5, NULL), IMX_OK);
    assert_int_equal(imx_partial_file_size(file), N);
    memcpy(expected + 2, "first", 5);
    memcpy(expected + 9, "second", 6);
    memcpy(expected + N - 4, "last", 4);
    assert_int_equal(imx_partial_file_compare(file, 0, expected, N, &is_equal, NULL), IMX_OK);
    assert_true(is_equal);
    assert_true(imx_partial_file_disk_bytes(file) < N);
    imx_partial_file_close(file);

    file = open_file("model");
    assert_int_equal(imx_partial_file_resize(file, 4, NULL), IMX_OK);
    assert_int_equal(imx_partial_file_resize(file, N, NULL), IMX_OK);
    memset(expected + 4, 0, N - 4);
    assert_int_equal(imx_partial_file_compare(file, 0, expected, N, &is_equal, NULL), IMX_OK);
    assert_true(is_equal);
    imx_partial_file_discard(file);
    free(expected);
}

// Differences in any part of long content.
static void test_compare(void **state) {
    (void)state;
    enum { N = 3 * 4096 + 5 };
    uint8_t *bytes = calloc(N, 1);
    imx_partial_file *file = open_file("model");
    assert_int_equal(imx_partial_file_write(file, 0, bytes, N, NULL), IMX_OK);
    for (size_t i = 0; i < N; i += 2048) {
        bool is_equal;
        bytes[i] = 1;
        assert_int_equal(imx_partial_file_compare(file, 0, bytes, N, &is_equal, NULL), IMX_OK);
        assert_false(is_equal);
        assert_int_equal(imx_partial_file_compare(file, 0, bytes, i, &is_equal, NULL), IMX_OK);
        assert_true(is_equal);
        bytes[i] = 0;
    }
    imx_partial_file_discard(file);
    assert_n_files(0);
    free(bytes);
}

static void test_empty_files_do_not_stay(void **state) {
    (void)state;
    imx_partial_file_close(open_file("model"));
    imx_partial_file_close(NULL);
    imx_partial_file_discard(NULL);
    assert_n_files(0);
}

static void test_one_at_a_time(void **state) {
    (void)state;
    imx_partial_file *file = open_file("model");
    append_text(file, "mine");
    assert_refused("model", "another run");
    assert_content("model.partial", "mine");
    imx_partial_file_close(file);
    imx_partial_file_discard(open_file("model"));
    assert_n_files(0);
}

// The lock goes with the process, the bytes do not.
static void test_a_killed_writer(void **state) {
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        append_text(open_file("model"), "kept");
        raise(SIGKILL);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result));
    imx_partial_file *file = open_file("model");
    assert_int_equal(imx_partial_file_size(file), 4);
    commit(file);
    assert_content("model", "kept");
}

static void test_targets(void **state) {
    (void)state;
    struct stat info;
    assert_int_equal(mkdir("directory", 0777), 0);
    assert_refused("directory", "is a directory");
    assert_refused("nowhere/file", "must exist");

    write_plain("directory/target", "old content");
    assert_int_equal(chmod("directory/target", 0640), 0);
    assert_int_equal(symlink("directory/target", "link"), 0);
    imx_partial_file *file = open_file("link");
    append_text(file, "new content");
    commit(file);
    assert_int_equal(lstat("link", &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(stat("link", &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    assert_content("directory/target", "new content");
}

static void test_special_files(void **state) {
    (void)state;
    int ends[2];
    char path[32];
    char buffer[16] = {0};
    assert_int_equal(pipe(ends), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    imx_partial_file *file = open_file(path);
    append_text(file, "piped");
    assert_true(imx_partial_file_is_special(file));
    assert_int_equal(imx_partial_file_write(file, 0, "P", 1, NULL), IMX_ERR_IO);
    assert_int_equal(imx_partial_file_write(file, 6, "P", 1, NULL), IMX_ERR_IO);
    assert_int_equal(imx_partial_file_resize(file, 6, NULL), IMX_ERR_IO);
    assert_int_equal(imx_partial_file_resize(file, 5, NULL), IMX_OK);
    commit(file);
    assert_int_equal(read(ends[0], buffer, sizeof buffer), 5);
    assert_string_equal(buffer, "piped");
    close(ends[0]);
    close(ends[1]);

    file = open_file("/dev/full");
    imx_error err = {0};
    assert_int_equal(imx_partial_file_write(file, 0, "no room", 7, &err), IMX_ERR_IO);
    imx_partial_file_discard(file);
    assert_int_equal(access("/dev/full", F_OK), 0);
    assert_n_files(0);
}

static void test_disk_space(void **state) {
    (void)state;
    imx_error err = {0};
    assert_int_equal(imx_disk_space_check("model", 1, NULL), IMX_OK);
    assert_int_equal(imx_disk_space_check("./model", UINT64_MAX, &err), IMX_ERR_IO);
    assert_non_null(
        strstr(err.message, "./model: 18446744073709551615 bytes are needed in ./ and"));
    assert_int_equal(imx_disk_space_check("nowhere/model", UINT64_MAX, NULL), IMX_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_directory, leave_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_the_name_comes_last),
        TEST(test_what_is_left_is_found),
        TEST(test_holes),
        TEST(test_compare),
        TEST(test_empty_files_do_not_stay),
        TEST(test_one_at_a_time),
        TEST(test_a_killed_writer),
        TEST(test_targets),
        TEST(test_special_files),
        TEST(test_disk_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
