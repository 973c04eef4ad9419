// SPDX-License-Identifier: MIT

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "quant/plan/tensor_pattern.h"

#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"

struct imx_tensor_pattern {
    const char *text;
    pcre2_code *code;
    pcre2_match_data *match;
};

static imx_status compile_pattern(imx_tensor_pattern *pattern, imx_error *err) {
    int error;
    size_t offset;
    pattern->code =
        pcre2_compile((PCRE2_SPTR)pattern->text, PCRE2_ZERO_TERMINATED, 0, &error, &offset, NULL);
    if (pattern->code == NULL) {
        char reason[128] = "";
        pcre2_get_error_message(error, (PCRE2_UCHAR *)reason, sizeof reason);
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "tensor pattern '%s': at character %zu: %s; patterns are PCRE2 regular "
                        "expressions such as blk\\.[0-3]\\.ffn_down",
                        pattern->text, offset + 1, reason);
    }
    pattern->match = pcre2_match_data_create(1, NULL);
    return pattern->match != NULL
               ? IMX_OK
               : imx_fail(err, IMX_ERR_MEMORY, "out of memory for a regular expression");
}

imx_status imx_tensor_pattern_new(imx_tensor_pattern **out, const char *text, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(out, 1, sizeof **out, err));
    (*out)->text = text;
    const imx_status status = compile_pattern(*out, err);
    if (status != IMX_OK) {
        imx_tensor_pattern_free(*out);
        *out = NULL;
    }
    return status;
}

void imx_tensor_pattern_free(imx_tensor_pattern *pattern) {
    if (pattern != NULL) {
        pcre2_match_data_free(pattern->match);
        pcre2_code_free(pattern->code);
        free(pattern);
    }
}

imx_status imx_tensor_pattern_search(const imx_tensor_pattern *pattern, const char *name,
                                     bool *found, imx_error *err) {
    const int result =
        pcre2_match(pattern->code, (PCRE2_SPTR)name, strlen(name), 0, 0, pattern->match, NULL);
    *found = result >= 0;
    if (result < 0 && result != PCRE2_ERROR_NOMATCH) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "tensor pattern '%s': PCRE2 gave up on %s with error %d; write it simpler",
                        pattern->text, name, result);
    }
    return IMX_OK;
}
