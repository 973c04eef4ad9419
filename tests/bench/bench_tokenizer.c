// SPDX-License-Identifier: MIT
//
// Tokenizes a file and does nothing else: bench_tokenizer MODEL TEXT. Special tokens are parsed and
// added, as llama-tokenize does. Prints the number of tokens and the seconds without reading.

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "calib/tokenizer/tokenizer.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static _Noreturn void die(const char *message) {
    fprintf(stderr, "bench_tokenizer: %s\n", message);
    exit(2);
}

// The whole file, the caller's to free().
static char *read_text(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        die("cannot open the text");
    }
    const long size = ftell(file);
    rewind(file);
    char *text = size > 0 ? malloc((size_t)size) : NULL;
    if (text == NULL || fread(text, 1, (size_t)size, file) != (size_t)size) {
        die("cannot read the text, or it is empty");
    }
    fclose(file);
    *len = (size_t)size;
    return text;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        die("bench_tokenizer MODEL TEXT");
    }
    imx_gguf *gguf;
    imx_tokenizer *tokenizer;
    imx_error err;
    if (imx_gguf_open(&gguf, argv[1], &err) != IMX_OK ||
        imx_tokenizer_open(&tokenizer, gguf, &err) != IMX_OK) {
        die(err.message);
    }
    imx_gguf_close(gguf);
    size_t len;
    char *text = read_text(argv[2], &len);
    imx_tokens tokens = {0};
    const double start = now();
    if (imx_tokenize(tokenizer, text, len, true, true, &tokens, &err) != IMX_OK) {
        die(err.message);
    }
    printf("%zu tokens, %.2f CPU seconds\n", tokens.n, now() - start);
    imx_tokens_free(&tokens);
    imx_tokenizer_close(tokenizer);
    free(text);
    return 0;
}
