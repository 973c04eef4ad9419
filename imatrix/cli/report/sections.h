// SPDX-License-Identifier: MIT
//
// The parts of a report. Each prints itself where the inputs have something for it, else nothing.

#ifndef IMX_CLI_REPORT_SECTIONS_H
#define IMX_CLI_REPORT_SECTIONS_H

#include <stdio.h>

#include "imatrix/cli/report/inputs.h"

// What was lost: size against KL divergence, and the numbers of all files. compare; eval, with the
// sizes from quantize.
void section_losses(FILE *page, const report_inputs *inputs);

// The type of every tensor. quantize.
void section_recipes(FILE *page, const report_inputs *inputs);

// Errors (quantize), importance and how uneven it is (show), by layer and kind of tensor.
void section_maps(FILE *page, const report_inputs *inputs);

// How many tokens the experts of each layer have seen. show, collect.
void section_experts(FILE *page, const report_inputs *inputs);

// Whether an imatrix serves its model. check.
void section_findings(FILE *page, const report_inputs *inputs);

// Where all of this comes from: what every input says about itself.
void section_provenance(FILE *page, const report_inputs *inputs);

#endif
