// SPDX-License-Identifier: MIT
//
// The public form of what an evaluation has measured.

#ifndef IMX_IMATRIX_FACADE_EVALUATE_H
#define IMX_IMATRIX_FACADE_EVALUATE_H

#include "calib/evaluation/evaluate.h"
#include "calib/text/corpus.h"
#include "imatrix/imatrix.h"

imatrix_estimate imx_publish_estimate(imx_estimate estimate);

// `corpus` is the one the model was measured on.
void imx_publish_evaluation(const imx_evaluation *measured, const imx_corpus *corpus,
                            imatrix_evaluation *result);

#endif
