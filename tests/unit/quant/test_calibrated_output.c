// SPDX-License-Identifier: MIT
//
// The bytes of an ordinary run, put back in pieces and in any order, make the same files.

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "pipeline_fixture.h"
#include "quant/pipeline/calibrated_output.h"

#define PARTIAL_PATH MODEL_PATH ".partial"

static const char recipe[] = "Q4_0";

static const imx_pipeline_options anew = {.n_threads = 2};
static const imx_pipeline_options again = {.n_threads = 2, .resume = true};

// Sets of tensors that a walk brings, bit by bit: none, all, some of every kind.
static const unsigned awaited_sets[] = {0x00, 0x3f, 0x14, 0x2b};
enum { N_SETS = sizeof awaited_sets / sizeof *awaited_sets };

// ---- what an ordinary run makes ----------------------------------------------------------------

enum { N_SHARDS = 3 };

static const char *const shard_paths[N_SHARDS] = {
    "quantized-00001-of-00003.gguf",
    "quantized-00002-of-00003.gguf",
    "quantized-00003-of-00003.gguf",
};

typedef struct expectation {
    size_t n_files;
    const char *const *paths; // (n_files)
    uint8_t *bytes[N_SHARDS];
    size_t n_bytes[N_SHARDS];
    uint8_t *whole; // the model as one file
    imx_gguf *gguf; // of it
    imx_tensor_loss losses[N_TENSORS];
    char source_hash[33];
} expectation;

static void expect_whole(expectation *e, fixture *f) {
    size_t n_bytes;
    imx_str hash;
    assert_int_equal(run(f, recipe, &anew, e->losses, NULL), IMX_OK);
    e->whole = read_bytes(MODEL_PATH, &n_bytes);
    assert_int_equal(unlink(MODEL_PATH), 0);
    assert_int_equal(imx_gguf_parse(&e->gguf, e->whole, n_bytes, MODEL_PATH, NULL), IMX_OK);
    assert_int_equal(imx_gguf_get_str(e->gguf, IMX_KEY_SOURCE_HASH, true, &hash, NULL), IMX_OK);
    snprintf(e->source_hash, sizeof e->source_hash, "%.*s", (int)hash.len, hash.data);
}

static void open_expectation(expectation *e, fixture *f, bool has_shards) {
    static const char *const one_path[] = {MODEL_PATH};
    *e = (expectation){.n_files = has_shards ? N_SHARDS : 1,
                       .paths = has_shards ? shard_paths : one_path};
    expect_whole(e, f);
    f->split_max_bytes = has_shards ? 9000 : 0;
    assert_int_equal(run(f, recipe, &anew, NULL, NULL), IMX_OK);
    for (size_t i = 0; i < e->n_files; ++i) {
        e->bytes[i] = read_bytes(e->paths[i], &e->n_bytes[i]);
        assert_int_equal(unlink(e->paths[i]), 0);
    }
    assert_n_files(1); // the source
}

static void close_expectation(expectation *e) {
    for (size_t i = 0; i < e->n_files; ++i) {
        free(e->bytes[i]);
    }
    imx_gguf_close(e->gguf);
    free(e->whole);
}

static void assert_is_expected(const expectation *e) {
    for (size_t i = 0; i < e->n_files; ++i) {
        size_t n_bytes;
        uint8_t *bytes = read_bytes(e->paths[i], &n_bytes);
        assert_int_equal(n_bytes, e->n_bytes[i]);
        assert_memory_equal(bytes, e->bytes[i], n_bytes);
        assert_int_equal(unlink(e->paths[i]), 0);
        free(bytes);
    }
    assert_n_files(1);
}

// ---- outputs -----------------------------------------------------------------------------------

typedef struct outlet {
    imx_plan *plan;
    imx_gguf_builder *builder;
    imx_calibrated_output *output;
    bool is_awaited[N_TENSORS];
} outlet;

static imx_status open_keyed(outlet *o, const fixture *f, unsigned awaited, const char *key,
                             const imx_pipeline_options *options, imx_error *err) {
    imx_plan_options plan_options = options_of(recipe);
    plan_options.imatrix = f->imatrix;
    plan_options.split_max_bytes = f->split_max_bytes;
    o->builder = make_keys(f->source);
    if (key != NULL) {
        assert_int_equal(imx_gguf_set_bool(o->builder, key, true, NULL), IMX_OK);
    }
    assert_int_equal(imx_plan_new(&o->plan, f->source, &plan_options, NULL), IMX_OK);
    for (size_t i = 0; i < N_TENSORS; ++i) {
        o->is_awaited[i] = awaited >> i & 1;
    }
    return imx_calibrated_output_open(&o->output, o->plan, f->source, o->builder, MODEL_PATH,
                                      o->is_awaited, options, err);
}

