// SPDX-License-Identifier: MIT
//
// Runs that are stopped, killed, or out of disk, and go on: whatever happened before, the model has
// the bytes of an undisturbed run.

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "formats/partial_file.h"
#include "pipeline_fixture.h"

#define PARTIAL_PATH MODEL_PATH ".partial"

// Quick to encode, with tensors that are copied among them.
static const char recipe[] = "BF16";

static const imx_pipeline_options anew = {.n_threads = 2};
static const imx_pipeline_options again = {.n_threads = 2, .resume = true};

// ---- stopping ----------------------------------------------------------------------------------

// Stops with the report on item `n_items` (from 1), or with the first when it is 0.
typedef struct stopper {
    uint64_t n_items;
    bool is_deadly;
} stopper;

static bool stop(void *context, const imx_progress_report *report) {
    const stopper *s = context;
    if (s->n_items > 0 && (report->item == NULL || report->done < s->n_items)) {
        return true;
    }
    if (s->is_deadly) {
        raise(SIGKILL);
    }
    return false;
}

static imx_status run_and_stop(fixture *f, uint64_t n_items, bool is_deadly, bool resume) {
    stopper context = {n_items, is_deadly};
    const imx_progress progress = {stop, &context};
    const imx_pipeline_options options = {
        .n_threads = is_deadly ? 1 : 2, // a forked child must not use its parent's team
        .progress = &progress,
        .resume = resume,
    };
    return run(f, recipe, &options, NULL, NULL);
}

// Runs in a child process until it is killed with the report on item `n_items`.
static void run_and_kill(fixture *f, uint64_t n_items) {
    int result;
    const pid_t child = fork();
    if (child == 0) {
        run_and_stop(f, n_items, true, true);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result) && WTERMSIG(result) == SIGKILL);
}

// ---- results -----------------------------------------------------------------------------------

typedef struct model_bytes {
    size_t n;
    uint8_t *bytes;
} model_bytes;

static model_bytes undisturbed(fixture *f) {
    model_bytes model;
    assert_int_equal(run(f, recipe, &anew, NULL, NULL), IMX_OK);
    model.bytes = read_bytes(MODEL_PATH, &model.n);
    assert_int_equal(unlink(MODEL_PATH), 0);
    return model;
}

static void assert_is_model(const model_bytes *expected) {
    size_t n;
    uint8_t *bytes = read_bytes(MODEL_PATH, &n);
    assert_int_equal(n, expected->n);
    assert_memory_equal(bytes, expected->bytes, n);
    free(bytes);
    assert_n_files(2); // it and the source
    assert_int_equal(unlink(MODEL_PATH), 0);
}

static void assert_mismatch(fixture *f, const char *words) {
    imx_error err;
    assert_int_equal(run(f, recipe, &again, NULL, &err), IMX_ERR_MISMATCH);
    if (strstr(err.message, words) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, words);
    }
    assert_int_equal(access(PARTIAL_PATH, F_OK), 0);
}

// ---- tests -------------------------------------------------------------------------------------

static void a_stopped_run_goes_on(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, no_change);
    model_bytes expected = undisturbed(&f);
    for (uint64_t n = 0; n < N_TENSORS; ++n) {
        imx_tensor_loss losses[N_TENSORS];
        assert_int_equal(run_and_stop(&f, n, false, false), IMX_ERR_INTERRUPTED);
        assert_int_not_equal(access(MODEL_PATH, F_OK), 0);
        assert_int_equal(run(&f, recipe, &again, losses, NULL), IMX_OK);
        assert_int_equal(f.n_kept, n);
        for (size_t i = 0; i < N_TENSORS; ++i) {
            assert_int_equal(isnan(losses[i].weighted_error), i < n);
        }
        assert_is_model(&expected);
    }
    free(expected.bytes);
    close_fixture(&f);
}

static void a_killed_run_goes_on(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, no_change);
    model_bytes expected = undisturbed(&f);
    for (uint64_t n = 0; n <= N_TENSORS; ++n) {
        run_and_kill(&f, n);
        assert_int_not_equal(access(MODEL_PATH, F_OK), 0);
        assert_int_equal(run(&f, recipe, &again, NULL, NULL), IMX_OK);
        assert_true(f.n_kept <= n);
        assert_is_model(&expected);
    }
    free(expected.bytes);
    close_fixture(&f);
}

