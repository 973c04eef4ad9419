// SPDX-License-Identifier: MIT
//
// SIGINT, SIGTERM and SIGHUP.

#ifndef IMX_CLI_SIGNALS_H
#define IMX_CLI_SIGNALS_H

#include <stdbool.h>

// From now on they remove the temporary files of unfinished outputs and end the process. Those that
// are ignored (nohup) stay so.
void signals_install(void);

// From now on the first of them only asks: signals_stop_requested() is true, and the work should
// end with what is worth keeping kept. The next one ends the process as before.
void signals_ask_first(void);
bool signals_stop_requested(void);

// Dies of the signal that asked, so that a shell sees it; returns when none did.
void signals_die_as_asked(void);

#endif
