// SPDX-License-Identifier: MIT
//
// With logits z of a row, and lo = max(min z, max z − 16):
//
//     scale = (max z − lo) / 65535      min = lo − lse(z)      code = round((z − lo) / scale)
//
// all in f32, as llama-perplexity computes them, so that either program reads the other's files to
// the same results. An error of half a step is at most 16 / 65535 / 2 = 1.2e−4 in ln p, and its
// sign is random: it adds some 1e−8 to a KL divergence.

#include "calib/evaluation/logits_base.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calib/evaluation/logit_rows.h"
#include "kernels/split.h"
#include "formats/atomic_file.h"
#include "formats/little_endian.h"
#include "formats/memory.h"
#include "formats/output_target.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are written as they lie");

enum { MAGIC_BYTES = 8, HEADER_BYTES = MAGIC_BYTES + 3 * 4, ROW_HEAD_BYTES = 8, MAX_CODE = 65535 };

static const char magic[MAGIC_BYTES + 1] = "_logits_";
static const float range = 16;

// Where the parts of a file lie.
typedef struct layout {
    uint64_t rows_offset;
    uint64_t row_bytes;
    uint64_t n_rows;
    uint64_t file_bytes;
} layout;

static uint64_t rows_of_chunk(uint32_t n_ctx) {
    return n_ctx - 1 - n_ctx / 2;
}

// False when such a file cannot be.
static bool lay_out(layout *l, uint32_t n_ctx, uint32_t n_vocab, uint64_t n_chunks) {
    uint64_t n_tokens, token_bytes, rows_bytes;
    if (n_ctx < 3 || n_vocab == 0 || n_chunks == 0) {
        return false;
    }
    l->row_bytes = ROW_HEAD_BYTES + imx_align_up(n_vocab, 2) * sizeof(uint16_t);
    return imx_mul_u64(n_ctx, n_chunks, &n_tokens) &&
           imx_mul_u64(n_tokens, sizeof(int32_t), &token_bytes) &&
           imx_add_u64(HEADER_BYTES, token_bytes, &l->rows_offset) &&
           imx_mul_u64(rows_of_chunk(n_ctx), n_chunks, &l->n_rows) &&
           imx_mul_u64(l->n_rows, l->row_bytes, &rows_bytes) &&
           imx_add_u64(l->rows_offset, rows_bytes, &l->file_bytes);
}

// ---------------------------------------------------------------------------------------------
// Reading

static imx_status check_size(const imx_logits_base *base, const layout *l, imx_error *err) {
    const uint64_t size_bytes = base->map.size_bytes;
    if (size_bytes < l->file_bytes) {
        const uint64_t rows_bytes = size_bytes > l->rows_offset ? size_bytes - l->rows_offset : 0;
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: has %" PRIu64 " of %" PRIu64 " bytes and ends in chunk %" PRIu64
                        " of %zu; it is truncated, write it anew",
                        base->map.path, size_bytes, l->file_bytes,
                        rows_bytes / l->row_bytes / rows_of_chunk(base->n_ctx) + 1, base->n_chunks);
    }
    if (size_bytes > l->file_bytes) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: has %" PRIu64 " bytes, and its header asks for %" PRIu64
                        "; it is damaged, write it anew",
                        base->map.path, size_bytes, l->file_bytes);
    }
    return IMX_OK;
}

static imx_status read_header(imx_logits_base *base, imx_error *err) {
    const uint8_t *bytes = base->map.data;
    layout l;
    if (base->map.size_bytes < HEADER_BYTES || memcmp(bytes, magic, MAGIC_BYTES) != 0) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: does not begin as a file of predictions does; write one with "
                        "--kl-divergence-base alone",
                        base->map.path);
    }
    base->n_ctx = (uint32_t)imx_load_le(bytes + 8, 4);
    base->n_vocab = (uint32_t)imx_load_le(bytes + 12, 4);
    base->n_chunks = (size_t)imx_load_le(bytes + 16, 4);
    if (!lay_out(&l, base->n_ctx, base->n_vocab, base->n_chunks)) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: byte 8: %zu chunks of %" PRIu32 " tokens of a vocabulary of %" PRIu32
                        " cannot be; it is damaged, write it anew",
                        base->map.path, base->n_chunks, base->n_ctx, base->n_vocab);
    }
    base->tokens = bytes + HEADER_BYTES;
    base->rows = bytes + l.rows_offset;
    base->row_bytes = (size_t)l.row_bytes;
    return check_size(base, &l, err);
}

imx_status imx_logits_base_open(imx_logits_base *base, const char *path, imx_error *err) {
    memset(base, 0, sizeof *base);
    IMX_TRY(imx_file_map_open(&base->map, path, err));
    return read_header(base, err);
}

void imx_logits_base_close(imx_logits_base *base) {
    imx_file_map_close(&base->map);
    memset(base, 0, sizeof *base);
}

static imx_status fill_corpus(imx_corpus *corpus, const imx_logits_base *base, int32_t bos,
                              imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(&corpus->tokens, corpus->n_tokens, sizeof(int32_t), err));
    IMX_TRY(imx_alloc_zeroed(&corpus->starts, corpus->n_chunks + 1, sizeof(size_t), err));
    memcpy(corpus->tokens, base->tokens, corpus->n_tokens * sizeof(int32_t));
    for (size_t c = 0; c <= corpus->n_chunks; ++c) {
        corpus->starts[c] = c * corpus->n_ctx;
    }
    for (size_t c = 0; bos >= 0 && c < corpus->n_chunks; ++c) {
        corpus->tokens[corpus->starts[c]] = bos;
    }
    return IMX_OK;
}

