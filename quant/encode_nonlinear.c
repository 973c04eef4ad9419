// SPDX-License-Identifier: MIT
//
// IQ4_NL and IQ4_XS, whose codes stand for the values of a table. A group of IQ4_NL has a half as
// its scale, one of IQ4_XS a half that eight groups share times a small integer of its own.

#include <string.h>

#include "formats/blocks.h"
#include "quant/encode_internal.h"
#include "quant/search_iq4.h"

void imx_encode_iq4_nl(const float *row, size_t n_cols, const imx_importance *importance,
                       const imx_encode_options *options, void *blocks) {
    const imx_emphasis emphasis = imx_emphasis_of(options->weighting, IMX_EMPHASIS_WEAK);
    imx_block_iq4_nl *out = blocks;
    memset(out, 0, n_cols / IMX_BLOCK_LEN * sizeof *out);
    for (size_t first = 0; first < n_cols; first += IMX_BLOCK_LEN, ++out) {
        imx_block_view view;
        if (imx_view_block(&view, row, first, IMX_BLOCK_LEN, importance, emphasis)) {
            const imx_iq4_group group = {view.x, view.w};
            uint8_t codes[IMX_BLOCK_LEN];
            float scale;
            out->d = imx_store_half(imx_fit_iq4(&group, options->effort), view.exponent, &scale);
            imx_iq4_codes(&group, scale, codes);
            imx_pack_nibbles(codes, out->qs);
        }
    }
}

static void encode_super_block_iq4_xs(const imx_block_view *view, imx_effort effort,
                                      imx_block_iq4_xs *out) {
    imx_iq4_group groups[IMX_IQ4_N_GROUPS];
    imx_iq4_scales chosen;
    for (int g = 0; g < IMX_IQ4_N_GROUPS; ++g) {
        groups[g] = (imx_iq4_group){view->x + 32 * g, view->w + 32 * g};
    }
    imx_search_iq4(groups, view->exponent, effort, &chosen);
    out->d = chosen.d;
    for (int g = 0; g < IMX_IQ4_N_GROUPS; ++g) {
        const int s = chosen.integers[g] + 32;
        uint8_t codes[IMX_BLOCK_LEN];
        out->scales_l[g / 2] |= (uint8_t)((s & 15) << 4 * (g % 2));
        out->scales_h |= (uint16_t)(s >> 4 << 2 * g);
        imx_iq4_codes(&groups[g], chosen.scales[g], codes);
        imx_pack_nibbles(codes, out->qs + 16 * g);
    }
}

void imx_encode_iq4_xs(const float *row, size_t n_cols, const imx_importance *importance,
                       const imx_encode_options *options, void *blocks) {
    const imx_emphasis emphasis = imx_emphasis_of(options->weighting, IMX_EMPHASIS_WEAK);
    imx_block_iq4_xs *out = blocks;
    memset(out, 0, n_cols / IMX_SUPER_BLOCK_LEN * sizeof *out);
    for (size_t first = 0; first < n_cols; first += IMX_SUPER_BLOCK_LEN, ++out) {
        imx_block_view view;
        if (imx_view_block(&view, row, first, IMX_SUPER_BLOCK_LEN, importance, emphasis)) {
            encode_super_block_iq4_xs(&view, options->effort, out);
        }
    }
}
