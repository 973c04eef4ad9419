// SPDX-License-Identifier: MIT
//
// The metric of a super-block, turned around.

#ifndef IMX_QUANT_INVERSE_ROOT_H
#define IMX_QUANT_INVERSE_ROOT_H

#include <stddef.h>

#include "formats/error.h"
#include "formats/importance.h"

// Of a = G Gᵀ, G lower triangular, the rounded G⁻¹ (IMX_COV_RUN, IMX_COV_RUN): zeros above its
// diagonal and behind the n <= IMX_COV_RUN rows and columns of `a`, of which, `stride` apart, the
// lower triangle is read. IMX_ERR_MEMORY, or IMX_ERR_FORMAT when `a` is not positive definite.
imx_status imx_inverse_root(const float *a, size_t stride, size_t n,
                            float inverse[IMX_COV_RUN * IMX_COV_RUN], imx_error *err);

#endif
