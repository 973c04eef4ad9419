// SPDX-License-Identifier: MIT
//
// How a collection runs, apart from what it collects: within which memory, with which checkpoints.

#ifndef IMX_IMATRIX_COLLECT_RUN_H
#define IMX_IMATRIX_COLLECT_RUN_H

#include "calib/statistics/collect.h"
#include "calib/statistics/collect_plan.h"
#include "formats/error.h"
#include "imatrix/imatrix.h"
#include "imatrix/text_run.h"

typedef struct imx_collect_run {
    imx_collect_options options; // for imx_collect; refers to the rest
    imx_collect_plan plan;
    char model_hash[33];
    char *checkpoint_path; // NULL for an output that is no file
    imx_collect_listener listener;
    const imx_text_run *text;
} imx_collect_run;

// Plans the use of memory and reads the whole model for its hash. IMX_ERR_MEMORY when memory does
// not suffice. *run is the caller's to imx_collect_run_close, also on failure; it refers to all
// arguments.
imx_status imx_collect_run_open(imx_collect_run *run, const imatrix_collect_options *options,
                                const imx_text_run *text, imx_error *err);
void imx_collect_run_close(imx_collect_run *run);

// Removes the checkpoint: the output is stored.
void imx_collect_run_finish(const imx_collect_run *run);

#endif
