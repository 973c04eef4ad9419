// SPDX-License-Identifier: MIT
//
// Codes the rows of a matrix so that the errors of all columns pay for each other. See solver.c for
// the mathematics.

#ifndef IMX_QUANT_SOLVER_H
#define IMX_QUANT_SOLVER_H

#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/importance.h"
#include "quant/encode/encoder.h"
#include "quant/encode/run_metric.h"
#include "quant/solver/covariance_row.h"

// Of one input, under one belief; serves all matrices and types that share the input.
typedef struct imx_solver imx_solver;

// `covariance` is that of all columns (run_len == n_cols). *out is the caller's to
// imx_solver_close. IMX_ERR_MEMORY; IMX_ERR_FORMAT where the numbers cannot be those of inputs.
imx_status imx_solver_open(imx_solver **out, const imx_input_covariance *covariance,
                           imx_covariance_part part, imx_belief belief, int n_threads,
                           imx_error *err);
void imx_solver_close(imx_solver *solver);

// Memory of an open solver, and of a thread that encodes with it.
uint64_t imx_solver_bytes(size_t n_cols);
uint64_t imx_solver_thread_bytes(size_t n_cols);

enum { IMX_SOLVER_ROWS = 128 }; // that are worth a product

// Encodes `n_rows` (at most IMX_SOLVER_ROWS) rows of x (n_rows, n_cols) into `blocks` (n_rows, row
// bytes) with an encoder that has runs. `room` is imx_solver_thread_bytes bytes, aligned to 64, of
// the calling thread. The same call gives the same bytes, whatever n_threads opened the solver; but
// products are made of the rows of a call together, so that with other rows beside it a row may get
// other bytes. IMX_ERR_MEMORY only.
imx_status imx_solver_encode(const imx_solver *solver, const imx_encoder *encoder, const float *x,
                             size_t n_rows, const imx_importance *importance,
                             const imx_encode_options *options, uint8_t *blocks, void *room);

#endif
