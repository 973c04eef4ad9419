// SPDX-License-Identifier: MIT
//
// A file holds binary mantissas, and what compresses is zeros at their end. So "N digits" keeps the
// fewest bits that are as exact as N decimal digits are: rounded to b significant bits a value is
// off by at most 2^-b of itself, to N decimal digits by up to 5 · 10^-N. Hence
//
//     b = ceil(N log2 10 - log2 5):     N   1   2   3   4   5   6   7
//                                       b   1   5   8  11  15  18  21      (F32 has 24)
//
// Rounding in decimal, the literal reading of the option, was dropped: 0.1 has no short mantissa,
// and the file would be as large as before.

#include "formats/imatrix_rounding.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>

static const int bits_of_digits[IMX_MAX_DIGITS + 1] = {0, 1, 5, 8, 11, 15, 18, 21};

// Ties go to even mantissas. A value that would be rounded beyond the largest float stays.
static double round_to_bits(double value, int n_bits) {
    int exponent;
    const double mantissa = frexp(value, &exponent);
    const double rounded = ldexp(nearbyint(ldexp(mantissa, n_bits)), exponent - n_bits);
    return fabs(rounded) <= (double)FLT_MAX ? rounded : value;
}

static void round_values(double *values, uint64_t n, int n_bits) {
    for (uint64_t i = 0; values != NULL && i < n; ++i) {
        values[i] = round_to_bits(values[i], n_bits);
    }
}

void imx_imatrix_round(imx_imatrix *imatrix, uint32_t digits) {
    if (digits == 0) {
        return;
    }
    assert(digits <= IMX_MAX_DIGITS);
    const int n_bits = bits_of_digits[digits];
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        imx_imatrix_entry *entry = &imatrix->entries[i];
        const uint64_t n = entry->n_cols * entry->n_mats;
        round_values(entry->in_sum2, n, n_bits);
        round_values(entry->in_sum, n, n_bits);
        round_values(entry->in_max, n, n_bits);
    }
    if (imatrix->origin.digits == 0 || digits < imatrix->origin.digits) {
        imatrix->origin.digits = digits;
    }
}

imx_status imx_check_digits(uint32_t digits, imx_error *err) {
    return digits <= IMX_MAX_DIGITS
               ? IMX_OK
               : imx_fail(err, IMX_ERR_ARGUMENT, "cannot round to %" PRIu32 " digits: give 1 to %d",
                          digits, IMX_MAX_DIGITS);
}
