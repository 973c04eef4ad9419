// SPDX-License-Identifier: MIT
//
// Writes every golden model to a folder, for another implementation to run: NAME.gguf, and the
// tokens to run it on as an I32 tensor "tokens" in NAME.tokens.gguf. With a name, only that model.
//
//     write_golden_models [--wide] FOLDER [NAME]
//
// Wide models can be quantized: the same ones with eight times the heads, so that rows are whole
// blocks, and with a vocabulary that has room for the characters of a text. They come without
// tokens, and have no golden values.

#include <stdio.h>
#include <string.h>

#include "golden_models.h"

static imx_status put_tokens(imx_gguf_builder *builder, const golden_model *model, FILE *file,
                             imx_error *err) {
    int32_t tokens[GOLDEN_MAX_TOKENS];
    uint8_t *header;
    size_t n_bytes;
    const uint64_t n_tokens = golden_tokens(model, tokens);
    IMX_TRY(imx_gguf_add_tensor(builder, "tokens", IMX_TYPE_I32, 1, &n_tokens, err));
    IMX_TRY(imx_gguf_builder_header(builder, &header, &n_bytes, err));
    fwrite(header, 1, n_bytes, file);
    golden_write_padded(tokens, (size_t)n_tokens * sizeof *tokens, file);
    free(header);
    return IMX_OK;
}

static imx_status write_tokens(const golden_model *model, FILE *file, imx_error *err) {
    imx_gguf_builder *builder;
    IMX_TRY(imx_gguf_builder_new(&builder, err));
    const imx_status status = put_tokens(builder, model, file, err);
    imx_gguf_builder_free(builder);
    return status;
}

static imx_status write_weights(const golden_model *model, FILE *file, imx_error *err) {
    return golden_write(model, NULL, file, err);
}

typedef imx_status write_fn(const golden_model *model, FILE *file, imx_error *err);

static imx_status write_file(const golden_model *model, const char *folder, const char *ending,
                             write_fn *write, imx_error *err) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s%s", folder, model->name, ending);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        return imx_fail(err, IMX_ERR_IO, "%s: cannot be written", path);
    }
    const imx_status status = write(model, file, err);
    if (fclose(file) != 0) {
        return imx_fail(err, IMX_ERR_IO, "%s: cannot be written", path);
    }
    return status;
}

static imx_status write_model(const golden_model *model, const char *folder, imx_error *err) {
    IMX_TRY(write_file(model, folder, ".gguf", write_weights, err));
    return write_file(model, folder, ".tokens.gguf", write_tokens, err);
}

// Of a letter that comes twice in the sizes the first counts.
static imx_status write_wide(const golden_model *model, const char *folder, imx_error *err) {
    const unsigned long long n_embd = 8 * golden_size(model, 'E');
    const unsigned long long n_heads = 8 * golden_size(model, 'H');
    const unsigned long long n_groups = golden_size(model, 'G');
    const bool is_grouped = n_groups < golden_size(model, 'H');
    // A file that does not say how wide experts are means F / U.
    const bool is_shared_out = strstr(model->keys, "expert_feed_forward_length") == NULL &&
                               strstr(model->layers, ",W,X") != NULL;
    const unsigned long long n_ff = 256 * (is_shared_out ? golden_size(model, 'U') : 1);
    char sizes[2 * GOLDEN_MAX_WORD];
    snprintf(sizes, sizeof sizes, "E%llu H%llu G%llu F%llu W256 S256 A256 C256 N32 V96 %s", n_embd,
             n_heads, is_grouped ? n_groups : n_heads, n_ff, model->sizes);
    golden_model wide = *model;
    wide.sizes = sizes;
    return write_file(&wide, folder, ".gguf", write_weights, err);
}

int main(int n_args, char **args) {
    imx_error err;
    const bool is_wide = n_args > 1 && strcmp(args[1], "--wide") == 0;
    const int n_words = n_args - 1 - is_wide;
    char **words = args + 1 + is_wide;
    if (n_words != 1 && n_words != 2) {
        fprintf(stderr, "usage: %s [--wide] FOLDER [NAME]\n", args[0]);
        return 2;
    }
    for (size_t i = 0; i < GOLDEN_N_MODELS; ++i) {
        const golden_model *model = &golden_models[i];
        if (n_words == 2 && strcmp(words[1], model->name) != 0) {
            continue;
        }
        if ((is_wide ? write_wide : write_model)(model, words[0], &err) != IMX_OK) {
            fprintf(stderr, "%s: %s\n", model->name, err.message);
            return 1;
        }
        printf("%s\n", model->name);
    }
    return 0;
}
