// SPDX-License-Identifier: MIT
//
// What the calls of a calibration ask of each other.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "imatrix/imatrix.h"

typedef struct fixture {
    char model[512];
    char text[512];
    char folder[64];
    char out[2][96];
    const char *texts[1];
    imatrix_calibration *calibration;
    imatrix_quantizer *quantizers[2];
    imatrix_error error;
} fixture;

static imatrix_calibration_options calibration_options(fixture *f, imatrix_inputs inputs) {
    imatrix_calibration_options options;
    imatrix_calibration_options_init(&options);
    options.run.model_path = f->model;
    options.run.texts = f->texts;
    options.run.n_texts = 1;
    options.run.n_ctx = 16;
    options.run.max_chunks = 2;
    options.run.n_threads = 1;
    options.inputs = inputs;
    return options;
}

static imatrix_quantize_options quantize_options(const fixture *f, const char *recipe) {
    imatrix_quantize_options options;
    imatrix_quantize_options_init(&options);
    options.model_path = f->model;
    options.recipe = recipe;
    options.n_threads = 1;
    options.calibration = f->calibration;
    return options;
}

// A calibration and two quantizers.
static void open_all(fixture *f, imatrix_inputs inputs) {
    static const char *const recipes[] = {"Q4_0", "Q8_0"};
    const imatrix_calibration_options options = calibration_options(f, inputs);
    assert_int_equal(imatrix_calibration_open(&f->calibration, &options, &f->error), IMATRIX_OK);
    for (size_t i = 0; i < 2; ++i) {
        const imatrix_quantize_options quantize = quantize_options(f, recipes[i]);
        assert_int_equal(imatrix_quantizer_open(&f->quantizers[i], &quantize, &f->error),
                         IMATRIX_OK);
    }
}

static void close_all(fixture *f) {
    imatrix_quantizer_close(f->quantizers[0]);
    imatrix_quantizer_close(f->quantizers[1]);
    imatrix_calibration_close(f->calibration);
}

static void expect_error(const fixture *f, imatrix_status status, imatrix_status expected,
                         const char *words) {
    assert_int_equal(status, expected);
    assert_non_null(strstr(f->error.message, words));
}

static int set_up(void **state) {
    const char *source = getenv("IMATRIX_SOURCE");
    fixture *f = calloc(1, sizeof *f);
    if (source == NULL || f == NULL) {
        free(f);
        return -1;
    }
    snprintf(f->model, sizeof f->model, "%s/examples/model/manuals-5M-f16.gguf", source);
    snprintf(f->text, sizeof f->text, "%s/examples/text/calibration.txt", source);
    f->texts[0] = f->text;
    strcpy(f->folder, "/tmp/imatrix-calibration-XXXXXX");
    if (mkdtemp(f->folder) == NULL) {
        return -1;
    }
    for (int i = 0; i < 2; ++i) {
        snprintf(f->out[i], sizeof f->out[i], "%s/%d.gguf", f->folder, i);
    }
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    unlink(f->out[0]);
    unlink(f->out[1]);
    const int left = rmdir(f->folder);
    free(f);
    return left;
}

static void test_two_files_from_one_run(void **state) {
    fixture *f = *state;
    const char *paths[] = {f->out[0], f->out[1]};
    imatrix_run_start start;
    imatrix_plan_totals totals;
    imatrix_tensor_plan tensor;
    open_all(f, IMATRIX_INPUTS_ORIGINAL);
    assert_int_equal(
        imatrix_calibration_measure(f->calibration, f->quantizers, 2, &start, &f->error),
        IMATRIX_OK);
    assert_int_equal(start.n_tokens, 32);
    imatrix_quantizer_totals(f->quantizers[1], &totals);
    assert_int_equal(totals.memory_bytes, start.memory_bytes);
    assert_int_equal(totals.n_with_statistics, 35);
    assert_int_equal(imatrix_calibration_run(f->calibration, f->quantizers, paths, 2, &f->error),
                     IMATRIX_OK);
    for (size_t i = 0; i < 2; ++i) {
        assert_int_equal(access(paths[i], R_OK), 0);
        imatrix_quantizer_totals(f->quantizers[i], &totals);
        // 32 tokens are too few for products of columns.
        assert_int_equal(totals.n_reached[IMATRIX_REACH_COLUMN][IMATRIX_REASON_FEW_TOKENS], 35);
        assert_int_equal(totals.n_reached[IMATRIX_REACH_COLUMN][IMATRIX_REASON_UNSEEN], 1);
        imatrix_quantizer_tensor(f->quantizers[i], 2, &tensor);
        assert_int_equal(tensor.calibrated.n_matrices, 1);
        assert_true(tensor.weighted_error > 0 && tensor.weighted_error < 0.1);
    }
    expect_error(f, imatrix_calibration_run(f->calibration, f->quantizers, paths, 2, &f->error),
                 IMATRIX_ERR_ARGUMENT, "runs once");
    close_all(f);
}

