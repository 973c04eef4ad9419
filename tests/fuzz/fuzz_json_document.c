// SPDX-License-Identifier: MIT
//
// The input is a chat template on the first line, or anything, which stands for ChatML, and JSONL
// behind it. The spans of what has been read must be the text, whatever came of a line.

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "calib/text/json_document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char chatml[] = "<|im_start|><|im_end|>";

static void check_text(const imx_marked_text *text) {
    size_t len = 0;
    for (size_t i = 0; i < text->n_spans; i++) {
        if (text->spans[i].len == 0 ||
            (i > 0 && text->spans[i].parse_special == text->spans[i - 1].parse_special)) {
            abort();
        }
        len += text->spans[i].len;
    }
    if (len != text->len) {
        abort();
    }
}

static void read_line(imx_json_options *options, const char *line, size_t len,
                      imx_marked_text *text) {
    bool is_chat = false;
    imx_error err = {0};
    const imx_status status = imx_json_append_document(options, line, len, text, &is_chat, &err);
    if (status != IMX_OK && status != IMX_ERR_FORMAT && status != IMX_ERR_MEMORY) {
        abort();
    }
    if (status == IMX_OK && !imx_json_is_document(line, len)) {
        abort();
    }
    check_text(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *line = (const char *)data;
    const char *const end = line + size;
    imx_json_options options = {0};
    imx_marked_text text = {0};
    for (size_t n_lines = 0; line < end; n_lines++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const size_t len = (size_t)((newline != NULL ? newline : end) - line);
        if (n_lines == 0) {
            const imx_chat_template *found = imx_chat_template_find(line, len);
            options.chat =
                found != NULL ? found : imx_chat_template_find(chatml, sizeof chatml - 1);
        } else {
            options.parse_special = n_lines % 2 == 0;
            read_line(&options, line, len, &text);
        }
        line += len + (newline != NULL);
    }
    imx_marked_text_free(&text);
    return 0;
}
