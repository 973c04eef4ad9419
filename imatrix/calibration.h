// SPDX-License-Identifier: MIT
//
// What an imatrix_calibration is, and how it guides the quantizers that are opened with it.

#ifndef IMX_IMATRIX_CALIBRATION_H
#define IMX_IMATRIX_CALIBRATION_H

#include <stdbool.h>

#include "formats/gguf.h"
#include "formats/imatrix_file.h"
#include "imatrix/imatrix.h"
#include "imatrix/quantize_settings.h"
#include "imatrix/text_run.h"
#include "quant/plan/model_keys.h"

struct imatrix_calibration {
    imatrix_calibration_options options; // a copy
    imx_text_run text;
    imx_imatrix *imatrix;      // has the entries that the run will fill
    imx_calibration_keys keys; // what files say of it
    const char **text_names;   // (options.run.n_texts) owned, the strings borrowed
    const char **text_hashes;  // likewise
    bool has_run;
};

// Has `settings` plan with the statistics that are to come. IMX_ERR_MISMATCH when `source` is not
// the file that the calibration runs.
imx_status imx_calibration_guide(const imatrix_calibration *calibration, const imx_gguf *source,
                                 imx_quantize_settings *settings, imx_error *err);

#endif
