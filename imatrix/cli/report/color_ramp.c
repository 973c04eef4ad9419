// SPDX-License-Identifier: MIT
//
// Whoever sees fewer hues than others, or prints in grey, still sees lightness. So lightness alone
// carries the value, and evenly: the ramp is a path through OKLCH, where a step in L looks equally
// large everywhere, with L linear in the value. Hue (yellow over green to blue) and chroma are
// functions of L and only help to tell neighbours apart; as yellow is the lightest and blue the
// darkest of full colours, the path stays inside what a screen can show.
//
// OKLCH to light: a = C cos h, b = C sin h;  l, m, s = (L + M (a, b))³;  rgb = N (l, m, s), with
// the matrices of B. Ottosson, "A perceptual color space for image processing" (2020); then the
// sRGB curve. Browsers know oklch() too, but those of before 2023 do not.
//
// Sixteen steps instead of a continuum: a class is shorter than a colour in each of ten thousand
// cells, and light and dark paper can each have their own.

#include "imatrix/cli/report/color_ramp.h"

#include <math.h>

#include "imatrix/cli/report/html.h"

enum { N_PRIMARIES = 3 };

static const double darkest = 0.30;
static const double lightest = 0.95;
static const double ink_turns = 0.62; // text is white on what is darker

static int to_srgb(double linear) {
    const double x = fmin(fmax(linear, 0.0), 1.0);
    const double curved = x <= 0.0031308 ? 12.92 * x : 1.055 * pow(x, 1.0 / 2.4) - 0.055;
    return (int)lround(255.0 * curved);
}

// The colour of lightness 0..1 on the path.
static void find_color(double lightness, int rgb[N_PRIMARIES]) {
    static const double to_cone[N_PRIMARIES][2] = {{0.3963377774, 0.2158037573},
                                                   {-0.1055613458, -0.0638541728},
                                                   {-0.0894841775, -1.2914855480}};
    static const double to_rgb[N_PRIMARIES][N_PRIMARIES] = {
        {4.0767416621, -3.3077115913, 0.2309699292},
        {-1.2684380046, 2.6097574011, -0.3413193965},
        {-0.0041960863, -0.7034186147, 1.7076147010}};
    const double place = (lightness - darkest) / (lightest - darkest);
    const double hue = (275.0 - 170.0 * place) * M_PI / 180.0;
    const double chroma = 0.06 + 0.07 * sin(M_PI * place);
    const double a = chroma * cos(hue);
    const double b = chroma * sin(hue);
    double cones[N_PRIMARIES];
    for (int i = 0; i < N_PRIMARIES; ++i) {
        cones[i] = pow(lightness + to_cone[i][0] * a + to_cone[i][1] * b, 3.0);
    }
    for (int i = 0; i < N_PRIMARIES; ++i) {
        const double *row = to_rgb[i];
        rgb[i] = to_srgb(row[0] * cones[0] + row[1] * cones[1] + row[2] * cones[2]);
    }
}

static void print_rules(FILE *page, double first, double last) {
    for (int i = 0; i < N_SHADES; ++i) {
        const double lightness = first + (last - first) * i / (N_SHADES - 1);
        int rgb[N_PRIMARIES];
        find_color(lightness, rgb);
        html_print(page, ".s%d{--shade:rgb(%d,%d,%d);--ink:%s}\n", i, rgb[0], rgb[1], rgb[2],
                   lightness < ink_turns ? "#fff" : "#111");
    }
}

void color_ramp_print(FILE *page) {
    print_rules(page, lightest, darkest);
    html_print(page, "@media screen and (prefers-color-scheme:dark){\n");
    print_rules(page, darkest, lightest);
    html_print(page, "}\n");
}

size_t color_ramp_shade(double place) {
    return (size_t)fmin(fmax(place, 0.0) * N_SHADES, N_SHADES - 1);
}

void color_ramp_legend(FILE *page, const char *least, const char *most) {
    html_print(page, "<p class=\"legend\"><span>%s</span><span class=\"ramp\">", least);
    for (int i = 0; i < N_SHADES; ++i) {
        html_print(page, "<i class=\"s%d\"></i>", i);
    }
    html_print(page, "</span><span>%s</span></p>\n", most);
}
