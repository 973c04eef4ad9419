// SPDX-License-Identifier: MIT
//
// The legacy format of 2023, little-endian, without magic or version:
//
//     i32 n_entries
//     n_entries × { i32 len, char name[len], i32 n_calls, i32 n_values, f32 values[n_values] }
//     i32 last_chunk, i32 len, char dataset[len]         (may be absent)
//
// A value is the mean squared input times n_calls. n_calls was the number of chunks; all a reader
// can do with it is divide by it (0 counts as 1), so it is a scale and the weight of a merge. We
// read it as the count of an entry with chunk_size = 1, whose sums of squares are then the values
// themselves: mean = in_sum2 / counts holds as in every other format, and what was read is written
// back with the same values.
//
// Writing from real counts, n_calls = ceil(max count / chunk_size), and the matrices of an entry
// share it. A matrix that has seen nothing gets the mean 1, as llama.cpp does: quantizers take
// equal weights for none. An entry without any count is left out.

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "formats/imatrix_codec_internal.h"
#include "formats/memory.h"

enum {
    // What makes the first bytes of a file plausible; real models have a few thousand entries.
    MAX_ENTRIES = 1 << 20,
    MAX_NAME = 1 << 10,
};

// ---------------------------------------------------------------------------------------------
// Reading

typedef struct dat_cursor {
    const uint8_t *data;
    size_t size_bytes;
    size_t pos;
    const char *path;
    imx_error *err;
} dat_cursor;

static imx_status take_bytes(dat_cursor *c, size_t n_bytes, const uint8_t **bytes) {
    if (n_bytes > c->size_bytes - c->pos) {
        return imx_fail(c->err, IMX_ERR_FORMAT,
                        "%s: byte %zu: %zu more bytes are announced but the file ends after %zu; "
                        "it is truncated or damaged, fetch it again",
                        c->path, c->pos, n_bytes, c->size_bytes - c->pos);
    }
    *bytes = c->data + c->pos;
    c->pos += n_bytes;
    return IMX_OK;
}

// Takes an i32 that must lie in low..high.
static imx_status take_i32(dat_cursor *c, const char *what, int32_t low, int32_t high,
                           int32_t *value) {
    const uint8_t *bytes;
    IMX_TRY(take_bytes(c, sizeof *value, &bytes));
    memcpy(value, bytes, sizeof *value);
    if (*value < low || *value > high) {
        return imx_fail(c->err, IMX_ERR_FORMAT,
                        "%s: byte %zu: %s is %d, which cannot be; the file is damaged", c->path,
                        c->pos - sizeof *value, what, *value);
    }
    return IMX_OK;
}

static imx_status take_dat_name(dat_cursor *c, const char *what, int32_t min_len, int32_t max_len,
                                const char **name, size_t *len) {
    int32_t n;
    const uint8_t *bytes;
    IMX_TRY(take_i32(c, what, min_len, max_len, &n));
    IMX_TRY(take_bytes(c, (size_t)n, &bytes));
    if (memchr(bytes, 0, (size_t)n) != NULL) {
        return imx_fail(c->err, IMX_ERR_FORMAT,
                        "%s: byte %zu: a name holds a NUL; the file is damaged", c->path,
                        c->pos - (size_t)n);
    }
    *name = (const char *)bytes;
    *len = (size_t)n;
    return IMX_OK;
}

static imx_status read_dat_entry(dat_cursor *c, imx_imatrix *imatrix) {
    const char *name;
    size_t name_len;
    int32_t n_calls;
    int32_t n_values;
    const uint8_t *values;
    imx_imatrix_entry *entry;
    IMX_TRY(take_dat_name(c, "the length of a name", 1, MAX_NAME, &name, &name_len));
    IMX_TRY(take_i32(c, "the number of calls", 0, INT32_MAX, &n_calls));
    IMX_TRY(take_i32(c, "the number of values", 1, INT32_MAX, &n_values));
    IMX_TRY(take_bytes(c, (size_t)n_values * sizeof(float), &values));
    IMX_TRY(
        imx_imatrix_append(imatrix, name, name_len, (uint64_t)n_values, 1, false, &entry, c->err));
    entry->counts[0] = n_calls > 0 ? n_calls : 1;
    for (int32_t i = 0; i < n_values; ++i) {
        float value;
        memcpy(&value, values + (size_t)i * sizeof value, sizeof value);
        entry->in_sum2[i] = (double)value;
    }
    return IMX_OK;
}

static imx_status read_trailer(dat_cursor *c, imx_imatrix *imatrix) {
    const char *dataset;
    size_t len;
    int32_t last_chunk;
    if (c->pos == c->size_bytes) {
        return IMX_OK;
    }
    IMX_TRY(take_i32(c, "the last chunk", 0, INT32_MAX, &last_chunk));
    IMX_TRY(take_dat_name(c, "the length of the dataset name", 0, INT32_MAX, &dataset, &len));
    if (c->pos != c->size_bytes) {
        return imx_fail(
            c->err, IMX_ERR_FORMAT,
            "%s: byte %zu: %zu bytes follow the end of the imatrix; the file is damaged", c->path,
            c->pos, c->size_bytes - c->pos);
    }
    imatrix->chunk_count = (uint32_t)last_chunk;
    return len > 0 ? imx_imatrix_append_dataset(imatrix, dataset, len, c->err) : IMX_OK;
}

