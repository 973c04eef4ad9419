// SPDX-License-Identifier: MIT
//
// Pictures of points over two scales, as SVG that fits any width. Across, places are per cent of
// the picture, so it grows and shrinks with the paper; down, and within a mark, they are pixels, so
// text and marks keep their size, on a telephone too. A viewBox, the usual way, shrinks letters
// with the picture until nobody can read them.

#ifndef IMX_CLI_REPORT_PLOT_H
#define IMX_CLI_REPORT_PLOT_H

#include <stdio.h>

#include "imatrix/cli/report/scale.h"

enum { PLOT_HEIGHT = 360 };

typedef struct plot {
    FILE *page;
    scale x, y;
    const char *x_title;
    const char *y_title;
    const char *label; // what is to be seen, for those who do not see
} plot;

// Opens the picture and draws axes, ticks and grid; the caller draws marks and then calls plot_end.
void plot_begin(const plot *p);
void plot_end(const plot *p);

// Places of values: per cent from the left, pixels from the top.
double plot_x(const plot *p, double value);
double plot_y(const plot *p, double value);

// The text of a round value, among others that are `step` apart, into a buffer that the next call
// overwrites.
const char *plot_tick_text(double tick, double step);

#endif
