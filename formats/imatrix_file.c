// SPDX-License-Identifier: MIT
//
// The imatrix in memory, and the door to its three formats. The codecs move bytes; what holds for
// every format is checked here: unique names in byte order, and values that a float can carry.
//
// Readers append entries in file order and the whole is sorted once at the end, so that a hostile
// file cannot make reading quadratic. Every entry remembers its place: old .dat files have the
// order of a hash table, and go into another format and back to the same bytes.

#include "formats/imatrix_file.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "formats/atomic_file.h"
#include "formats/file_map.h"
#include "formats/imatrix_codec_internal.h"
#include "formats/memory.h"

// In the order in which they are tried: the legacy format, which has no magic, comes last.
static const imx_imatrix_codec *const codecs[] = {
    [IMX_IMATRIX_ZST] = &imx_imatrix_codec_zst,
    [IMX_IMATRIX_GGUF] = &imx_imatrix_codec_gguf,
    [IMX_IMATRIX_DAT] = &imx_imatrix_codec_dat,
};

enum { N_CODECS = sizeof codecs / sizeof codecs[0] };

imx_status imx_imatrix_new(imx_imatrix **out, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(out, 1, sizeof **out, err));
    (*out)->chunk_size = 1;
    return IMX_OK;
}

static void free_entry(imx_imatrix_entry *entry) {
    free(entry->name);
    free(entry->in_sum2);
    free(entry->in_sum);
    free(entry->in_max);
    free(entry->counts);
}

void imx_imatrix_free(imx_imatrix *imatrix) {
    if (imatrix == NULL) {
        return;
    }
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        free_entry(&imatrix->entries[i]);
    }
    for (size_t i = 0; i < imatrix->n_datasets; ++i) {
        free(imatrix->datasets[i]);
    }
    for (size_t i = 0; i < imatrix->n_covariances; ++i) {
        free(imatrix->covariances[i]);
    }
    free(imatrix->entries);
    free(imatrix->datasets);
    free(imatrix->covariances);
    free(imatrix->sources);
    free(imatrix->origin.program);
    free(imatrix->origin.model_name);
    free(imatrix->origin.model_hash);
    free(imatrix->origin.text_hash);
    free(imatrix->origin.precision);
    free(imatrix->origin.left_out_chunks);
    free(imatrix);
}

imx_status imx_copy_string(char **out, const char *data, size_t len, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(out, len + 1, 1, err));
    memcpy(*out, data, len);
    return IMX_OK;
}

// The arrays grow at powers of two, so that n tells the capacity.
imx_status imx_reserve_one(void *array, size_t n, size_t size, imx_error *err) {
    size_t capacity = n;
    return (n & (n - 1)) != 0 ? IMX_OK : imx_grow(array, &capacity, n + 1, size, err);
}

static imx_status init_entry(imx_imatrix_entry *entry, const char *name, size_t name_len,
                             bool with_sums, imx_error *err) {
    uint64_t n;
    if (entry->n_cols == 0 || entry->n_mats == 0 ||
        !imx_mul_u64(entry->n_cols, entry->n_mats, &n)) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "%.*s: impossible size %" PRIu64 " x %" PRIu64,
                        (int)name_len, name, entry->n_cols, entry->n_mats);
    }
    IMX_TRY(imx_copy_string(&entry->name, name, name_len, err));
    IMX_TRY(imx_alloc_zeroed(&entry->in_sum2, n, sizeof *entry->in_sum2, err));
    if (with_sums) {
        IMX_TRY(imx_alloc_zeroed(&entry->in_sum, n, sizeof *entry->in_sum, err));
        IMX_TRY(imx_alloc_zeroed(&entry->in_max, n, sizeof *entry->in_max, err));
    }
    return imx_alloc_zeroed(&entry->counts, entry->n_mats, sizeof *entry->counts, err);
}

imx_status imx_imatrix_append(imx_imatrix *imatrix, const char *name, size_t name_len,
                              uint64_t n_cols, uint64_t n_mats, bool with_sums,
                              imx_imatrix_entry **entry, imx_error *err) {
    imx_imatrix_entry made = {.n_cols = n_cols, .n_mats = n_mats, .place = imatrix->n_entries};
    IMX_TRY(imx_reserve_one(&imatrix->entries, imatrix->n_entries, sizeof made, err));
    const imx_status status = init_entry(&made, name, name_len, with_sums, err);
    if (status != IMX_OK) {
        free_entry(&made);
        return status;
    }
    *entry = &imatrix->entries[imatrix->n_entries++];
    **entry = made;
    return IMX_OK;
}

