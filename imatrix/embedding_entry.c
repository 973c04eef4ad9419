// SPDX-License-Identifier: MIT

#include "imatrix/embedding_entry.h"

#include <stdbool.h>
#include <string.h>

#include "calib/model/model.h"
#include "calib/statistics/embedding_readers.h"
#include "formats/imatrix_covariance.h"
#include "imatrix/calibrated_plan.h"

static bool has_products(const imx_imatrix *imatrix) {
    bool any = false;
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        any = any || imatrix->entries[i].in_cov != NULL;
    }
    return any;
}

// Mean products of the runs, their diagonals as sums, and the number of rows that were summed.
static imx_status fill_entry(imx_imatrix *imatrix, imx_imatrix_entry *entry,
                             const imx_input_covariance *readers, imx_error *err) {
    IMX_TRY(imx_imatrix_add_covariance(imatrix, entry, err));
    for (size_t i = 0; i < imx_covariance_len(entry->n_cols); ++i) {
        entry->in_cov[i] = (float)((double)readers->fitted[i] / readers->n_fitted);
    }
    for (size_t j = 0; j < entry->n_cols; ++j) {
        const size_t i = j % IMX_COV_RUN;
        const float *run = readers->fitted + j / IMX_COV_RUN * IMX_COV_PAIRS;
        entry->in_sum2[j] = (double)run[imx_triangle_len(i) + i];
    }
    entry->counts[0] = readers->n_fitted;
    return IMX_OK;
}

static imx_status add_entry(imx_imatrix *imatrix, const imx_model *model, int n_threads,
                            imx_error *err) {
    imx_input_covariance readers;
    imx_imatrix_entry *entry;
    imx_status status = imx_embedding_readers_sum(&readers, model, IMX_COV_RUN, n_threads, err);
    if (status == IMX_OK) {
        status =
            imx_imatrix_add(imatrix, imx_token_embedding, readers.n_cols, 1, false, &entry, err);
    }
    if (status == IMX_OK) {
        status = fill_entry(imatrix, entry, &readers, err);
    }
    imx_embedding_readers_free(&readers);
    return status;
}

imx_status imx_add_embedding_entry(imx_imatrix *imatrix, const imx_gguf *source, int n_threads,
                                   imx_error *err) {
    imx_model *model;
    if (!has_products(imatrix) || imx_imatrix_find(imatrix, imx_token_embedding) != NULL) {
        return IMX_OK;
    }
    if (imx_model_open(&model, imx_gguf_file(source, 0)->path, NULL) != IMX_OK) {
        return IMX_OK; // of an architecture that cannot be run, say
    }
    const bool is_led =
        !imx_model_has_tied_head(model) && imx_model_n_embd(model) % IMX_COV_RUN == 0;
    const imx_status status = is_led ? add_entry(imatrix, model, n_threads, err) : IMX_OK;
    imx_model_close(model);
    return status;
}
