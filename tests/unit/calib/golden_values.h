// SPDX-License-Identifier: MIT
//
// What llama.cpp makes of the golden models: recorded from its version of 2026-08-18 on a CPU, in
// F32 throughout (no flash attention, no repacked weights), with the tokens as one sequence in a
// context of 256, from the files that write_golden_models writes; print_golden_values has printed
// them. Sums are over the columns of the squared inputs of each product.

#ifndef IMX_TESTS_GOLDEN_VALUES_H
#define IMX_TESTS_GOLDEN_VALUES_H

#include <stddef.h>

#include "calib/forward/trace.h"

enum { GOLDEN_N_TOKENS = 3, GOLDEN_N_LOGITS = 8, GOLDEN_MAX_PRODUCTS = 16 };

// Products that share their input.
typedef struct golden_products {
    const char *stems;  // of "blk.LAYER.STEM.weight", of "STEM.weight" where first is -1
    int first;          // layer that has them; the layers behind it that have them follow
    size_t n_sums;      //
    const double *sums; // (n_sums) layer by layer and within a layer matrix by matrix
    const int *counts;  // (n_sums) rows; NULL: all tokens
} golden_products;

typedef struct golden_values {
    const char *name;
    double logits_sum2;                              // of all tokens
    double logits[GOLDEN_N_TOKENS][GOLDEN_N_LOGITS]; // see golden_logit
    golden_products products[GOLDEN_MAX_PRODUCTS];   // up to one without stems
} golden_values;

// The logits that are recorded: of the first, the middle and the last token, evenly spaced.
static inline const float *golden_logit(const imx_trace *trace, size_t token, size_t i) {
    const size_t places[GOLDEN_N_TOKENS] = {0, trace->n_tokens / 2, trace->n_tokens - 1};
    return trace->logits + places[token] * trace->n_vocab + i * (trace->n_vocab / GOLDEN_N_LOGITS);
}

#define SUMS(...)                                                                                  \
    sizeof((const double[]){__VA_ARGS__}) / sizeof(double), (const double[]) {                     \
        __VA_ARGS__                                                                                \
    }
#define COUNTS(...)                                                                                \
    (const int[]) {                                                                                \
        __VA_ARGS__                                                                                \
    }

#include "golden_values.inc"

#endif
