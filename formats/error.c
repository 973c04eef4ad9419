// SPDX-License-Identifier: MIT

#include "formats/error.h"

#include <stdarg.h>
#include <stdio.h>

imx_status imx_fail(imx_error *err, imx_status status, const char *format, ...) {
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        err->status = status;
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return status;
}

imx_status imx_fail_memory(imx_error *err, size_t size_bytes) {
    return imx_fail(err, IMX_ERR_MEMORY, "out of memory: could not allocate %zu bytes", size_bytes);
}
