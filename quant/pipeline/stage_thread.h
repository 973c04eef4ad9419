// SPDX-License-Identifier: MIT
//
// The thread of a pipeline's stage, and what it and the encoders wait on for each other.

#ifndef IMX_QUANT_STAGE_THREAD_H
#define IMX_QUANT_STAGE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "formats/error.h"

typedef struct imx_stage_thread {
    pthread_t id;
    bool is_running;
    pthread_mutex_t mutex; // guards what the two sides share, is_closing with it
    pthread_cond_t changed;
    bool is_closing; // the thread should finish
} imx_stage_thread;

// Before anything else, also before _stop.
void imx_stage_thread_init(imx_stage_thread *stage);

// Starts `run` with `context`.
imx_status imx_stage_thread_start(imx_stage_thread *stage, void *(*run)(void *), void *context,
                                  imx_error *err);

// Sets is_closing, wakes the thread if it was started, and waits for its end.
void imx_stage_thread_stop(imx_stage_thread *stage);

#endif
