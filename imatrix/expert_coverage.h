// SPDX-License-Identifier: MIT
#ifndef IMX_IMATRIX_EXPERT_COVERAGE_H
#define IMX_IMATRIX_EXPERT_COVERAGE_H

#include "formats/imatrix_file.h"
#include "imatrix/imatrix.h"

// Counts the experts in *result and names those that saw least; the fields must be zero.
void imx_publish_coverage(const imx_imatrix *imatrix, imatrix_collect_result *result);

#endif
