// SPDX-License-Identifier: MIT
//
// The memory of a run is the most that one of its three phases needs, on top of what lasts:
//
//     always       what the process has when it plans, the sums in f64, those of products in f32,
//                  slack
//     walk         an unpacked layer, its scratch memory, the mapped part of the model's file, and
//                  the residual stream, whole or a block of it, and a block once more where
//                  layers are passed twice; what the hook takes
//     perplexity   the unpacked head, logits, the stream as before
//     writing      the imatrix as in the file, and once more compressed
//
// The slack is what libraries take for themselves: threads' stacks, packed matrices of oneDNN, the
// allocator's reserves, tables of zstd. It is measured, not derived.
//
// What cannot shrink comes first, then what the hook would use, because without it the result is
// worse and not only later. Then the stream gets memory if it fits, because a file costs
// two copies of it per layer, and reading ahead the rest, because without it the processors wait
// for the disk once per layer.

#include "calib/statistics/collect_plan.h"

#include <inttypes.h>

#include "calib/evaluation/scoring.h"
#include "calib/forward/layer.h"
#include "calib/forward/walk.h"
#include "calib/model/model_internal.h"
#include "calib/model/shown_weights.h"
#include "formats/imatrix_covariance.h"
#include "kernels/split.h"

enum { SLACK_BYTES = 32 << 20, SLACK_BYTES_PER_THREAD = 8 << 20, SUMS_PER_COLUMN = 3 };

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

// What sums are kept of.
typedef struct kept_sums {
    uint64_t n_columns;
    uint64_t n_pairs; // of columns
} kept_sums;

static kept_sums count_sums(const imx_collect_demand *demand) {
    kept_sums kept = {0};
    for (imx_shown_weights s = {0};
         imx_shown_weights_step(&s, demand->model, demand->process_output);) {
        const imx_input_shape shape = s.weight.shape;
        kept.n_columns += shape.n_mats * shape.n_cols;
        if (demand->covariance && !s.weight.is_sharer) {
            kept.n_pairs += shape.n_mats * imx_covariance_len(shape.n_cols);
        }
    }
    return kept;
}

// The bytes of the largest layer in the file.
static uint64_t layer_file_bytes(const imx_model *model) {
    uint64_t most = 0;
    for (uint32_t layer = 0; layer < model->hparams.n_layers; ++layer) {
        uint64_t n_bytes = 0;
        for (imx_role role = IMX_FIRST_LAYER_ROLE; role < IMX_N_ROLES; ++role) {
            const imx_gguf_tensor *weight = model->bindings[layer][role].weight;
            n_bytes += weight != NULL ? weight->size_bytes : 0;
        }
        most = larger(most, n_bytes);
    }
    return most;
}

// The peak without the stream but for one block of it.
static uint64_t least_memory(const imx_collect_demand *demand, uint64_t block_bytes) {
    const imx_walk_memory walk =
        imx_walk_measure(demand->model, demand->corpus, demand->precision, demand->n_threads);
    const kept_sums kept = count_sums(demand);
    const uint64_t file_bytes =
        kept.n_columns * SUMS_PER_COLUMN * sizeof(float) + kept.n_pairs * sizeof(int8_t);
    uint64_t most = walk.layer_bytes + walk.mapped_bytes + block_bytes + demand->extra_bytes +
                    (demand->passes_twice ? block_bytes : 0);
    if (demand->perplexity) {
        most = larger(most, block_bytes + imx_scores_bytes(demand->model, demand->corpus));
    }
    most = larger(most, 2 * file_bytes);
    return demand->resident_bytes + kept.n_columns * SUMS_PER_COLUMN * sizeof(double) +
           kept.n_pairs * sizeof(float) + most + SLACK_BYTES +
           (uint64_t)imx_thread_count(demand->n_threads) * SLACK_BYTES_PER_THREAD;
}

imx_status imx_collect_plan_make(imx_collect_plan *plan, const imx_collect_demand *demand,
                                 imx_error *err) {
    const uint64_t row_bytes = demand->model->hparams.n_embd * sizeof(float);
    const uint64_t stream_bytes = demand->corpus->n_tokens * row_bytes;
    const uint64_t block_bytes = imx_walk_block_rows(demand->model, demand->corpus) * row_bytes;
    const uint64_t limit = demand->limit_bytes > 0 ? demand->limit_bytes : UINT64_MAX;
    const uint64_t least = least_memory(demand, block_bytes);
    const uint64_t whole = least - block_bytes + stream_bytes;
    const bool uses_scratch =
        demand->may_use_scratch && (whole > limit || demand->wanted_bytes > limit - whole);
    const uint64_t needed = uses_scratch ? least : whole;
    if (needed > limit) {
        return imx_fail(err, IMX_ERR_MEMORY,
                        "%s: the run needs %" PRIu64 " MB of memory where %" PRIu64
                        " MB are allowed or free; allow more with --memory, or take %s",
                        demand->model->gguf->path, needed / 1000000 + 1, limit / 1000000,
                        demand->perplexity ? "no --ppl" : "a smaller context");
    }
    const uint64_t granted =
        demand->wanted_bytes < limit - needed ? demand->wanted_bytes : limit - needed;
    *plan = (imx_collect_plan){
        .memory_bytes = needed + granted,
        .granted_bytes = granted,
        .scratch_bytes = uses_scratch ? stream_bytes : 0,
        .read_ahead = layer_file_bytes(demand->model) <= limit - needed - granted,
    };
    return IMX_OK;
}