static imx_status open_outlet(outlet *o, const fixture *f, unsigned awaited,
                              const imx_pipeline_options *options, imx_error *err) {
    return open_keyed(o, f, awaited, NULL, options, err);
}

static void free_outlet(outlet *o) {
    imx_gguf_builder_free(o->builder);
    imx_plan_free(o->plan);
}

static void close_outlet(outlet *o) {
    imx_calibrated_output_close(o->output);
    free_outlet(o);
}

static void commit(outlet *o, const expectation *e) {
    assert_int_equal(imx_calibrated_output_commit(o->output, e->source_hash, NULL), IMX_OK);
    free_outlet(o);
}

static void assert_not_opened(const fixture *f, const imx_pipeline_options *options,
                              imx_status expected, const char *words) {
    outlet o;
    imx_error err = {0};
    assert_int_equal(open_outlet(&o, f, 0x3f, options, &err), expected);
    assert_null(o.output);
    if (strstr(err.message, words) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, words);
    }
    free_outlet(&o);
}

// ---- pieces ------------------------------------------------------------------------------------

typedef struct piece {
    size_t item;
    uint64_t offset;
    size_t n_bytes;
} piece;

enum { MAX_PIECES = 1000 };

typedef struct pieces {
    size_t n;
    piece all[MAX_PIECES];
} pieces;

static size_t random_below(size_t n) {
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (size_t)(state >> 33) % n;
}

// Cuts the awaited tensors in pieces of any length, in any order.
static void cut_pieces(pieces *p, const outlet *o) {
    p->n = 0;
    for (size_t i = 0; i < N_TENSORS; ++i) {
        const uint64_t size_bytes = o->plan->items[i].size_bytes;
        for (uint64_t offset = 0; o->is_awaited[i] && offset < size_bytes;) {
            const size_t n_left = (size_t)(size_bytes - offset);
            const size_t n_bytes = 1 + random_below(n_left < 200 ? n_left : n_left / 3);
            const size_t place = random_below(++p->n);
            assert_true(p->n <= MAX_PIECES);
            p->all[p->n - 1] = p->all[place];
            p->all[place] = (piece){i, offset, n_bytes};
            offset += n_bytes;
        }
    }
}

static imx_status put_piece(outlet *o, const piece *p, const expectation *e, imx_error *err) {
    return imx_calibrated_output_put(o->output, p->item, p->offset,
                                     e->gguf->tensors[p->item].data + p->offset, p->n_bytes, err);
}

static void put_pieces(outlet *o, const pieces *p, size_t begin, size_t end, const expectation *e) {
    for (size_t i = begin; i < end; ++i) {
        assert_int_equal(put_piece(o, &p->all[i], e, NULL), IMX_OK);
    }
}

// ---- tests -------------------------------------------------------------------------------------

static void assert_losses(const outlet *o, const imx_tensor_loss losses[N_TENSORS],
                          const expectation *e) {
    for (size_t i = 0; i < N_TENSORS; ++i) {
        if (o->is_awaited[i]) {
            assert_true(losses[i].squared_power == -1.0); // as it was
        } else {
            assert_memory_equal(&losses[i], &e->losses[i], sizeof *losses);
        }
    }
}

// The rest comes first, last or between the pieces.
static void check_order(fixture *f, const expectation *e, unsigned awaited, size_t when) {
    outlet o;
    pieces p;
    imx_tensor_loss losses[N_TENSORS];
    for (size_t i = 0; i < N_TENSORS; ++i) {
        losses[i] = (imx_tensor_loss){.squared_power = -1.0};
    }
    assert_int_equal(open_outlet(&o, f, awaited, &anew, NULL), IMX_OK);
    cut_pieces(&p, &o);
    const size_t n_before = p.n * when / 2;
    put_pieces(&o, &p, 0, n_before, e);
    assert_int_equal(imx_calibrated_output_write_rest(o.output, losses, NULL), IMX_OK);
    assert_losses(&o, losses, e);
    put_pieces(&o, &p, n_before, p.n, e);
    commit(&o, e);
    assert_is_expected(e);
}

static void any_order_gives_the_same_bytes(void **state) {
    (void)state;
    for (int has_shards = 0; has_shards < 2; ++has_shards) {
        fixture f;
        expectation e;
        open_fixture(&f, no_change);
        open_expectation(&e, &f, has_shards);
        for (size_t s = 0; s < N_SETS; ++s) {
            for (size_t when = 0; when <= 2; ++when) {
                check_order(&f, &e, awaited_sets[s], when);
            }
        }
        close_expectation(&e);
        close_fixture(&f);
    }
}

