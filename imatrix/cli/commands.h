// SPDX-License-Identifier: MIT
//
// The commands of the program, one file each.

#ifndef IMX_CLI_COMMANDS_H
#define IMX_CLI_COMMANDS_H

#include "imatrix/cli/options.h"

extern const cli_command collect_command;
extern const cli_command quantize_command;
extern const cli_command eval_command;

#endif
