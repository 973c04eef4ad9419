// SPDX-License-Identifier: MIT
//
// The steps of a plan; private to the room. Each works on plan->items, whose sources and names are
// there from the start.

#ifndef IMX_QUANT_PLAN_INTERNAL_H
#define IMX_QUANT_PLAN_INTERNAL_H

#include "quant/plan/plan.h"
#include "quant/plan/tensor_pattern.h"
#include "quant/plan/tensor_role.h"

// ---- plan_facts.c: what rules ask --------------------------------------------------------------

typedef struct imx_plan_facts {
    uint32_t model;      // the imx_fact bits that all tensors share
    imx_mix_role *roles; // (n_items), owned
    uint32_t *places;    // (n_items) the bits about a tensor's place among its like, owned
    bool has_experts;
    bool is_tied; // the embedding is also the output head
} imx_plan_facts;

// The layers of the source; 0 when it does not say. IMX_ERR_FORMAT when the architecture is no
// text.
imx_status imx_plan_count_layers(uint64_t *n_layers, const imx_gguf *source, imx_error *err);

// Facts are about the new model: pruned layers do not count. The caller frees with
// imx_plan_facts_free, also on failure.
imx_status imx_plan_facts_gather(imx_plan_facts *facts, const imx_plan *plan,
                                 const imx_gguf *source, imx_error *err);
void imx_plan_facts_free(imx_plan_facts *facts);

// All facts about item i.
uint32_t imx_plan_facts_of(const imx_plan_facts *facts, const imx_plan *plan, size_t i);

// ---- plan_statistics.c -------------------------------------------------------------------------

// Sets the statistics of an item, how many of its experts are starved, and whether it lacks what it
// could have.
imx_status imx_plan_find_statistics(imx_plan_item *item, const imx_plan_options *options,
                                    imx_mix_role role, bool is_tied, imx_error *err);

// ---- plan_types.c ------------------------------------------------------------------------------

typedef struct imx_type_pattern {
    imx_tensor_pattern *pattern;
    const char *kept_name; // a tensor it matches though no recipe quantizes it, or NULL
    bool is_used;          // it matches one that recipes quantize
} imx_type_pattern;

typedef struct imx_type_chooser {
    const imx_plan *plan;
    const imx_plan_facts *facts;
    imx_type_pattern *patterns; // (plan->options.n_overrides), owned
} imx_type_chooser;

// Checks the types in the options and compiles the patterns. The caller frees with
// imx_type_chooser_close, also on failure.
imx_status imx_type_chooser_open(imx_type_chooser *chooser, const imx_plan *plan,
                                 const imx_plan_facts *facts, imx_error *err);
void imx_type_chooser_close(imx_type_chooser *chooser);

// Sets the type of item i; clears lacks_statistics where nothing is to be quantized.
imx_status imx_choose_type(imx_type_chooser *chooser, size_t i, imx_plan_item *item,
                           imx_error *err);

// After all items: IMX_ERR_ARGUMENT for a pattern that names nothing it can change.
imx_status imx_check_patterns_used(const imx_type_chooser *chooser, imx_error *err);

#endif
