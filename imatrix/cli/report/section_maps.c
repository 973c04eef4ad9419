// SPDX-License-Identifier: MIT
//
// Maps of all tensors by layer and kind, one for each input, so that they can be held side by side:
// all maps of a section share one colour scale.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "imatrix/cli/report/color_ramp.h"
#include "imatrix/cli/report/fields.h"
#include "imatrix/cli/report/html.h"
#include "imatrix/cli/report/scale.h"
#include "imatrix/cli/report/sections.h"
#include "imatrix/cli/report/tensor_map.h"

// A section with a map of one number of every tensor.
typedef struct map_spec {
    const char *id, *title;
    const char *about; // HTML
    input_kind kind;
    const char *array; // of the tensors in the input
    const char *key;   // of the number
    bool is_log;
    double unit;           // what is shown is the number times this
    const char *unit_name; // behind the number, " %"
    const char *name_key;  // of the input: what a map is called, a path
    const field_row *fields;
} map_spec;

// clang-format off
static const field_row weight_fields[] = {
    {FIELD_CODE,    "name",      "weight"},
    {FIELD_REAL,    "mean",      "mean squared input"},
    {FIELD_REAL,    "max",       "largest column"},
    {FIELD_PERCENT, "top_share", "share of the top 1 %"},
    {FIELD_PERCENT, "evenness",  "evenness"},
    {FIELD_COUNT,   "n_cols",    "columns"},
    {FIELD_COUNT,   "rows",      "tokens"},
    {FIELD_END},
};

static const field_row error_fields[] = {
    {FIELD_CODE, "name",           "tensor"},
    {FIELD_TEXT, "type",           "type"},
    {FIELD_REAL, "weighted_error", "weighted error"},
    {FIELD_REAL, "relative_error", "plain error"},
    {FIELD_END},
};

static const map_spec specs[] = {
    {"errors", "Error by tensor and layer",
     "Squared error of the weights, relative to their squares and weighted by importance. A type with a bit less has about "
     "four times the error; a tensor that stands out in its map could be given a better type (<code>--tensor-type</code>).",
     INPUT_QUANTIZE, "tensors", "weighted_error", true, 1, "", "output", error_fields},
    {"importance", "Importance by layer and weight",
     "Mean of the squared inputs of a weight: by how much an error there is multiplied. Each step of colour is the same factor.",
     INPUT_SHOW, "weights", "mean", true, 1, "", "file", weight_fields},
    {"concentration", "How uneven importance is",
     "Share of the importance in the top hundredth of the columns. At 1 % all columns matter alike and an imatrix changes "
     "nothing; the larger the share, the more it helps.",
     INPUT_SHOW, "weights", "top_share", true, 100, " %", "file", weight_fields},
};
// clang-format on

// ---- maps of numbers ---------------------------------------------------------------------------

static scale fit_scale(const report_inputs *inputs, const map_spec *spec) {
    scale s = scale_new(spec->is_log);
    for (size_t i = 0; i < inputs->n; ++i) {
        size_t t;
        const json_t *tensor;
        if (inputs->items[i].kind == spec->kind) {
            json_array_foreach(json_object_get(inputs->items[i].root, spec->array), t, tensor) {
                scale_include(&s, field_number(tensor, spec->key));
            }
        }
    }
    return s;
}

static tensor_cell make_cell(const json_t *tensor, const map_spec *spec, const scale *s) {
    const double number = field_number(tensor, spec->key);
    tensor_cell cell = {.tensor = tensor, .shade = color_ramp_shade(scale_place(s, number))};
    snprintf(cell.text, sizeof cell.text, "%s%s", field_real(spec->unit * number), spec->unit_name);
    return cell;
}

// "out/model-Q4_K_M.gguf" is called "model-Q4_K_M.gguf".
static void print_title(FILE *page, const char *path) {
    html_print(page, "<h3>%s</h3>\n", input_base_name(path));
}

static void draw_numbers(FILE *page, const report_input *input, const map_spec *spec,
                         const scale *s) {
    const json_t *tensors = json_object_get(input->root, spec->array);
    tensor_cell *cells = calloc(json_array_size(tensors) + 1, sizeof *cells);
    size_t n = 0;
    size_t t;
    const json_t *tensor;
    json_array_foreach(tensors, t, tensor) {
        if (cells != NULL && !isnan(field_number(tensor, spec->key))) {
            cells[n++] = make_cell(tensor, spec, s);
        }
    }
    if (n > 0) {
        html_print(page, "<figure>");
        print_title(page, field_text(input->root, spec->name_key));
        tensor_map_draw(page, spec->title, cells, n, spec->fields);
        field_print_table(page, "Values", spec->fields, tensors, false);
        html_print(page, "</figure>\n");
    }
    free(cells);
}

static void print_scale(FILE *page, const map_spec *spec, const scale *s) {
    char ends[2][48];
    snprintf(ends[0], sizeof ends[0], "%s%s", field_real(spec->unit * s->least), spec->unit_name);
    snprintf(ends[1], sizeof ends[1], "%s%s", field_real(spec->unit * s->most), spec->unit_name);
    color_ramp_legend(page, ends[0], ends[1]);
}

static void print_maps(FILE *page, const report_inputs *inputs, const map_spec *spec) {
    const scale s = fit_scale(inputs, spec);
    if (!scale_is_known(&s)) {
        return;
    }
    html_print(page, "<section id=\"%s\"><h2>%s</h2>\n<p>", spec->id, spec->title);
    fputs(spec->about, page);
    html_print(page, "</p>\n");
    print_scale(page, spec, &s);
    html_print(page, "<div class=\"maps\">\n");
    for (size_t i = 0; i < inputs->n; ++i) {
        if (inputs->items[i].kind == spec->kind) {
            draw_numbers(page, &inputs->items[i], spec, &s);
        }
    }
    html_print(page, "</div></section>\n");
}

void section_maps(FILE *page, const report_inputs *inputs) {
    for (size_t i = 0; i < sizeof specs / sizeof *specs; ++i) {
        print_maps(page, inputs, &specs[i]);
    }
}
