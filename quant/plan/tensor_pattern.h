// SPDX-License-Identifier: MIT
//
// Regular expressions over tensor names, as PCRE2 reads them: case-sensitive, found anywhere.

#ifndef IMX_QUANT_TENSOR_PATTERN_H
#define IMX_QUANT_TENSOR_PATTERN_H

#include <stdbool.h>

#include "formats/error.h"

typedef struct imx_tensor_pattern imx_tensor_pattern;

// `text` must outlive *out, which is the caller's to imx_tensor_pattern_free. IMX_ERR_ARGUMENT says
// what PCRE2 refuses, and where.
imx_status imx_tensor_pattern_new(imx_tensor_pattern **out, const char *text, imx_error *err);
void imx_tensor_pattern_free(imx_tensor_pattern *pattern);

// Whether the name holds a match. IMX_ERR_ARGUMENT when PCRE2 gives up on it.
imx_status imx_tensor_pattern_search(const imx_tensor_pattern *pattern, const char *name,
                                     bool *found, imx_error *err);

#endif
