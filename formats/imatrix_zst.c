// SPDX-License-Identifier: MIT
//
// The imatrix as one zstd frame around the GGUF: `zstd -d` yields what llama-quantize reads.
//
// What compresses is repetition: q, k and v see the same input, gate and up too, and so their sums
// are equal bytes some megabytes apart. Long-distance matching over a window of 128 MiB, the
// largest that `zstd -d` accepts without options, folds them. The rest are float mantissas, nearly
// random, on which effort is wasted: on the sums of two real models `zstd -19 --long=27` leaves 1
// and 1.6 % less than `zstd -3 --long=27`; on sums rounded to 3 digits 3 to 14 % less, forty times
// as slowly. Hence level 3.
//
// Our frames carry content size and checksum. A frame that is read is untrusted: the buffer grows
// with what really comes out, up to the size the frame declares (it need not: a pipe through `zstd`
// leaves it out), and no frame may unfold into more than MAX_RATIO times its size beyond a first
// allowance. Real ones stay below 10.

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "formats/imatrix_codec_internal.h"
#include "formats/memory.h"

enum {
    LEVEL = 3,
    WINDOW_LOG = 27,
    MAX_RATIO = 1000,
    FREE_BYTES = 1 << 28, // that any frame may unfold into
};

static bool recognize_zst(const uint8_t *data, size_t size_bytes) {
    static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    return size_bytes >= sizeof magic && memcmp(data, magic, sizeof magic) == 0;
}

// ---------------------------------------------------------------------------------------------
// Reading

// The most bytes that the frame may unfold into.
static imx_status find_limit(const uint8_t *data, size_t size_bytes, const char *path,
                             uint64_t *limit, imx_error *err) {
    const unsigned long long declared = ZSTD_getFrameContentSize(data, size_bytes);
    *limit = FREE_BYTES + MAX_RATIO * (uint64_t)size_bytes;
    if (declared == ZSTD_CONTENTSIZE_UNKNOWN) {
        return IMX_OK;
    }
    if (declared == ZSTD_CONTENTSIZE_ERROR) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: byte 4: the header of the zstd frame is truncated or damaged; fetch "
                        "the file again",
                        path);
    }
    if (declared > *limit) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: byte 4: the zstd frame announces %llu bytes; no imatrix of this file "
                        "size has more than %" PRIu64,
                        path, declared, *limit);
    }
    *limit = declared;
    return IMX_OK;
}

// One frame and nothing else. *bytes grows and is the caller's to free() also on failure.
static imx_status unfold(ZSTD_DCtx *context, const uint8_t *data, size_t size_bytes,
                         const char *path, uint8_t **bytes, size_t *content_bytes, imx_error *err) {
    uint64_t limit;
    IMX_TRY(find_limit(data, size_bytes, path, &limit, err));
    ZSTD_inBuffer in = {data, size_bytes, 0};
    ZSTD_outBuffer out = {NULL, 0, 0};
    for (size_t left = 1; left != 0;) {
        IMX_TRY(imx_grow(bytes, &out.size, out.pos + ZSTD_DStreamOutSize(), 1, err));
        out.dst = *bytes;
        left = ZSTD_decompressStream(context, &out, &in);
        if (ZSTD_isError(left)) {
            return imx_fail(err, IMX_ERR_FORMAT, "%s: near byte %zu: damaged zstd frame: %s", path,
                            in.pos, ZSTD_getErrorName(left));
        }
        if (out.pos > limit) {
            return imx_fail(err, IMX_ERR_FORMAT,
                            "%s: near byte %zu: the zstd frame holds more than the %" PRIu64
                            " bytes it may; the file is damaged",
                            path, in.pos, limit);
        }
        if (left != 0 && in.pos == in.size && out.pos < out.size) {
            return imx_fail(err, IMX_ERR_FORMAT,
                            "%s: byte %zu: the zstd frame is truncated; fetch the file again", path,
                            in.pos);
        }
    }
    *content_bytes = out.pos;
    if (in.pos != in.size) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: byte %zu: %zu bytes follow the zstd frame; the file is damaged", path,
                        in.pos, in.size - in.pos);
    }
    return IMX_OK;
}

static imx_status parse_zst(imx_imatrix *imatrix, const uint8_t *data, size_t size_bytes,
                            const char *path, imx_error *err) {
    uint8_t *bytes = NULL;
    size_t content_bytes;
    char content_path[PATH_MAX + 16]; // byte offsets in messages are those of the content
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (context == NULL) {
        return imx_fail(err, IMX_ERR_MEMORY, "out of memory: no room to decompress");
    }
    imx_status status = unfold(context, data, size_bytes, path, &bytes, &content_bytes, err);
    ZSTD_freeDCtx(context);
    if (status == IMX_OK) {
        snprintf(content_path, sizeof content_path, "%s (unpacked)", path);
        status = imx_imatrix_codec_gguf.parse(imatrix, bytes, content_bytes, content_path, err);
    }
    free(bytes);
    return status;
}

// ---------------------------------------------------------------------------------------------
// Writing

static imx_status fold(const uint8_t *gguf, size_t gguf_bytes, uint8_t **bytes, size_t *size_bytes,
                       imx_error *err) {
    const size_t bound = ZSTD_compressBound(gguf_bytes);
    IMX_TRY(imx_alloc_zeroed(bytes, bound, 1, err));
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (context == NULL) {
        return imx_fail(err, IMX_ERR_MEMORY, "out of memory: no room to compress");
    }
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, WINDOW_LOG);
    ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    *size_bytes = ZSTD_compress2(context, *bytes, bound, gguf, gguf_bytes);
    ZSTD_freeCCtx(context);
    return ZSTD_isError(*size_bytes) ? imx_fail(err, IMX_ERR_MEMORY, "cannot compress: %s",
                                                ZSTD_getErrorName(*size_bytes))
                                     : IMX_OK;
}

static imx_status serialize_zst(const imx_imatrix *imatrix, uint8_t **bytes, size_t *size_bytes,
                                imx_error *err) {
    uint8_t *gguf;
    size_t gguf_bytes;
    IMX_TRY(imx_imatrix_codec_gguf.serialize(imatrix, &gguf, &gguf_bytes, err));
    const imx_status status = fold(gguf, gguf_bytes, bytes, size_bytes, err);
    free(gguf);
    if (status != IMX_OK) {
        free(*bytes);
        *bytes = NULL;
    }
    return status;
}

const imx_imatrix_codec imx_imatrix_codec_zst = {recognize_zst, parse_zst, serialize_zst};
