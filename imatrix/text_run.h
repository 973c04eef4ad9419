// SPDX-License-Identifier: MIT
//
// A model and the texts that run through it: what collecting and calibrated quantization share.

#ifndef IMX_IMATRIX_TEXT_RUN_H
#define IMX_IMATRIX_TEXT_RUN_H

#include "calib/forward/walk.h"
#include "calib/model/model.h"
#include "calib/statistics/collect_plan.h"
#include "calib/text/corpus.h"
#include "formats/error.h"
#include "formats/imatrix_file.h"
#include "formats/progress.h"
#include "imatrix/imatrix.h"

typedef struct imx_text_run {
    const imatrix_run_options *options;
    imx_model *model;
    imx_corpus *corpus;
    imx_text_share *shares; // (options->n_texts)
    imx_progress progress;
} imx_text_run;

// What imatrix.h says of the options' defaults.
imatrix_run_options imx_run_options_by_default(void);

// Checks `options`, which must outlive *run, opens the model and tokenizes the texts. *run is the
// caller's to imx_text_run_close, also on failure.
imx_status imx_text_run_open(imx_text_run *run, const imatrix_run_options *options, imx_error *err);
void imx_text_run_close(imx_text_run *run);

// Completes `demand`, in which the caller has set what the run is for, by what the options say, and
// plans the use of memory within them. A model that has no room in it leaves the page cache as it
// is read.
imx_status imx_text_run_plan(imx_collect_plan *plan, const imx_text_run *run,
                             imx_collect_demand *demand, imx_error *err);

// Tells the options' on_start, if there is one.
void imx_text_run_start(const imx_text_run *run, const imx_collect_plan *plan,
                        const imx_walk_place *start);
imatrix_run_start imx_text_run_describe(const imx_text_run *run, const imx_collect_plan *plan,
                                        const imx_walk_place *start);

// Writes into the imatrix what it is made of.
imx_status imx_text_run_record(const imx_text_run *run, imx_imatrix *imatrix, imx_error *err);

// Fills in options->shares, if they are wanted.
void imx_text_run_publish_shares(const imx_text_run *run);

// OUT and a suffix; *path stays NULL where `out_path` is a device or a pipe. The caller's to
// free().
imx_status imx_name_beside(char **path, const char *out_path, const char *suffix, imx_error *err);

#endif
