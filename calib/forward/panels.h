// SPDX-License-Identifier: MIT
//
// A weight matrix unpacked for products with many tokens.

#ifndef IMX_CALIB_PANELS_H
#define IMX_CALIB_PANELS_H

#include <stddef.h>
#include <stdint.h>

#include "calib/forward/operands.h"
#include "formats/error.h"
#include "formats/tensor_type.h"

// Memory for the rows of a product as its operands want them; zeroed before the first use, the
// caller's to free(values). Products that run one after another can share it.
typedef struct imx_panel_rows {
    void *values;
    size_t capacity;
} imx_panel_rows;

typedef struct imx_panels {
    imx_operands operands; // the caller's to set before anything else; of a zeroed object: f32
    imx_panel_rows *rows;  // likewise; NULL: each product takes and frees what it needs
    size_t n_in;
    size_t n_out;
    size_t n_products; // products per weight, where operands are split
    void *values;      // (depth, n_out) in panels of columns, as the operands want it
    size_t capacity;
} imx_panels;

// Makes room for a matrix of n_out rows of n_in values; keeps memory that is large enough. A zeroed
// object is empty. *panels is the caller's to imx_panels_free, also on failure.
imx_status imx_panels_reserve(imx_panels *panels, size_t n_in, size_t n_out, imx_error *err);
void imx_panels_free(imx_panels *panels);

// Memory of a matrix so unpacked, and, while it is multiplied with n_rows rows, of those.
uint64_t imx_panels_bytes(size_t n_in, size_t n_out, imx_operands operands);
uint64_t imx_panels_scratch_bytes(size_t n_in, size_t n_rows, imx_operands operands);

// Unpacks `rows`, n_out rows of n_in values of `type`, each value times `scale`.
void imx_panels_unpack(imx_panels *panels, uint32_t type, const uint8_t *rows, float scale,
                       int n_threads);

// y = x · matrixᵀ + bias. Rows of x and y may be parts of longer ones: row i begins a stride behind
// row i − 1.
typedef struct imx_product {
    const imx_panels *panels;
    const float *bias; // (n_out) or NULL
    size_t n_rows;
    const float *x; // (n_rows, n_in)
    size_t x_stride;
    float *y; // (n_rows, n_out)
    size_t y_stride;
} imx_product;

// The same bits for any n_threads. IMX_ERR_MEMORY without a message: the caller knows what is being
// multiplied.
imx_status imx_product_run(const imx_product *product, int n_threads);

#endif
