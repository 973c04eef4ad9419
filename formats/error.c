// SPDX-License-Identifier: MIT

#include "formats/error.h"

#include <stdarg.h>
#include <stdio.h>

void imx_error_set(imx_error *err, imx_status status, const char *format, ...) {
    if (err == NULL) {
        return;
    }
    va_list args;
    va_start(args, format);
    err->status = status;
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
}
