// SPDX-License-Identifier: MIT

#include "quant/pipeline/source_row.h"

#include <assert.h>
#include <inttypes.h>

#include "quant/pipeline/row_loss.h"

bool imx_source_row_read(const imx_gguf_tensor *tensor, uint64_t row, float *x) {
    const size_t n_cols = (size_t)imx_gguf_tensor_cols(tensor);
    const uint64_t row_bytes = imx_type_row_bytes(tensor->type, n_cols);
    const imx_type_traits *traits = imx_type_traits_of(tensor->type);
    assert(traits->decode != NULL);
    traits->decode(tensor->data + row * row_bytes, x, n_cols);
    return imx_row_is_finite(x, n_cols);
}

imx_status imx_source_row_fail(const imx_gguf *source, const imx_gguf_tensor *tensor, uint64_t row,
                               imx_error *err) {
    return imx_fail(err, IMX_ERR_FORMAT,
                    "%s: tensor %s, row %" PRIu64
                    " holds an infinity or NaN: convert the model again",
                    imx_gguf_file(source, tensor->shard)->path, tensor->name, row);
}
