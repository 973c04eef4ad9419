// SPDX-License-Identifier: MIT
//
// The first byte says which tasks the others are: an error, or tasks whose texts can all be read.

#include <stdlib.h>

#include "calib/evaluation/task_file.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile char sink; // so that no read is left out

static void read_text(imx_str text) {
    for (size_t i = 0; i < text.len; ++i) {
        sink = text.data[i];
    }
}

static void read_all(const imx_task_file *file) {
    for (size_t t = 0; t < file->n_tasks; ++t) {
        const imx_task *task = &file->tasks[t];
        read_text(task->head);
        read_text(task->tail);
        if (task->n_choices == 0) {
            abort();
        }
        for (size_t i = 0; i < task->n_choices; ++i) {
            read_text(file->choices[task->first_choice + i].text);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[MEMORY_FILE_PATH];
    FILE *memory = open_memory_file(path);
    imx_task_file file;
    imx_error err = {0};
    if (memory == NULL || size == 0) {
        return 0;
    }
    fwrite(data + 1, 1, size - 1, memory);
    fflush(memory);
    const uint64_t max_tasks = data[0] / IMX_N_TASK_KINDS;
    if (imx_task_file_open(&file, path, (imx_task_kind)(data[0] % IMX_N_TASK_KINDS), max_tasks,
                           &err) == IMX_OK) {
        read_all(&file);
    } else if (err.message[0] == '\0') {
        abort();
    }
    imx_task_file_close(&file);
    fclose(memory);
    return 0;
}
