// SPDX-License-Identifier: MIT
//
// A weight is multiplied with every token, and coded once for every file. Coding it takes about as
// long as multiplying it with CODING_TOKENS tokens, so that of all work
//
//     n_tokens / (n_tokens + CODING_TOKENS · n_files)
//
// is the walk's; the rest is done as weights are coded. Work is told in weights to code, which
// makes its rate comparable with that of quantizing without a text.

#include "imatrix/calibrated_progress.h"

static const double CODING_TOKENS = 60000; // the example model, Q4_K_M

static bool report(const imx_calibrated_progress *progress) {
    const double coding = CODING_TOKENS * (double)progress->n_files;
    const double walk_share = (double)progress->n_tokens / ((double)progress->n_tokens + coding);
    const imx_progress_report *walk = &progress->walk;
    const double walked =
        walk->work_total > 0 ? (double)walk->work_done / (double)walk->work_total : 0;
    imx_progress_report whole = *walk;
    whole.phase = "calibrated layers";
    whole.work_total = progress->n_weights;
    whole.work_done = (uint64_t)(walk_share * walked * (double)progress->n_weights +
                                 (1 - walk_share) * (double)progress->n_coded);
    return imx_progress_continue(progress->outer, &whole);
}

static bool report_walk(void *context, const imx_progress_report *walk) {
    imx_calibrated_progress *progress = context;
    progress->walk = *walk;
    return report(progress);
}

imx_progress imx_calibrated_progress_of_walk(imx_calibrated_progress *progress) {
    return (imx_progress){report_walk, progress};
}

imx_status imx_calibrated_progress_add(imx_calibrated_progress *progress, uint64_t n_weights,
                                       imx_error *err) {
    progress->n_coded += n_weights;
    return report(progress) ? IMX_OK
                            : imx_fail(err, IMX_ERR_INTERRUPTED, "stopped while coding layer %d",
                                       (int)progress->walk.done);
}
