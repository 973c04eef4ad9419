// SPDX-License-Identifier: MIT
//
// How far a calibrated run is: text walks through layers and layers are coded, in turn.

#ifndef IMX_IMATRIX_CALIBRATED_PROGRESS_H
#define IMX_IMATRIX_CALIBRATED_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/progress.h"

typedef struct imx_calibrated_progress {
    const imx_progress *outer; // what is told; borrowed
    uint64_t n_weights;        // to code, in all files
    uint64_t n_coded;          // of these
    uint64_t n_tokens;         // that each weight sees, in all passes
    size_t n_files;
    imx_progress_report walk; // the walk's last
} imx_calibrated_progress;

// The progress of the walk, whose reports become part of the whole; valid while `progress` is.
imx_progress imx_calibrated_progress_of_walk(imx_calibrated_progress *progress);

// So many weights more are coded. IMX_ERR_INTERRUPTED when the run shall stop.
imx_status imx_calibrated_progress_add(imx_calibrated_progress *progress, uint64_t n_weights,
                                       imx_error *err);

#endif
