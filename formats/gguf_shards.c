// SPDX-License-Identifier: MIT

#include "formats/gguf.h"

imx_status imx_gguf_open_model(imx_gguf **out, const char *path, imx_error *err) {
    return imx_gguf_open(out, path, err);
}
