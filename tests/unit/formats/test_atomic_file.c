// SPDX-License-Identifier: MIT
//
// Atomic files in a directory of their own: what the final name holds, and that nothing else stays.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "file_fixture.h"
#include "formats/atomic_file.h"

static imx_atomic_file *open_file(const char *path) {
    imx_atomic_file *file;
    imx_error err = {0};
    if (imx_atomic_file_open(&file, path, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    return file;
}

static void write_text(imx_atomic_file *file, const char *text) {
    assert_int_equal(imx_atomic_file_write(file, text, strlen(text), NULL), IMX_OK);
}

static void assert_refused(const char *path, const char *words) {
    imx_atomic_file *file;
    imx_error err = {0};
    assert_int_equal(imx_atomic_file_open(&file, path, &err), IMX_ERR_IO);
    assert_null(file);
    if (strstr(err.message, path) == NULL || strstr(err.message, words) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, words);
    }
}

static void test_new_file(void **state) {
    (void)state;
    struct stat info;
    const mode_t old_mask = umask(027);
    imx_atomic_file *file = open_file("new");
    write_text(file, "one, ");
    write_text(file, "two");
    write_text(file, "");
    assert_int_equal(imx_atomic_file_size(file), 8);
    assert_int_equal(access("new", F_OK), -1);
    assert_int_equal(imx_atomic_file_commit(file, NULL), IMX_OK);
    umask(old_mask);
    assert_content("new", "one, two");
    assert_int_equal(stat("new", &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    assert_n_files(1);
}

static void test_replacing(void **state) {
    (void)state;
    struct stat info;
    write_plain("old", "old content");
    assert_int_equal(chmod("old", 0604), 0);
    imx_atomic_file *file = open_file("old");
    write_text(file, "new content");
    assert_content("old", "old content");
    assert_int_equal(imx_atomic_file_commit(file, NULL), IMX_OK);
    assert_content("old", "new content");
    assert_int_equal(stat("old", &info), 0);
    assert_int_equal(info.st_mode & 07777, 0604);
    assert_n_files(1);
}

static void test_abort(void **state) {
    (void)state;
    write_plain("old", "old content");
    imx_atomic_file *file = open_file("old");
    write_text(file, "new content");
    assert_n_files(2);
    imx_atomic_file_abort(file);
    imx_atomic_file_abort(NULL);
    assert_content("old", "old content");
    assert_n_files(1);
}

// Small and large writes mixed, around the size of the buffer.
static void test_large_writes(void **state) {
    (void)state;
    static const size_t sizes[] = {1, (1 << 20) - 1, 1, 1 << 20, 5, 3 * 1048577, 0, (1 << 20) + 1};
    uint8_t *data = malloc(3 * 1048577);
    uint8_t *expected = malloc(16 << 20);
    size_t n = 0;
    imx_atomic_file *file = open_file("large");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
        for (size_t k = 0; k < sizes[i]; ++k) {
            data[k] = (uint8_t)(k * 7 + i * 31 + (k >> 12));
        }
        memcpy(expected + n, data, sizes[i]);
        n += sizes[i];
        assert_int_equal(imx_atomic_file_write(file, data, sizes[i], NULL), IMX_OK);
        assert_int_equal(imx_atomic_file_size(file), n);
    }
    assert_int_equal(imx_atomic_file_commit(file, NULL), IMX_OK);
    FILE *written = fopen("large", "rb");
    uint8_t *read = malloc(n + 1);
    assert_int_equal(fread(read, 1, n + 1, written), n);
    assert_memory_equal(read, expected, n);
    fclose(written);
    free(read);
    free(expected);
    free(data);
}

// A disk that is full after a few KB, found by a write or only by the last flush.
static void test_full_disk(void **state) {
    (void)state;
    struct rlimit old_limit;
    imx_error err = {0};
    uint8_t *data = calloc(3, 1 << 20);
    write_plain("old", "old content");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
    const struct rlimit limit = {8192, old_limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);

    imx_atomic_file *file = open_file("old");
    assert_int_equal(imx_atomic_file_write(file, data, 3 << 20, &err), IMX_ERR_IO);
    imx_atomic_file_abort(file);
    const bool named = strstr(err.message, "old") != NULL;

    file = open_file("old");
    assert_int_equal(imx_atomic_file_write(file, data, 100000, NULL), IMX_OK);
    const imx_status status = imx_atomic_file_commit(file, &err);

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
    assert_true(named);
    assert_int_equal(status, IMX_ERR_IO);
    assert_non_null(strstr(err.message, strerror(EFBIG)));
    assert_content("old", "old content");
    assert_n_files(1);
    free(data);
}

static void test_links(void **state) {
    (void)state;
    struct stat info;
    assert_int_equal(mkdir("elsewhere", 0777), 0);
    write_plain("elsewhere/target", "old content");
    assert_int_equal(symlink("elsewhere/target", "link"), 0);
    imx_atomic_file *file = open_file("link");
    write_text(file, "new content");
    assert_int_equal(imx_atomic_file_commit(file, NULL), IMX_OK);
    assert_int_equal(lstat("link", &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_content("elsewhere/target", "new content");
    assert_int_equal(unlink("elsewhere/target"), 0);
    assert_refused("link", "symbolic link to nothing");
}

static void test_refused_destinations(void **state) {
    (void)state;
    assert_int_equal(mkdir("directory", 0777), 0);
    write_plain("plain", "");
    assert_refused("directory", "is a directory");
    assert_refused("directory/", "is a directory");
    assert_refused(".", "is a directory");
    assert_refused("", "not the name of a file");
    assert_refused("nowhere/", "not the name of a file");
    assert_refused("nowhere/file", strerror(ENOENT));
    assert_refused("plain/file", strerror(ENOTDIR));
    char long_name[300];
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_refused(long_name, strerror(ENAMETOOLONG));
}

static void test_no_permission(void **state) {
    (void)state;
    if (geteuid() == 0) {
        skip(); // root may write everywhere
    }
    write_plain("protected", "old content");
    assert_int_equal(chmod("protected", 0444), 0);
    assert_refused("protected", strerror(EACCES));
    assert_int_equal(mkdir("directory", 0555), 0);
    assert_refused("directory/file", strerror(EACCES));
}

// The longest name a directory can hold still has room for a temporary one beside it.
static void test_longest_name(void **state) {
    (void)state;
    char name[NAME_MAX + 1];
    memset(name, 'n', NAME_MAX);
    name[NAME_MAX] = '\0';
    imx_atomic_file *file = open_file(name);
    write_text(file, "content");
    assert_int_equal(imx_atomic_file_commit(file, NULL), IMX_OK);
    assert_content(name, "content");
}

static void test_special_files(void **state) {
    (void)state;
    imx_error err = {0};
    char path[32];
    char buffer[16] = {0};
    int ends[2];
    imx_atomic_file *file = open_file("/dev/null");
    write_text(file, "gone");
    assert_int_equal(imx_atomic_file_commit(file, NULL), IMX_OK);

    file = open_file("/dev/full");
    write_text(file, "no room");
    assert_int_equal(imx_atomic_file_commit(file, &err), IMX_ERR_IO);
    assert_non_null(strstr(err.message, strerror(ENOSPC)));

    assert_int_equal(pipe(ends), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    file = open_file(path);
    write_text(file, "piped");
    assert_int_equal(imx_atomic_file_commit(file, NULL), IMX_OK);
    assert_int_equal(read(ends[0], buffer, sizeof buffer), 5);
    assert_string_equal(buffer, "piped");
    close(ends[0]);
    close(ends[1]);
    assert_n_files(0);
}

static void test_many_open(void **state) {
    (void)state;
    enum { MAX_OPEN = 16 };
    imx_atomic_file *files[MAX_OPEN];
    imx_atomic_file *one_more;
    char name[16];
    for (int repeat = 0; repeat < 2; ++repeat) {
        for (int i = 0; i < MAX_OPEN; ++i) {
            snprintf(name, sizeof name, "file%d", i);
            files[i] = open_file(name);
        }
        assert_int_equal(imx_atomic_file_open(&one_more, "more", NULL), IMX_ERR_ARGUMENT);
        for (int i = 0; i < MAX_OPEN; ++i) {
            assert_int_equal(imx_atomic_file_commit(files[i], NULL), IMX_OK);
        }
        assert_n_files(MAX_OPEN);
    }
}

// Two writers of one name do not disturb each other; the last to commit wins.
static void test_same_name_twice(void **state) {
    (void)state;
    imx_atomic_file *first = open_file("name");
    imx_atomic_file *second = open_file("name");
    write_text(first, "first");
    write_text(second, "second");
    assert_int_equal(imx_atomic_file_commit(second, NULL), IMX_OK);
    assert_content("name", "second");
    assert_int_equal(imx_atomic_file_commit(first, NULL), IMX_OK);
    assert_content("name", "first");
    assert_n_files(1);
}

static void on_signal(int number) {
    imx_atomic_file_unlink_all();
    _exit(number);
}

static void test_unlink_all_in_signal_handler(void **state) {
    (void)state;
    write_plain("old", "old content");
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGTERM, on_signal);
        open_file("old");
        imx_atomic_file_abort(open_file("aborted"));
        imx_atomic_file_commit(open_file("finished"), NULL);
        open_file("new");
        raise(SIGTERM);
        _exit(1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result) && WEXITSTATUS(result) == SIGTERM);
    assert_content("old", "old content");
    assert_n_files(2); // old and finished
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_directory, leave_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_new_file),
        TEST(test_replacing),
        TEST(test_abort),
        TEST(test_large_writes),
        TEST(test_full_disk),
        TEST(test_links),
        TEST(test_refused_destinations),
        TEST(test_no_permission),
        TEST(test_longest_name),
        TEST(test_special_files),
        TEST(test_many_open),
        TEST(test_same_name_twice),
        TEST(test_unlink_all_in_signal_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