// The index of the first entry whose name is not below `name`.
static size_t lower_bound(const imx_imatrix *imatrix, const char *name) {
    size_t begin = 0;
    size_t end = imatrix->n_entries;
    while (begin < end) {
        const size_t middle = begin + (end - begin) / 2;
        if (strcmp(imatrix->entries[middle].name, name) < 0) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

imx_imatrix_entry *imx_imatrix_find(const imx_imatrix *imatrix, const char *name) {
    const size_t i = lower_bound(imatrix, name);
    const bool found = i < imatrix->n_entries && strcmp(imatrix->entries[i].name, name) == 0;
    return found ? &imatrix->entries[i] : NULL;
}

imx_status imx_imatrix_add(imx_imatrix *imatrix, const char *name, uint64_t n_cols, uint64_t n_mats,
                           bool with_sums, imx_imatrix_entry **entry, imx_error *err) {
    if (imx_imatrix_find(imatrix, name) != NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "%s: is in the imatrix already", name);
    }
    const size_t place = lower_bound(imatrix, name);
    const size_t n_behind = imatrix->n_entries - place;
    IMX_TRY(imx_imatrix_append(imatrix, name, strlen(name), n_cols, n_mats, with_sums, entry, err));
    imx_imatrix_entry made = **entry;
    made.place = 0;
    *entry = &imatrix->entries[place];
    memmove(*entry + 1, *entry, n_behind * sizeof made);
    **entry = made;
    return IMX_OK;
}

imx_status imx_imatrix_append_dataset(imx_imatrix *imatrix, const char *name, size_t name_len,
                                      imx_error *err) {
    IMX_TRY(imx_reserve_one(&imatrix->datasets, imatrix->n_datasets, sizeof(char *), err));
    IMX_TRY(imx_copy_string(&imatrix->datasets[imatrix->n_datasets], name, name_len, err));
    ++imatrix->n_datasets;
    return IMX_OK;
}

imx_status imx_imatrix_add_dataset(imx_imatrix *imatrix, const char *name, imx_error *err) {
    return imx_imatrix_append_dataset(imatrix, name, strlen(name), err);
}

imx_status imx_imatrix_add_source(imx_imatrix *imatrix, const char *name,
                                  const imx_imatrix_source *source, imx_error *err) {
    if (imatrix->n_sources != imatrix->n_datasets) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "%s: follows a dataset without a source", name);
    }
    IMX_TRY(imx_reserve_one(&imatrix->sources, imatrix->n_sources, sizeof *source, err));
    imatrix->sources[imatrix->n_sources++] = *source;
    return imx_imatrix_add_dataset(imatrix, name, err);
}

bool imx_imatrix_mean_squares(const imx_imatrix_entry *entry, uint64_t mat, float *out) {
    const double *sums = entry->in_sum2 + mat * entry->n_cols;
    const double count = entry->counts[mat];
    for (uint64_t j = 0; j < entry->n_cols; ++j) {
        out[j] = count > 0 ? (float)fmin(sums[j] / count, FLT_MAX) : 1.0f;
    }
    return count > 0;
}

// Whether all values are finite as floats and, unless they may have a `sign`, not negative.
static imx_status check_values(const char *path, const char *name, const char *what,
                               const double *values, uint64_t n, bool may_be_negative,
                               imx_error *err) {
    for (uint64_t i = 0; i < n; ++i) {
        const double low = may_be_negative ? -(double)FLT_MAX : 0.0;
        if (!(values[i] >= low && values[i] <= (double)FLT_MAX)) {
            return imx_fail(err, IMX_ERR_FORMAT,
                            "%s: %s.%s: value %" PRIu64 " is %g, which no sum can be; the imatrix "
                            "is damaged or its model overflowed, collect it again",
                            path, name, what, i, values[i]);
        }
    }
    return IMX_OK;
}

static imx_status check_entry(const char *path, const imx_imatrix_entry *entry, imx_error *err) {
    const uint64_t n = entry->n_cols * entry->n_mats;
    IMX_TRY(check_values(path, entry->name, "in_sum2", entry->in_sum2, n, false, err));
    IMX_TRY(check_values(path, entry->name, "counts", entry->counts, entry->n_mats, false, err));
    if (entry->in_sum != NULL) {
        IMX_TRY(check_values(path, entry->name, "in_sum", entry->in_sum, n, true, err));
    }
    if (entry->in_max != NULL) {
        IMX_TRY(check_values(path, entry->name, "in_max", entry->in_max, n, false, err));
    }
    return IMX_OK;
}

