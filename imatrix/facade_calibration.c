// SPDX-License-Identifier: MIT
//
// imatrix_calibration: model and text in, quantized models out.

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "calib/statistics/collect.h"
#include "formats/memory.h"
#include "imatrix/calibrated_plan.h"
#include "imatrix/calibrated_run.h"
#include "imatrix/calibration.h"
#include "imatrix/facade.h"
#include "imatrix/quantizer.h"

static_assert((int)IMATRIX_INPUTS_QUANTIZED == (int)IMX_INPUTS_QUANTIZED,
              "public and internal choices have the same numbers");

void imatrix_calibration_options_init(imatrix_calibration_options *options) {
    *options = (imatrix_calibration_options){
        .struct_size = sizeof *options,
        .run = imx_run_options_by_default(),
    };
}

// ---- opening -----------------------------------------------------------------------------------

static imx_status describe(imatrix_calibration *c, imx_error *err) {
    const size_t n_texts = c->options.run.n_texts;
    IMX_TRY(imx_alloc_zeroed(&c->text_names, n_texts, sizeof *c->text_names, err));
    IMX_TRY(imx_alloc_zeroed(&c->text_hashes, n_texts, sizeof *c->text_hashes, err));
    for (size_t i = 0; i < n_texts; ++i) {
        c->text_names[i] = imx_base_name(c->text.shares[i].path);
        c->text_hashes[i] = c->text.shares[i].hash;
    }
    c->keys = (imx_calibration_keys){
        .texts = c->text_names,
        .text_hashes = c->text_hashes,
        .n_texts = n_texts,
        .n_tokens = c->text.corpus->n_tokens,
        .n_chunks = (uint32_t)c->text.corpus->n_chunks,
        .inputs = (imx_calibration_inputs)c->options.inputs,
        .process_output = c->options.run.process_output,
    };
    return IMX_OK;
}

static imx_status open_calibration(imatrix_calibration *c,
                                   const imatrix_calibration_options *options, imx_error *err) {
    if (options->struct_size != sizeof *options) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "imatrix_calibration_options was not initialised by this version's _init");
    }
    c->options = *options;
    IMX_TRY(imx_text_run_open(&c->text, &c->options.run, err));
    imx_text_run_publish_shares(&c->text);
    IMX_TRY(imx_imatrix_new(&c->imatrix, err));
    IMX_TRY(describe(c, err));
    return imx_collect_announce(c->imatrix, c->text.model, options->run.process_output, err);
}

imatrix_status imatrix_calibration_open(imatrix_calibration **out,
                                        const imatrix_calibration_options *options,
                                        imatrix_error *error) {
    imx_error err = {0};
    imatrix_calibration *c;
    *out = NULL;
    imx_status status = imx_alloc_zeroed(&c, 1, sizeof *c, &err);
    if (status == IMX_OK) {
        status = open_calibration(c, options, &err);
        if (status == IMX_OK) {
            *out = c;
        } else {
            imatrix_calibration_close(c);
        }
    }
    return imx_publish_error(status, &err, error);
}

void imatrix_calibration_close(imatrix_calibration *calibration) {
    if (calibration != NULL) {
        free(calibration->text_names);
        free(calibration->text_hashes);
        imx_imatrix_free(calibration->imatrix);
        imx_text_run_close(&calibration->text);
        free(calibration);
    }
}

// ---- guiding quantizers ------------------------------------------------------------------------

static bool is_same_file(const char *a, const char *b) {
    struct stat x;
    struct stat y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

imx_status imx_calibration_guide(const imatrix_calibration *calibration, const imx_gguf *source,
                                 imx_quantize_settings *settings, imx_error *err) {
    const imx_gguf *model = imx_model_gguf(calibration->text.model);
    if (!is_same_file(imx_gguf_file(source, 0)->path, imx_gguf_file(model, 0)->path)) {
        return imx_fail(err, IMX_ERR_MISMATCH, "%s: the calibration is of another model, %s",
                        source->path, model->path);
    }
    settings->plan.imatrix = calibration->imatrix;
    settings->plan.statistics_follow = true;
    settings->keys.calibration = &calibration->keys;
    return IMX_OK;
}

// ---- running -----------------------------------------------------------------------------------

static imx_status check_run(const imatrix_calibration *calibration,
                            imatrix_quantizer *const *quantizers, size_t n_quantizers,
                            imx_error *err) {
    if (n_quantizers == 0) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "a calibration runs at least one quantizer");
    }
    if (n_quantizers > 1 && calibration->options.inputs == IMATRIX_INPUTS_QUANTIZED) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "quantized inputs are those of one type: run one type at a time, or all "
                        "with original inputs");
    }
    for (size_t i = 0; i < n_quantizers; ++i) {
        if (quantizers[i]->calibration != calibration) {
            return imx_fail(err, IMX_ERR_ARGUMENT,
                            "quantizer %zu was not opened with this calibration", i);
        }
    }
    return calibration->has_run
               ? imx_fail(err, IMX_ERR_ARGUMENT, "a calibration runs once; open another one")
               : IMX_OK;
}

static imx_status check_paths(const char *const *out_paths, size_t n_paths, imx_error *err) {
    for (size_t i = 0; i < n_paths; ++i) {
        for (size_t k = 0; k < i; ++k) {
            if (strcmp(out_paths[i], out_paths[k]) == 0) {
                return imx_fail(err, IMX_ERR_ARGUMENT, "%s: is to be two files at once",
                                out_paths[i]);
            }
        }
    }
    return IMX_OK;
}

static imx_status measure(imatrix_calibration *calibration, imatrix_quantizer *const *quantizers,
                          size_t n_quantizers, imatrix_run_start *start, imx_error *err) {
    imx_calibrated_plan plan;
    const imx_walk_place beginning = {0, 0};
    IMX_TRY(check_run(calibration, quantizers, n_quantizers, err));
    IMX_TRY(imx_calibrated_plan_make(&plan, calibration, quantizers, n_quantizers, err));
    for (size_t i = 0; i < n_quantizers; ++i) {
        quantizers[i]->needs.memory_bytes = plan.walk.memory_bytes;
    }
    *start = imx_text_run_describe(&calibration->text, &plan.walk, &beginning);
    return IMX_OK;
}

imatrix_status imatrix_calibration_measure(imatrix_calibration *calibration,
                                           imatrix_quantizer *const *quantizers,
                                           size_t n_quantizers, imatrix_run_start *start,
                                           imatrix_error *error) {
    imx_error err = {0};
    return imx_publish_error(measure(calibration, quantizers, n_quantizers, start, &err), &err,
                             error);
}

static imx_status run(imatrix_calibration *calibration, imatrix_quantizer *const *quantizers,
                      const char *const *out_paths, size_t n_quantizers, imx_error *err) {
    IMX_TRY(check_run(calibration, quantizers, n_quantizers, err));
    IMX_TRY(check_paths(out_paths, n_quantizers, err));
    calibration->has_run = true;
    return imx_calibrated_run(calibration, quantizers, out_paths, n_quantizers, err);
}

imatrix_status imatrix_calibration_run(imatrix_calibration *calibration,
                                       imatrix_quantizer *const *quantizers,
                                       const char *const *out_paths, size_t n_quantizers,
                                       imatrix_error *error) {
    imx_error err = {0};
    return imx_publish_error(run(calibration, quantizers, out_paths, n_quantizers, &err), &err,
                             error);
}
