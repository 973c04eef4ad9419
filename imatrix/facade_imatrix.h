// SPDX-License-Identifier: MIT
//
// What stands behind an imatrix_file. Private to the facade.

#ifndef IMX_IMATRIX_FACADE_IMATRIX_H
#define IMX_IMATRIX_FACADE_IMATRIX_H

#include "formats/imatrix_file.h"
#include "imatrix/imatrix.h"

struct imatrix_file {
    imx_imatrix *imatrix;
    imx_imatrix_format format; // it was read as
    char *path;                // it was read from; NULL when it was merged
};

#endif
