// SPDX-License-Identifier: MIT

#include "imatrix/cli/report/fields.h"
#include "imatrix/cli/report/html.h"
#include "imatrix/cli/report/sections.h"

enum { MAX_CARDS = 3 }; // of a kind

// clang-format off
// Whatever an input has of these, in this order.
static const field_row facts[] = {
    {FIELD_TEXT,  "program",              "program"},
    {FIELD_CODE,  "file",                 "file"},
    {FIELD_CODE,  "output",               "output"},
    {FIELD_TEXT,  "type",                 "type"},
    {FIELD_CODE,  "model",                "model"},
    {FIELD_TEXT,  "name",                 "name"},
    {FIELD_TEXT,  "architecture",         "architecture"},
    {FIELD_TEXT,  "file_type",            "file type"},
    {FIELD_CODE,  "model_hash",           "model hash"},
    {FIELD_CODE,  "base",                 "base"},
    {FIELD_CODE,  "imatrix",              "imatrix"},
    {FIELD_CODE,  "text",                 "text"},
    {FIELD_TEXT,  "format",               "format"},
    {FIELD_COUNT, "digits",               "rounded to digits"},
    {FIELD_FLAG,  "all_experts",          "all experts saw all tokens"},
    {FIELD_COUNT, "n_ctx",                "context"},
    {FIELD_COUNT, "n_ctx_train",          "trained context"},
    {FIELD_COUNT, "chunk_size",           "tokens in a chunk"},
    {FIELD_COUNT, "n_tokens",             "tokens"},
    {FIELD_COUNT, "n_chunks",             "chunks"},
    {FIELD_COUNT, "n_left_out",           "chunks left out"},
    {FIELD_COUNT, "n_scored",             "predictions scored"},
    {FIELD_COUNT, "n_groups",             "independent groups"},
    {FIELD_COUNT, "n_weights",            "weights"},
    {FIELD_COUNT, "n_layers",             "layers"},
    {FIELD_COUNT, "n_experts",            "experts"},
    {FIELD_FIXED, "bits_per_weight",      "bits per weight"},
    {FIELD_BYTES, "file_bytes",           "file size"},
    {FIELD_BYTES, "disk_bytes",           "file size"},
    {FIELD_BYTES, "out_bytes",            "file size"},
    {FIELD_COUNT, "n_with_statistics",    "tensors with statistics"},
    {FIELD_COUNT, "n_lacking_statistics", "tensors without"},
    {FIELD_COUNT, "n_starved",            "experts with few tokens"},
    {FIELD_REAL,  "seconds",              "seconds"},
    {FIELD_END},
};

static const field_row text_fields[] = {
    {FIELD_CODE,  "name",     "name"},
    {FIELD_COUNT, "n_tokens", "tokens"},
    {FIELD_COUNT, "n_chunks", "chunks"},
    {FIELD_REAL,  "weight",   "weight"},
    {FIELD_CODE,  "hash",     "hash"},
    {FIELD_END},
};
// clang-format on

static void print_facts(FILE *page, const field_row *rows, const json_t *object) {
    html_print(page, "<dl>\n");
    for (; rows->kind != FIELD_END; ++rows) {
        if (field_is_present(rows, object) && field_number(object, rows->key) != 0) {
            html_print(page, "<dt>%s</dt><dd", rows->title);
            html_print(page, rows->kind == FIELD_CODE ? " class=\"code\">" : ">");
            field_print(page, rows, object);
            html_print(page, "</dd>\n");
        }
    }
    html_print(page, "</dl>\n");
}

static void print_card(FILE *page, const report_input *input) {
    const json_t *base = json_object_get(input->root, "base");
    size_t i;
    const json_t *text;
    html_print(page, "<div class=\"card\"><h3>%s <small>%s</small></h3>\n",
               input_kind_name(input->kind), input_base_name(input->path));
    print_facts(page, facts, input->root);
    if (json_is_object(base)) {
        html_print(page, "<h4>base</h4>\n");
        print_facts(page, facts, base);
    }
    json_array_foreach(json_object_get(input->root, "texts"), i, text) {
        html_print(page, "<h4>text %zu</h4>\n", i + 1);
        print_facts(page, text_fields, text);
    }
    html_print(page, "</div>\n");
}

// Many inputs of a kind differ in little: they stand below each other.
static void print_kind(FILE *page, const report_inputs *inputs, input_kind kind) {
    json_t *roots = json_array();
    for (size_t i = 0; i < inputs->n; ++i) {
        if (inputs->items[i].kind == kind) {
            json_array_append(roots, inputs->items[i].root);
        }
    }
    if (json_array_size(roots) > MAX_CARDS) {
        field_print_table(page, input_kind_name(kind), facts, roots, true);
    }
    json_decref(roots);
}

static size_t count_kind(const report_inputs *inputs, input_kind kind) {
    size_t n = 0;
    for (size_t i = 0; i < inputs->n; ++i) {
        n += inputs->items[i].kind == kind;
    }
    return n;
}

void section_provenance(FILE *page, const report_inputs *inputs) {
    html_print(page, "<section id=\"provenance\"><h2>Provenance</h2>\n<p>What the inputs say about "
                     "themselves. Hashes are what <code>xxhsum -H2</code> prints.</p>\n"
                     "<div class=\"cards\">\n");
    for (size_t i = 0; i < inputs->n; ++i) {
        if (count_kind(inputs, inputs->items[i].kind) <= MAX_CARDS) {
            print_card(page, &inputs->items[i]);
        }
    }
    html_print(page, "</div>\n");
    for (int kind = 0; kind < N_INPUT_KINDS; ++kind) {
        print_kind(page, inputs, (input_kind)kind);
    }
    html_print(page, "</section>\n");
}
