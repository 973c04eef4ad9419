// SPDX-License-Identifier: MIT
//
// What the files of the facade share: conversions between the public structs and the rooms' own,
// and the opening of a model together with a text.

#ifndef IMX_IMATRIX_FACADE_H
#define IMX_IMATRIX_FACADE_H

#include "calib/model/model.h"
#include "calib/text/corpus.h"
#include "calib/tokenizer/tokenizer.h"
#include "formats/error.h"
#include "formats/file_map.h"
#include "formats/gguf.h"
#include "formats/path_parts.h"
#include "formats/progress.h"
#include "imatrix/imatrix.h"

// Name and version as they go into files.
#define IMX_PROGRAM "imatrix " IMX_VERSION

// Copies `err` into `error` (which may be NULL) and returns its status.
imatrix_status imx_publish_error(imx_status status, const imx_error *err, imatrix_error *error);

// The rooms' view of a public progress callback; valid while `progress` is.
imx_progress imx_adapt_progress(const imatrix_progress *progress);

// XXH3-128 of a model's file, or of its shards one after another, as hex digits.
void imx_hash_model(const imx_gguf *model, char hex[33]);

// A text and the chunks a tokenizer makes of it.
typedef struct imx_text {
    imx_file_map map;
    imx_corpus *corpus;
} imx_text;

// Tokenizes the file at `path` with the vocabulary of `model`. *text is the caller's to
// imx_text_close, also on failure.
imx_status imx_text_open(imx_text *text, const imx_model *model, const char *path,
                         const imx_corpus_options *options, imx_error *err);
void imx_text_close(imx_text *text);

#endif
