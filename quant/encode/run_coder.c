// SPDX-License-Identifier: MIT
//
// A type with grids is a shape, a search that fills one block and a way to pack a run; what lies
// between is the same for all of them and stands here. Blocks of 32 are searched one by one, but
// kept in runs of 256 like super-blocks, because that is how far errors pay for each other.

#include "quant/encode/run_coder.h"

#include "quant/encode/encode_internal.h"

// What a block of zeros, whose d is 0, has of integers: where there is a table the lowest, which
// are stored as zero bits, else those nearest to 0.
static float zero_scale(const imx_run_shape *shape) {
    return shape->values != NULL ? shape->scales.lowest : imx_clamp(0.0f, shape->scales);
}

static float zero_level(const imx_run_shape *shape) {
    return shape->values != NULL ? (float)shape->values[0] : 0.0f;
}

static void begin_run(const imx_run_shape *shape, imx_coded_run *run) {
    *run = (imx_coded_run){0};
    for (int g = 0; g < shape->n_groups; ++g) {
        run->scales[g] = zero_scale(shape);
        run->mins[g] = imx_clamp(0.0f, shape->mins);
    }
}

void imx_choose_run(const imx_run_coder *coder, const float *row, size_t first, size_t n,
                    const imx_importance *importance, const imx_encode_options *options,
                    imx_coded_run *run) {
    const imx_run_shape *shape = &coder->shape;
    const imx_emphasis emphasis = imx_emphasis_of(options->weighting, coder->emphasis);
    const size_t block_len = (size_t)(IMX_COV_RUN / shape->n_halves);
    begin_run(shape, run);
    for (size_t j = 0; j < n; j += block_len) {
        imx_block_view view;
        if (imx_view_block(&view, row, first + j, block_len, importance, emphasis)) {
            coder->search(&view, shape, options->effort, (int)(j / block_len), run);
        } else {
            for (size_t k = j; k < j + block_len; ++k) {
                run->levels[k] = zero_level(shape);
            }
        }
    }
}

void imx_decode_run(const imx_coded_run *run, const imx_run_shape *shape, size_t n, float *out) {
    const size_t group_len = (size_t)shape->group_len;
    for (size_t j = 0; j < n; j += group_len) {
        const int g = (int)(j / group_len);
        const int h = imx_half_of_group(shape, g);
        const float scale = imx_f16_to_f32(run->d[h]) * run->scales[g];
        const float min = imx_f16_to_f32(run->dmin[h]) * run->mins[g]; // - 0 changes no bit
        for (size_t k = j; k < j + group_len; ++k) {
            out[k] = scale * run->levels[k] - min;
        }
    }
}

void imx_encode_runs(const imx_run_coder *coder, const float *row, size_t n_cols,
                     const imx_importance *importance, const imx_encode_options *options,
                     void *blocks) {
    const size_t run_bytes = coder->run_bytes;
    uint8_t *out = blocks;
    for (size_t first = 0; first < n_cols; first += IMX_COV_RUN, out += run_bytes) {
        const bool is_whole = n_cols - first >= IMX_COV_RUN;
        const size_t n = is_whole ? IMX_COV_RUN : n_cols - first;
        imx_coded_run run;
        coder->choose(coder, row, first, n, importance, options, &run);
        if (is_whole && options->metrics != NULL) {
            coder->feed_back(&run, &coder->shape, row + first,
                             &options->metrics[first / IMX_COV_RUN]);
        }
        coder->pack(&run, n, out);
    }
}
