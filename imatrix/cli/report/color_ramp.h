// SPDX-License-Identifier: MIT
//
// Colours for ordered values, as CSS.

#ifndef IMX_CLI_REPORT_COLOR_RAMP_H
#define IMX_CLI_REPORT_COLOR_RAMP_H

#include <stddef.h>
#include <stdio.h>

enum { N_SHADES = 16 };

// Prints the rules .s0 to .s15, each of which sets --shade and, for text upon it, --ink. On light
// paper they run from pale to dark, on dark paper from dark to bright: more of something stands out
// more.
void color_ramp_print(FILE *page);

// The shade of a place along the ramp, 0..1.
size_t color_ramp_shade(double place);

// Prints the ramp as a legend between two texts.
void color_ramp_legend(FILE *page, const char *least, const char *most);

#endif
