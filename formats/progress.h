// SPDX-License-Identifier: MIT
//
// How long work tells its caller how far it is. The library itself prints nothing.

#ifndef IMX_FORMATS_PROGRESS_H
#define IMX_FORMATS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct imx_progress_report {
    const char *phase; // what is being done, static text: "layers", "tensors"
    const char *item;  // what has just been finished, e.g. a tensor name; NULL when unnamed
    uint64_t done;     // of the phase, in its unit
    uint64_t total;
    uint64_t work_done; // finer measure for rates: tokens × layers, or weights
    uint64_t work_total;
    uint64_t part_done; // of what is under way now: chunks of a layer; 0 of 0 when nothing counts
    uint64_t part_total;
    const char *model;    // path of the one that is run, where there are several, else NULL; valid
                          // as long as it is open
    uint64_t model_index; // of n_models
    uint64_t n_models;
} imx_progress_report;

// `report` is called from one thread at a time, may be NULL, and returns false to stop the work,
// which then ends with IMX_ERR_INTERRUPTED.
typedef struct imx_progress {
    bool (*report)(void *context, const imx_progress_report *report);
    void *context;
} imx_progress;

static inline bool imx_progress_continue(const imx_progress *progress,
                                         const imx_progress_report *report) {
    return progress == NULL || progress->report == NULL ||
           progress->report(progress->context, report);
}

#endif
