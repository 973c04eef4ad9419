// SPDX-License-Identifier: MIT
//
// Products of columns in an imatrix (importance.h has their layout): memory, sharing, and the bytes
// that they are in a file.

#ifndef IMX_FORMATS_IMATRIX_COVARIANCE_H
#define IMX_FORMATS_IMATRIX_COVARIANCE_H

#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"
#include "formats/imatrix_file.h"

// Products of one matrix with rows of `n_cols` inputs; 0 where there is no whole run.
static inline uint64_t imx_covariance_len(uint64_t n_cols) {
    return n_cols / IMX_COV_RUN * IMX_COV_PAIRS;
}

// Those of matrix `mat` of an entry that has them.
static inline float *imx_covariance_of(const imx_imatrix_entry *entry, uint64_t mat) {
    return entry->in_cov + mat * imx_covariance_len(entry->n_cols);
}

// Gives `entry`, which has at least one whole run, zeroed products of its own.
imx_status imx_imatrix_add_covariance(imx_imatrix *imatrix, imx_imatrix_entry *entry,
                                      imx_error *err);

// For each entry the index of the first one that it shares its products with; its own where there
// is no other or it has none. *owners (n_entries) is the caller's to free(), also on
// failure.
imx_status imx_covariance_owners(const imx_imatrix *imatrix, size_t **owners, imx_error *err);

// Which weights have the products of which other, as keys of a GGUF; nothing where none has. After
// loading they share these; the entries are sorted, and the owners' products are there. Names that
// are no such weights are IMX_ERR_FORMAT.
imx_status imx_covariance_store_owners(imx_gguf_builder *builder, const imx_imatrix *imatrix,
                                       const size_t *owners, imx_error *err);
imx_status imx_covariance_load_owners(const imx_gguf *gguf, imx_imatrix *imatrix, imx_error *err);

// The products of an entry that has them as codes (n_mats, n_cols / IMX_COV_RUN, IMX_COV_PAIRS).
void imx_covariance_pack(const imx_imatrix_entry *entry, int8_t *codes);

// And back, into an entry that has none but in_sum2 and counts, which are the scales of its
// columns. Those of a matrix that has seen nothing are zeros.
imx_status imx_covariance_unpack(imx_imatrix *imatrix, imx_imatrix_entry *entry,
                                 const int8_t *codes, imx_error *err);

#endif