static imx_status check_entries(const char *path, const imx_imatrix *imatrix, imx_error *err) {
    if (imatrix->n_entries == 0) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: holds no statistics of any weight; it is not an imatrix", path);
    }
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        const imx_imatrix_entry *entry = &imatrix->entries[i];
        if (i > 0 && strcmp(entry[-1].name, entry->name) == 0) {
            return imx_fail(err, IMX_ERR_FORMAT, "%s: %s is there twice; the file is damaged", path,
                            entry->name);
        }
        IMX_TRY(check_entry(path, entry, err));
    }
    return IMX_OK;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const imx_imatrix_entry *)a)->name, ((const imx_imatrix_entry *)b)->name);
}

static int compare_places(const void *a, const void *b) {
    const size_t x = ((const imx_imatrix_entry *)a)->place;
    const size_t y = ((const imx_imatrix_entry *)b)->place;
    return x != y ? (x > y) - (x < y) : compare_names(a, b);
}

void imx_imatrix_sort(imx_imatrix *imatrix) {
    if (imatrix->n_entries > 0) {
        qsort(imatrix->entries, imatrix->n_entries, sizeof *imatrix->entries, compare_names);
    }
}

static imx_status parse_as(imx_imatrix *imatrix, const imx_imatrix_codec *codec,
                           const uint8_t *data, size_t size_bytes, const char *path,
                           imx_error *err) {
    IMX_TRY(codec->parse(imatrix, data, size_bytes, path, err));
    return check_entries(path, imatrix, err);
}

imx_status imx_imatrix_parse(imx_imatrix **out, const uint8_t *data, size_t size_bytes,
                             const char *path, imx_imatrix_format *format, imx_error *err) {
    *out = NULL;
    size_t i = 0;
    while (i < N_CODECS && !codecs[i]->recognize(data, size_bytes)) {
        ++i;
    }
    if (i == N_CODECS) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: byte 0: not an imatrix (neither zstd nor GGUF nor the legacy .dat "
                        "layout)",
                        path);
    }
    imx_imatrix *imatrix;
    IMX_TRY(imx_imatrix_new(&imatrix, err));
    const imx_status status = parse_as(imatrix, codecs[i], data, size_bytes, path, err);
    if (status != IMX_OK) {
        imx_imatrix_free(imatrix);
        return status;
    }
    if (format != NULL) {
        *format = (imx_imatrix_format)i;
    }
    *out = imatrix;
    return IMX_OK;
}

imx_status imx_imatrix_read(imx_imatrix **out, const char *path, imx_imatrix_format *format,
                            imx_error *err) {
    imx_file_map map;
    *out = NULL;
    IMX_TRY(imx_file_map_open(&map, path, err));
    const imx_status status =
        imx_imatrix_parse(out, map.data, (size_t)map.size_bytes, path, format, err);
    imx_file_map_close(&map);
    return status;
}

imx_status imx_imatrix_serialize(const imx_imatrix *imatrix, imx_imatrix_format format,
                                 uint8_t **bytes, size_t *size_bytes, imx_error *err) {
    *bytes = NULL;
    *size_bytes = 0;
    IMX_TRY(check_entries("the imatrix to write", imatrix, err));
    imx_imatrix placed = *imatrix; // borrows all but the array of entries
    const size_t n = imatrix->n_entries;
    IMX_TRY(imx_alloc_zeroed(&placed.entries, n, sizeof *placed.entries, err));
    memcpy(placed.entries, imatrix->entries, n * sizeof *placed.entries);
    qsort(placed.entries, n, sizeof *placed.entries, compare_places);
    const imx_status status = codecs[format]->serialize(&placed, bytes, size_bytes, err);
    free(placed.entries);
    return status;
}

imx_status imx_imatrix_write(const imx_imatrix *imatrix, const char *path,
                             imx_imatrix_format format, imx_error *err) {
    imx_atomic_file *file;
    uint8_t *bytes;
    size_t size_bytes;
    IMX_TRY(imx_imatrix_serialize(imatrix, format, &bytes, &size_bytes, err));
    imx_status status;
    IMX_TRY_GOTO(done, imx_atomic_file_open(&file, path, err));
    status = imx_atomic_file_write(file, bytes, size_bytes, err);
    if (status == IMX_OK) {
        status = imx_atomic_file_commit(file, err);
    } else {
        imx_atomic_file_abort(file);
    }
done:
    free(bytes);
    return status;
}