imx_status imx_logits_base_corpus(imx_corpus **out, const imx_logits_base *base, int32_t bos,
                                  uint64_t max_chunks, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(out, 1, sizeof **out, err));
    imx_corpus *corpus = *out;
    corpus->n_ctx = base->n_ctx;
    corpus->n_chunks =
        max_chunks > 0 && max_chunks < base->n_chunks ? (size_t)max_chunks : base->n_chunks;
    corpus->n_tokens = corpus->n_chunks * corpus->n_ctx;
    const imx_status status = fill_corpus(corpus, base, bos, err);
    if (status != IMX_OK) {
        imx_corpus_free(corpus);
        *out = NULL;
    }
    return status;
}

void imx_logits_base_row(const imx_logits_base *base, size_t i, float *ln_p) {
    const uint8_t *row = base->rows + i * base->row_bytes;
    float head[2]; // scale, min
    memcpy(head, row, sizeof head);
    for (size_t j = 0; j < base->n_vocab; ++j) {
        uint16_t code;
        memcpy(&code, row + ROW_HEAD_BYTES + 2 * j, sizeof code);
        ln_p[j] = head[0] * (float)code + head[1];
    }
}

// ---------------------------------------------------------------------------------------------
// Writing

struct imx_logits_writer {
    imx_atomic_file *file;
    size_t n_vocab;
    size_t row_bytes;
    uint8_t *rows; // (IMX_LOGIT_ROWS, row_bytes)
};

static imx_status write_header(imx_logits_writer *writer, const imx_corpus *corpus,
                               imx_error *err) {
    const uint32_t numbers[3] = {corpus->n_ctx, (uint32_t)writer->n_vocab,
                                 (uint32_t)corpus->n_chunks};
    IMX_TRY(imx_atomic_file_write(writer->file, magic, MAGIC_BYTES, err));
    IMX_TRY(imx_atomic_file_write(writer->file, numbers, sizeof numbers, err));
    return imx_atomic_file_write(writer->file, corpus->tokens, corpus->n_tokens * sizeof(int32_t),
                                 err);
}

static imx_status begin_file(imx_logits_writer *writer, const char *path, const imx_corpus *corpus,
                             imx_error *err) {
    layout l;
    if (corpus->n_tokens != corpus->n_chunks * corpus->n_ctx || corpus->n_chunks > INT32_MAX ||
        !lay_out(&l, corpus->n_ctx, (uint32_t)writer->n_vocab, corpus->n_chunks)) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "%s: a file of predictions holds full chunks of at least 3 tokens", path);
    }
    writer->row_bytes = (size_t)l.row_bytes;
    IMX_TRY(imx_disk_space_check(path, l.file_bytes, err));
    IMX_TRY(imx_alloc_zeroed(&writer->rows, IMX_LOGIT_ROWS, writer->row_bytes, err));
    IMX_TRY(imx_atomic_file_open(&writer->file, path, err));
    return write_header(writer, corpus, err);
}

imx_status imx_logits_writer_open(imx_logits_writer **out, const char *path,
                                  const imx_corpus *corpus, uint32_t n_vocab, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(out, 1, sizeof **out, err));
    (*out)->n_vocab = n_vocab;
    const imx_status status = begin_file(*out, path, corpus, err);
    if (status != IMX_OK) {
        imx_logits_writer_abort(*out);
        *out = NULL;
    }
    return status;
}

static void encode_row(const float *logits, size_t n_vocab, uint8_t *row) {
    const imx_row_summary summary = imx_row_summarize(logits, n_vocab);
    const float max = logits[summary.top];
    float low = max;
    for (size_t j = 0; j < n_vocab; ++j) {
        low = logits[j] < low ? logits[j] : low;
    }
    low = fmaxf(low, max - range);
    const float scale = (max - low) / MAX_CODE;
    const float head[2] = {scale, low - max - (float)(summary.lse - (double)max)};
    const float inverse = scale > 0 ? 1 / scale : 0;
    memcpy(row, head, sizeof head);
    for (size_t j = 0; j < n_vocab; ++j) {
        const float code = inverse * (logits[j] - low);
        const uint16_t rounded = code > 0 ? (uint16_t)fminf(nearbyintf(code), MAX_CODE) : 0;
        memcpy(row + ROW_HEAD_BYTES + 2 * j, &rounded, sizeof rounded);
    }
}

imx_status imx_logits_writer_append(imx_logits_writer *writer, const float *logits, size_t n_rows,
                                    int n_threads, imx_error *err) {
#pragma omp parallel for num_threads(n_threads)
    for (size_t i = 0; i < n_rows; ++i) {
        encode_row(logits + i * writer->n_vocab, writer->n_vocab,
                   writer->rows + i * writer->row_bytes);
    }
    return imx_atomic_file_write(writer->file, writer->rows, n_rows * writer->row_bytes, err);
}

imx_status imx_logits_writer_commit(imx_logits_writer *writer, imx_error *err) {
    const imx_status status = imx_atomic_file_commit(writer->file, err);
    writer->file = NULL;
    imx_logits_writer_abort(writer);
    return status;
}

void imx_logits_writer_abort(imx_logits_writer *writer) {
    if (writer != NULL) {
        imx_atomic_file_abort(writer->file);
        free(writer->rows);
        free(writer);
    }
}
