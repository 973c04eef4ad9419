// SPDX-License-Identifier: MIT

#include "imatrix/cli/signals.h"

#include <signal.h>
#include <stddef.h>

#include "imatrix/imatrix.h"

static volatile sig_atomic_t asks_first;
static volatile sig_atomic_t asked_by; // 0: nobody asked

static void die_of(int signal_number) {
    imatrix_remove_temporary_files();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void handle(int signal_number) {
    if (asks_first && asked_by == 0) {
        asked_by = signal_number;
    } else {
        die_of(signal_number);
    }
}

void signals_install(void) {
    static const int fatal_signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof fatal_signals / sizeof *fatal_signals; ++i) {
        struct sigaction action;
        sigaction(fatal_signals[i], NULL, &action);
        if (action.sa_handler != SIG_IGN) {
            action = (struct sigaction){.sa_handler = handle, .sa_flags = SA_RESTART};
            sigemptyset(&action.sa_mask);
            sigaction(fatal_signals[i], &action, NULL);
        }
    }
    signal(SIGXFSZ, SIG_IGN); // a file size limit is then an error like a full disk
}

void signals_ask_first(void) {
    asks_first = 1;
}

bool signals_stop_requested(void) {
    return asked_by != 0;
}

void signals_die_as_asked(void) {
    if (asked_by != 0) {
        die_of(asked_by);
    }
}
