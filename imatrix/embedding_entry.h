// SPDX-License-Identifier: MIT
//
// What an imatrix that was collected from inputs cannot tell: how much the columns of the token
// embedding count.

#ifndef IMX_IMATRIX_EMBEDDING_ENTRY_H
#define IMX_IMATRIX_EMBEDDING_ENTRY_H

#include "formats/error.h"
#include "formats/gguf.h"
#include "formats/imatrix_file.h"

// Adds an entry for the embedding of `source`, made of the weights that read it
// (calib/statistics/embedding_readers.h), products of columns included, to an imatrix that has
// such products. Nothing where it has none or has that entry, where the embedding is the head as
// well, and where the architecture is not known or rows are no whole runs.
imx_status imx_add_embedding_entry(imx_imatrix *imatrix, const imx_gguf *source, int n_threads,
                                   imx_error *err);

#endif