static void files_have_their_size_from_the_start(void **state) {
    (void)state;
    fixture f;
    expectation e;
    outlet o;
    struct stat info;
    open_fixture(&f, no_change);
    open_expectation(&e, &f, false);
    write_plain(PARTIAL_PATH, "what an earlier run has left");
    assert_int_equal(open_outlet(&o, &f, 0x3f, &anew, NULL), IMX_OK);
    assert_int_equal(stat(PARTIAL_PATH, &info), 0);
    assert_int_equal(info.st_size, e.n_bytes[0]);
    imx_calibrated_output_discard(o.output);
    free_outlet(&o);
    imx_calibrated_output_close(NULL);
    imx_calibrated_output_discard(NULL);
    assert_n_files(1);
    close_expectation(&e);
    close_fixture(&f);
}

// Stopped after any number of pieces, and not told how many the file holds.
static void a_stopped_run_goes_on(void **state) {
    (void)state;
    for (int has_shards = 0; has_shards < 2; ++has_shards) {
        fixture f;
        expectation e;
        pieces p;
        open_fixture(&f, no_change);
        open_expectation(&e, &f, has_shards);
        for (size_t eighths = 0; eighths <= 8; ++eighths) {
            outlet o;
            assert_int_equal(open_outlet(&o, &f, 0x2b, &anew, NULL), IMX_OK);
            assert_int_equal(imx_calibrated_output_write_rest(o.output, NULL, NULL), IMX_OK);
            cut_pieces(&p, &o);
            put_pieces(&o, &p, 0, p.n * eighths / 8, &e);
            assert_int_equal(imx_calibrated_output_sync(o.output, NULL), IMX_OK);
            close_outlet(&o);
            assert_n_files(1 + (int)e.n_files);
            assert_int_equal(open_outlet(&o, &f, 0x2b, &again, NULL), IMX_OK);
            put_pieces(&o, &p, p.n * eighths / 8, p.n, &e);
            commit(&o, &e);
            assert_is_expected(&e);
        }
        close_expectation(&e);
        close_fixture(&f);
    }
}

static bool stop_at_once(void *context, const imx_progress_report *report) {
    *(imx_progress_report *)context = *report;
    return report->done == report->total;
}

static void the_rest_reports_progress(void **state) {
    (void)state;
    fixture f;
    expectation e;
    outlet o;
    pieces p;
    imx_progress_report last = {0};
    const imx_progress progress = {stop_at_once, &last};
    const imx_pipeline_options stopped = {.n_threads = 2, .progress = &progress};
    open_fixture(&f, no_change);
    open_expectation(&e, &f, false);
    assert_int_equal(open_outlet(&o, &f, 0x14, &stopped, NULL), IMX_OK);
    cut_pieces(&p, &o);
    put_pieces(&o, &p, 0, p.n, &e);
    assert_int_equal(imx_calibrated_output_write_rest(o.output, NULL, NULL), IMX_ERR_INTERRUPTED);
    assert_int_equal(last.total, N_TENSORS - 2);
    assert_int_equal(last.work_total, o.plan->n_weights - n_weights_of(2) - n_weights_of(4));
    close_outlet(&o);
    assert_int_equal(open_outlet(&o, &f, 0x14, &again, NULL), IMX_OK);
    assert_int_equal(imx_calibrated_output_write_rest(o.output, NULL, NULL), IMX_OK);
    commit(&o, &e);
    assert_is_expected(&e);
    close_expectation(&e);
    close_fixture(&f);
}

static void another_job_is_refused(void **state) {
    (void)state;
    fixture f;
    expectation e;
    outlet o;
    imx_error err;
    open_fixture(&f, no_change);
    open_expectation(&e, &f, false);
    assert_not_opened(&f, &again, IMX_ERR_MISMATCH, "has 0 bytes"); // nothing to go on with
    assert_n_files(1);
    write_bytes(PARTIAL_PATH, e.bytes[0], e.n_bytes[0] - 1); // what an ordinary run leaves
    assert_not_opened(&f, &again, IMX_ERR_MISMATCH, "run without resuming");
    assert_int_equal(open_keyed(&o, &f, 0x3f, "calibrated", &anew, NULL), IMX_OK);
    close_outlet(&o);
    assert_not_opened(&f, &again, IMX_ERR_MISMATCH, "another job");
    assert_int_equal(run(&f, recipe, &again, NULL, &err), IMX_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "another job"));
    assert_int_equal(open_keyed(&o, &f, 0x3f, "calibrated", &again, NULL), IMX_OK);
    close_outlet(&o);
    close_expectation(&e);
    close_fixture(&f);
}

