// SPDX-License-Identifier: MIT
//
// Greedy: each label takes the first of a few places around its point where it covers no point and
// no label that stands already. Those that matter choose first; a label without a place is left
// out, since its values are in the table. Moving labels by simulated forces was not tried: a dozen
// points do not need it, and the same input must give the same bytes.

#include "imatrix/cli/report/label_layout.h"

#include <string.h>

static const double letter_width = 7.2; // pixels
static const double letter_height = 12;
static const double mark_radius = 6;

typedef struct box {
    double left, right, top, bottom;
} box;

// Losses fall with size: those that come first, on the curve, have room below it on the left, the
// others above it on the right.
typedef struct label_choice {
    double dx, dy;
    const char *anchor;
} label_choice;

enum { N_CHOICES = 5 };

static const label_choice choices[2][N_CHOICES] = {
    {{9, -7, "start"}, {12, 4, "start"}, {0, -12, "middle"}, {-9, -7, "end"}, {-12, 4, "end"}},
    {{-9, 17, "end"}, {-12, 4, "end"}, {0, 22, "middle"}, {9, 17, "start"}, {9, -7, "start"}},
};

static bool overlap(box a, box b) {
    return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

static box mark_box(const label_point *point, double width) {
    const double x = point->x * width;
    return (box){x - mark_radius, x + mark_radius, point->y - mark_radius, point->y + mark_radius};
}

static box text_box(const label_point *point, double width) {
    const double length = letter_width * (double)strlen(point->text);
    const double before = point->anchor[0] == 's' ? 0.0 : point->anchor[0] == 'e' ? 1.0 : 0.5;
    const double left = point->x * width + point->dx - before * length;
    const double bottom = point->y + point->dy + 2;
    return (box){left, left + length, bottom - letter_height, bottom};
}

static bool has_room(const label_point *points, size_t n, size_t own, double width) {
    const box b = text_box(&points[own], width);
    if (b.left < 0 || b.right > width) {
        return false;
    }
    for (size_t i = 0; i < n; ++i) {
        const bool has_text = i != own && points[i].anchor != NULL;
        if (overlap(b, mark_box(&points[i], width)) ||
            (has_text && overlap(b, text_box(&points[i], width)))) {
            return false;
        }
    }
    return true;
}

static void place_label(label_point *points, size_t n, size_t own, double width) {
    label_point *point = &points[own];
    for (size_t c = 0; c < N_CHOICES; ++c) {
        const label_choice *choice = &choices[point->comes_first][c];
        point->dx = choice->dx;
        point->dy = choice->dy;
        point->anchor = choice->anchor;
        if (has_room(points, n, own, width)) {
            return;
        }
    }
    point->anchor = NULL;
}

void label_layout(label_point *points, size_t n, double width) {
    for (size_t i = 0; i < n; ++i) {
        points[i].anchor = NULL;
    }
    for (int turn = 0; turn < 2; ++turn) {
        for (size_t i = 0; i < n; ++i) {
            if (points[i].comes_first == (turn == 0)) {
                place_label(points, n, i, width);
            }
        }
    }
}
