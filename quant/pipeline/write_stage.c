// SPDX-License-Identifier: MIT
//
// Turns are numbered: turn t uses slot t mod N_SLOTS. The encoders have put n_put of them and the
// thread has written n_written; the slots between belong to the thread. After a failure the thread
// goes on to take jobs but writes none, so nobody waits in vain.

#include "quant/pipeline/write_stage.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"
#include "quant/pipeline/stage_thread.h"

enum { N_SLOTS = 3 }; // one being filled, one being written, one between

typedef struct write_slot {
    uint8_t *buffer;
    imx_write_job job;
} write_slot;

struct imx_write_stage {
    imx_output_files *files;
    write_slot slots[N_SLOTS];
    imx_stage_thread thread; // its mutex guards all below
    uint64_t n_put;
    uint64_t n_written;
    imx_status status; // of the first write that failed
    imx_error error;
};

// ---- the thread --------------------------------------------------------------------------------

static imx_status write_job(imx_output_files *files, const imx_write_job *job, imx_error *err) {
    static const uint8_t zeros[4096];
    const uint64_t end = job->offset + job->size_bytes + job->n_zeros;
    IMX_TRY(imx_output_files_write(files, job->item, job->offset, job->data, job->size_bytes, err));
    for (size_t left = job->n_zeros; left > 0;) {
        const size_t n = left < sizeof zeros ? left : sizeof zeros;
        IMX_TRY(imx_output_files_write(files, job->item, end - left, zeros, n, err));
        left -= n;
    }
    return IMX_OK;
}

static void *write_jobs(void *context) {
    imx_write_stage *stage = context;
    pthread_mutex_lock(&stage->thread.mutex);
    for (;;) {
        while (stage->n_written == stage->n_put && !stage->thread.is_closing) {
            pthread_cond_wait(&stage->thread.changed, &stage->thread.mutex);
        }
        if (stage->n_written == stage->n_put) {
            break;
        }
        if (stage->status == IMX_OK) {
            const imx_write_job *job = &stage->slots[stage->n_written % N_SLOTS].job;
            imx_error error = {0};
            pthread_mutex_unlock(&stage->thread.mutex);
            const imx_status status = write_job(stage->files, job, &error);
            pthread_mutex_lock(&stage->thread.mutex);
            stage->status = status;
            stage->error = error;
        }
        ++stage->n_written;
        pthread_cond_broadcast(&stage->thread.changed);
    }
    pthread_mutex_unlock(&stage->thread.mutex);
    return NULL;
}

// ---- the encoders' side ------------------------------------------------------------------------

uint64_t imx_write_stage_memory(size_t buffer_bytes) {
    return (uint64_t)N_SLOTS * buffer_bytes;
}

static imx_status start(imx_write_stage *stage, size_t buffer_bytes, imx_error *err) {
    for (size_t i = 0; i < N_SLOTS; ++i) {
        IMX_TRY(imx_alloc_aligned(&stage->slots[i].buffer, buffer_bytes, 1, err));
    }
    return imx_stage_thread_start(&stage->thread, write_jobs, stage, err);
}

imx_status imx_write_stage_open(imx_write_stage **out, imx_output_files *files, size_t buffer_bytes,
                                imx_error *err) {
    imx_write_stage *stage;
    *out = NULL;
    IMX_TRY(imx_alloc_zeroed(&stage, 1, sizeof *stage, err));
    stage->files = files;
    imx_stage_thread_init(&stage->thread);
    const imx_status status = start(stage, buffer_bytes, err);
    if (status != IMX_OK) {
        imx_write_stage_close(stage);
        return status;
    }
    *out = stage;
    return IMX_OK;
}

// Waits until at most `n_pending` jobs are left.
static imx_status wait_for(imx_write_stage *stage, uint64_t n_pending, imx_error *err) {
    pthread_mutex_lock(&stage->thread.mutex);
    while (stage->n_put - stage->n_written > n_pending) {
        pthread_cond_wait(&stage->thread.changed, &stage->thread.mutex);
    }
    const imx_status status = stage->status;
    if (status != IMX_OK && err != NULL) {
        *err = stage->error;
    }
    pthread_mutex_unlock(&stage->thread.mutex);
    return status;
}

imx_status imx_write_stage_turn(imx_write_stage *stage, uint8_t **buffer, imx_error *err) {
    IMX_TRY(wait_for(stage, N_SLOTS - 1, err));
    *buffer = stage->slots[stage->n_put % N_SLOTS].buffer; // only this side changes n_put
    return IMX_OK;
}

void imx_write_stage_put(imx_write_stage *stage, const imx_write_job *job) {
    pthread_mutex_lock(&stage->thread.mutex);
    stage->slots[stage->n_put % N_SLOTS].job = *job;
    ++stage->n_put;
    pthread_cond_broadcast(&stage->thread.changed);
    pthread_mutex_unlock(&stage->thread.mutex);
}

imx_status imx_write_stage_finish(imx_write_stage *stage, imx_error *err) {
    return wait_for(stage, 0, err);
}

void imx_write_stage_close(imx_write_stage *stage) {
    if (stage == NULL) {
        return;
    }
    imx_stage_thread_stop(&stage->thread);
    for (size_t i = 0; i < N_SLOTS; ++i) {
        free(stage->slots[i].buffer);
    }
    free(stage);
}
