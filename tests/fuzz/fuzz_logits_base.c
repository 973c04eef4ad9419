// SPDX-License-Identifier: MIT
//
// Any bytes as a file of predictions: an error, or chunks and rows that can all be read.

#include <stdlib.h>

#include "calib/evaluation/logits_base.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const imx_logits_base *base) {
    imx_corpus *corpus;
    float *ln_p = malloc(base->n_vocab * sizeof *ln_p);
    const size_t n_rows = base->n_chunks * (base->n_ctx - 1 - base->n_ctx / 2);
    if (ln_p == NULL || imx_logits_base_corpus(&corpus, base, 1, 0, NULL) != IMX_OK) {
        abort();
    }
    for (size_t i = 0; i < n_rows; ++i) {
        imx_logits_base_row(base, i, ln_p);
    }
    imx_corpus_free(corpus);
    free(ln_p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[MEMORY_FILE_PATH];
    FILE *file = open_memory_file(path);
    imx_logits_base base;
    imx_error err = {0};
    if (file == NULL) {
        return 0;
    }
    fwrite(data, 1, size, file);
    fflush(file);
    if (imx_logits_base_open(&base, path, &err) == IMX_OK) {
        read_all(&base);
    } else if (err.message[0] == '\0') {
        abort();
    }
    imx_logits_base_close(&base);
    fclose(file);
    return 0;
}
