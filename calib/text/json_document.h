// SPDX-License-Identifier: MIT
//
// A line of JSONL as a document: {"text": "..."} or a chat,
// {"messages": [{"role": "user", "content": "..."}, ...]}, whose contents may also be lists of
// {"type": "text", "text": "..."}. Where both are there, "text" is taken.

#ifndef IMX_CALIB_JSON_DOCUMENT_H
#define IMX_CALIB_JSON_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "calib/text/chat_template.h"
#include "calib/text/marked_text.h"
#include "formats/error.h"
#include "formats/gguf.h"

typedef struct imx_json_options {
    const imx_gguf *model;         // whose chat template renders the chats
    const imx_chat_template *chat; // NULL: found in the model at the first chat
    bool parse_special;            // in "text"; never in the contents of a chat
} imx_json_options;

// Whether the line is an object with "text" or "messages".
bool imx_json_is_document(const char *line, size_t len);

// Appends the document to `text`; *is_chat tells which kind it was. Anything but one such object is
// IMX_ERR_FORMAT; `text` may then hold part of it.
imx_status imx_json_append_document(imx_json_options *options, const char *line, size_t len,
                                    imx_marked_text *text, bool *is_chat, imx_error *err);

#endif
