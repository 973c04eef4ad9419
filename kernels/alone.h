// SPDX-License-Identifier: MIT
//
// The conditions under which oneDNN may be called: on this thread alone, and not to be disturbed.
//
// oneDNN cuts a product for the threads it may use, and a cut along k changes the bits. It asks
// omp_get_max_threads, a setting of each thread: set to one for the call, the cut depends on the
// shape only. Inside a team of several it would use one thread anyway; a team of one does not count
// as parallel for OpenMP, and there it would not.
//
// Kernels of oneDNN 2.6 use the stack pointer as a general register, with a buffer of the heap
// behind it: a signal handler that runs meanwhile writes its frame over the heap. So signals wait
// until the call is over, a few milliseconds.

#ifndef IMX_KERNELS_ALONE_H
#define IMX_KERNELS_ALONE_H

#include <omp.h>
#include <signal.h>

typedef struct imx_alone {
    int max_threads;
    sigset_t signals;
} imx_alone;

static inline imx_alone imx_alone_begin(void) {
    imx_alone before = {.max_threads = omp_get_max_threads()};
    sigset_t all_signals;
    sigfillset(&all_signals);
    pthread_sigmask(SIG_SETMASK, &all_signals, &before.signals);
    omp_set_num_threads(1);
    return before;
}

static inline void imx_alone_end(const imx_alone *before) {
    omp_set_num_threads(before->max_threads);
    pthread_sigmask(SIG_SETMASK, &before->signals, NULL);
}

#endif
