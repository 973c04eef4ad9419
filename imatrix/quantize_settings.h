// SPDX-License-Identifier: MIT
//
// The public options of quantization, as the rooms want them.

#ifndef IMX_IMATRIX_QUANTIZE_SETTINGS_H
#define IMX_IMATRIX_QUANTIZE_SETTINGS_H

#include "imatrix/imatrix.h"
#include "quant/plan/model_keys.h"
#include "quant/plan/plan.h"

typedef struct imx_quantize_settings {
    imx_plan_options plan; // without imatrix
    imx_key_options keys;  // without imatrix
    imx_encode_options encode;
    char *type_text;                 // owned; what the strings of the overrides point into
    imx_type_override *overrides;    // owned
    imx_key_override *key_overrides; // owned
} imx_quantize_settings;

// Checks and converts `options`, which must outlive *settings. The caller frees with
// imx_quantize_settings_free, also on failure. Unknown types and malformed rows are
// IMX_ERR_ARGUMENT.
imx_status imx_quantize_settings_init(imx_quantize_settings *settings,
                                      const imatrix_quantize_options *options, imx_error *err);
void imx_quantize_settings_free(imx_quantize_settings *settings);

#endif
