// SPDX-License-Identifier: MIT

#include "imatrix/cli/report/plot.h"

#include <math.h>

#include "imatrix/cli/report/html.h"

enum { X_TICKS = 5, Y_TICKS = 8 };

double plot_x(const plot *p, double value) {
    return 100.0 * scale_place(&p->x, value);
}

double plot_y(const plot *p, double value) {
    return PLOT_HEIGHT * (1.0 - scale_place(&p->y, value));
}

const char *plot_tick_text(double tick, double step) {
    static char text[32];
    const double decimals = step < 1 ? -floor(log10(step) + 1e-9) : 0;
    if (decimals > 6 || fabs(tick) >= 1e6) {
        snprintf(text, sizeof text, "%.3g", tick);
    } else {
        snprintf(text, sizeof text, "%.*f", (int)decimals, tick);
    }
    return text;
}

static void draw_x_axis(const plot *p) {
    double ticks[MAX_TICKS];
    const size_t n = scale_ticks(&p->x, X_TICKS, ticks);
    for (size_t i = 0; i < n; ++i) {
        const double x = plot_x(p, ticks[i]);
        const double step = n > 1 && !p->x.is_log ? ticks[1] - ticks[0] : ticks[i];
        html_print(p->page, "<line class=\"grid\" x1=\"%.2f%%\" x2=\"%.2f%%\" y2=\"%d\"/>", x, x,
                   PLOT_HEIGHT);
        html_print(p->page, "<text class=\"tick\" x=\"%.2f%%\" y=\"%d\">%s</text>\n", x,
                   PLOT_HEIGHT + 18, plot_tick_text(ticks[i], step));
    }
    html_print(p->page, "<text class=\"axis end\" x=\"100%%\" y=\"%d\">%s</text>\n",
               PLOT_HEIGHT + 38, p->x_title);
}

static void draw_y_axis(const plot *p) {
    double ticks[MAX_TICKS];
    const size_t n = scale_ticks(&p->y, Y_TICKS, ticks);
    for (size_t i = 0; i < n; ++i) {
        const double y = plot_y(p, ticks[i]);
        const double step = n > 1 && !p->y.is_log ? ticks[1] - ticks[0] : ticks[i];
        html_print(p->page, "<line class=\"grid\" x2=\"100%%\" y1=\"%.1f\" y2=\"%.1f\"/>", y, y);
        html_print(p->page, "<text class=\"tick end\" x=\"-8\" y=\"%.1f\">%s</text>\n", y + 4,
                   plot_tick_text(ticks[i], step));
    }
    html_print(p->page, "<text class=\"axis\" x=\"-60\" y=\"-14\">%s</text>\n", p->y_title);
}

void plot_begin(const plot *p) {
    html_print(p->page, "<svg class=\"plot\" role=\"img\" aria-label=\"%s\" height=\"%d\">\n",
               p->label, PLOT_HEIGHT);
    draw_x_axis(p);
    draw_y_axis(p);
    html_print(p->page, "<line class=\"frame\" x2=\"100%%\" y1=\"%d\" y2=\"%d\"/>\n", PLOT_HEIGHT,
               PLOT_HEIGHT);
}

void plot_end(const plot *p) {
    html_print(p->page, "</svg>\n");
}