// One file of several is not there, or not whole.
static void all_shards_must_be_there(void **state) {
    (void)state;
    fixture f;
    expectation e;
    outlet o;
    open_fixture(&f, no_change);
    open_expectation(&e, &f, true);
    for (size_t lost = 0; lost < N_SHARDS; ++lost) {
        char path[64];
        snprintf(path, sizeof path, "%s.partial", shard_paths[lost]);
        assert_int_equal(open_outlet(&o, &f, 0x3f, &anew, NULL), IMX_OK);
        close_outlet(&o);
        assert_int_equal(truncate(path, (off_t)e.n_bytes[lost] - 1), 0);
        assert_not_opened(&f, &again, IMX_ERR_MISMATCH, path);
        assert_int_equal(unlink(path), 0);
        assert_not_opened(&f, &again, IMX_ERR_MISMATCH, path);
    }
    close_expectation(&e);
    close_fixture(&f);
}

static void pipes_and_devices_are_refused(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, no_change);
    assert_int_equal(mkfifo(MODEL_PATH, 0666), 0); // nobody reads it: opening would wait forever
    assert_not_opened(&f, &anew, IMX_ERR_ARGUMENT, MODEL_PATH ": is a pipe or device");
    assert_int_equal(unlink(MODEL_PATH), 0);
    assert_int_equal(symlink("/dev/null", MODEL_PATH), 0);
    assert_not_opened(&f, &anew, IMX_ERR_ARGUMENT, MODEL_PATH ": is a pipe or device");
    assert_int_equal(unlink(MODEL_PATH), 0);
    assert_int_equal(symlink(SOURCE_PATH, MODEL_PATH), 0);
    assert_not_opened(&f, &anew, IMX_ERR_ARGUMENT, "is the source model");
    close_fixture(&f);
}

static struct rlimit limit_file_size(rlim_t n_bytes) {
    struct rlimit old_limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
    const struct rlimit limit = {n_bytes, old_limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    return old_limit;
}

static void a_full_disk_keeps_what_is_there(void **state) {
    (void)state;
    fixture f;
    expectation e;
    outlet o;
    imx_error err;
    open_fixture(&f, no_change);
    open_expectation(&e, &f, false);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit old_limit = limit_file_size(e.n_bytes[0] - 1);
    assert_int_equal(open_outlet(&o, &f, 0x3f, &anew, &err), IMX_ERR_IO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
    free_outlet(&o);

    pieces p;
    assert_int_equal(open_outlet(&o, &f, 0x3f, &anew, NULL), IMX_OK);
    cut_pieces(&p, &o);
    size_t n_put = 0;
    old_limit = limit_file_size(e.n_bytes[0] - 3000);
    while (n_put < p.n && put_piece(&o, &p.all[n_put], &e, &err) == IMX_OK) {
        ++n_put;
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
    assert_true(n_put < p.n);
    assert_non_null(strstr(err.message, PARTIAL_PATH ": cannot write: "));
    close_outlet(&o);
    assert_int_equal(open_outlet(&o, &f, 0x3f, &again, NULL), IMX_OK);
    put_pieces(&o, &p, n_put, p.n, &e);
    commit(&o, &e);
    assert_is_expected(&e);
    close_expectation(&e);
    close_fixture(&f);
}

static void files_of_another_run_are_refused(void **state) {
    (void)state;
    static const char one[33] = "00112233445566778899aabbccddeeff";
    static const char two[33] = "ffeeddccbbaa99887766554433221100";
    fixture f;
    outlet o;
    open_fixture(&f, no_change);
    assert_int_equal(open_outlet(&o, &f, 0x3f, &anew, NULL), IMX_OK);
    assert_int_equal(imx_calibrated_output_tie(o.output, one, NULL), IMX_OK);
    close_outlet(&o);
    assert_int_equal(open_outlet(&o, &f, 0x3f, &again, NULL), IMX_OK);
    assert_int_equal(imx_calibrated_output_tie(o.output, two, NULL), IMX_ERR_MISMATCH);
    assert_int_equal(imx_calibrated_output_tie(o.output, one, NULL), IMX_OK);
    close_outlet(&o);
    assert_int_equal(open_outlet(&o, &f, 0x3f, &anew, NULL), IMX_OK);
    assert_int_equal(imx_calibrated_output_tie(o.output, two, NULL), IMX_OK);
    imx_calibrated_output_discard(o.output);
    o.output = NULL;
    free_outlet(&o);
    close_fixture(&f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_directory, leave_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(any_order_gives_the_same_bytes),
        TEST(files_have_their_size_from_the_start),
        TEST(a_stopped_run_goes_on),
        TEST(the_rest_reports_progress),
        TEST(another_job_is_refused),
        TEST(all_shards_must_be_there),
        TEST(pipes_and_devices_are_refused),
        TEST(a_full_disk_keeps_what_is_there),
        TEST(files_of_another_run_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
