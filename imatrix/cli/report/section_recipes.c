// SPDX-License-Identifier: MIT
//
// Which type each tensor got. Types are ranked by bits per weight and the ranks, not the bits, are
// spread over the colours: 4.25 and 4.5 bits would look alike otherwise.

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "imatrix/cli/report/color_ramp.h"
#include "imatrix/cli/report/fields.h"
#include "imatrix/cli/report/html.h"
#include "imatrix/cli/report/sections.h"
#include "imatrix/cli/report/tensor_map.h"

enum { MAX_TYPES = 64 };

// clang-format off
static const field_row fields[] = {
    {FIELD_CODE,  "name",             "tensor"},
    {FIELD_SHAPE, "shape",            "shape"},
    {FIELD_TEXT,  "source_type",      "from"},
    {FIELD_TEXT,  "type",             "type"},
    {FIELD_BYTES, "size_bytes",       "size"},
    {FIELD_FLAG,  "lacks_statistics", "no statistics"},
    {FIELD_FLAG,  "is_fallback",      "its rows fit no better type"},
    {FIELD_END},
};
// clang-format on

typedef struct ranked_type {
    const char *name;
    double bits; // per weight
} ranked_type;

typedef struct type_ranks {
    ranked_type types[MAX_TYPES]; // (n) ascending
    size_t n;
} type_ranks;

// ---- types -------------------------------------------------------------------------------------

// Vectors, norms and biases, stay as they are and are left out.
static bool is_matrix(const json_t *tensor) {
    return json_array_size(json_object_get(tensor, "shape")) > 1;
}

static double bits_of(const json_t *tensor) {
    double n_weights = 1;
    size_t i;
    const json_t *dim;
    json_array_foreach(json_object_get(tensor, "shape"), i, dim) {
        n_weights *= json_number_value(dim);
    }
    return 8 * field_number(tensor, "size_bytes") / n_weights;
}

static size_t find_type(const type_ranks *ranks, const char *name) {
    size_t t = 0;
    while (t < ranks->n && strcmp(ranks->types[t].name, name) != 0) {
        ++t;
    }
    return t;
}

static void rank_tensors(type_ranks *ranks, const json_t *tensors) {
    size_t i;
    const json_t *tensor;
    json_array_foreach(tensors, i, tensor) {
        const ranked_type type = {field_text(tensor, "type"), bits_of(tensor)};
        if (!is_matrix(tensor) || ranks->n == MAX_TYPES || find_type(ranks, type.name) < ranks->n) {
            continue;
        }
        size_t t = ranks->n++;
        for (; t > 0 && ranks->types[t - 1].bits > type.bits; --t) {
            ranks->types[t] = ranks->types[t - 1];
        }
        ranks->types[t] = type;
    }
}

static size_t shade_of(const type_ranks *ranks, size_t type) {
    return ranks->n > 1 ? type * (N_SHADES - 1) / (ranks->n - 1) : N_SHADES / 2;
}

static void print_types(FILE *page, const type_ranks *ranks, const json_t *tensors) {
    html_print(page, "<p class=\"legend\">");
    for (size_t t = 0; t < ranks->n; ++t) {
        size_t n = 0;
        size_t i;
        const json_t *tensor;
        json_array_foreach(tensors, i, tensor) {
            n += is_matrix(tensor) && strcmp(field_text(tensor, "type"), ranks->types[t].name) == 0;
        }
        if (n > 0) {
            html_print(page, "<span><i class=\"swatch s%zu\"></i>%s %.2f bits, %zu %s</span>\n",
                       shade_of(ranks, t), ranks->types[t].name, ranks->types[t].bits, n,
                       n == 1 ? "tensor" : "tensors");
        }
    }
    html_print(page, "</p>\n");
}

// ---- recipes -----------------------------------------------------------------------------------

static const json_t *tensors_of(const report_input *input) {
    return json_object_get(input->root, "tensors");
}

static bool is_same_recipe(const report_input *a, const report_input *b) {
    const json_t *tensors = tensors_of(a);
    const json_t *others = tensors_of(b);
    bool is_same = a->kind == b->kind && json_array_size(tensors) == json_array_size(others);
    for (size_t i = 0; is_same && i < json_array_size(tensors); ++i) {
        const json_t *x = json_array_get(tensors, i);
        const json_t *y = json_array_get(others, i);
        is_same = strcmp(field_text(x, "name"), field_text(y, "name")) == 0 &&
                  strcmp(field_text(x, "type"), field_text(y, "type")) == 0;
    }
    return is_same;
}

// Whether an earlier input has the recipe of input i.
static bool is_repeated(const report_inputs *inputs, size_t i) {
    for (size_t j = 0; j < i; ++j) {
        if (is_same_recipe(&inputs->items[j], &inputs->items[i])) {
            return true;
        }
    }
    return false;
}

// The recipe's name and all files that it made.
static void print_title(FILE *page, const report_inputs *inputs, size_t i) {
    const report_input *input = &inputs->items[i];
    bool is_first = true;
    html_print(page, "<h3>%s, %.2f bits per weight<small>", field_text(input->root, "type"),
               field_number(input->root, "bits_per_weight"));
    for (size_t j = i; j < inputs->n; ++j) {
        if (is_same_recipe(input, &inputs->items[j])) {
            html_print(page, "%s %s", is_first ? "" : ",",
                       input_base_name(field_text(inputs->items[j].root, "output")));
            is_first = false;
        }
    }
    html_print(page, "</small></h3>\n");
}

static void draw_recipe(FILE *page, const json_t *tensors, const type_ranks *ranks) {
    tensor_cell *cells = calloc(json_array_size(tensors) + 1, sizeof *cells);
    size_t n = 0;
    size_t i;
    const json_t *tensor;
    json_array_foreach(tensors, i, tensor) {
        const char *type = field_text(tensor, "type");
        const bool fits = strlen(type) < sizeof cells->text;
        if (cells != NULL && is_matrix(tensor)) {
            cells[n] = (tensor_cell){tensor, shade_of(ranks, find_type(ranks, type)), ""};
            memcpy(cells[n++].text, type, fits ? strlen(type) : 0);
        }
    }
    tensor_map_draw(page, "Type by layer and kind of tensor", cells, n, fields);
    free(cells);
}

void section_recipes(FILE *page, const report_inputs *inputs) {
    type_ranks ranks = {.n = 0};
    for (size_t i = 0; i < inputs->n; ++i) {
        if (inputs->items[i].kind == INPUT_QUANTIZE) {
            rank_tensors(&ranks, tensors_of(&inputs->items[i]));
        }
    }
    if (ranks.n == 0) {
        return;
    }
    html_print(page,
               "<section id=\"recipes\"><h2>Recipes</h2>\n<p>The type of every matrix. Vectors "
               "stay as they are and are left out.</p>\n<div class=\"maps\">\n");
    for (size_t i = 0; i < inputs->n; ++i) {
        if (inputs->items[i].kind == INPUT_QUANTIZE && !is_repeated(inputs, i)) {
            html_print(page, "<figure>");
            print_title(page, inputs, i);
            draw_recipe(page, tensors_of(&inputs->items[i]), &ranks);
            print_types(page, &ranks, tensors_of(&inputs->items[i]));
            field_print_table(page, "Values", fields, tensors_of(&inputs->items[i]), false);
            html_print(page, "</figure>\n");
        }
    }
    html_print(page, "</div></section>\n");
}
