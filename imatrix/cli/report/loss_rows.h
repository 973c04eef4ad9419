// SPDX-License-Identifier: MIT
//
// The files that were measured, whichever command has measured them.

#ifndef IMX_CLI_REPORT_LOSS_ROWS_H
#define IMX_CLI_REPORT_LOSS_ROWS_H

#include <jansson.h>

#include "imatrix/cli/report/inputs.h"

// A new array of objects, smallest file first and those of unknown size last: what compare says of
// a candidate or eval of a model, with "name" (the file's name, without what all have in common),
// "file_bytes", "bits_per_weight" and "on_front".
//
// A file counts once: what compare says of it comes first.
//
// On the front are files which no other beats, one that loses less (kl_mean) and is not larger. A
// thousandth counts as not larger: two files of one type differ by the keys in their headers.
json_t *loss_rows_new(const report_inputs *inputs);

#endif
