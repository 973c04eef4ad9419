// SPDX-License-Identifier: MIT

#include "imatrix/cli/report/loss_rows.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "imatrix/cli/report/fields.h"

static const double same_size = 1.001; // times as large as another still counts as no larger

// The plan by which `model` was written, or NULL: paths may differ where the files were moved, the
// names do not.
static const json_t *find_plan(const report_inputs *inputs, const char *model) {
    for (size_t i = 0; i < inputs->n; ++i) {
        const char *output = field_text(inputs->items[i].root, "output");
        if (inputs->items[i].kind == INPUT_QUANTIZE &&
            strcmp(input_base_name(output), input_base_name(model)) == 0) {
            return inputs->items[i].root;
        }
    }
    return NULL;
}

// Takes over `row`.
static void insert_by_size(json_t *rows, json_t *row) {
    const double bytes = field_number(row, "file_bytes");
    size_t place = json_array_size(rows);
    while (place > 0 && !(field_number(json_array_get(rows, place - 1), "file_bytes") <= bytes) &&
           !isnan(bytes)) {
        --place;
    }
    json_array_insert_new(rows, place, row);
}

static bool has_file(const json_t *rows, const char *path) {
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row) {
        if (strcmp(input_base_name(field_text(row, "file")), input_base_name(path)) == 0) {
            return true;
        }
    }
    return false;
}

static void add_evaluation(json_t *rows, const report_inputs *inputs, const json_t *evaluation) {
    const char *model = field_text(evaluation, "model");
    const json_t *plan = find_plan(inputs, model);
    json_t *row = json_copy((json_t *)(uintptr_t)evaluation);
    json_object_set_new(row, "file", json_string(model));
    if (plan != NULL) {
        json_object_set(row, "file_bytes", json_object_get(plan, "disk_bytes"));
        json_object_set(row, "bits_per_weight", json_object_get(plan, "bits_per_weight"));
    }
    insert_by_size(rows, row);
}

static void add_candidates(json_t *rows, const json_t *comparison) {
    size_t i;
    json_t *candidate;
    json_array_foreach(json_object_get(comparison, "candidates"), i, candidate) {
        insert_by_size(rows, json_copy(candidate));
    }
}

// ---- names -------------------------------------------------------------------------------------

static const char *name_of(const json_t *row) {
    return input_base_name(field_text(row, "file"));
}

// How many characters all names begin with alike, up to a dash or a dot.
static size_t common_start(const json_t *rows) {
    const char *first = name_of(json_array_get(rows, 0));
    size_t n = json_array_size(rows) > 1 ? strlen(first) : 0;
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row) {
        const char *name = name_of(row);
        size_t same = 0;
        while (same < n && name[same] == first[same]) {
            ++same;
        }
        n = same;
    }
    while (n > 0 && first[n - 1] != '-' && first[n - 1] != '.') {
        --n;
    }
    return n;
}

static void set_names(const json_t *rows) {
    static const char ending[] = ".gguf";
    const size_t n_ending = sizeof ending - 1;
    const size_t start = common_start(rows);
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        const char *name = name_of(row) + start;
        const size_t n = strlen(name);
        const bool ends = n > n_ending && strcmp(name + n - n_ending, ending) == 0;
        json_object_set_new(row, "name", json_stringn(name, ends ? n - n_ending : n));
    }
}

// ---- the front ----------------------------------------------------------------------------------

static bool is_beaten(const json_t *rows, const json_t *row) {
    size_t i;
    const json_t *other;
    json_array_foreach(rows, i, other) {
        if (field_number(other, "file_bytes") <= same_size * field_number(row, "file_bytes") &&
            field_number(other, "kl_mean") < field_number(row, "kl_mean")) {
            return true;
        }
    }
    return false;
}

static void mark_front(const json_t *rows) {
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        const double place = field_number(row, "file_bytes") * field_number(row, "kl_mean");
        json_object_set_new(row, "on_front", json_boolean(!isnan(place) && !is_beaten(rows, row)));
    }
}

json_t *loss_rows_new(const report_inputs *inputs) {
    json_t *rows = json_array();
    for (size_t i = 0; i < inputs->n; ++i) {
        const report_input *input = &inputs->items[i];
        if (input->kind == INPUT_COMPARE) {
            add_candidates(rows, input->root);
        } else if (input->kind == INPUT_EVAL && !has_file(rows, field_text(input->root, "model"))) {
            add_evaluation(rows, inputs, input->root);
        }
    }
    set_names(rows);
    mark_front(rows);
    return rows;
}
