// SPDX-License-Identifier: MIT
//
// The plan of a quantized file: a pure function of the source model's metadata, the recipe and the
// names in the imatrix. Nothing is read from tensor data and nothing is written.

#ifndef IMX_QUANT_PLAN_H
#define IMX_QUANT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"
#include "formats/imatrix_file.h"
#include "quant/plan/recipe.h"

// Where a tensor's type is not for the user but for the recipe to say.
enum { IMX_TYPE_BY_RECIPE = IMX_TYPE_COUNT };

// "The tensors whose name matches get this type": a row of --tensor-type. It rules over the recipe
// and the missing policy, under recipes of every kind (llama.cpp ignores it for F16 and COPY), but
// not over tensors that no recipe quantizes (norms, biases, routers). Places are counted over all
// tensors, so that it changes the type of no other.
typedef struct imx_type_override {
    const char *pattern; // PCRE2, found anywhere in the new file's name, case-sensitive
    uint32_t type;
} imx_type_override;

// What becomes of tensors that an imatrix, though given, has nothing for.
typedef enum imx_missing {
    IMX_MISSING_NEUTRAL, // quantized with uniform importance
    IMX_MISSING_FAIL,    // IMX_ERR_MISMATCH naming the first
    IMX_MISSING_TYPE,    // get missing_type
} imx_missing;

typedef struct imx_plan_options {
    const imx_recipe *recipe;           // required
    const imx_imatrix *imatrix;         // NULL without one
    bool statistics_follow;             // its entries are announced only: their values come before
                                        // a tensor is encoded and are not looked at here
    bool pure;                          // every quantizable tensor gets the recipe's default type
    bool leave_output;                  // output.weight keeps its type
    bool allow_requantize;              // quantized sources are decoded and coded again
    uint32_t embedding_type;            // of the token embeddings; or IMX_TYPE_BY_RECIPE
    uint32_t output_type;               // of the head: output.weight, or without one the embedding
                                        // if embedding_type does not say; or IMX_TYPE_BY_RECIPE
    const imx_type_override *overrides; // (n_overrides) first match wins; the two above go first
    size_t n_overrides;
    const char *const *include_weights; // (n_included) when not empty, statistics are used only for
    size_t n_included;                  // tensors whose name contains one of these
    const char *const *exclude_weights; // (n_excluded) or never for those that contain one of these
    size_t n_excluded;
    const uint32_t *pruned_layers; // (n_pruned) layers left out; those behind move up
    size_t n_pruned;
    bool ignore_products; // of inputs: errors are weighted by the importance of columns alone
    imx_missing missing;
    uint32_t missing_type;
    uint32_t prior_tokens;    // experts lean on the tensor's mean as if it had been seen so often
                              // (quant/plan/item_importance.h); 0 = only those that saw nothing
    bool keep_split;          // shards as in the source; else
    uint64_t split_max_bytes; // of tensor data in a shard, where tensors allow; 0 = one file
} imx_plan_options;

// Zeros, and types by recipe.
void imx_plan_options_init(imx_plan_options *options);

typedef struct imx_plan_item {
    const imx_gguf_tensor *source;       // in the source file
    const char *name;                    // in the new file: layers may have moved up
    uint32_t type;                       // to write
    uint64_t size_bytes;                 // to write, without padding
    uint64_t offset;                     // in the data section of its shard
    bool is_copied;                      // bytes pass through unchanged (type == source->type)
    bool is_fallback;                    // the type asked for does not fit the row length
    const imx_imatrix_entry *statistics; // NULL = uniform importance
    bool lacks_statistics; // an imatrix was given, recipe or user have the tensor quantized, and
                           // the imatrix has nothing for it though it could
    bool feeds_back;       // the statistics hold products of inputs and the type can use them
    uint32_t prior_tokens; // of the options
    uint64_t n_starved;    // experts of the tensor that saw fewer tokens than that; 0 where that
                           // is not known yet
} imx_plan_item;

// A file to write: a run of items.
typedef struct imx_plan_shard {
    size_t first_item;
    size_t n_items;
    uint64_t size_bytes; // of the data section, padding included
} imx_plan_shard;

typedef struct imx_plan {
    imx_plan_options options; // a copy; what it points to is borrowed
    size_t n_items;
    imx_plan_item *items; // (n_items), in the order they will be written: the source's
    size_t n_shards;
    imx_plan_shard *shards; // (n_shards), at least one; they cover the items in order
    uint64_t n_weights;     // in all tensors
    uint64_t size_bytes;    // of all data sections, padding included
    uint64_t n_layers;      // of the new model
    uint64_t n_unguided;    // layers' tensors of type Q2_K without statistics: a clear loss;
                            // llama.cpp refuses them in Q2_K_S files
    char *names;            // what the items' names point into where layers moved
} imx_plan;

// An imatrix entry whose shape disagrees with the tensor is IMX_ERR_MISMATCH. A source tensor that
// is already quantized is IMX_ERR_ARGUMENT unless its type stays or requantizing is allowed, one
// that cannot be decoded is IMX_ERR_UNSUPPORTED. IMX_ERR_ARGUMENT also for a type that cannot be
// written, a pattern that does not compile or names no tensor that recipes quantize, layers that
// cannot be left out, and options that exclude each other. `source` and everything the options
// point to must outlive the plan. *out is the caller's to imx_plan_free.
imx_status imx_plan_new(imx_plan **out, const imx_gguf *source, const imx_plan_options *options,
                        imx_error *err);
void imx_plan_free(imx_plan *plan);

// Whether the options let the statistics of tensors of this name be used.
bool imx_plan_uses_statistics(const imx_plan_options *options, const char *name);

#endif
