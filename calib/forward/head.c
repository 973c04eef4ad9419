// SPDX-License-Identifier: MIT

#include <stdlib.h>

#include "calib/forward/param.h"
#include "calib/forward/row_ops.h"
#include "calib/forward/walk.h"
#include "calib/model/model_internal.h"
#include "kernels/split.h"
#include "formats/memory.h"

struct imx_head {
    const imx_model *model;
    imx_param param;
    int n_threads;
};

static imx_status load(imx_head *head, imx_error *err) {
    IMX_TRY(imx_param_load(&head->param, head->model, imx_model_head_role(head->model), 0,
                           head->n_threads, err));
    return imx_param_unpack(&head->param, 0, head->n_threads, err);
}

imx_status imx_head_open(imx_head **out, const imx_model *model, int n_threads, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(out, 1, sizeof **out, err));
    imx_head *head = *out;
    head->model = model;
    head->param.panels.operands = imx_operands_for(IMX_PRECISION_EXACT);
    head->n_threads = imx_thread_count(n_threads);
    const imx_status status = load(head, err);
    if (status != IMX_OK) {
        imx_head_close(head);
        *out = NULL;
    }
    return status;
}

// logits = softcap · tanh(scale · logits / softcap)
static void shape_logits(const imx_head *head, float *logits, size_t n_rows) {
    const imx_hparams *hparams = &head->model->hparams;
    const bool is_divided = (head->model->arch->traits & IMX_TRAIT_LOGITS_ARE_DIVIDED) != 0;
    const float factor = hparams->logit_scale == 0 ? 1
                         : is_divided              ? 1 / hparams->logit_scale
                                                   : hparams->logit_scale;
    const float cap = hparams->logit_softcap;
    if (factor == 1 && cap == 0) {
        return;
    }
#pragma omp parallel for num_threads(head->n_threads)
    for (size_t i = 0; i < n_rows; ++i) {
        float *row = logits + i * head->param.n_out;
        if (cap > 0) {
            imx_softcap(row, head->param.n_out, factor, cap);
        }
        for (size_t j = 0; j < head->param.n_out && cap == 0; ++j) {
            row[j] *= factor;
        }
    }
}

imx_status imx_head_logits(imx_head *head, const float *hidden, size_t n_rows, float *logits,
                           imx_error *err) {
    IMX_TRY(imx_param_apply(&head->param, hidden, head->param.n_in, n_rows, logits,
                            head->param.n_out, head->n_threads, err));
    shape_logits(head, logits, n_rows);
    return IMX_OK;
}

void imx_head_close(imx_head *head) {
    if (head != NULL) {
        imx_param_free(&head->param);
        free(head);
    }
}

uint64_t imx_head_bytes(const imx_model *model) {
    const imx_hparams *hparams = &model->hparams;
    const imx_gguf_tensor *weight = model->bindings[0][imx_model_head_role(model)].weight;
    return imx_panels_bytes(hparams->n_embd, hparams->n_vocab,
                            imx_operands_for(IMX_PRECISION_EXACT)) +
           weight->size_bytes;
}
