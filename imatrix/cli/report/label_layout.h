// SPDX-License-Identifier: MIT
//
// Names beside points, as many as find room without covering each other or a point.

#ifndef IMX_CLI_REPORT_LABEL_LAYOUT_H
#define IMX_CLI_REPORT_LABEL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct label_point {
    double x; // place across, 0..1
    double y; // pixels
    const char *text;
    bool comes_first; // chooses its place before the others

    // Where the text stands, filled in.
    double dx, dy;      // pixels from the point
    const char *anchor; // of SVG's text-anchor; NULL: there is no room
} label_point;

// Places the texts in a picture `width` pixels wide. What fits there fits in a wider one too,
// nearly always.
void label_layout(label_point *points, size_t n, double width);

#endif
