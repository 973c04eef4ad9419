// SPDX-License-Identifier: MIT
//
// Texts as documents. A source is what one -f names, "PATH" or "PATH:WEIGHT":
//
//     a file           one document; with a name ending in .jsonl, a document a line
//     a directory      the documents of its files *.txt, *.md and *.jsonl, in byte order of their
//                      names; folders inside are not entered, hidden files are left out
//     "-", or a pipe   JSONL when the first line is such an object, else one document
//
// A number behind the last colon is a weight unless a file of the whole name exists.

#ifndef IMX_CALIB_TEXT_SOURCE_H
#define IMX_CALIB_TEXT_SOURCE_H

#include <stdbool.h>

#include "calib/text/marked_text.h"
#include "formats/error.h"
#include "formats/gguf.h"

typedef struct imx_text_source imx_text_source;

// Opens what `argument` names. Plain text and the "text" of JSONL have their special tokens parsed
// with `parse_special`; the chat template of `model` renders "messages". *out is the caller's to
// imx_text_source_close. A weight outside ]0, 1] is IMX_ERR_ARGUMENT; what cannot be read, and a
// directory without texts, IMX_ERR_IO.
imx_status imx_text_source_open(imx_text_source **out, const char *argument, const imx_gguf *model,
                                bool parse_special, imx_error *err);
void imx_text_source_close(imx_text_source *source);

// Appends the next document to `text`; *found is false when there is none. A document that follows
// another in `text` begins on a new line, except behind a chat, which ends itself. A bad line is
// IMX_ERR_FORMAT and named by file and number; empty lines are skipped.
imx_status imx_text_source_next(imx_text_source *source, imx_marked_text *text, bool *found,
                                imx_error *err);

// The path without the weight, or "standard input"; and the weight, 1 when none is given.
const char *imx_text_source_path(const imx_text_source *source);
double imx_text_source_weight(const imx_text_source *source);

// XXH3-128 of the bytes read so far, those of a directory's files one behind another, as 32 hex
// digits and a NUL.
void imx_text_source_hash(const imx_text_source *source, char hex[33]);

#endif
