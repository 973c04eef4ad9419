// SPDX-License-Identifier: MIT
//
// next_token MODEL.gguf TEXT: our forward pass's next-token distribution behind every token of
// TEXT, as one line of JSON: {"tokens": [ids], "probabilities": [[n_vocab numbers] per token]}.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calib/forward/walk.h"
#include "calib/model/model.h"
#include "calib/text/corpus.h"
#include "calib/tokenizer/tokenizer.h"
#include "formats/memory.h"

static void print_probabilities(const float *logits, size_t n_vocab) {
    double highest = -INFINITY;
    double sum = 0.0;
    for (size_t i = 0; i < n_vocab; ++i) {
        highest = fmax(highest, (double)logits[i]);
    }
    for (size_t i = 0; i < n_vocab; ++i) {
        sum += exp((double)logits[i] - highest);
    }
    for (size_t i = 0; i < n_vocab; ++i) {
        printf("%s%.7g", i > 0 ? "," : "[", exp((double)logits[i] - highest) / sum);
    }
    printf("]");
}

static imx_status run(const char *path, const char *text, imx_error *err) {
    const imx_corpus_options corpus_options = {.n_ctx = 512};
    const imx_walk_options walk_options = {.need_hidden = true};
    imx_model *model = NULL;
    imx_tokenizer *tokenizer = NULL;
    imx_corpus *corpus = NULL;
    imx_head *head = NULL;
    imx_residual_stream *stream = NULL;
    float *hidden;
    float *logits = NULL;
    imx_status status;
    IMX_TRY_GOTO(done, imx_model_open(&model, path, err));
    const size_t n_vocab = imx_model_n_vocab(model);
    IMX_TRY_GOTO(done, imx_tokenizer_open(&tokenizer, imx_model_gguf(model), err));
    IMX_TRY_GOTO(done, imx_corpus_new(&corpus, tokenizer, text, strlen(text), "the argument",
                                      &corpus_options, err));
    const size_t n = corpus->n_tokens;
    IMX_TRY_GOTO(done, imx_residual_stream_new(&stream, n, imx_model_n_embd(model), 0, NULL, err));
    IMX_TRY_GOTO(done, imx_alloc_aligned(&logits, n * n_vocab, sizeof *logits, err));
    IMX_TRY_GOTO(done, imx_walk_run(model, corpus, &walk_options, stream, err));
    IMX_TRY_GOTO(done, imx_residual_stream_load(stream, 0, n, &hidden, err));
    IMX_TRY_GOTO(done, imx_head_open(&head, model, 0, err));
    IMX_TRY_GOTO(done, imx_head_logits(head, hidden, n, logits, err));
    printf("{\"tokens\": [");
    for (size_t i = 0; i < n; ++i) {
        printf("%s%d", i > 0 ? ", " : "", corpus->tokens[i]);
    }
    printf("], \"probabilities\": [");
    for (size_t i = 0; i < n; ++i) {
        printf("%s", i > 0 ? "," : "");
        print_probabilities(logits + i * n_vocab, n_vocab);
    }
    printf("]}\n");
done:
    free(logits);
    imx_residual_stream_free(stream);
    imx_head_close(head);
    imx_corpus_free(corpus);
    imx_tokenizer_close(tokenizer);
    imx_model_close(model);
    return status;
}

int main(int argc, char **argv) {
    imx_error err = {0};
    if (argc != 3) {
        fprintf(stderr, "usage: next_token MODEL.gguf TEXT\n");
        return 2;
    }
    if (run(argv[1], argv[2], &err) != IMX_OK) {
        fprintf(stderr, "next_token: %s\n", err.message);
        return 1;
    }
    return 0;
}
