// SPDX-License-Identifier: MIT
//
// Encodes the weights of a layer, in all files that are being written, when the walk has shown what
// flows into them.

#ifndef IMX_IMATRIX_CALIBRATED_LAYERS_H
#define IMX_IMATRIX_CALIBRATED_LAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/model/model.h"
#include "calib/statistics/layer_covariances.h"
#include "formats/error.h"
#include "imatrix/calibrated_progress.h"
#include "imatrix/imatrix.h"
#include "quant/pipeline/calibrated_output.h"
#include "quant/solver/solve_jobs.h"

// A file that is being written.
typedef struct imx_calibrated_file {
    imatrix_quantizer *quantizer;
    imx_gguf_builder *builder;
    imx_calibrated_output *output;
    bool *is_awaited; // (n_items) to be coded by the walk
    bool *is_pending; // (n_items) of these, not coded yet
} imx_calibrated_file;

// A weight that the model runs with instead of its own.
typedef struct imx_coded_weight {
    const char *name;
    uint8_t *data; // owned
} imx_coded_weight;

typedef struct imx_layer_coder {
    imx_calibrated_file *files; // (n_files), borrowed
    size_t n_files;
    imx_model *model; // that is to run with the coded weights of one file; NULL: with its own
    imx_layer_covariances *covariances; // borrowed
    const imx_input_covariance *given;  // instead, of the tensor in hand; NULL: none is
    imx_calibrated_progress *progress;  // borrowed
    int n_threads;                      // at least 1

    // Owned.
    struct imx_code_member *members; // tensors that are coded together
    size_t n_members;
    size_t member_capacity;
    imx_solver_job *jobs; // one matrix of each
    size_t job_capacity;
    imx_coded_weight *coded; // (n_coded) that the model runs with
    size_t n_coded;
    size_t coded_capacity;
    size_t n_lasting; // of these, the first so many stay
} imx_layer_coder;

// Encodes all that is pending in `layer`, or outside of layers where it is -1: what shares an input
// together, with its covariance, and what has none for itself. Then the covariances are cleared.
// Where the model runs with coded weights, those of the layer before are given back.
// IMX_ERR_INTERRUPTED when progress asks for it.
imx_status imx_layer_coder_code(imx_layer_coder *coder, int layer, imx_error *err);

// Whether a tensor of that name is pending in any file.
bool imx_layer_coder_awaits(const imx_layer_coder *coder, const char *name);

// Encodes the tensor of that name, if it is pending, by a covariance that the walk does not show,
// or NULL; where the model runs with coded weights it keeps this one.
imx_status imx_layer_coder_code_lasting(imx_layer_coder *coder, const char *name,
                                        const imx_input_covariance *covariance, imx_error *err);

// Frees what is owned; the model is as it was.
void imx_layer_coder_close(imx_layer_coder *coder);

#endif
