// SPDX-License-Identifier: MIT
//
// What `imatrix eval` prints.

#ifndef IMX_CLI_EVAL_REPORT_H
#define IMX_CLI_EVAL_REPORT_H

#include <jansson.h>

#include "imatrix/imatrix.h"

void eval_report_print(const imatrix_evaluation *evaluation);

// The figures as a new object: estimates are {"value", "error"}, probabilities 0..1.
json_t *eval_report_pack(const imatrix_evaluation *evaluation);

// The same for tasks; the object holds every task with the scores of its choices.
void eval_report_print_tasks(const imatrix_task_result *result, imatrix_task_kind kind);
json_t *eval_report_pack_tasks(const imatrix_task_result *result, imatrix_task_kind kind);

#endif