// Killed again and again, a tensor further each time.
static void progress_is_never_lost(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, no_change);
    model_bytes expected = undisturbed(&f);
    for (uint64_t n = 1; n <= N_TENSORS; ++n) {
        assert_int_equal(run_and_stop(&f, n, false, true), IMX_ERR_INTERRUPTED);
        assert_int_equal(f.n_kept, n - 1);
    }
    assert_int_equal(run(&f, recipe, &again, NULL, NULL), IMX_OK);
    assert_int_equal(f.n_kept, N_TENSORS);
    assert_is_model(&expected);
    free(expected.bytes);
    close_fixture(&f);
}

// A signal at any moment: only what follows is certain.
static void a_signal_from_outside(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, no_change);
    model_bytes expected = undisturbed(&f);
    for (useconds_t delay = 0; delay < 16000; delay += 1000) {
        const pid_t child = fork();
        if (child == 0) {
            const imx_pipeline_options options = {.n_threads = 1, .resume = true};
            _exit(run(&f, recipe, &options, NULL, NULL) != IMX_OK);
        }
        usleep(delay);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        if (delay % 4000 == 0) {
            assert_int_equal(run(&f, recipe, &again, NULL, NULL), IMX_OK);
            assert_is_model(&expected);
        }
    }
    free(expected.bytes);
    close_fixture(&f);
}

// Whatever length the partial file has, to the last byte before the rename.
static void torn_files_go_on(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, no_change);
    model_bytes expected = undisturbed(&f);
    for (size_t i = 0; i <= 24; ++i) {
        const size_t n = i <= 20 ? expected.n * i / 20 : i; // and within the header
        write_bytes(PARTIAL_PATH, expected.bytes, n);
        assert_int_equal(run(&f, recipe, &again, NULL, NULL), IMX_OK);
        assert_int_equal(f.n_kept == N_TENSORS, n == expected.n);
        assert_is_model(&expected);
    }
    free(expected.bytes);
    close_fixture(&f);
}

static void a_full_disk_keeps_what_is_there(void **state) {
    (void)state;
    fixture f;
    imx_error err;
    struct rlimit old_limit;
    open_fixture(&f, no_change);
    model_bytes expected = undisturbed(&f);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
    const struct rlimit limit = {expected.n - 20000, old_limit.rlim_max}; // the first tensor fits
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const imx_status status = run(&f, recipe, &anew, NULL, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
    assert_int_equal(status, IMX_ERR_IO);
    assert_non_null(strstr(err.message, PARTIAL_PATH ": cannot write: "));
    assert_int_equal(run(&f, recipe, &again, NULL, NULL), IMX_OK);
    assert_true(f.n_kept > 0);
    assert_is_model(&expected);
    free(expected.bytes);
    close_fixture(&f);
}

static void another_job_is_not_mixed_in(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, no_change);
    model_bytes expected = undisturbed(&f);
    stopper context = {2, false};
    const imx_progress progress = {stop, &context};
    const imx_pipeline_options options = {.n_threads = 2, .progress = &progress};
    assert_int_equal(run(&f, "F16", &options, NULL, NULL), IMX_ERR_INTERRUPTED);
    assert_mismatch(&f, "another job");
    assert_int_equal(run(&f, recipe, &anew, NULL, NULL), IMX_OK);
    assert_int_equal(f.n_kept, 0);
    assert_is_model(&expected);
    free(expected.bytes);
    close_fixture(&f);
}

// The same keys and shapes, but a weight of one tensor has changed.
static void other_weights_are_not_mixed_in(void **state) {
    (void)state;
    static const size_t changed[] = {0, 1}; // encoded, copied
    for (size_t i = 0; i < 2; ++i) {
        fixture f;
        open_fixture(&f, (weight_change){changed[i], 3, 0.75f});
        assert_int_equal(run_and_stop(&f, 2, false, false), IMX_ERR_INTERRUPTED);
        close_fixture(&f);
        open_fixture(&f, no_change);
        assert_mismatch(&f, tensor_rows[changed[i]].name);
        close_fixture(&f);
    }
}

