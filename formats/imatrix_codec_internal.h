// SPDX-License-Identifier: MIT
//
// What a file format of the imatrix has to provide, and the pieces that the readers share. Private
// to formats.

#ifndef IMX_FORMATS_IMATRIX_CODEC_INTERNAL_H
#define IMX_FORMATS_IMATRIX_CODEC_INTERNAL_H

#include "formats/gguf.h"
#include "formats/imatrix_file.h"

typedef struct imx_imatrix_codec {
    // Whether the first bytes are this format's.
    bool (*recognize)(const uint8_t *data, size_t size_bytes);

    // Fills the empty `imatrix`, its entries sorted. Lengths are checked against size_bytes here;
    // unique names and values by the caller, who also frees what is there after a failure.
    imx_status (*parse)(imx_imatrix *imatrix, const uint8_t *data, size_t size_bytes,
                        const char *path, imx_error *err);

    // As imx_imatrix_serialize, for entries whose values are known to be valid.
    imx_status (*serialize)(const imx_imatrix *imatrix, uint8_t **bytes, size_t *size_bytes,
                            imx_error *err);
} imx_imatrix_codec;

extern const imx_imatrix_codec imx_imatrix_codec_zst;
extern const imx_imatrix_codec imx_imatrix_codec_gguf;
extern const imx_imatrix_codec imx_imatrix_codec_dat;

// As imx_imatrix_add, but at the end, which is its place, and for a name of `name_len` bytes.
imx_status imx_imatrix_append(imx_imatrix *imatrix, const char *name, size_t name_len,
                              uint64_t n_cols, uint64_t n_mats, bool with_sums,
                              imx_imatrix_entry **entry, imx_error *err);

// Sorts entries that were appended in file order.
void imx_imatrix_sort(imx_imatrix *imatrix);

// As imx_imatrix_add_dataset, for a name of `name_len` bytes.
imx_status imx_imatrix_append_dataset(imx_imatrix *imatrix, const char *name, size_t name_len,
                                      imx_error *err);

// The texts as keys of a GGUF: nothing is stored when there are no sources. Loading comes after the
// datasets.
imx_status imx_imatrix_store_sources(imx_gguf_builder *builder, const imx_imatrix *imatrix,
                                     imx_error *err);
imx_status imx_imatrix_load_sources(const imx_gguf *gguf, imx_imatrix *imatrix, imx_error *err);

// Makes room for one more element of `size` bytes behind the `n` of an array that only this grows.
imx_status imx_reserve_one(void *array, size_t n, size_t size, imx_error *err);

// The origin as keys of a GGUF.
imx_status imx_imatrix_store_origin(imx_gguf_builder *builder, const imx_imatrix_origin *origin,
                                    imx_error *err);
imx_status imx_imatrix_load_origin(const imx_gguf *gguf, imx_imatrix_origin *origin,
                                   imx_error *err);

// Stores a copy of the bytes as a NUL-terminated string in *out.
imx_status imx_copy_string(char **out, const char *data, size_t len, imx_error *err);

#endif
