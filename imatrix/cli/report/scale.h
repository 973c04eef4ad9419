// SPDX-License-Identifier: MIT
//
// From values to places on paper, and the round values in between.

#ifndef IMX_CLI_REPORT_SCALE_H
#define IMX_CLI_REPORT_SCALE_H

#include <stdbool.h>
#include <stddef.h>

enum { MAX_TICKS = 32 };

// Values between least and most; grows by scale_include.
typedef struct scale {
    double least;
    double most;
    bool is_log;   // places go by logarithm; values at or below 0 lie at 0
    bool is_whole; // ticks are whole numbers
} scale;

// A scale that has seen nothing yet.
scale scale_new(bool is_log);

// Widens the scale to a value, unless it has no place on it (not finite; at or below 0 on a log
// scale).
void scale_include(scale *s, double value);

// Whether anything was included.
bool scale_is_known(const scale *s);

// Makes room around the values: so much of the whole length, 0..1, below and above.
void scale_pad(scale *s, double below, double above);

// Place of a value, 0..1, clamped; 0.5 where all values are the same.
double scale_place(const scale *s, double value);

// Fills `ticks` with round values inside the scale, ascending, about `n_wanted` of them, and
// returns how many there are: multiples of 1, 2 or 5 powers of ten, on a log scale powers of ten
// with 2 and 5 times these where they are few.
size_t scale_ticks(const scale *s, size_t n_wanted, double ticks[MAX_TICKS]);

#endif
