// SPDX-License-Identifier: MIT

#include <stdbool.h>

#include "imatrix/cli/report/fields.h"
#include "imatrix/cli/report/html.h"
#include "imatrix/cli/report/sections.h"

static const field_row fields[] = {
    {FIELD_TEXT, "kind", "finding"}, {FIELD_CODE, "name", "weight"}, {FIELD_COUNT, "n", "count"},
    {FIELD_COUNT, "n_of", "of"},     {FIELD_FLAG, "hurts", "hurts"}, {FIELD_END},
};

static void print_check(FILE *page, const report_input *input) {
    const json_t *root = input->root;
    html_print(
        page,
        "<p><code>%s</code> for <code>%s</code>: statistics for %.0f of %.0f weights. %s</p>\n",
        input_base_name(field_text(root, "imatrix")), input_base_name(field_text(root, "model")),
        field_number(root, "n_covered"), field_number(root, "n_weights"),
        json_is_true(json_object_get(root, "hurts")) ? "Quantizing with it would lose something."
                                                     : "Nothing that would hurt.");
    field_print_table(page, "Findings", fields, json_object_get(root, "findings"), false);
}

void section_findings(FILE *page, const report_inputs *inputs) {
    if (inputs_first(inputs, INPUT_CHECK) == NULL) {
        return;
    }
    html_print(page, "<section id=\"findings\"><h2>Does the imatrix fit?</h2>\n");
    for (size_t i = 0; i < inputs->n; ++i) {
        if (inputs->items[i].kind == INPUT_CHECK) {
            print_check(page, &inputs->items[i]);
        }
    }
    html_print(page, "</section>\n");
}
