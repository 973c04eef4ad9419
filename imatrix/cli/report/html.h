// SPDX-License-Identifier: MIT
//
// HTML with nothing slipping through unescaped.

#ifndef IMX_CLI_REPORT_HTML_H
#define IMX_CLI_REPORT_HTML_H

#include <stdio.h>

// Prints markup. What the format says goes out as it is; a text that comes in through %s is text,
// never markup: & < > " ' are escaped, so it may stand between tags and between double quotes.
// Also understood: %d (int), %zu (size_t), %f and %g (double) with an optional precision, %%.
void html_print(FILE *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
