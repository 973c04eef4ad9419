// SPDX-License-Identifier: MIT
//
// IQ4_NL and IQ4_XS, whose codes stand for the values of a table. A group of IQ4_NL has a half as
// its scale, one of IQ4_XS a half that eight groups share times a small integer of its own.

#include <string.h>

#include "formats/blocks.h"
#include "quant/encode/encode_internal.h"
#include "quant/encode/search_iq4.h"

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

static void search_iq4_nl(const imx_block_view *view, const imx_run_shape *shape, imx_effort effort,
                          int b, imx_coded_run *run) {
    const imx_iq4_group group = {view->x, view->w};
    float scale;
    (void)shape;
    run->d[b] = imx_store_half(imx_fit_iq4(&group, effort), view->exponent, &scale);
    choose_levels(&group, scale, run->levels + b * IMX_BLOCK_LEN);
}

static void pack_iq4_nl(const imx_coded_run *run, size_t n, void *blocks) {
    imx_block_iq4_nl *out = blocks;
    for (size_t b = 0; b < n / IMX_BLOCK_LEN; ++b) {
        out[b].d = run->d[b];
        pack_levels(run->levels + b * IMX_BLOCK_LEN, out[b].qs);
    }
}

const imx_run_coder imx_runs_iq4_nl = {
    .shape = {8, 32, 8, {0, 0}, imx_iq4_values, {1, 1}, {0, 0}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .search = search_iq4_nl,
    .run_bytes = IMX_COV_RUN / IMX_BLOCK_LEN * sizeof(imx_block_iq4_nl),
    .pack = pack_iq4_nl,
    IMX_SHARED_STEPS,
};

// ---- IQ4_XS ------------------------------------------------------------------------------------

static void search_iq4_xs(const imx_block_view *view, const imx_run_shape *shape, imx_effort effort,
                          int b, imx_coded_run *run) {
    imx_iq4_group groups[IMX_IQ4_N_GROUPS];
    imx_iq4_scales chosen;
    (void)b; // the only one
    (void)shape;
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

static void pack_iq4_xs(const imx_coded_run *run, size_t n, void *blocks) {
    imx_block_iq4_xs *out = blocks;
    (void)n; // is a super-block
    memset(out, 0, sizeof *out);
    out->d = run->d[0];
    for (int g = 0; g < IMX_IQ4_N_GROUPS; ++g) {
        const int s = (int)run->scales[g] + 32;
        out->scales_l[g / 2] |= (uint8_t)((s & 15) << 4 * (g % 2));
        out->scales_h |= (uint16_t)(s >> 4 << 2 * g);
        pack_levels(run->levels + 32 * g, out->qs + 16 * g);
    }
}

const imx_run_coder imx_runs_iq4_xs = {
    .shape = {8, 32, 1, {0, 0}, imx_iq4_values, {-32, 31}, {0, 0}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .search = search_iq4_xs,
    .run_bytes = sizeof(imx_block_iq4_xs),
    .pack = pack_iq4_xs,
    IMX_SHARED_STEPS,
};
