// SPDX-License-Identifier: MIT
//
// What the fuzz targets of the imatrix formats share: any bytes are an error or an imatrix, and an
// imatrix that was read can be written in its format, read again, and then gives the same bytes.

#ifndef IMX_TESTS_FUZZ_FUZZ_IMATRIX_H
#define IMX_TESTS_FUZZ_FUZZ_IMATRIX_H

#include <stdlib.h>
#include <string.h>

#include "formats/imatrix_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Writes `imatrix`, reads it back into *again and returns its bytes. NULL when the format cannot
// hold it, as with names too long for llama.cpp.
static inline uint8_t *fuzz_write_and_read(const imx_imatrix *imatrix, imx_imatrix_format format,
                                           imx_imatrix **again, size_t *size_bytes) {
    uint8_t *bytes;
    imx_error err;
    imx_imatrix_format seen;
    *again = NULL;
    const imx_status status = imx_imatrix_serialize(imatrix, format, &bytes, size_bytes, &err);
    if (status == IMX_ERR_UNSUPPORTED) {
        return NULL;
    }
    if (status != IMX_OK ||
        imx_imatrix_parse(again, bytes, *size_bytes, "fuzz", &seen, &err) != IMX_OK ||
        seen != format) {
        abort();
    }
    return bytes;
}

static inline int fuzz_imatrix(const uint8_t *data, size_t size, imx_imatrix_format format) {
    imx_imatrix *imatrix;
    imx_imatrix *second;
    imx_imatrix *third;
    imx_imatrix_format seen;
    imx_error err;
    size_t n_first = 0;
    size_t n_second = 0;
    if (imx_imatrix_parse(&imatrix, data, size, "fuzz", &seen, &err) != IMX_OK) {
        return 0;
    }
    if (seen == format) {
        uint8_t *first_bytes = fuzz_write_and_read(imatrix, format, &second, &n_first);
        if (first_bytes != NULL) {
            uint8_t *second_bytes = fuzz_write_and_read(second, format, &third, &n_second);
            if (n_first != n_second || memcmp(first_bytes, second_bytes, n_first) != 0) {
                abort();
            }
            imx_imatrix_free(third);
            free(second_bytes);
        }
        imx_imatrix_free(second);
        free(first_bytes);
    }
    imx_imatrix_free(imatrix);
    return 0;
}

#endif
