// SPDX-License-Identifier: MIT
//
// The imatrix: activation statistics of every weight, in memory and in its three file formats.
//
//   zst   a zstd frame around the GGUF below (default); `zstd -d` yields the GGUF
//   gguf  llama.cpp's GGUF imatrix: per weight NAME.in_sum2 [n_cols, n_mats] and NAME.counts
//         [1, n_mats], both F32; keys imatrix.datasets (array of strings), imatrix.chunk_count and
//         imatrix.chunk_size (u32). What we know beyond it goes into further tensors (NAME.in_sum,
//         NAME.in_max, NAME.in_cov) and keys under "imatrix.calibration.", which llama.cpp skips.
//   dat   the legacy format of 2023: means only, one count per tensor; all matrices of a tensor are
//         one row (n_mats = 1). Written, it loses weights that have seen nothing, in_sum, in_max,
//         in_cov, origin and all dataset names but the last; a matrix without data among others
//         gets the mean 1.
//
// llama.cpp, too, stores some three-dimensional weights as one row with one count: who knows the
// shape of the weight splits n_cols.
//
// The formats are told apart by content, never by name.

#ifndef IMX_FORMATS_IMATRIX_FILE_H
#define IMX_FORMATS_IMATRIX_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/importance.h"

typedef struct imx_imatrix_entry {
    char *name;      // the weight tensor: "blk.0.attn_q.weight"
    uint64_t n_cols; // inputs of one matrix
    uint64_t n_mats; // matrices (experts); 1 for a dense weight
    double *in_sum2; // (n_mats, n_cols) sums of squared inputs, finite and >= 0
    double *in_sum;  // (n_mats, n_cols) sums of inputs; NULL when the file does not have them
    double *in_max;  // (n_mats, n_cols) largest |input|, NULL likewise
    double *counts;  // (n_mats) rows summed; 0 = this matrix has seen nothing
    float *in_cov;   // (n_mats, n_cols / IMX_COV_RUN, IMX_COV_PAIRS) mean products of inputs as in
                     // importance.h; NULL when the file does not have them. The imatrix owns it:
                     // weights with the same input share it
    size_t place;    // among the entries of the file it was read from; 0 when it is new
} imx_imatrix_entry;

// Where an imatrix comes from. Strings are owned; NULL or 0 = not recorded.
typedef struct imx_imatrix_origin {
    char *program;       // name and version of the writer
    char *model_name;    // base name of the model file
    char *model_hash;    // XXH3-128 of the model file, 32 hex digits
    char *text_hash;     // XXH3-128 of the text bytes, 32 hex digits
    char *precision;     // of the products it was collected with: "exact" or "fast"
    uint64_t n_tokens;   // tokens that were run
    uint32_t digits;     // decimal digits that the sums were rounded to
    bool all_experts;    // experts saw tokens that the router had not sent them
    bool has_options;    // whether the two below are recorded
    bool parse_special;  // special tokens in the text were parsed
    bool process_output; // the output head was included

    // Chunks, numbered from 0 in the order they were run, that turned non-finite on their way
    // through the model; they are in the sums of the weights before that and in no others.
    uint32_t *left_out_chunks; // (n_left_out) ascending
    size_t n_left_out;
} imx_imatrix_origin;

// What a text has given to the statistics.
typedef struct imx_imatrix_source {
    char hash[33]; // XXH3-128 of its bytes, 32 hex digits
    double weight; // share of its chunks that was asked for
    uint64_t n_tokens;
    uint64_t n_chunks;
} imx_imatrix_source;

typedef struct imx_imatrix {
    size_t n_entries;
    imx_imatrix_entry *entries; // sorted by name (byte order), unique names
    size_t n_datasets;
    char **datasets;  // (n_datasets) names of the texts
    size_t n_sources; // n_datasets, or 0 when the file does not say more of them
    imx_imatrix_source *sources;
    size_t n_covariances;
    float **covariances;  // (n_covariances) what the entries' in_cov point to, each once
    uint32_t chunk_count; // chunks summed
    uint32_t chunk_size;  // tokens in a full chunk; 1 when the file does not say (dat)
    imx_imatrix_origin origin;
} imx_imatrix;

typedef enum imx_imatrix_format {
    IMX_IMATRIX_ZST,
    IMX_IMATRIX_GGUF,
    IMX_IMATRIX_DAT,
} imx_imatrix_format;

// An empty imatrix; *out is the caller's to imx_imatrix_free.
imx_status imx_imatrix_new(imx_imatrix **out, imx_error *err);
void imx_imatrix_free(imx_imatrix *imatrix);

// Adds an entry with zeroed sums (in_sum and in_max too when `with_sums`) at its sorted place and
// returns it in *entry. The pointer is valid until the next call. A name that exists is
// IMX_ERR_ARGUMENT.
imx_status imx_imatrix_add(imx_imatrix *imatrix, const char *name, uint64_t n_cols, uint64_t n_mats,
                           bool with_sums, imx_imatrix_entry **entry, imx_error *err);

// Appends a dataset name (copied).
imx_status imx_imatrix_add_dataset(imx_imatrix *imatrix, const char *name, imx_error *err);

// Appends a dataset with what it has given. IMX_ERR_ARGUMENT after a dataset without.
imx_status imx_imatrix_add_source(imx_imatrix *imatrix, const char *name,
                                  const imx_imatrix_source *source, imx_error *err);

// NULL when there is no such entry.
imx_imatrix_entry *imx_imatrix_find(const imx_imatrix *imatrix, const char *name);

// Mean squared inputs of matrix `mat`: out[j] = in_sum2[mat][j] / counts[mat] as float, (n_cols).
// False, with `out` all 1, when the matrix has seen nothing.
bool imx_imatrix_mean_squares(const imx_imatrix_entry *entry, uint64_t mat, float *out);

// Reads any of the three formats. *format may be NULL. Non-finite or negative sums, missing partner
// tensors and lengths beyond the file are IMX_ERR_FORMAT.
imx_status imx_imatrix_read(imx_imatrix **out, const char *path, imx_imatrix_format *format,
                            imx_error *err);

// The same from memory; `path` is only for messages.
imx_status imx_imatrix_parse(imx_imatrix **out, const uint8_t *data, size_t size_bytes,
                             const char *path, imx_imatrix_format *format, imx_error *err);

// Writes atomically, entries in the order of the file they were read from, new ones by name. The
// bytes depend on the imatrix and the format only. IMX_ERR_FORMAT names a
// value that is negative, not finite or beyond F32; IMX_ERR_UNSUPPORTED a weight that the format
// cannot hold (gguf and zst: names over 55 bytes, which llama.cpp could not read).
imx_status imx_imatrix_write(const imx_imatrix *imatrix, const char *path,
                             imx_imatrix_format format, imx_error *err);

// The same into memory: *bytes is the caller's to free().
imx_status imx_imatrix_serialize(const imx_imatrix *imatrix, imx_imatrix_format format,
                                 uint8_t **bytes, size_t *size_bytes, imx_error *err);

#endif
