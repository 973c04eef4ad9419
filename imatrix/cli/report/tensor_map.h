// SPDX-License-Identifier: MIT
//
// A picture of all tensors of a model: a column for every layer, a row for every kind of tensor,
// whole rows at the bottom for those that belong to no layer.

#ifndef IMX_CLI_REPORT_TENSOR_MAP_H
#define IMX_CLI_REPORT_TENSOR_MAP_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "imatrix/cli/report/fields.h"

typedef struct tensor_cell {
    const json_t *tensor; // its "name" says where it lies
    size_t shade;         // of color_ramp.h
    char text[16];        // written into it where there is room
} tensor_cell;

// Draws the cells (n); `hints` are the tensor's fields that show on hover, `label` says what is to
// be seen. Only what is there is drawn, so layers may differ in kind and may be missing.
void tensor_map_draw(FILE *page, const char *label, const tensor_cell *cells, size_t n,
                     const field_row *hints);

#endif
