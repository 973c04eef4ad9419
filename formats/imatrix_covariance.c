// SPDX-License-Identifier: MIT
//
// A product of two columns is stored as their correlation,
//
//     r_ij = E[x_i x_j] / √(E[x_i²] E[x_j²]),     |r_ij| <= 1,
//
// in eight bits. The scales are in the file anyway, as in_sum2 and counts, so that reading makes
// E[x_i x_j] = r_ij √(E[x_i²] E[x_j²]) of both, and rounding the sums leaves the matrix what it is.
//
// Steps of 1/127 are an error of 0.0023, where the text leaves one of 1/√tokens, 0.004 for 60,000.
// Tried and dropped (docs/file-formats.md has the numbers): F16, 2.4 times the bytes after zstd;
// eight bits of √r, 17 % more for half the error; seven bits, 16 % less for twice the error.
//
// Weights that see the same input share one array in memory and one tensor in the file. Two arrays
// of names say who has whose: unlike numbers they outlive a tool that sorts the tensors.

#include "formats/imatrix_covariance.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "formats/imatrix_codec_internal.h"
#include "formats/memory.h"

static const char sharers_key[] = "imatrix.calibration.covariance_sharers";
static const char owners_key[] = "imatrix.calibration.covariance_owners";

enum { LARGEST_CODE = 127 };

imx_status imx_imatrix_add_covariance(imx_imatrix *imatrix, imx_imatrix_entry *entry,
                                      imx_error *err) {
    const size_t n = imatrix->n_covariances;
    IMX_TRY(imx_reserve_one(&imatrix->covariances, n, sizeof *imatrix->covariances, err));
    IMX_TRY(imx_alloc_zeroed(&entry->in_cov, imx_covariance_len(entry->n_cols) * entry->n_mats,
                             sizeof *entry->in_cov, err));
    imatrix->covariances[n] = entry->in_cov;
    ++imatrix->n_covariances;
    return IMX_OK;
}

// ---- values and bytes --------------------------------------------------------------------------

static int8_t code_of(double correlation) {
    return (int8_t)lrint(LARGEST_CODE * fmax(-1.0, fmin(1.0, correlation)));
}

static double correlation_of(int8_t code) {
    return fmax(-1.0, code / (double)LARGEST_CODE);
}

// The place of pair (i, i) of a run.
static size_t diagonal_place(size_t i) {
    return (size_t)imx_triangle_len(i) + i;
}

static void pack_run(const float *products, int8_t *codes) {
    double scale[IMX_COV_RUN];
    for (size_t i = 0; i < IMX_COV_RUN; ++i) {
        const double square = (double)products[diagonal_place(i)];
        scale[i] = square >= (double)FLT_MIN ? 1 / sqrt(square) : 0;
    }
    for (size_t i = 0; i < IMX_COV_RUN; ++i) {
        for (size_t j = 0; j <= i; ++j) {
            *codes++ = code_of((double)*products++ * scale[i] * scale[j]);
        }
    }
}

static void unpack_run(const int8_t *codes, const float *squares, float *products) {
    double scale[IMX_COV_RUN];
    for (size_t i = 0; i < IMX_COV_RUN; ++i) {
        scale[i] = sqrt((double)squares[i]);
    }
    for (size_t i = 0; i < IMX_COV_RUN; ++i) {
        for (size_t j = 0; j <= i; ++j) {
            *products++ = (float)(correlation_of(*codes++) * scale[i] * scale[j]);
        }
        products[-1] = squares[i];
    }
}

static size_t count_runs(const imx_imatrix_entry *entry) {
    return (size_t)(entry->n_cols / IMX_COV_RUN);
}

void imx_covariance_pack(const imx_imatrix_entry *entry, int8_t *codes) {
    const size_t n_runs = count_runs(entry) * (size_t)entry->n_mats;
    for (size_t run = 0; run < n_runs; ++run) {
        pack_run(entry->in_cov + run * IMX_COV_PAIRS, codes + run * IMX_COV_PAIRS);
    }
}

imx_status imx_covariance_unpack(imx_imatrix *imatrix, imx_imatrix_entry *entry,
                                 const int8_t *codes, imx_error *err) {
    const size_t n_runs = count_runs(entry);
    float *squares; // (n_cols)
    IMX_TRY(imx_imatrix_add_covariance(imatrix, entry, err));
    IMX_TRY(imx_alloc_zeroed(&squares, entry->n_cols, sizeof *squares, err));
    for (uint64_t mat = 0; mat < entry->n_mats; ++mat) {
        const int8_t *from = codes + mat * n_runs * IMX_COV_PAIRS;
        float *to = imx_covariance_of(entry, mat);
        if (!imx_imatrix_mean_squares(entry, mat, squares)) {
            continue;
        }
        for (size_t run = 0; run < n_runs; ++run) {
            unpack_run(from + run * IMX_COV_PAIRS, squares + run * IMX_COV_RUN,
                       to + run * IMX_COV_PAIRS);
        }
    }
    free(squares);
    return IMX_OK;
}

