// SPDX-License-Identifier: MIT

#include "imatrix/cli/report/scale.h"

#include <float.h>
#include <math.h>

scale scale_new(bool is_log) {
    return (scale){.least = INFINITY, .most = -INFINITY, .is_log = is_log};
}

void scale_include(scale *s, double value) {
    if (isfinite(value) && (value > 0 || !s->is_log)) {
        s->least = fmin(s->least, value);
        s->most = fmax(s->most, value);
    }
}

bool scale_is_known(const scale *s) {
    return s->least <= s->most;
}

void scale_pad(scale *s, double below, double above) {
    if (s->is_log) {
        const double length = fmax(log(s->most) - log(s->least), 1.0);
        s->least = fmax(s->least * exp(-below * length), DBL_MIN);
        s->most = fmin(s->most * exp(above * length), DBL_MAX);
    } else {
        const double length = s->most > s->least ? s->most - s->least : fmax(fabs(s->most), 1.0);
        s->least -= below * length;
        s->most += above * length;
    }
}

double scale_place(const scale *s, double value) {
    const bool is_below = s->is_log && !(value > 0);
    const double x = s->is_log ? log(value) : value;
    const double x0 = s->is_log ? log(s->least) : s->least;
    const double x1 = s->is_log ? log(s->most) : s->most;
    if (is_below) {
        return 0.0;
    }
    return x1 > x0 ? fmin(fmax((x - x0) / (x1 - x0), 0.0), 1.0) : 0.5;
}

static size_t linear_ticks(const scale *s, size_t n_wanted, double ticks[MAX_TICKS]) {
    static const double multiples[] = {1, 2, 5, 10};
    const double finest = s->is_whole ? 1.0 : 0.0;
    const double rough = fmax((s->most - s->least) / (double)n_wanted, finest);
    const double power = pow(10.0, floor(log10(rough)));
    size_t m = 0;
    while (multiples[m] * power < rough && multiples[m] < 10) {
        ++m;
    }
    const double step = multiples[m] * power;
    const double first = ceil(s->least / step);
    size_t n = 0;
    while (n < MAX_TICKS && (first + (double)n) * step <= s->most) {
        ticks[n] = (first + (double)n) * step;
        ++n;
    }
    return n;
}

// Powers of ten times each of the multiples; every `stride`-th power.
static size_t log_ticks(const scale *s, bool has_between, int stride, double ticks[MAX_TICKS]) {
    static const double multiples[] = {1, 2, 5};
    const int n_multiples = has_between ? 3 : 1;
    const int last = (int)floor(log10(s->most));
    size_t n = 0;
    for (int power = (int)floor(log10(s->least)); power <= last; ++power) {
        for (int m = 0; m < n_multiples && n < MAX_TICKS && power % stride == 0; ++m) {
            const double tick = multiples[m] * pow(10.0, power);
            if (tick >= s->least && tick <= s->most) {
                ticks[n++] = tick;
            }
        }
    }
    return n;
}

size_t scale_ticks(const scale *s, size_t n_wanted, double ticks[MAX_TICKS]) {
    if (!(s->least < s->most)) {
        ticks[0] = s->least;
        return scale_is_known(s) ? 1 : 0;
    }
    if (!s->is_log) {
        return linear_ticks(s, n_wanted, ticks);
    }
    const double n_powers = log10(s->most) - log10(s->least);
    return log_ticks(s, n_powers < 0.5 * (double)n_wanted, 1 + (int)(n_powers / (double)n_wanted),
                     ticks);
}
