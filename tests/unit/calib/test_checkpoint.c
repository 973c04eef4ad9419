// SPDX-License-Identifier: MIT
//
// Checkpoints: what is written is read, bit by bit; whatever is damaged, cut or of another run is
// refused and left alone; an older checkpoint survives a failed write.

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

#include "calib/statistics/checkpoint.h"
#include "tiny_model.h"

enum { N_TOKENS = 50, N_CTX = 20, N_EMBD = 6, N_VOCAB = 30 };

static const char path[] = "/tmp/imatrix-test-checkpoint.partial";

typedef struct run {
    imx_corpus corpus;
    imx_checkpoint checkpoint;
} run;

// A run at its beginning: no sums, a stream of zeros.
static run begin_run(void) {
    run r = {.corpus = tiny_corpus(N_TOKENS, N_CTX, N_VOCAB)};
    imx_error err;
    r.checkpoint.model_hash = "0123";
    r.checkpoint.settings = "all=1";
    r.checkpoint.n_embd = N_EMBD;
    r.checkpoint.max_rows = N_TOKENS;
    assert_int_equal(imx_imatrix_new(&r.checkpoint.imatrix, &err), IMX_OK);
    assert_int_equal(
        imx_residual_stream_new(&r.checkpoint.stream, N_TOKENS, N_EMBD, N_TOKENS, NULL, &err),
        IMX_OK);
    return r;
}

static void end_run(run *r) {
    imx_imatrix_free(r->checkpoint.imatrix);
    imx_residual_stream_free(r->checkpoint.stream);
    tiny_corpus_free(&r->corpus);
}

static void add_entry(imx_imatrix *imatrix, const char *name, uint64_t n_cols, uint64_t n_mats) {
    imx_imatrix_entry *entry;
    imx_error err;
    assert_int_equal(imx_imatrix_add(imatrix, name, n_cols, n_mats, true, &entry, &err), IMX_OK);
    for (uint64_t j = 0; j < n_cols * n_mats; ++j) {
        entry->in_sum[j] = -1.0 / (double)(j + 3); // no float
        entry->in_sum2[j] = 1.0 / (double)(j + 7);
        entry->in_max[j] = (double)j;
    }
    for (uint64_t m = 0; m < n_mats; ++m) {
        entry->counts[m] = (double)(1000 + m);
    }
}

static float *all_rows(const run *r) {
    imx_error err;
    float *rows;
    assert_int_equal(imx_residual_stream_load(r->checkpoint.stream, 0, N_TOKENS, &rows, &err),
                     IMX_OK);
    return rows;
}

// The same in the middle of its way.
static run make_run(void) {
    static const uint32_t left_out[] = {0, 2};
    run r = begin_run();
    imx_imatrix_origin *origin = &r.checkpoint.imatrix->origin;
    r.checkpoint.place = (imx_walk_place){3, 1};
    add_entry(r.checkpoint.imatrix, "blk.0.ffn_down.weight", 5, 1);
    add_entry(r.checkpoint.imatrix, "blk.0.ffn_up_exps.weight", 3, 4);
    origin->left_out_chunks = malloc(sizeof left_out);
    memcpy(origin->left_out_chunks, left_out, sizeof left_out);
    origin->n_left_out = 2;
    random_fill(all_rows(&r), N_TOKENS * N_EMBD, 5);
    return r;
}

