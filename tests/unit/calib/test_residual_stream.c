// SPDX-License-Identifier: MIT
//
// The residual stream: what is stored is loaded again, in memory and in a file; a file leaves no
// name and says when there is no room.

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "calib/forward/residual_stream.h"

enum { N_ROWS = 100, N_COLS = 7, BLOCK = 13 };

static float value_at(size_t row, size_t col, size_t pass) {
    return (float)(row * 1000 + col + pass * 100000);
}

// Goes over the stream in blocks, checks what the pass before has written and writes anew.
static void pass_over(imx_residual_stream *stream, size_t pass) {
    imx_error err;
    for (size_t first = 0; first < N_ROWS; first += BLOCK) {
        const size_t n = N_ROWS - first < BLOCK ? N_ROWS - first : BLOCK;
        float *rows;
        assert_int_equal(imx_residual_stream_load(stream, first, n, &rows, &err), IMX_OK);
        for (size_t i = 0; i < n * N_COLS; ++i) {
            const size_t row = first + i / N_COLS, col = i % N_COLS;
            assert_true(rows[i] == (pass == 0 ? 0.0f : value_at(row, col, pass - 1)));
            rows[i] = value_at(row, col, pass);
        }
        assert_int_equal(imx_residual_stream_store(stream, &err), IMX_OK);
    }
}

static void check_stream(const char *scratch_beside) {
    imx_residual_stream *stream;
    imx_error err;
    assert_int_equal(imx_residual_stream_new(&stream, N_ROWS, N_COLS, BLOCK, scratch_beside, &err),
                     IMX_OK);
    for (size_t pass = 0; pass < 3; ++pass) {
        pass_over(stream, pass);
    }
    imx_residual_stream_free(stream);
}

static void test_values_stay(void **state) {
    (void)state;
    check_stream(NULL);
    check_stream("/tmp/imatrix-test-stream");
}

// What was loaded but not stored is forgotten by a file.
static void test_load_alone_changes_nothing(void **state) {
    (void)state;
    imx_residual_stream *stream;
    imx_error err;
    float *rows;
    assert_int_equal(
        imx_residual_stream_new(&stream, N_ROWS, N_COLS, BLOCK, "/tmp/imatrix-test-stream", &err),
        IMX_OK);
    assert_int_equal(imx_residual_stream_load(stream, 5, 3, &rows, &err), IMX_OK);
    rows[0] = 1;
    assert_int_equal(imx_residual_stream_load(stream, 5, 3, &rows, &err), IMX_OK);
    assert_true(rows[0] == 0);
    imx_residual_stream_free(stream);
}

static void test_memory_can_be_loaded_whole(void **state) {
    (void)state;
    imx_residual_stream *stream;
    imx_error err;
    float *rows, *again;
    assert_int_equal(imx_residual_stream_new(&stream, N_ROWS, N_COLS, 0, NULL, &err), IMX_OK);
    pass_over(stream, 0);
    assert_int_equal(imx_residual_stream_load(stream, 0, N_ROWS, &rows, &err), IMX_OK);
    assert_int_equal(imx_residual_stream_load(stream, 1, 2, &again, &err), IMX_OK);
    assert_ptr_equal(again, rows + N_COLS);
    assert_true(rows[N_ROWS * N_COLS - 1] == value_at(N_ROWS - 1, N_COLS - 1, 0));
    imx_residual_stream_free(stream);
}

static void test_scratch_has_no_name(void **state) {
    (void)state;
    char dir[] = "/tmp/imatrix-test-XXXXXX";
    char path[64];
    imx_residual_stream *stream;
    imx_error err;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/out", dir);
    assert_int_equal(imx_residual_stream_new(&stream, N_ROWS, N_COLS, BLOCK, path, &err), IMX_OK);
    assert_int_equal(rmdir(dir), 0); // it is empty
    imx_residual_stream_free(stream);
}

static void test_refusals(void **state) {
    (void)state;
    const struct rlimit small = {.rlim_cur = 100, .rlim_max = RLIM_INFINITY};
    struct rlimit old;
    imx_residual_stream *stream;
    imx_error err;
    assert_int_equal(
        imx_residual_stream_new(&stream, N_ROWS, N_COLS, BLOCK, "/no/such/dir/out", &err),
        IMX_ERR_IO);
    assert_null(stream);
    assert_non_null(strstr(err.message, "/no/such/dir/out"));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0); // the test ignores SIGXFSZ
    const imx_status status =
        imx_residual_stream_new(&stream, N_ROWS, N_COLS, BLOCK, "/tmp/imatrix-test-stream", &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(status, IMX_ERR_IO);
    assert_null(stream);
    assert_non_null(strstr(err.message, "cannot find room for the scratch file"));
}

int main(void) {
    signal(SIGXFSZ, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_stay),
        cmocka_unit_test(test_load_alone_changes_nothing),
        cmocka_unit_test(test_memory_can_be_loaded_whole),
        cmocka_unit_test(test_scratch_has_no_name),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
