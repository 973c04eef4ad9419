// SPDX-License-Identifier: MIT
//
// Any bytes as a trace: an error, or a trace that does not differ from itself.

#include <stdlib.h>

#include "calib/forward/trace.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A difference of infinities or NaNs is no number.
static bool is_positive(double error) {
    return error > 0;
}

static void compare_with_itself(const imx_trace *trace) {
    imx_trace_comparison comparison;
    if (imx_trace_compare(&comparison, trace, trace, NULL) != IMX_OK ||
        is_positive(comparison.logits_error) || comparison.same_top != 1 ||
        comparison.n_products != trace->products->n_entries) {
        abort();
    }
    for (size_t i = 0; i < comparison.n_products; ++i) {
        const imx_trace_difference *d = &comparison.products[i];
        if (d->is_missing || d->is_extra || !d->has_shape || is_positive(d->worst)) {
            abort();
        }
    }
    free(comparison.products);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[MEMORY_FILE_PATH];
    FILE *file = open_memory_file(path);
    imx_trace trace;
    imx_error err = {0};
    if (file == NULL) {
        return 0;
    }
    fwrite(data, 1, size, file);
    fflush(file);
    if (imx_trace_read(&trace, path, &err) == IMX_OK) {
        compare_with_itself(&trace);
    } else if (err.message[0] == '\0') {
        abort();
    }
    imx_trace_free(&trace);
    fclose(file);
    return 0;
}
