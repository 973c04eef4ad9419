// SPDX-License-Identifier: MIT
//
// imatrix_file_check: statistics against the model they are to quantize.

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/file_hash.h"
#include "formats/gguf.h"
#include "formats/memory.h"
#include "imatrix/facade.h"
#include "imatrix/facade_imatrix.h"
#include "quant/plan/statistics_fit.h"

static_assert((int)IMATRIX_FINDING_FOREIGN == (int)IMX_FINDING_FOREIGN &&
                  (int)IMATRIX_FINDING_MODEL == (int)IMX_FINDING_COUNT,
              "public and internal findings have the same numbers; the model's comes last");

static void publish_finding(imatrix_check_result *result, imatrix_finding_kind kind,
                            const char *name, uint64_t n, uint64_t n_of) {
    imatrix_finding *finding = &result->findings[result->n_findings++];
    *finding = (imatrix_finding){.kind = kind, .n = n, .n_of = n_of};
    snprintf(finding->name, sizeof finding->name, "%s", name);
}

// Whether the recorded hash is not that of the model.
static bool is_of_another_model(const imx_imatrix_origin *origin, const imx_gguf *model) {
    char hash[IMX_HASH_HEX_BYTES];
    if (origin->model_hash == NULL) {
        return false;
    }
    imx_hash_model(model, hash);
    return strcmp(hash, origin->model_hash) != 0;
}

static imx_status publish_report(const imx_fit_report *report, const imx_imatrix *imatrix,
                                 bool other_model, imatrix_check_result *result, imx_error *err) {
    const char *model_name = imatrix->origin.model_name;
    result->n_weights = report->n_weights;
    result->n_covered = report->n_covered;
    IMX_TRY(
        imx_alloc_zeroed(&result->findings, report->n_findings + 1, sizeof *result->findings, err));
    for (size_t i = 0; i < report->n_findings; ++i) {
        const imx_finding *finding = &report->findings[i];
        publish_finding(result, (imatrix_finding_kind)finding->kind, finding->name, finding->n,
                        finding->n_of);
    }
    if (other_model) {
        publish_finding(result, IMATRIX_FINDING_MODEL, model_name != NULL ? model_name : "", 1, 1);
    }
    return IMX_OK;
}

imatrix_status imatrix_file_check(const imatrix_file *file, const char *model_path,
                                  uint64_t min_tokens, bool hash_model,
                                  imatrix_check_result *result, imatrix_error *error) {
    const imx_imatrix *imatrix = file->imatrix;
    imx_fit_report report = {0};
    imx_gguf *model = NULL;
    imx_error err = {0};
    imx_status status;
    *result = (imatrix_check_result){0};
    IMX_TRY_GOTO(done, imx_gguf_open_model(&model, model_path, &err));
    IMX_TRY_GOTO(done, imx_statistics_check(&report, imatrix, model, (double)min_tokens, &err));
    const bool other_model = hash_model && is_of_another_model(&imatrix->origin, model);
    IMX_TRY_GOTO(done, publish_report(&report, imatrix, other_model, result, &err));
done:
    imx_fit_report_free(&report);
    imx_gguf_close(model);
    return imx_publish_error(status, &err, error);
}
