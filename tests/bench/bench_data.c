// SPDX-License-Identifier: MIT

#include "bench_data.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_random.h"
#include "formats/gguf.h"
#include "formats/imatrix_file.h"
#include "formats/memory.h"
#include "formats/tensor_type.h"

void bench_check(imx_status status, const imx_error *err) {
    if (status != IMX_OK) {
        fprintf(stderr, "%s\n", err->message);
        exit(2);
    }
}

static bench_matrix *add_matrix(bench_data *data, size_t n_rows, size_t n_cols,
                                bool has_importance) {
    imx_error err;
    bench_check(imx_grow(&data->matrices, &data->capacity, data->n_matrices + 1,
                         sizeof *data->matrices, &err),
                &err);
    bench_matrix *m = &data->matrices[data->n_matrices++];
    *m = (bench_matrix){.n_rows = n_rows, .n_cols = n_cols};
    bench_check(imx_alloc_aligned(&m->weights, n_rows * n_cols, sizeof(float), &err), &err);
    if (has_importance) {
        bench_check(imx_alloc_aligned(&m->importance, n_cols, sizeof(float), &err), &err);
    }
    return m;
}

bench_data bench_data_synthetic(size_t n_rows, size_t n_cols, float sigma) {
    bench_data data = {0};
    bench_random random = {1};
    bench_matrix *m = add_matrix(&data, n_rows, n_cols, sigma > 0.0f);
    for (size_t j = 0; j < n_rows * n_cols; ++j) {
        m->weights[j] = 0.02f * bench_random_normal(&random);
    }
    for (size_t j = 0; j < n_cols && m->importance != NULL; ++j) {
        m->importance[j] = expf(sigma * bench_random_normal(&random));
    }
    return data;
}

static imx_status load_tensor(bench_data *data, const imx_gguf_tensor *tensor,
                              const imx_imatrix_entry *entry, size_t n_rows, imx_error *err) {
    const imx_type_traits *traits = imx_type_traits_of(tensor->type);
    if (entry->n_cols != tensor->dims[0] || traits->decode == NULL) {
        return imx_fail(err, IMX_ERR_MISMATCH, "%s: another shape in the imatrix, or not readable",
                        tensor->name);
    }
    n_rows = tensor->dims[1] < n_rows ? tensor->dims[1] : n_rows;
    bench_matrix *m = add_matrix(data, n_rows, tensor->dims[0], true);
    traits->decode(tensor->data, m->weights, m->n_rows * m->n_cols);
    imx_imatrix_mean_squares(entry, 0, m->importance);
    return IMX_OK;
}

bench_data bench_data_from_model(const char *model_path, const char *imatrix_path, const char *text,
                                 size_t n_rows) {
    bench_data data = {0};
    imx_error err;
    imx_gguf *gguf = NULL;
    imx_imatrix *imatrix = NULL;
    bench_check(imx_gguf_open_model(&gguf, model_path, &err), &err);
    bench_check(imx_imatrix_read(&imatrix, imatrix_path, NULL, &err), &err);
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        const imx_gguf_tensor *tensor = &gguf->tensors[i];
        const imx_imatrix_entry *entry = imx_imatrix_find(imatrix, tensor->name);
        if (entry != NULL && strstr(tensor->name, text) != NULL) {
            bench_check(load_tensor(&data, tensor, entry, n_rows, &err), &err);
        }
    }
    imx_imatrix_free(imatrix);
    imx_gguf_close(gguf);
    if (data.n_matrices == 0) {
        bench_check(imx_fail(&err, IMX_ERR_MISMATCH,
                             "%s: no tensor with '%s' in its name and in the imatrix", model_path,
                             text),
                    &err);
    }
    return data;
}

void bench_data_free(bench_data *data) {
    for (size_t i = 0; i < data->n_matrices; ++i) {
        free(data->matrices[i].weights);
        free(data->matrices[i].importance);
    }
    free(data->matrices);
}
