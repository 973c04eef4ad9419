// SPDX-License-Identifier: MIT

#include "imatrix/cli/report/report_page.h"

#include "imatrix/cli/report/color_ramp.h"
#include "imatrix/cli/report/fields.h"
#include "imatrix/cli/report/html.h"
#include "imatrix/cli/report/page_style.h"
#include "imatrix/cli/report/sections.h"
#include "imatrix/imatrix.h"

static void (*const sections[])(FILE *page, const report_inputs *inputs) = {
    section_losses,  section_recipes,  section_maps,
    section_experts, section_findings, section_provenance,
};

// Where the model's name stands, best first.
static const struct {
    input_kind kind;
    const char *key;
} names[] = {
    {INPUT_INSPECT, "name"},   {INPUT_SHOW, "model"},    {INPUT_EVAL, "base"},
    {INPUT_QUANTIZE, "model"}, {INPUT_COLLECT, "model"}, {INPUT_CHECK, "model"},
    {INPUT_INSPECT, "model"},  {INPUT_EVAL, "model"},
};

// What stands at the top, of each title the first that an input has.
static const struct {
    input_kind kind;
    field_row field;
} headlines[] = {
    {INPUT_INSPECT, {FIELD_TEXT, "architecture", "architecture"}},
    {INPUT_INSPECT, {FIELD_COUNT, "n_layers", "layers"}},
    {INPUT_INSPECT, {FIELD_COUNT, "n_weights", "weights"}},
    {INPUT_INSPECT, {FIELD_BYTES, "file_bytes", "original"}},
    {INPUT_SHOW, {FIELD_COUNT, "n_tokens", "calibration tokens"}},
    {INPUT_EVAL, {FIELD_COUNT, "n_scored", "predictions scored"}},
    {INPUT_COMPARE, {FIELD_COUNT, "n_scored", "predictions scored"}},
};

static const char *find_name(const report_inputs *inputs) {
    const report_input *comparison = inputs_first(inputs, INPUT_COMPARE);
    const char *name = "";
    for (size_t i = 0; i < sizeof names / sizeof *names && name[0] == '\0'; ++i) {
        const report_input *input = inputs_first(inputs, names[i].kind);
        name = input != NULL ? field_text(input->root, names[i].key) : "";
    }
    if (name[0] == '\0' && comparison != NULL) {
        name = field_text(json_object_get(comparison->root, "base"), "file");
    }
    return input_base_name(name);
}

static void print_headlines(FILE *page, const report_inputs *inputs) {
    const char *last = "";
    html_print(page, "<dl class=\"headlines\">\n");
    for (size_t i = 0; i < sizeof headlines / sizeof *headlines; ++i) {
        const field_row *field = &headlines[i].field;
        const report_input *input = inputs_first(inputs, headlines[i].kind);
        if (input != NULL && field->title != last && field_is_present(field, input->root)) {
            html_print(page, "<div><dt>%s</dt><dd>", field->title);
            field_print(page, field, input->root);
            html_print(page, "</dd></div>\n");
            last = field->title;
        }
    }
    html_print(page, "</dl>\n");
}

// The policy forbids what the page does not do: whatever a name may contain, nothing is fetched.
static void print_head(FILE *page, const char *title) {
    html_print(page,
               "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
               "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
               "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n"
               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
               "<meta name=\"color-scheme\" content=\"light dark\">\n"
               "<meta name=\"generator\" content=\"imatrix %s\">\n"
               "<title>%s: imatrix report</title>\n<style>\n",
               imatrix_version(), title);
    fputs(page_style, page);
    color_ramp_print(page);
    html_print(page, "</style>\n</head>\n");
}

void report_page_print(FILE *page, const report_inputs *inputs, const char *title) {
    const char *heading = title != NULL ? title : find_name(inputs);
    print_head(page, heading);
    html_print(page, "<body>\n<header><p class=\"kicker\">Quantization report</p><h1>%s</h1>\n",
               heading);
    print_headlines(page, inputs);
    html_print(page, "</header>\n<main>\n");
    for (size_t i = 0; i < sizeof sections / sizeof *sections; ++i) {
        sections[i](page, inputs);
    }
    html_print(page, "</main>\n<footer>Made by <code>imatrix report</code> %s</footer>\n<script>\n",
               imatrix_version());
    fputs(page_script, page);
    html_print(page, "</script>\n</body>\n</html>\n");
}
