// SPDX-License-Identifier: MIT
//
// The commands of the program, one file each.

#ifndef IMX_CLI_COMMANDS_H
#define IMX_CLI_COMMANDS_H

#include "imatrix/cli/options.h"

extern const cli_command collect_command;
extern const cli_command quantize_command;
extern const cli_command eval_command;
extern const cli_command compare_command;
extern const cli_command show_command;
extern const cli_command diff_command;
extern const cli_command merge_command;
extern const cli_command convert_command;
extern const cli_command check_command;
extern const cli_command inspect_command;
extern const cli_command report_command;
extern const cli_command trace_command;

#endif
