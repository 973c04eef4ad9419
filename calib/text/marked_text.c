// SPDX-License-Identifier: MIT

#include "calib/text/marked_text.h"

#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"

imx_status imx_marked_text_append(imx_marked_text *text, const char *data, size_t len,
                                  bool parse_special, imx_error *err) {
    if (len == 0) {
        return IMX_OK;
    }
    IMX_TRY(imx_grow(&text->data, &text->capacity, text->len + len, 1, err));
    IMX_TRY(
        imx_grow(&text->spans, &text->spans_capacity, text->n_spans + 1, sizeof *text->spans, err));
    memcpy(text->data + text->len, data, len);
    text->len += len;
    if (text->n_spans == 0 || text->spans[text->n_spans - 1].parse_special != parse_special) {
        text->spans[text->n_spans++] = (imx_text_span){.parse_special = parse_special};
    }
    text->spans[text->n_spans - 1].len += len;
    return IMX_OK;
}

void imx_marked_text_clear(imx_marked_text *text) {
    text->len = 0;
    text->n_spans = 0;
}

void imx_marked_text_free(imx_marked_text *text) {
    free(text->data);
    free(text->spans);
    *text = (imx_marked_text){0};
}
