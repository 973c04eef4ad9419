// SPDX-License-Identifier: MIT

#include "quant/pipeline/stage_thread.h"

void imx_stage_thread_init(imx_stage_thread *stage) {
    stage->is_running = false;
    stage->is_closing = false;
    pthread_mutex_init(&stage->mutex, NULL);
    pthread_cond_init(&stage->changed, NULL);
}

imx_status imx_stage_thread_start(imx_stage_thread *stage, void *(*run)(void *), void *context,
                                  imx_error *err) {
    stage->is_running = pthread_create(&stage->id, NULL, run, context) == 0;
    return stage->is_running ? IMX_OK
                             : imx_fail(err, IMX_ERR_MEMORY, "cannot start another thread");
}

void imx_stage_thread_stop(imx_stage_thread *stage) {
    if (stage->is_running) {
        pthread_mutex_lock(&stage->mutex);
        stage->is_closing = true;
        pthread_cond_broadcast(&stage->changed);
        pthread_mutex_unlock(&stage->mutex);
        pthread_join(stage->id, NULL);
    }
    pthread_cond_destroy(&stage->changed);
    pthread_mutex_destroy(&stage->mutex);
}
