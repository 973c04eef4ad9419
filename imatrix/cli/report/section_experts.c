// SPDX-License-Identifier: MIT
//
// A router sends few tokens to some experts. Their statistics are thin or missing, and the mean of
// the others stands in for them when quantizing. The picture shows the spread in each layer; the
// matrices of a layer's experts share the router and so their counts.

#include <math.h>

#include "imatrix/cli/report/fields.h"
#include "imatrix/cli/report/html.h"
#include "imatrix/cli/report/plot.h"
#include "imatrix/cli/report/sections.h"

// clang-format off
static const field_row expert_fields[] = {
    {FIELD_CODE,  "name",        "weight"},
    {FIELD_COUNT, "n_mats",      "experts"},
    {FIELD_COUNT, "rows",        "tokens, all together"},
    {FIELD_COUNT, "rows_min",    "fewest"},
    {FIELD_COUNT, "rows_median", "median"},
    {FIELD_COUNT, "rows_max",    "most"},
    {FIELD_COUNT, "n_unseen",    "experts that saw none"},
    {FIELD_END},
};

static const field_row starved_fields[] = {
    {FIELD_COUNT, "layer",    "layer"},
    {FIELD_COUNT, "expert",   "expert"},
    {FIELD_COUNT, "n_tokens", "tokens"},
    {FIELD_END},
};
// clang-format on

static const char intro[] =
    "<section id=\"experts\"><h2>Expert coverage</h2>\n"
    "<p>Tokens that the router sent to the experts of each layer: the bar reaches from the expert that saw fewest to the "
    "one that saw most, the point is the median. A cross marks layers with experts that saw none.</p>\n";

// The weights of experts, as a new array.
static json_t *select_experts(const report_input *input) {
    json_t *selected = json_array();
    size_t i;
    json_t *weight;
    json_array_foreach(json_object_get(input->root, "weights"), i, weight) {
        if (field_number(weight, "n_mats") > 1 && !isnan(field_number(weight, "rows_min"))) {
            json_array_append(selected, weight);
        }
    }
    return selected;
}

static void fit_scales(plot *p, const json_t *weights) {
    size_t i;
    const json_t *weight;
    p->x = scale_new(false);
    p->x.is_whole = true;
    p->y = scale_new(true);
    json_array_foreach(weights, i, weight) {
        scale_include(&p->x, field_number(weight, "layer") - 0.5);
        scale_include(&p->x, field_number(weight, "layer") + 0.5);
        scale_include(&p->y, field_number(weight, "rows_min"));
        scale_include(&p->y, field_number(weight, "rows_max"));
    }
    scale_include(&p->y, 1);
    scale_pad(&p->y, 0, 0.08);
}

// From the fewest tokens to the most, with a point at the median and a cross at the bottom where an
// expert saw none.
static void draw_layer(const plot *p, const json_t *weight) {
    const double middle = plot_y(p, field_number(weight, "rows_median"));
    const double top = plot_y(p, field_number(weight, "rows_max")) - middle;
    const double bottom = plot_y(p, field_number(weight, "rows_min")) - middle;
    html_print(p->page, "<svg class=\"mark\" x=\"%.2f%%\" y=\"%.1f\"><title>",
               plot_x(p, field_number(weight, "layer")), middle);
    field_print_hint(p->page, expert_fields, weight);
    html_print(p->page, "</title><path class=\"range\" d=\"M0 %.1fV%.1f\"/>", top, bottom);
    if (field_number(weight, "n_unseen") > 0) {
        html_print(p->page, "<path class=\"unseen\" d=\"M-5 %.1fl10 10m-10 0l10-10\"/>",
                   bottom - 5);
    }
    html_print(p->page, "<circle class=\"best\" r=\"4\"/></svg>\n");
}

static void draw_coverage(FILE *page, const report_input *input, const json_t *weights) {
    plot p = {.page = page,
              .x_title = "layer",
              .y_title = "tokens an expert saw",
              .label = "Tokens that the experts of each layer saw"};
    size_t i;
    const json_t *weight;
    html_print(page, "<figure><h3>%s</h3>\n", input_base_name(field_text(input->root, "file")));
    fit_scales(&p, weights);
    plot_begin(&p);
    json_array_foreach(weights, i, weight) {
        draw_layer(&p, weight);
    }
    plot_end(&p);
    field_print_table(page, "Values", expert_fields, weights, false);
    html_print(page, "</figure>\n");
}

// What an input says about experts, as a new array: weights of show, experts of collect.
static json_t *find_experts(const report_input *input) {
    if (input->kind == INPUT_SHOW) {
        return select_experts(input);
    }
    json_t *starved = json_object_get(json_object_get(input->root, "experts"), "starved");
    return input->kind == INPUT_COLLECT && json_is_array(starved) ? json_incref(starved)
                                                                  : json_array();
}

void section_experts(FILE *page, const report_inputs *inputs) {
    bool is_open = false;
    for (size_t i = 0; i < inputs->n; ++i) {
        const report_input *input = &inputs->items[i];
        json_t *experts = find_experts(input);
        if (json_array_size(experts) > 0 && !is_open) {
            html_print(page, intro);
            is_open = true;
        }
        if (json_array_size(experts) > 0 && input->kind == INPUT_SHOW) {
            draw_coverage(page, input, experts);
        } else {
            field_print_table(page, "Experts that saw few tokens", starved_fields, experts, false);
        }
        json_decref(experts);
    }
    if (is_open) {
        html_print(page, "</section>\n");
    }
}