static void test_runs_that_make_no_sense(void **state) {
    fixture *f = *state;
    const char *same[] = {f->out[0], f->out[0]};
    open_all(f, IMATRIX_INPUTS_ORIGINAL);
    expect_error(f, imatrix_calibration_run(f->calibration, f->quantizers, same, 2, &f->error),
                 IMATRIX_ERR_ARGUMENT, "two files at once");
    expect_error(f, imatrix_calibration_run(f->calibration, f->quantizers, same, 0, &f->error),
                 IMATRIX_ERR_ARGUMENT, "at least one");
    expect_error(f, imatrix_quantizer_run(f->quantizers[0], f->out[0], &f->error),
                 IMATRIX_ERR_ARGUMENT, "calibration");
    close_all(f);
    open_all(f, IMATRIX_INPUTS_QUANTIZED);
    const char *paths[] = {f->out[0], f->out[1]};
    expect_error(f, imatrix_calibration_run(f->calibration, f->quantizers, paths, 2, &f->error),
                 IMATRIX_ERR_ARGUMENT, "one type at a time");
    close_all(f);
}

static void test_quantizers_of_other_calibrations(void **state) {
    fixture *f = *state;
    imatrix_calibration *other;
    imatrix_quantizer *quantizer;
    const char *paths[] = {f->out[0], f->out[1]};
    open_all(f, IMATRIX_INPUTS_ORIGINAL);
    const imatrix_calibration_options options = calibration_options(f, IMATRIX_INPUTS_ORIGINAL);
    assert_int_equal(imatrix_calibration_open(&other, &options, &f->error), IMATRIX_OK);
    expect_error(f, imatrix_calibration_run(other, f->quantizers, paths, 2, &f->error),
                 IMATRIX_ERR_ARGUMENT, "not opened with this calibration");
    imatrix_calibration_close(other);

    imatrix_quantize_options quantize = quantize_options(f, "Q4_0");
    quantize.imatrix_path = f->model;
    expect_error(f, imatrix_quantizer_open(&quantizer, &quantize, &f->error), IMATRIX_ERR_ARGUMENT,
                 "exclude each other");
    assert_null(quantizer);
    close_all(f);
}

static void copy_model(const fixture *f, const char *path) {
    enum { ROOM = 1 << 24 };
    FILE *file = fopen(f->model, "rb");
    char *bytes = malloc(ROOM);
    assert_non_null(file);
    assert_non_null(bytes);
    const size_t n = fread(bytes, 1, ROOM, file);
    assert_true(n < ROOM);
    assert_int_equal(imatrix_write_file(path, bytes, n, NULL), IMATRIX_OK);
    free(bytes);
    fclose(file);
}

static void test_a_quantizer_of_another_model(void **state) {
    fixture *f = *state;
    imatrix_quantizer *quantizer;
    open_all(f, IMATRIX_INPUTS_ORIGINAL);
    copy_model(f, f->out[0]);
    imatrix_quantize_options quantize = quantize_options(f, "Q4_0");
    quantize.model_path = f->out[0];
    expect_error(f, imatrix_quantizer_open(&quantizer, &quantize, &f->error), IMATRIX_ERR_MISMATCH,
                 "another model");
    close_all(f);
}

static void test_options_that_make_no_sense(void **state) {
    fixture *f = *state;
    imatrix_calibration_options options = calibration_options(f, IMATRIX_INPUTS_ORIGINAL);
    options.run.n_texts = 0;
    expect_error(f, imatrix_calibration_open(&f->calibration, &options, &f->error),
                 IMATRIX_ERR_ARGUMENT, "a text");
    assert_null(f->calibration);
    options = (imatrix_calibration_options){0};
    expect_error(f, imatrix_calibration_open(&f->calibration, &options, &f->error),
                 IMATRIX_ERR_ARGUMENT, "initialised");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_two_files_from_one_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_runs_that_make_no_sense, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_quantizers_of_other_calibrations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_quantizer_of_another_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_options_that_make_no_sense, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
