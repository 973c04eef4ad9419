// SPDX-License-Identifier: MIT
//
// llama-perplexity's file of predictions, `--kl-divergence-base`, little-endian:
//
//     char magic[8] = "_logits_"
//     u32  n_ctx                          tokens in a chunk
//     i32  n_vocab, n_chunks
//     i32  tokens[n_chunks][n_ctx]
//     n_chunks × (n_ctx − 1 − n_ctx/2) rows, the scored positions of evaluate.h, each
//         f32 scale, min                  ln p of token j is scale · code[j] + min
//         u16 code[n_vocab]               and one more, unused, when n_vocab is odd
//
// A row thus takes two bytes a token: half a gigabyte for a thousand positions of a vocabulary of
// 256 k. Tokens more than 16 below the best one have the code 0 and an unknown, smaller
// probability.

#ifndef IMX_CALIB_LOGITS_BASE_H
#define IMX_CALIB_LOGITS_BASE_H

#include <stddef.h>
#include <stdint.h>

#include "calib/text/corpus.h"
#include "formats/error.h"
#include "formats/file_map.h"

// ln p at or below this is not compared: it may be that of code 0.
#define IMX_LOGITS_BASE_FLOOR (-16.0)

typedef struct imx_logits_base {
    imx_file_map map;
    uint32_t n_ctx, n_vocab;
    size_t n_chunks;
    const uint8_t *tokens; // of n_chunks · n_ctx i32
    const uint8_t *rows;
    size_t row_bytes;
} imx_logits_base;

// Maps the file at `path` and checks that its size is the one its header asks for: IMX_ERR_FORMAT
// says what is missing. *base is the caller's to imx_logits_base_close, also on failure.
imx_status imx_logits_base_open(imx_logits_base *base, const char *path, imx_error *err);
void imx_logits_base_close(imx_logits_base *base);

// The file's tokens as a corpus, its first `max_chunks` chunks (0 = all). `bos` replaces the first
// token of every chunk unless it is negative: llama-perplexity writes the text's own tokens and
// runs BOS in their place. *out is the caller's to imx_corpus_free.
imx_status imx_logits_base_corpus(imx_corpus **out, const imx_logits_base *base, int32_t bos,
                                  uint64_t max_chunks, imx_error *err);

// ln p (n_vocab) of the i-th scored position.
void imx_logits_base_row(const imx_logits_base *base, size_t i, float *ln_p);

// ---------------------------------------------------------------------------------------------
// Writing

typedef struct imx_logits_writer imx_logits_writer;

// Begins the file `path` for the chunks of `corpus`, all of them full: header and tokens, BOS in
// place. IMX_ERR_IO when the disk has no room for the rows. *out is the caller's until commit or
// abort.
imx_status imx_logits_writer_open(imx_logits_writer **out, const char *path,
                                  const imx_corpus *corpus, uint32_t n_vocab, imx_error *err);

// Appends the next rows: logits (n_rows, n_vocab).
imx_status imx_logits_writer_append(imx_logits_writer *writer, const float *logits, size_t n_rows,
                                    int n_threads, imx_error *err);

// Puts the file in place. Frees `writer` in every case. All rows must have been appended.
imx_status imx_logits_writer_commit(imx_logits_writer *writer, imx_error *err);

// Leaves no file. NULL is fine.
void imx_logits_writer_abort(imx_logits_writer *writer);

#endif
