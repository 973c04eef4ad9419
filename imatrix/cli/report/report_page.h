// SPDX-License-Identifier: MIT
//
// The report as a whole: one HTML file that needs nothing but a browser. It reads on paper and on a
// telephone, by day and by night, without scripts too, and never reaches for the network.

#ifndef IMX_CLI_REPORT_PAGE_H
#define IMX_CLI_REPORT_PAGE_H

#include <stdio.h>

#include "imatrix/cli/report/inputs.h"

// The same inputs make the same bytes. `title` may be NULL: then the model's name is it.
void report_page_print(FILE *page, const report_inputs *inputs, const char *title);

#endif
