// SPDX-License-Identifier: MIT
//
// What a calibrated run will take of the machine.

#ifndef IMX_IMATRIX_CALIBRATED_PLAN_H
#define IMX_IMATRIX_CALIBRATED_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/statistics/collect_plan.h"
#include "formats/error.h"
#include "imatrix/imatrix.h"

typedef struct imx_calibrated_plan {
    imx_collect_plan walk;   // memory of the whole run
    uint64_t products_bytes; // for products of all columns of the inputs of a layer
} imx_calibrated_plan;

// IMX_ERR_MEMORY with the number needed when the options allow too little.
imx_status imx_calibrated_plan_make(imx_calibrated_plan *plan,
                                    const imatrix_calibration *calibration,
                                    imatrix_quantizer *const *quantizers, size_t n_quantizers,
                                    imx_error *err);

// Whether the token embedding is coded before the walk: by what reads it, and for the walk to see
// what it has become.
bool imx_calibration_leads_embedding(const imatrix_calibration *calibration);

// Whether the walk is to code item i of the quantizer's plan: an input of it will be shown, or
// another layer's input depends on it.
bool imx_calibration_awaits(const imatrix_calibration *calibration,
                            const imatrix_quantizer *quantizer, size_t i);

// The tensor that may be coded before the walk.
extern const char imx_token_embedding[];

#endif
