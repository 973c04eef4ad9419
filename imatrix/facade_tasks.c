// SPDX-License-Identifier: MIT
//
// imatrix_run_tasks: model and tasks in, right and wrong choices out.

#include <assert.h>
#include <stdlib.h>

#include "calib/evaluation/tasks.h"
#include "formats/memory.h"
#include "imatrix/facade.h"

static_assert((int)IMATRIX_TASKS_WINOGRANDE == (int)IMX_TASKS_WINOGRANDE &&
                  (int)IMATRIX_TASKS_MULTIPLE_CHOICE == (int)IMX_TASKS_MULTIPLE_CHOICE,
              "public and internal kinds have the same numbers");

void imatrix_task_options_init(imatrix_task_options *options) {
    *options = (imatrix_task_options){.struct_size = sizeof *options};
}

static imx_status check_options(const imatrix_task_options *options, imx_error *err) {
    if (options->struct_size != sizeof *options) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "imatrix_task_options was not initialised by this version's _init");
    }
    if (options->model_path == NULL || options->tasks_path == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "a model and tasks are needed");
    }
    if ((unsigned)options->kind >= IMX_N_TASK_KINDS) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "%d is no kind of tasks", (int)options->kind);
    }
    return IMX_OK;
}

// Takes the array ln_p out of `run`.
static imx_status publish_result(imx_task_result *run, imatrix_task_result *result,
                                 imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(&result->tasks, run->n_tasks, sizeof *result->tasks, err));
    result->n_tasks = run->n_tasks;
    for (size_t i = 0; i < run->n_tasks; ++i) {
        const imx_task_outcome *outcome = &run->tasks[i];
        result->n_right += outcome->is_right;
        result->tasks[i] = (imatrix_task_outcome){
            .number = outcome->number,
            .ln_p = run->ln_p + outcome->first_choice,
            .n_choices = outcome->n_choices,
            .chosen = outcome->chosen,
            .is_right = outcome->is_right,
        };
    }
    result->accuracy = (imatrix_estimate){run->accuracy.value, run->accuracy.error};
    result->interval[0] = run->interval[0];
    result->interval[1] = run->interval[1];
    result->chance = run->chance;
    result->memory = run->ln_p;
    run->ln_p = NULL;
    return IMX_OK;
}

static imx_status run_tasks(const imatrix_task_options *options, imatrix_task_result *result,
                            imx_error *err) {
    const imx_progress progress = imx_adapt_progress(&options->progress);
    const imx_task_options run_options = {
        .n_threads = options->n_threads,
        .progress = &progress,
    };
    imx_model *model = NULL;
    imx_task_file file = {0};
    imx_task_result run = {0};
    imx_status status;
    IMX_TRY(check_options(options, err));
    IMX_TRY_GOTO(done, imx_model_open(&model, options->model_path, err));
    IMX_TRY_GOTO(done, imx_task_file_open(&file, options->tasks_path, (imx_task_kind)options->kind,
                                          options->max_tasks, err));
    IMX_TRY_GOTO(done, imx_tasks_run(&run, model, &file, &run_options, err));
    status = publish_result(&run, result, err);
done:
    imx_task_result_free(&run);
    imx_task_file_close(&file);
    imx_model_close(model);
    return status;
}

imatrix_status imatrix_run_tasks(const imatrix_task_options *options, imatrix_task_result *result,
                                 imatrix_error *error) {
    imx_error err = {0};
    *result = (imatrix_task_result){0};
    return imx_publish_error(run_tasks(options, result, &err), &err, error);
}

void imatrix_task_result_free(imatrix_task_result *result) {
    free(result->tasks);
    free(result->memory);
    *result = (imatrix_task_result){0};
}