static void bad_weights_leave_nothing(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, (weight_change){EXPERTS, 0, INFINITY});
    assert_int_equal(run(&f, recipe, &again, NULL, NULL), IMX_ERR_FORMAT);
    assert_n_files(1);
    close_fixture(&f);
}

static void two_runs_do_not_meet(void **state) {
    (void)state;
    fixture f;
    imx_error err;
    imx_partial_file *other;
    open_fixture(&f, no_change);
    assert_int_equal(imx_partial_file_open(&other, MODEL_PATH, NULL), IMX_OK);
    assert_int_equal(run(&f, recipe, &anew, NULL, &err), IMX_ERR_IO);
    assert_non_null(strstr(err.message, "another run"));
    imx_partial_file_close(other);
    assert_n_files(1);
    close_fixture(&f);
}

// ---- shards ------------------------------------------------------------------------------------

enum { N_SHARDS = 3 };

static const char *const shard_paths[N_SHARDS] = {
    "quantized-00001-of-00003.gguf",
    "quantized-00002-of-00003.gguf",
    "quantized-00003-of-00003.gguf",
};

static void read_shards(model_bytes shards[N_SHARDS]) {
    for (size_t i = 0; i < N_SHARDS; ++i) {
        shards[i].bytes = read_bytes(shard_paths[i], &shards[i].n);
        assert_int_equal(unlink(shard_paths[i]), 0);
    }
    assert_n_files(1);
}

static void assert_are_shards(const model_bytes expected[N_SHARDS]) {
    model_bytes shards[N_SHARDS];
    read_shards(shards);
    for (size_t i = 0; i < N_SHARDS; ++i) {
        assert_int_equal(shards[i].n, expected[i].n);
        assert_memory_equal(shards[i].bytes, expected[i].bytes, expected[i].n);
        free(shards[i].bytes);
    }
}

static void open_sharded(fixture *f, model_bytes expected[N_SHARDS]) {
    open_fixture(f, no_change);
    f->split_max_bytes = 26000;
    assert_int_equal(run(f, recipe, &anew, NULL, NULL), IMX_OK);
    read_shards(expected);
}

static void close_sharded(fixture *f, model_bytes expected[N_SHARDS]) {
    for (size_t i = 0; i < N_SHARDS; ++i) {
        free(expected[i].bytes);
    }
    close_fixture(f);
}

static void stopped_shards_go_on(void **state) {
    (void)state;
    fixture f;
    model_bytes expected[N_SHARDS];
    open_sharded(&f, expected);
    for (uint64_t n = 0; n <= N_TENSORS; ++n) {
        assert_int_equal(run_and_stop(&f, n, false, false), IMX_ERR_INTERRUPTED);
        assert_int_equal(run(&f, recipe, &again, NULL, NULL), IMX_OK);
        assert_int_equal(f.n_kept, n);
        assert_are_shards(expected);
    }
    close_sharded(&f, expected);
}

// What stands in later files does not count when an earlier one is not complete.
static void a_lost_shard_is_made_again(void **state) {
    (void)state;
    fixture f;
    model_bytes expected[N_SHARDS];
    open_sharded(&f, expected);
    for (size_t lost = 0; lost < N_SHARDS; ++lost) {
        for (size_t i = 0; i < N_SHARDS; ++i) {
            if (i != lost) {
                char path[64];
                snprintf(path, sizeof path, "%s.partial", shard_paths[i]);
                write_bytes(path, expected[i].bytes, expected[i].n);
            }
        }
        assert_int_equal(run(&f, recipe, &again, NULL, NULL), IMX_OK);
        assert_true(f.n_kept < N_TENSORS && (f.n_kept == 0) == (lost == 0));
        assert_are_shards(expected);
    }
    close_sharded(&f, expected);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_directory, leave_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_killed_run_goes_on), // first: it forks
        TEST(a_signal_from_outside),
        TEST(a_stopped_run_goes_on),
        TEST(progress_is_never_lost),
        TEST(torn_files_go_on),
        TEST(a_full_disk_keeps_what_is_there),
        TEST(another_job_is_not_mixed_in),
        TEST(other_weights_are_not_mixed_in),
        TEST(bad_weights_leave_nothing),
        TEST(two_runs_do_not_meet),
        TEST(stopped_shards_go_on),
        TEST(a_lost_shard_is_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
