// SPDX-License-Identifier: MIT
//
// A layer's products of all columns, and their factors while an input is being used, are what
// matters and what memory may be too short for. They get what the rest of the run leaves, before
// the residual stream does, which can lie in a file; an input for which nothing is left is coded
// with the products within super-blocks. The factors' part is the same whatever number of inputs
// has products, so that with less than that there are none.

#include "imatrix/calibrated_plan.h"

#include <string.h>

#include "calib/statistics/layer_covariances.h"
#include "imatrix/calibration.h"
#include "imatrix/quantizer.h"
#include "kernels/split.h"
#include "quant/plan/tensor_role.h"
#include "quant/solver/solve_jobs.h"

enum { MAX_SHARERS = 4 }; // weights with the same input

const char imx_token_embedding[] = "token_embd.weight";

bool imx_calibration_leads_embedding(const imatrix_calibration *calibration) {
    return calibration->options.inputs == IMATRIX_INPUTS_QUANTIZED ||
           !imx_model_has_tied_head(calibration->text.model);
}

bool imx_calibration_awaits(const imatrix_calibration *calibration,
                            const imatrix_quantizer *quantizer, size_t i) {
    const imx_plan_item *item = &quantizer->plan->items[i];
    const bool is_led = imx_calibration_leads_embedding(calibration) &&
                        strcmp(item->source->name, imx_token_embedding) == 0;
    return !item->is_copied && (item->statistics != NULL || is_led);
}

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

// Columns of the longest row that is coded by the walk.
static size_t most_columns(const imatrix_calibration *calibration,
                           imatrix_quantizer *const *quantizers, size_t n_quantizers) {
    uint64_t most = 0;
    for (size_t q = 0; q < n_quantizers; ++q) {
        const imx_plan *plan = quantizers[q]->plan;
        for (size_t i = 0; i < plan->n_items; ++i) {
            if (imx_calibration_awaits(calibration, quantizers[q], i)) {
                most = larger(most, imx_gguf_tensor_cols(plan->items[i].source));
            }
        }
    }
    return (size_t)most;
}

// Bytes of coded weights that the model runs with at a time, at most those of the largest layer and
// what lies outside of layers; and of the copy of a block that shows a layer its inputs first.
static uint64_t coded_bytes(const imatrix_calibration *calibration,
                            const imatrix_quantizer *quantizer) {
    const imx_text_run *text = &calibration->text;
    const imx_plan *plan = quantizer->plan;
    uint64_t most = 0;
    uint64_t outside = 0;
    for (uint64_t layer = 0; layer < plan->n_layers; ++layer) {
        uint64_t n_bytes = 0;
        for (size_t i = 0; i < plan->n_items; ++i) {
            n_bytes +=
                imx_layer_of(plan->items[i].name) == (int)layer ? plan->items[i].size_bytes : 0;
        }
        most = larger(most, n_bytes);
    }
    for (size_t i = 0; i < plan->n_items; ++i) {
        const bool is_kept = imx_layer_of(plan->items[i].name) < 0 &&
                             imx_calibration_awaits(calibration, quantizer, i);
        outside += is_kept ? plan->items[i].size_bytes : 0;
    }
    return most + outside +
           imx_walk_block_rows(text->model, text->corpus) * imx_model_n_embd(text->model) *
               sizeof(float);
}

imx_status imx_calibrated_plan_make(imx_calibrated_plan *plan,
                                    const imatrix_calibration *calibration,
                                    imatrix_quantizer *const *quantizers, size_t n_quantizers,
                                    imx_error *err) {
    const imatrix_run_options *run = &calibration->options.run;
    const imx_model *model = calibration->text.model;
    const uint64_t solver_bytes =
        imx_solve_jobs_bytes(most_columns(calibration, quantizers, n_quantizers),
                             MAX_SHARERS * n_quantizers, imx_thread_count(run->n_threads));
    imx_collect_demand demand = {
        .may_use_scratch = true,
        .resident_bytes = imx_layer_covariances_least_bytes(model, run->process_output),
        .wanted_bytes = solver_bytes + imx_layer_covariances_most_bytes(model, run->process_output),
    };
    if (calibration->options.inputs == IMATRIX_INPUTS_QUANTIZED) {
        demand.resident_bytes += coded_bytes(calibration, quantizers[0]);
    }
    IMX_TRY(imx_text_run_plan(&plan->walk, &calibration->text, &demand, err));
    plan->products_bytes =
        plan->walk.granted_bytes > solver_bytes ? plan->walk.granted_bytes - solver_bytes : 0;
    return IMX_OK;
}
