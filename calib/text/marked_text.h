// SPDX-License-Identifier: MIT
//
// A text that knows where its special tokens are meant: in the markup that a chat template puts
// around a message <|im_end|> ends a turn, in the message itself it is only eight characters.

#ifndef IMX_CALIB_MARKED_TEXT_H
#define IMX_CALIB_MARKED_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/error.h"

// A stretch of a text.
typedef struct imx_text_span {
    size_t len;
    bool parse_special; // special tokens written in it become their ids
} imx_text_span;

// A growing text; zero-initialise, free with imx_marked_text_free.
typedef struct imx_marked_text {
    char *data; // (len), may hold NUL and invalid UTF-8
    size_t len, capacity;
    imx_text_span *spans; // (n_spans) one behind another, over the whole text
    size_t n_spans, spans_capacity;
} imx_marked_text;

// Appends a copy of `len` bytes. Neighbours of the same kind are one span.
imx_status imx_marked_text_append(imx_marked_text *text, const char *data, size_t len,
                                  bool parse_special, imx_error *err);

// Empties the text but keeps its memory.
void imx_marked_text_clear(imx_marked_text *text);

void imx_marked_text_free(imx_marked_text *text);

#endif
