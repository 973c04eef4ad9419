// SPDX-License-Identifier: MIT
//
// imatrix_collect: model and text in, imatrix file out.

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "calib/statistics/collect.h"
#include "formats/atomic_file.h"
#include "formats/imatrix_file.h"
#include "formats/imatrix_rounding.h"
#include "imatrix/collect_run.h"
#include "imatrix/expert_coverage.h"
#include "imatrix/facade.h"
#include "imatrix/text_run.h"

void imatrix_collect_options_init(imatrix_collect_options *options) {
    *options = (imatrix_collect_options){
        .struct_size = sizeof *options,
        .run = imx_run_options_by_default(),
        .format = IMATRIX_FORMAT_ZST,
    };
}

static void publish_left_out(const imx_imatrix_origin *origin, imatrix_collect_result *result) {
    result->n_left_out = origin->n_left_out;
    for (size_t i = 0; i < origin->n_left_out && i < IMATRIX_N_NAMED_CHUNKS; ++i) {
        result->left_out[i] = origin->left_out_chunks[i];
    }
}

static imx_status check_options(const imatrix_collect_options *options, imx_error *err) {
    if (options->struct_size != sizeof *options) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "imatrix_collect_options was not initialised by this version's _init");
    }
    if (options->out_path == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "an output path is needed");
    }
    return imx_check_digits(options->digits, err);
}

// Writes down what the statistics were made of.
static imx_status record_origin(imx_imatrix *imatrix, const imx_collect_run *run, imx_error *err) {
    IMX_TRY(imx_text_run_record(run->text, imatrix, err));
    imatrix->origin.model_hash = strdup(run->model_hash);
    return imatrix->origin.model_hash != NULL ? IMX_OK
                                              : imx_fail_memory(err, sizeof run->model_hash);
}

static imx_status collect(const imatrix_collect_options *options, imatrix_collect_result *result,
                          imx_error *err) {
    imx_text_run text = {0};
    imx_collect_run run = {0};
    imx_collect_result measured = {NAN, NAN};
    imx_imatrix *imatrix = NULL;
    struct stat written = {0};
    imx_status status;
    IMX_TRY(check_options(options, err));
    IMX_TRY_GOTO(done, imx_text_run_open(&text, &options->run, err));
    IMX_TRY_GOTO(done, imx_atomic_file_probe(options->out_path, err));
    IMX_TRY_GOTO(done, imx_collect_run_open(&run, options, &text, err));
    IMX_TRY_GOTO(done,
                 imx_collect(&imatrix, text.model, text.corpus, &run.options, &measured, err));
    IMX_TRY_GOTO(done, record_origin(imatrix, &run, err));
    imx_imatrix_round(imatrix, options->digits);
    IMX_TRY_GOTO(done, imx_imatrix_write(imatrix, options->out_path,
                                         (imx_imatrix_format)options->format, err));
    imx_collect_run_finish(&run);
    stat(options->out_path, &written);
    *result = (imatrix_collect_result){
        .n_tokens = text.corpus->n_tokens,
        .n_chunks = text.corpus->n_chunks,
        .n_entries = imatrix->n_entries,
        .out_bytes = (uint64_t)written.st_size,
        .perplexity = measured.perplexity,
        .perplexity_error = measured.perplexity_error,
    };
    publish_left_out(&imatrix->origin, result);
    imx_publish_coverage(imatrix, result);
    imx_text_run_publish_shares(&text);
done:
    imx_collect_run_close(&run);
    imx_imatrix_free(imatrix);
    imx_text_run_close(&text);
    return status;
}

imatrix_status imatrix_collect(const imatrix_collect_options *options,
                               imatrix_collect_result *result, imatrix_error *error) {
    imatrix_collect_result unused;
    imx_error err = {0};
    const imx_status status = collect(options, result != NULL ? result : &unused, &err);
    return imx_publish_error(status, &err, error);
}
