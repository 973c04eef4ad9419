// SPDX-License-Identifier: MIT
//
// One walk that quantizes a model into several files.

#ifndef IMX_IMATRIX_CALIBRATED_RUN_H
#define IMX_IMATRIX_CALIBRATED_RUN_H

#include <stddef.h>

#include "formats/error.h"
#include "imatrix/imatrix.h"

// As imatrix_calibration_run, whose arguments have been checked.
imx_status imx_calibrated_run(imatrix_calibration *calibration,
                              imatrix_quantizer *const *quantizers, const char *const *out_paths,
                              size_t n_quantizers, imx_error *err);

#endif