static void write_run(run *r) {
    imx_error err;
    r->checkpoint.corpus = &r->corpus;
    if (imx_checkpoint_write(&r->checkpoint, path, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
}

static imx_status read_run(run *r, bool *found, imx_error *err) {
    r->checkpoint.corpus = &r->corpus;
    return imx_checkpoint_read(&r->checkpoint, path, found, err);
}

static void assert_same_entry(const imx_imatrix_entry *a, const imx_imatrix_entry *b) {
    const size_t n = (size_t)(a->n_cols * a->n_mats);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->n_cols, b->n_cols);
    assert_int_equal(a->n_mats, b->n_mats);
    assert_memory_equal(a->in_sum, b->in_sum, n * sizeof(double));
    assert_memory_equal(a->in_sum2, b->in_sum2, n * sizeof(double));
    assert_memory_equal(a->in_max, b->in_max, n * sizeof(double));
    assert_memory_equal(a->counts, b->counts, (size_t)a->n_mats * sizeof(double));
}

static void test_round_trip(void **state) {
    (void)state;
    run written = make_run();
    run read = begin_run();
    imx_error err;
    bool found;
    write_run(&written);
    assert_int_equal(read_run(&read, &found, &err), IMX_OK);
    assert_true(found);
    assert_int_equal(read.checkpoint.place.layer, 3);
    assert_int_equal(read.checkpoint.place.chunk, 1);
    assert_memory_equal(all_rows(&read), all_rows(&written), N_TOKENS * N_EMBD * sizeof(float));
    assert_int_equal(read.checkpoint.imatrix->n_entries, 2);
    for (size_t i = 0; i < 2; ++i) {
        assert_same_entry(&read.checkpoint.imatrix->entries[i],
                          &written.checkpoint.imatrix->entries[i]);
    }
    assert_int_equal(read.checkpoint.imatrix->origin.n_left_out, 2);
    assert_int_equal(read.checkpoint.imatrix->origin.left_out_chunks[1], 2);
    end_run(&read);
    end_run(&written);
    unlink(path);
}

// Entries that are there already are filled in where they lie, others stay as they are; one of
// another shape is of another model.
static void test_into_announced_entries(void **state) {
    (void)state;
    run written = make_run();
    run read = begin_run();
    imx_imatrix *imatrix = read.checkpoint.imatrix;
    imx_imatrix_entry *entry;
    imx_error err;
    bool found;
    static const struct {
        const char *name;
        uint64_t n_cols, n_mats;
    } announced[] = {{"blk.0.ffn_down.weight", 5, 1},
                     {"blk.0.ffn_up_exps.weight", 3, 4},
                     {"blk.1.ffn_down.weight", 5, 1}};
    for (size_t i = 0; i < 3; ++i) {
        assert_int_equal(imx_imatrix_add(imatrix, announced[i].name, announced[i].n_cols,
                                         announced[i].n_mats, true, &entry, &err),
                         IMX_OK);
    }
    const imx_imatrix_entry *entries = imatrix->entries;
    const double *sums = entries[0].in_sum2;
    write_run(&written);
    assert_int_equal(read_run(&read, &found, &err), IMX_OK);
    assert_ptr_equal(imatrix->entries, entries);
    assert_ptr_equal(imatrix->entries[0].in_sum2, sums);
    for (size_t i = 0; i < 2; ++i) {
        assert_same_entry(&entries[i], &written.checkpoint.imatrix->entries[i]);
    }
    assert_true(entries[2].counts[0] == 0);
    end_run(&read);
    read = begin_run();
    assert_int_equal(
        imx_imatrix_add(read.checkpoint.imatrix, announced[0].name, 6, 1, true, &entry, &err),
        IMX_OK);
    assert_int_equal(read_run(&read, &found, &err), IMX_ERR_FORMAT);
    end_run(&read);
    end_run(&written);
    unlink(path);
}

static void test_none(void **state) {
    (void)state;
    run r = begin_run();
    imx_error err;
    bool found = true;
    unlink(path);
    assert_int_equal(read_run(&r, &found, &err), IMX_OK);
    assert_false(found);
    assert_int_equal(r.checkpoint.imatrix->n_entries, 0);
    end_run(&r);
}

typedef void change_run(run *r);

static void change_model(run *r) {
    r->checkpoint.model_hash = "0124";
}

static void change_settings(run *r) {
    r->checkpoint.settings = "all=10";
}

static void change_token(run *r) {
    r->corpus.tokens[N_TOKENS - 1] ^= 1;
}

static void change_cut(run *r) {
    --r->corpus.starts[1];
}

static void change_context(run *r) {
    ++r->corpus.n_ctx;
}

static void test_other_runs(void **state) {
    (void)state;
    static const struct {
        change_run *change;
        const char *words;
    } cases[] = {
        {change_model, "a run with another model"},  {change_settings, "a run with other options"},
        {change_token, "a run with another text"},   {change_cut, "a run with another text"},
        {change_context, "a run with another text"},
    };
    run written = make_run();
    write_run(&written);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        run r = begin_run();
        imx_error err;
        bool found;
        cases[i].change(&r);
        assert_int_equal(read_run(&r, &found, &err), IMX_ERR_MISMATCH);
        assert_non_null(strstr(err.message, cases[i].words));
        assert_non_null(strstr(err.message, "--restart"));
        assert_int_equal(access(path, F_OK), 0);
        end_run(&r);
    }
    end_run(&written);
    unlink(path);
}

static void rewrite(const uint8_t *bytes, size_t n) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

static void assert_damaged(void) {
    run r = begin_run();
    imx_error err;
    bool found;
    assert_int_equal(read_run(&r, &found, &err), IMX_ERR_FORMAT);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, "--restart"));
    assert_int_equal(access(path, F_OK), 0);
    end_run(&r);
}

// A bit flipped anywhere, and any number of bytes lost.
static void test_damage(void **state) {
    (void)state;
    run written = make_run();
    write_run(&written);
    FILE *file = fopen(path, "rb");
    uint8_t bytes[16384];
    assert_non_null(file);
    const size_t n = fread(bytes, 1, sizeof bytes, file);
    assert_true(n > 1000 && n < sizeof bytes);
    fclose(file);
    for (size_t i = 0; i < n; i += 101) {
        bytes[i] ^= 0x10;
        rewrite(bytes, n);
        assert_damaged();
        bytes[i] ^= 0x10;
        rewrite(bytes, i);
        assert_damaged();
    }
    end_run(&written);
    unlink(path);
}

static void test_full_disk_keeps_the_last(void **state) {
    (void)state;
    const struct rlimit small = {.rlim_cur = 1000, .rlim_max = RLIM_INFINITY};
    struct rlimit old;
    run first = make_run(), second = make_run(), read = begin_run();
    imx_error err;
    bool found;
    write_run(&first);
    second.checkpoint.corpus = &second.corpus;
    second.checkpoint.place.layer = 9;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const imx_status status = imx_checkpoint_write(&second.checkpoint, path, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(status, IMX_ERR_IO);
    assert_int_equal(read_run(&read, &found, &err), IMX_OK);
    assert_int_equal(read.checkpoint.place.layer, 3);
    end_run(&first);
    end_run(&second);
    end_run(&read);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_into_announced_entries),
        cmocka_unit_test(test_none),       cmocka_unit_test(test_other_runs),
        cmocka_unit_test(test_damage),     cmocka_unit_test(test_full_disk_keeps_the_last),
    };
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
