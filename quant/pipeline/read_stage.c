// SPDX-License-Identifier: MIT
//
// A position is a byte of the files laid end to end. The thread reads up to WINDOW_BYTES beyond the
// farthest position anybody has wanted, by hashing: touching the mapped pages is what brings them
// in, and the hash of all bytes is wanted anyway. The encoders wait for it, so that the disk is
// read once and in order, however slow it is.
//
// Mapped pages count as ours until they are given back. The thread gives back what lies two windows
// behind it: one window behind the position wanted last, which is more than encoders and writer
// have in hand. So it is bounded also where nobody wants the data: pruned layers, or the tensors an
// earlier run has finished.

#include "quant/pipeline/read_stage.h"

#include <stdbool.h>
#include <stdlib.h>

#include "formats/file_hash.h"
#include "formats/file_map.h"
#include "formats/memory.h"
#include "quant/pipeline/stage_thread.h"

#define WINDOW_BYTES (UINT64_C(64) << 20)
#define CHUNK_BYTES  (UINT64_C(1) << 20)

// How far ahead of the hash the disk is kept busy.
#define DISK_LEAD_BYTES (UINT64_C(8) << 20)

// Whole pages only are given back, so a little of the range before is named again.
#define PAGE_OVERLAP_BYTES (UINT64_C(64) << 10)

struct imx_read_stage {
    const imx_gguf *source;
    XXH128_hash_t hash;      // when is_done
    uint64_t n_released;     // positions before it have been given back
    imx_stage_thread thread; // its mutex guards all below
    uint64_t n_read;
    uint64_t n_wanted;
    bool is_done;
};

// ---- the thread --------------------------------------------------------------------------------

static uint64_t min_u64(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static void release_until(imx_read_stage *stage, uint64_t end) {
    uint64_t file_begin = 0;
    for (size_t i = 0; i < imx_gguf_n_files(stage->source) && file_begin < end; ++i) {
        const imx_file_map *map = &imx_gguf_file(stage->source, i)->map;
        const uint64_t file_end = file_begin + map->size_bytes;
        if (stage->n_released < file_end) {
            const uint64_t done =
                stage->n_released > file_begin ? stage->n_released - file_begin : 0;
            const uint64_t from = done - min_u64(done, PAGE_OVERLAP_BYTES);
            imx_file_map_release(map->data + from, min_u64(end, file_end) - file_begin - from);
        }
        file_begin = file_end;
    }
    stage->n_released = end;
}

// Waits for permission to read the next chunk; false when the stage is closed.
static bool may_read(imx_read_stage *stage) {
    pthread_mutex_lock(&stage->thread.mutex);
    while (stage->n_read > stage->n_wanted && stage->n_read - stage->n_wanted >= WINDOW_BYTES &&
           !stage->thread.is_closing) {
        pthread_cond_wait(&stage->thread.changed, &stage->thread.mutex);
    }
    const bool is_open = !stage->thread.is_closing;
    pthread_mutex_unlock(&stage->thread.mutex);
    return is_open;
}

static void publish(imx_read_stage *stage, uint64_t n_bytes, bool is_done) {
    pthread_mutex_lock(&stage->thread.mutex);
    stage->n_read += n_bytes;
    stage->is_done = is_done;
    pthread_cond_broadcast(&stage->thread.changed);
    pthread_mutex_unlock(&stage->thread.mutex);
}

static bool read_file(imx_read_stage *stage, const imx_file_map *map, XXH3_state_t *hash) {
    for (uint64_t offset = 0; offset < map->size_bytes; offset += CHUNK_BYTES) {
        const uint64_t n_left = map->size_bytes - offset;
        const uint64_t n_bytes = min_u64(n_left, CHUNK_BYTES);
        if (!may_read(stage)) {
            return false;
        }
        if (n_left > DISK_LEAD_BYTES) {
            imx_file_map_will_need(map->data + offset + DISK_LEAD_BYTES,
                                   min_u64(n_left - DISK_LEAD_BYTES, CHUNK_BYTES));
        }
        XXH3_128bits_update(hash, map->data + offset, (size_t)n_bytes);
        publish(stage, n_bytes, false);
        if (stage->n_read > 2 * WINDOW_BYTES) { // only this thread changes it
            release_until(stage, stage->n_read - 2 * WINDOW_BYTES);
        }
    }
    return true;
}

static void *read_files(void *context) {
    imx_read_stage *stage = context;
    XXH3_state_t hash;
    XXH3_128bits_reset(&hash);
    for (size_t i = 0; i < imx_gguf_n_files(stage->source); ++i) {
        if (!read_file(stage, &imx_gguf_file(stage->source, i)->map, &hash)) {
            break;
        }
    }
    stage->hash = XXH3_128bits_digest(&hash);
    publish(stage, 0, true);
    return NULL;
}

// ---- the encoders' side ------------------------------------------------------------------------

uint64_t imx_read_stage_memory(const imx_gguf *source) {
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < imx_gguf_n_files(source); ++i) {
        n_bytes += imx_gguf_file(source, i)->map.size_bytes;
    }
    return min_u64(n_bytes, 3 * WINDOW_BYTES); // one ahead, two behind
}

imx_status imx_read_stage_open(imx_read_stage **out, const imx_gguf *source, imx_error *err) {
    imx_read_stage *stage;
    *out = NULL;
    IMX_TRY(imx_alloc_zeroed(&stage, 1, sizeof *stage, err));
    stage->source = source;
    imx_stage_thread_init(&stage->thread);
    const imx_status status = imx_stage_thread_start(&stage->thread, read_files, stage, err);
    if (status != IMX_OK) {
        imx_read_stage_close(stage);
        return status;
    }
    *out = stage;
    return IMX_OK;
}

static void wait_until(imx_read_stage *stage, uint64_t position) {
    pthread_mutex_lock(&stage->thread.mutex);
    if (position > stage->n_wanted) {
        stage->n_wanted = position;
        pthread_cond_broadcast(&stage->thread.changed);
    }
    while (stage->n_read < position && !stage->is_done) {
        pthread_cond_wait(&stage->thread.changed, &stage->thread.mutex);
    }
    pthread_mutex_unlock(&stage->thread.mutex);
}

void imx_read_stage_want(imx_read_stage *stage, const imx_gguf_tensor *tensor,
                         uint64_t size_bytes) {
    uint64_t file_begin = 0;
    for (size_t i = 0; i < tensor->shard; ++i) {
        file_begin += imx_gguf_file(stage->source, i)->map.size_bytes;
    }
    const imx_file_map *map = &imx_gguf_file(stage->source, tensor->shard)->map;
    if (map->size_bytes > 0) { // else the caller has it in memory
        wait_until(stage, file_begin + (uint64_t)(tensor->data - map->data) + size_bytes);
    }
}

void imx_read_stage_hash(imx_read_stage *stage, char hex[33]) {
    wait_until(stage, UINT64_MAX);
    imx_hash_to_hex(stage->hash, hex);
}

void imx_read_stage_close(imx_read_stage *stage) {
    if (stage == NULL) {
        return;
    }
    imx_stage_thread_stop(&stage->thread);
    free(stage);
}
