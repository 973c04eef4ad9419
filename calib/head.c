// SPDX-License-Identifier: MIT

#include <stdlib.h>

#include "calib/model_internal.h"
#include "calib/param.h"
#include "calib/split.h"
#include "calib/walk.h"
#include "formats/memory.h"

struct imx_head {
    imx_param param;
    int n_threads;
};

imx_status imx_head_open(imx_head **out, const imx_model *model, int n_threads, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(out, 1, sizeof **out, err));
    imx_head *head = *out;
    head->n_threads = imx_thread_count(n_threads);
    const imx_status status =
        imx_param_unpack(&head->param, model, imx_model_head_role(model), 0, head->n_threads, err);
    if (status != IMX_OK) {
        imx_head_close(head);
        *out = NULL;
    }
    return status;
}

imx_status imx_head_logits(imx_head *head, const float *hidden, size_t n_rows, float *logits,
                           imx_error *err) {
    return imx_param_apply(&head->param, hidden, n_rows, logits, head->n_threads, err);
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
    return (uint64_t)hparams->n_vocab * hparams->n_embd * sizeof(float) + weight->size_bytes;
}
