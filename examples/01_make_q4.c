// SPDX-License-Identifier: MIT
//
// The main job through the library: calibrate, quantize, measure.
//
//     cc 01_make_q4.c -o make_q4 $(pkg-config --cflags --libs imatrix)
//     ./make_q4 model-f16.gguf calibration.txt heldout.txt out.imatrix out.gguf

#include <imatrix/imatrix.h>
#include <stdio.h>

static imatrix_status collect(const char *model, const char *text, const char *imatrix,
                              imatrix_error *error) {
    imatrix_collect_options options;
    imatrix_collect_options_init(&options);
    options.run.model_path = model;
    options.run.texts = &text;
    options.run.n_texts = 1;
    options.out_path = imatrix;
    return imatrix_collect(&options, NULL, error);
}

static imatrix_status quantize(const char *model, const char *imatrix, const char *out,
                               imatrix_error *error) {
    imatrix_quantizer *quantizer;
    imatrix_quantize_options options;
    imatrix_quantize_options_init(&options);
    options.model_path = model;
    options.imatrix_path = imatrix;
    options.recipe = "Q4_K_M";
    imatrix_status status = imatrix_quantizer_open(&quantizer, &options, error);
    if (status == IMATRIX_OK) {
        status = imatrix_quantizer_run(quantizer, out, error);
    }
    imatrix_quantizer_close(quantizer);
    return status;
}

static imatrix_status measure(const char *model, const char *base, const char *text,
                              imatrix_error *error) {
    imatrix_evaluation result;
    imatrix_evaluate_options options;
    imatrix_evaluate_options_init(&options);
    options.model_path = model;
    options.base_path = base;
    options.text_path = text;
    const imatrix_status status = imatrix_evaluate(&options, &result, error);
    if (status == IMATRIX_OK) {
        printf("KL divergence %.6f +/- %.6f nats, same top token %.1f %%\n", result.kl_mean.value,
               result.kl_mean.error, 100.0 * result.top1.value);
    }
    return status;
}

int main(int argc, char **argv) {
    imatrix_error error;
    if (argc != 6) {
        fprintf(stderr, "usage: make_q4 MODEL CALIBRATION_TEXT OTHER_TEXT OUT_IMATRIX OUT_MODEL\n");
        return 2;
    }
    if (collect(argv[1], argv[2], argv[4], &error) != IMATRIX_OK ||
        quantize(argv[1], argv[4], argv[5], &error) != IMATRIX_OK ||
        measure(argv[5], argv[1], argv[3], &error) != IMATRIX_OK) {
        fprintf(stderr, "make_q4: %s\n", error.message);
        return 1;
    }
    return 0;
}
