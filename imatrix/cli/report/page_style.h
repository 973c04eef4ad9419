// SPDX-License-Identifier: MIT
//
// How a report looks, and what it does when pointed at.

#ifndef IMX_CLI_REPORT_PAGE_STYLE_H
#define IMX_CLI_REPORT_PAGE_STYLE_H

// CSS. The colours of shades are those of color_ramp.h.
extern const char page_style[];

// JavaScript: shows the <title> of what the pointer is on, or a finger touches, at once and in
// reach. Without it browsers show it after a while, where there is a mouse.
extern const char page_script[];

#endif
