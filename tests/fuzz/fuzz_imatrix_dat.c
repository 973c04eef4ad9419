// SPDX-License-Identifier: MIT

#include "fuzz_imatrix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_imatrix(data, size, IMX_IMATRIX_DAT);
}
