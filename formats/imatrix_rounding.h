// SPDX-License-Identifier: MIT
//
// Rounds the values of an imatrix, so that its zst file gets smaller.

#ifndef IMX_FORMATS_IMATRIX_ROUNDING_H
#define IMX_FORMATS_IMATRIX_ROUNDING_H

#include "formats/imatrix_file.h"

enum { IMX_MAX_DIGITS = 7 }; // an F32, which files hold, has little more

// Rounds sums and maxima to `digits` (up to IMX_MAX_DIGITS) significant decimal digits or slightly
// better, and records that in the origin unless fewer are recorded already. Counts stay as they
// are; 0 digits changes nothing.
void imx_imatrix_round(imx_imatrix *imatrix, uint32_t digits);

// IMX_ERR_ARGUMENT for more digits than there are.
imx_status imx_check_digits(uint32_t digits, imx_error *err);

#endif
