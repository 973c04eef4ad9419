// SPDX-License-Identifier: MIT
//
// Status codes and the caller-owned error. No function of the library prints, exits or aborts on
// bad input: it returns a status and, where the caller passed an imx_error, writes one sentence
// into it that names the file, the place and the remedy.

#ifndef IMX_FORMATS_ERROR_H
#define IMX_FORMATS_ERROR_H

#include <stddef.h>

typedef enum imx_status {
    IMX_OK = 0,
    IMX_ERR_ARGUMENT,    // the caller asked for something that makes no sense
    IMX_ERR_IO,          // the operating system refused: missing file, full disk, no permission
    IMX_ERR_FORMAT,      // a file is damaged or is not what it claims to be
    IMX_ERR_UNSUPPORTED, // a file is sound but asks for what this version does not know
    IMX_ERR_MISMATCH,    // two inputs do not belong together
    IMX_ERR_MEMORY,      // out of memory
    IMX_ERR_INTERRUPTED, // a callback asked to stop
} imx_status;

typedef struct imx_error {
    imx_status status;
    char message[1024]; // NUL-terminated UTF-8, no trailing newline
} imx_error;

// Fills `err` (which may be NULL) from a printf format. A message longer than the buffer is cut. An
// error that already holds a message is overwritten.
void imx_error_set(imx_error *err, imx_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Sets the error and yields `status` (evaluated twice). A macro, so that compilers see that a
// constant status is not IMX_OK and that what the failing function leaves unset is not read.
#define imx_fail(err, status, ...) (imx_error_set((err), (status), __VA_ARGS__), (status))

// The same for an allocation of `size_bytes` that failed.
#define imx_fail_memory(err, size_bytes)                                                           \
    imx_fail((err), IMX_ERR_MEMORY, "out of memory: could not allocate %zu bytes",                 \
             (size_t)(size_bytes))

// Returns from the calling function when `expr` is not IMX_OK. For functions that own nothing yet.
#define IMX_TRY(expr)                                                                              \
    do {                                                                                           \
        const imx_status imx_try_ = (expr);                                                        \
        if (imx_try_ != IMX_OK) {                                                                  \
            return imx_try_;                                                                       \
        }                                                                                          \
    } while (0)

// Stores the status of `expr` in the local variable `status` and jumps to `label` when it is not
// IMX_OK. For functions that release what they own at one label.
#define IMX_TRY_GOTO(label, expr)                                                                  \
    do {                                                                                           \
        status = (expr);                                                                           \
        if (status != IMX_OK) {                                                                    \
            goto label;                                                                            \
        }                                                                                          \
    } while (0)

#endif