static bool recognize_dat(const uint8_t *data, size_t size_bytes) {
    int32_t first[2]; // n_entries, length of the first name
    if (size_bytes < sizeof first) {
        return false;
    }
    memcpy(first, data, sizeof first);
    return first[0] >= 1 && first[0] <= MAX_ENTRIES && first[1] >= 1 && first[1] <= MAX_NAME;
}

static imx_status parse_dat(imx_imatrix *imatrix, const uint8_t *data, size_t size_bytes,
                            const char *path, imx_error *err) {
    dat_cursor c = {data, size_bytes, 0, path, err};
    int32_t n_entries;
    IMX_TRY(take_i32(&c, "the number of entries", 1, MAX_ENTRIES, &n_entries));
    for (int32_t i = 0; i < n_entries; ++i) {
        IMX_TRY(read_dat_entry(&c, imatrix));
    }
    imx_imatrix_sort(imatrix);
    return read_trailer(&c, imatrix);
}

// ---------------------------------------------------------------------------------------------
// Writing

static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t n_bytes) {
    memcpy(at, bytes, n_bytes);
    return at + n_bytes;
}

static uint8_t *put_i32(uint8_t *at, uint64_t value) {
    const int32_t narrow = (int32_t)value;
    return put_bytes(at, &narrow, sizeof narrow);
}

static uint8_t *put_dat_name(uint8_t *at, const char *name) {
    at = put_i32(at, strlen(name));
    return put_bytes(at, name, strlen(name));
}

// ceil(max count / chunk_size); 0 when the entry has no data.
static double n_calls_of(const imx_imatrix_entry *entry, uint32_t chunk_size) {
    double max = 0;
    for (uint64_t i = 0; i < entry->n_mats; ++i) {
        max = fmax(max, entry->counts[i]);
    }
    return ceil(max / chunk_size);
}

static uint8_t *put_dat_entry(uint8_t *at, const imx_imatrix_entry *entry, double n_calls) {
    at = put_dat_name(at, entry->name);
    at = put_i32(at, (uint64_t)n_calls);
    at = put_i32(at, entry->n_cols * entry->n_mats);
    for (uint64_t i = 0; i < entry->n_cols * entry->n_mats; ++i) {
        const double count = entry->counts[i / entry->n_cols];
        const double mean = count > 0 ? entry->in_sum2[i] / count : 1;
        const float value = (float)fmin(mean * n_calls, FLT_MAX);
        at = put_bytes(at, &value, sizeof value);
    }
    return at;
}

static const char *last_dataset(const imx_imatrix *imatrix) {
    return imatrix->n_datasets > 0 ? imatrix->datasets[imatrix->n_datasets - 1] : "";
}

// Counts the entries that have data and the bytes of the file, and checks what its i32 can hold.
static imx_status measure_dat(const imx_imatrix *imatrix, uint64_t *n_entries, size_t *size_bytes,
                              imx_error *err) {
    *n_entries = 0;
    *size_bytes = 3 * sizeof(int32_t) + strlen(last_dataset(imatrix));
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        const imx_imatrix_entry *entry = &imatrix->entries[i];
        const uint64_t n_values = entry->n_cols * entry->n_mats;
        const double n_calls = n_calls_of(entry, imatrix->chunk_size);
        if (n_calls > INT32_MAX || n_values > INT32_MAX || imatrix->chunk_count > INT32_MAX ||
            strlen(entry->name) > MAX_NAME) {
            return imx_fail(err, IMX_ERR_UNSUPPORTED,
                            "%s: is larger than the dat format allows; write gguf or zst",
                            entry->name);
        }
        if (n_calls > 0) {
            ++*n_entries;
            *size_bytes += 3 * sizeof(int32_t) + strlen(entry->name) + n_values * sizeof(float);
        }
    }
    return IMX_OK;
}

static imx_status serialize_dat(const imx_imatrix *imatrix, uint8_t **bytes, size_t *size_bytes,
                                imx_error *err) {
    uint64_t n_entries;
    IMX_TRY(measure_dat(imatrix, &n_entries, size_bytes, err));
    if (n_entries == 0 || n_entries > MAX_ENTRIES) {
        return imx_fail(err, IMX_ERR_UNSUPPORTED,
                        "%" PRIu64 " weights have data; the dat format holds 1 to %d", n_entries,
                        MAX_ENTRIES);
    }
    IMX_TRY(imx_alloc_zeroed(bytes, *size_bytes, 1, err));
    uint8_t *at = put_i32(*bytes, n_entries);
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        const imx_imatrix_entry *entry = &imatrix->entries[i];
        const double n_calls = n_calls_of(entry, imatrix->chunk_size);
        if (n_calls > 0) {
            at = put_dat_entry(at, entry, n_calls);
        }
    }
    at = put_i32(at, imatrix->chunk_count);
    put_dat_name(at, last_dataset(imatrix));
    return IMX_OK;
}

const imx_imatrix_codec imx_imatrix_codec_dat = {recognize_dat, parse_dat, serialize_dat};
