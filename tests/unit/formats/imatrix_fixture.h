// SPDX-License-Identifier: MIT
//
// Small imatrices for tests.

#ifndef IMX_TESTS_IMATRIX_FIXTURE_H
#define IMX_TESTS_IMATRIX_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/imatrix_file.h"

static inline imx_imatrix *new_imatrix(uint32_t chunk_count, uint32_t chunk_size) {
    imx_imatrix *imatrix;
    assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
    imatrix->chunk_count = chunk_count;
    imatrix->chunk_size = chunk_size;
    return imatrix;
}

// Adds an entry with these sums of squares (n_mats, n_cols) and counts (n_mats), and where
// `with_sums`, sums and maxima of 1 and 2 everywhere. Valid until the next call.
static inline imx_imatrix_entry *add_entry(imx_imatrix *imatrix, const char *name, uint64_t n_cols,
                                           uint64_t n_mats, const double *in_sum2,
                                           const double *counts, bool with_sums) {
    imx_imatrix_entry *entry;
    assert_int_equal(imx_imatrix_add(imatrix, name, n_cols, n_mats, with_sums, &entry, NULL),
                     IMX_OK);
    memcpy(entry->in_sum2, in_sum2, n_cols * n_mats * sizeof *in_sum2);
    memcpy(entry->counts, counts, n_mats * sizeof *counts);
    for (uint64_t i = 0; with_sums && i < n_cols * n_mats; ++i) {
        entry->in_sum[i] = 1;
        entry->in_max[i] = 2;
    }
    return entry;
}

#endif
