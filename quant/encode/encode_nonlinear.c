// SPDX-License-Identifier: MIT
//
// IQ4_NL and IQ4_XS, whose codes stand for the values of a table. A group of IQ4_NL has a half as
// its scale, one of IQ4_XS a half that eight groups share times a small integer of its own.

#include <string.h>

#include "formats/blocks.h"
#include "quant/encode/encode_internal.h"
#include "quant/encode/feedback.h"
#include "quant/encode/search_iq4.h"

static const imx_run_shape iq4_nl = {8, 8, {0, 15}, imx_iq4_values, {1, 1}, {0, 0}};
static const imx_run_shape iq4_xs = {8, 1, {0, 15}, imx_iq4_values, {-32, 31}, {0, 0}};

// The values nearest to the weights of a group over `scale`.
static void choose_levels(const imx_iq4_group *group, float scale, float levels[IMX_BLOCK_LEN]) {
    uint8_t codes[IMX_BLOCK_LEN];
    imx_iq4_codes(group, scale, codes);
    for (int j = 0; j < IMX_BLOCK_LEN; ++j) {
        levels[j] = (float)imx_iq4_values[codes[j]];
    }
}

static void pack_levels(const float levels[IMX_BLOCK_LEN], uint8_t qs[16]) {
    const imx_iq4_group group = {levels, NULL};
    uint8_t codes[IMX_BLOCK_LEN];
    imx_iq4_codes(&group, 1.0f, codes);
    imx_pack_nibbles(codes, qs);
}

// ---- IQ4_NL ------------------------------------------------------------------------------------

// Chooses block b of a run, the columns from `first`. A block of zeros has d = 0.
static void choose_block(const float *row, size_t first, int b, const imx_importance *importance,
                         const imx_encode_options *options, imx_coded_run *run) {
    const imx_emphasis emphasis = imx_emphasis_of(options->weighting, IMX_EMPHASIS_WEAK);
    float *levels = run->levels + b * IMX_BLOCK_LEN;
    imx_block_view view;
    run->scales[b] = 1.0f;
    if (!imx_view_block(&view, row, first, IMX_BLOCK_LEN, importance, emphasis)) {
        for (int j = 0; j < IMX_BLOCK_LEN; ++j) {
            levels[j] = (float)imx_iq4_values[0];
        }
        return;
    }
    const imx_iq4_group group = {view.x, view.w};
    float scale;
    run->d[b] = imx_store_half(imx_fit_iq4(&group, options->effort), view.exponent, &scale);
    choose_levels(&group, scale, levels);
}

void imx_encode_iq4_nl(const float *row, size_t n_cols, const imx_importance *importance,
                       const imx_encode_options *options, void *blocks) {
    imx_block_iq4_nl *out = blocks;
    for (size_t first = 0; first < n_cols; first += IMX_COV_RUN) {
        const bool is_whole = n_cols - first >= IMX_COV_RUN;
        const int n_blocks = (int)(is_whole ? IMX_COV_RUN : n_cols - first) / IMX_BLOCK_LEN;
        imx_coded_run run = {0};
        for (int b = 0; b < n_blocks; ++b) {
            const size_t column = first + (size_t)b * IMX_BLOCK_LEN;
            choose_block(row, column, b, importance, options, &run);
        }
        if (is_whole && options->metrics != NULL) {
            imx_feed_back(&run, &iq4_nl, row + first, &options->metrics[first / IMX_COV_RUN]);
        }
        for (int b = 0; b < n_blocks; ++b, ++out) {
            out->d = run.d[b];
            pack_levels(run.levels + b * IMX_BLOCK_LEN, out->qs);
        }
    }
}

// ---- IQ4_XS ------------------------------------------------------------------------------------

static void search_iq4_xs(const imx_block_view *view, imx_effort effort, imx_coded_run *run) {
    imx_iq4_group groups[IMX_IQ4_N_GROUPS];
    imx_iq4_scales chosen;
    for (int g = 0; g < IMX_IQ4_N_GROUPS; ++g) {
        groups[g] = (imx_iq4_group){view->x + 32 * g, view->w + 32 * g};
    }
    imx_search_iq4(groups, view->exponent, effort, &chosen);
    run->d[0] = chosen.d;
    for (int g = 0; g < IMX_IQ4_N_GROUPS; ++g) {
        run->scales[g] = (float)chosen.integers[g];
        choose_levels(&groups[g], chosen.scales[g], run->levels + 32 * g);
    }
}

static void pack_iq4_xs(const imx_coded_run *run, imx_block_iq4_xs *out) {
    out->d = run->d[0];
    for (int g = 0; g < IMX_IQ4_N_GROUPS; ++g) {
        const int s = (int)run->scales[g] + 32;
        out->scales_l[g / 2] |= (uint8_t)((s & 15) << 4 * (g % 2));
        out->scales_h |= (uint16_t)(s >> 4 << 2 * g);
        pack_levels(run->levels + 32 * g, out->qs + 16 * g);
    }
}

void imx_encode_iq4_xs(const float *row, size_t n_cols, const imx_importance *importance,
                       const imx_encode_options *options, void *blocks) {
    const imx_emphasis emphasis = imx_emphasis_of(options->weighting, IMX_EMPHASIS_WEAK);
    imx_block_iq4_xs *out = blocks;
    memset(out, 0, n_cols / IMX_SUPER_BLOCK_LEN * sizeof *out);
    for (size_t first = 0; first < n_cols; first += IMX_SUPER_BLOCK_LEN, ++out) {
        imx_block_view view;
        imx_coded_run run = {0};
        if (!imx_view_block(&view, row, first, IMX_SUPER_BLOCK_LEN, importance, emphasis)) {
            continue;
        }
        search_iq4_xs(&view, options->effort, &run);
        if (options->metrics != NULL) {
            imx_feed_back(&run, &iq4_xs, row + first, &options->metrics[first / IMX_COV_RUN]);
        }
        pack_iq4_xs(&run, out);
    }
}