// ---- sharing -----------------------------------------------------------------------------------

// By products; entries that share them stay in the order of the array.
static int compare_for_sorting(const void *a, const void *b) {
    const imx_imatrix_entry *x = *(const imx_imatrix_entry *const *)a;
    const imx_imatrix_entry *y = *(const imx_imatrix_entry *const *)b;
    const uintptr_t p = (uintptr_t)x->in_cov, q = (uintptr_t)y->in_cov;
    return p != q ? (p > q) - (p < q) : (x > y) - (x < y);
}

static void find_owners(const imx_imatrix *imatrix, const imx_imatrix_entry **sorted,
                        size_t *owners) {
    const imx_imatrix_entry *owner = NULL;
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        sorted[i] = &imatrix->entries[i];
    }
    if (imatrix->n_entries > 0) {
        qsort(sorted, imatrix->n_entries, sizeof *sorted, compare_for_sorting);
    }
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        if (owner == NULL || owner->in_cov == NULL || owner->in_cov != sorted[i]->in_cov) {
            owner = sorted[i];
        }
        owners[sorted[i] - imatrix->entries] = (size_t)(owner - imatrix->entries);
    }
}

imx_status imx_covariance_owners(const imx_imatrix *imatrix, size_t **owners, imx_error *err) {
    const imx_imatrix_entry **sorted = NULL;
    imx_status status;
    *owners = NULL;
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&sorted, imatrix->n_entries, sizeof *sorted, err));
    IMX_TRY_GOTO(done, imx_alloc_zeroed(owners, imatrix->n_entries, sizeof **owners, err));
    find_owners(imatrix, sorted, *owners);
done:
    free(sorted);
    return status;
}

imx_status imx_covariance_store_owners(imx_gguf_builder *builder, const imx_imatrix *imatrix,
                                       const size_t *owners, imx_error *err) {
    const char **names; // (2, n_entries) of the sharers and of their owners
    const size_t n_entries = imatrix->n_entries;
    size_t n = 0;
    IMX_TRY(imx_alloc_zeroed(&names, 2 * n_entries, sizeof *names, err));
    for (size_t i = 0; i < n_entries; ++i) {
        if (owners[i] != i) {
            names[n] = imatrix->entries[i].name;
            names[n_entries + n] = imatrix->entries[owners[i]].name;
            ++n;
        }
    }
    imx_status status = IMX_OK;
    if (n > 0) {
        IMX_TRY_GOTO(done, imx_gguf_set_str_array(builder, sharers_key, names, n, err));
        status = imx_gguf_set_str_array(builder, owners_key, names + n_entries, n, err);
    }
done:
    free(names);
    return status;
}

// The entry that the next string of an array names; NULL when there is none.
static imx_status next_entry(const imx_imatrix *imatrix, const uint8_t **cursor,
                             imx_imatrix_entry **entry, imx_error *err) {
    const imx_str str = imx_gguf_next_str(cursor);
    char *name;
    IMX_TRY(imx_copy_string(&name, str.data, str.len, err));
    *entry = imx_imatrix_find(imatrix, name);
    free(name);
    return IMX_OK;
}

// Whether they can have seen the same input.
static bool may_share(const imx_imatrix_entry *sharer, const imx_imatrix_entry *owner) {
    return sharer != NULL && owner != NULL && sharer->in_cov == NULL && owner->in_cov != NULL &&
           sharer->n_cols == owner->n_cols && sharer->n_mats == owner->n_mats &&
           memcmp(sharer->counts, owner->counts, owner->n_mats * sizeof *owner->counts) == 0 &&
           memcmp(sharer->in_sum2, owner->in_sum2,
                  owner->n_mats * owner->n_cols * sizeof *owner->in_sum2) == 0;
}

imx_status imx_covariance_load_owners(const imx_gguf *gguf, imx_imatrix *imatrix, imx_error *err) {
    const imx_gguf_kv *sharers, *owners;
    IMX_TRY(imx_gguf_get_array(gguf, sharers_key, false, IMX_GGUF_STRING, &sharers, err));
    if (sharers == NULL) {
        return IMX_OK;
    }
    IMX_TRY(imx_gguf_get_array(gguf, owners_key, true, IMX_GGUF_STRING, &owners, err));
    const uint8_t *sharer_cursor = sharers->elems, *owner_cursor = owners->elems;
    for (uint64_t i = 0; i < sharers->n_elems; ++i) {
        imx_imatrix_entry *sharer = NULL, *owner = NULL;
        if (i < owners->n_elems) {
            IMX_TRY(next_entry(imatrix, &sharer_cursor, &sharer, err));
            IMX_TRY(next_entry(imatrix, &owner_cursor, &owner, err));
        }
        if (!may_share(sharer, owner)) {
            return imx_fail(err, IMX_ERR_FORMAT,
                            "%s: %s: element %" PRIu64
                            " names no weight that could share its products",
                            gguf->path, sharers_key, i);
        }
        sharer->in_cov = owner->in_cov;
    }
    return IMX_OK;
}
