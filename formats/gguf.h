// SPDX-License-Identifier: MIT
//
// GGUF, the container of models and of imatrix files (versions 2 and 3, little-endian):
//
//     "GGUF" u32 version, u64 n_tensors, u64 n_kvs
//     n_kvs     × { string key, u32 type, value }
//     n_tensors × { string name, u32 n_dims, u64 dims[n_dims], u32 type, u64 offset }
//     padding to general.alignment (32 when absent), then the tensor data
//
// string = u64 length + bytes; array value = u32 element type, u64 count, elements.
//
// The reader checks every count, length and offset against the file before it uses them. Keys keep
// their raw bytes, so that what this program does not know survives a copy byte for byte.

#ifndef IMX_FORMATS_GGUF_H
#define IMX_FORMATS_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/file_map.h"
#include "formats/tensor_type.h"

enum { IMX_GGUF_MAX_DIMS = 4, IMX_GGUF_DEFAULT_ALIGNMENT = 32 };

typedef enum imx_gguf_type {
    IMX_GGUF_U8 = 0,
    IMX_GGUF_I8 = 1,
    IMX_GGUF_U16 = 2,
    IMX_GGUF_I16 = 3,
    IMX_GGUF_U32 = 4,
    IMX_GGUF_I32 = 5,
    IMX_GGUF_F32 = 6,
    IMX_GGUF_BOOL = 7,
    IMX_GGUF_STRING = 8,
    IMX_GGUF_ARRAY = 9,
    IMX_GGUF_U64 = 10,
    IMX_GGUF_I64 = 11,
    IMX_GGUF_F64 = 12,
} imx_gguf_type;

// Bytes of a number or bool of this type; 0 for strings, arrays and numbers that are no type.
size_t imx_gguf_scalar_bytes(uint32_t type);

// Bytes of the file, not NUL-terminated.
typedef struct imx_str {
    const char *data;
    size_t len;
} imx_str;

// One key and its value, a view into the file.
typedef struct imx_gguf_kv {
    imx_str key;
    imx_gguf_type type;      // IMX_GGUF_ARRAY for arrays
    imx_gguf_type elem_type; // of the elements; equal to type for scalars
    uint64_t n_elems;        // 1 for scalars
    const uint8_t *elems;    // the elements, little-endian, unaligned, strings with their lengths
    const uint8_t *raw;      // the whole value as stored after the type number
    uint64_t raw_bytes;
} imx_gguf_kv;

typedef struct imx_gguf_tensor {
    char *name;                       // NUL-terminated, unique in the file
    uint32_t type;                    // an imx_type with a row in the table
    uint32_t n_dims;                  // 1..4
    uint64_t dims[IMX_GGUF_MAX_DIMS]; // dims[0] = columns of a row; 1 beyond n_dims
    uint64_t offset;                  // from the start of the data section
    uint64_t size_bytes;
    const uint8_t *data; // size_bytes bytes in the file
    uint32_t shard;      // the file of a sharded model that holds it, else 0
} imx_gguf_tensor;

typedef struct imx_gguf {
    imx_file_map map; // empty when parsed from caller's memory
    const char *path; // for messages
    uint32_t version; // 2 or 3
    uint64_t alignment;
    uint64_t data_offset; // of the data section in the file
    size_t n_kvs;
    imx_gguf_kv *kvs; // (n_kvs), file order
    size_t n_tensors;
    imx_gguf_tensor *tensors;                // (n_tensors), file order
    const imx_gguf_tensor **tensors_by_name; // (n_tensors)
    const imx_gguf_kv **kvs_by_key;          // (n_kvs)
    size_t n_shards;                         // 0 unless joined by imx_gguf_open_model
    struct imx_gguf **shards;                // (n_shards) the files of a sharded model, owned
} imx_gguf;

// Maps and checks the file at `path`. *out is the caller's to imx_gguf_close; NULL on failure.
// IMX_ERR_FORMAT names file and byte offset of the damage; version 1, big-endian files and unknown
// tensor types are IMX_ERR_UNSUPPORTED.
imx_status imx_gguf_open(imx_gguf **out, const char *path, imx_error *err);

// The same for `size_bytes` bytes in memory, which must outlive *out. `path` is only for messages.
imx_status imx_gguf_parse(imx_gguf **out, const uint8_t *data, uint64_t size_bytes,
                          const char *path, imx_error *err);

// Opens a model, which may lie in several files: when `path` is a shard ("NAME-00002-of-00005.gguf"
// with split.* keys), all of them are opened and joined. The result then has the keys of the first
// shard without split.*, the tensors of all in the order of the shards, and no map of its own: data
// pointers lead into the shards, whose offsets are their own. A missing or foreign shard is an
// error that names it.
imx_status imx_gguf_open_model(imx_gguf **out, const char *path, imx_error *err);

// The files a model lies in: itself or its shards. The tensor's `shard` is a number among them.
size_t imx_gguf_n_files(const imx_gguf *gguf);
const imx_gguf *imx_gguf_file(const imx_gguf *gguf, size_t i);

// The name of shard `no` (from 0) of `count` of the model "NAME.gguf" or "NAME":
// "NAME-00001-of-00003.gguf". *out is the caller's to free().
imx_status imx_gguf_shard_path(char **out, const char *path, uint32_t no, uint32_t count,
                               imx_error *err);

// Closes the file and frees every view into it. NULL is fine.
void imx_gguf_close(imx_gguf *gguf);

// NULL when there is no such key or tensor.
const imx_gguf_kv *imx_gguf_find_kv(const imx_gguf *gguf, const char *key);
const imx_gguf_tensor *imx_gguf_find_tensor(const imx_gguf *gguf, const char *name);

// Scalars by key. A key that is absent leaves *value untouched and returns IMX_OK when `required`
// is false, else IMX_ERR_FORMAT. Integers of any width and sign convert when the value fits; a
// value of another kind is IMX_ERR_FORMAT naming the key.
imx_status imx_gguf_get_u32(const imx_gguf *gguf, const char *key, bool required, uint32_t *value,
                            imx_error *err);
imx_status imx_gguf_get_f32(const imx_gguf *gguf, const char *key, bool required, float *value,
                            imx_error *err);
imx_status imx_gguf_get_bool(const imx_gguf *gguf, const char *key, bool required, bool *value,
                             imx_error *err);
imx_status imx_gguf_get_str(const imx_gguf *gguf, const char *key, bool required, imx_str *value,
                            imx_error *err);

// Arrays by key with the element type checked: as the scalars. *kv is set to NULL when absent.
imx_status imx_gguf_get_array(const imx_gguf *gguf, const char *key, bool required,
                              imx_gguf_type elem_type, const imx_gguf_kv **kv, imx_error *err);

// Element i of a numeric or bool array (or scalar), converted to double or int64; no range check of
// i. Floats that int64 cannot hold become its nearest value, NaN 0.
double imx_gguf_elem_f64(const imx_gguf_kv *kv, uint64_t i);
int64_t imx_gguf_elem_i64(const imx_gguf_kv *kv, uint64_t i);

// Reads the string at *cursor and moves the cursor behind it. The reader has checked all lengths:
// start at kv->elems and call at most kv->n_elems times.
imx_str imx_gguf_next_str(const uint8_t **cursor);

// Weights in a row (dims[0]), rows over all other dimensions, and matrices (dims[2] × dims[3]).
uint64_t imx_gguf_tensor_cols(const imx_gguf_tensor *tensor);
uint64_t imx_gguf_tensor_rows(const imx_gguf_tensor *tensor);
uint64_t imx_gguf_tensor_mats(const imx_gguf_tensor *tensor);

// ---------------------------------------------------------------------------------------------
// Writing. A builder collects keys and tensor records; offsets follow from the order of the
// tensors. Header bytes are produced once, and the caller then writes the data of each tensor in
// order, each padded with zeros to the alignment.

typedef struct imx_gguf_builder imx_gguf_builder;

// A builder of a version 3 file. *out is the caller's to imx_gguf_builder_free.
imx_status imx_gguf_builder_new(imx_gguf_builder **out, imx_error *err);
void imx_gguf_builder_free(imx_gguf_builder *builder);

// Setting a key that exists replaces its value in place; a new one goes to the end. Keys are
// NUL-terminated, strings are copied.
imx_status imx_gguf_set_u16(imx_gguf_builder *builder, const char *key, uint16_t value,
                            imx_error *err);
imx_status imx_gguf_set_u32(imx_gguf_builder *builder, const char *key, uint32_t value,
                            imx_error *err);
imx_status imx_gguf_set_i32(imx_gguf_builder *builder, const char *key, int32_t value,
                            imx_error *err);
imx_status imx_gguf_set_u64(imx_gguf_builder *builder, const char *key, uint64_t value,
                            imx_error *err);
imx_status imx_gguf_set_f32(imx_gguf_builder *builder, const char *key, float value,
                            imx_error *err);
imx_status imx_gguf_set_bool(imx_gguf_builder *builder, const char *key, bool value,
                             imx_error *err);
imx_status imx_gguf_set_str(imx_gguf_builder *builder, const char *key, const char *value,
                            imx_error *err);
imx_status imx_gguf_set_str_array(imx_gguf_builder *builder, const char *key,
                                  const char *const *values, size_t n_values, imx_error *err);

// A numeric or bool array: `elems` is n_elems little-endian elements of `elem_type`.
imx_status imx_gguf_set_array(imx_gguf_builder *builder, const char *key, imx_gguf_type elem_type,
                              const void *elems, uint64_t n_elems, imx_error *err);

// Copies a key with its raw value.
imx_status imx_gguf_copy_kv(imx_gguf_builder *builder, const imx_gguf_kv *kv, imx_error *err);

// Where the value of a key will begin in the header (a string: its length); false when it is
// absent.
bool imx_gguf_builder_value_offset(const imx_gguf_builder *builder, const char *key,
                                   size_t *offset);

// Removes a key; nothing happens when it is absent.
void imx_gguf_unset(imx_gguf_builder *builder, const char *key);

// Appends a tensor record. n_dims in 1..4; dims[0] must be a multiple of the type's block length.
imx_status imx_gguf_add_tensor(imx_gguf_builder *builder, const char *name, uint32_t type,
                               uint32_t n_dims, const uint64_t *dims, imx_error *err);

// The alignment in force: general.alignment when set, else 32.
uint64_t imx_gguf_builder_alignment(const imx_gguf_builder *builder);

// Header, keys, records and padding: *bytes is the caller's to free(), *size_bytes is a multiple of
// the alignment.
imx_status imx_gguf_builder_header(const imx_gguf_builder *builder, uint8_t **bytes,
                                   size_t *size_bytes, imx_error *err);

#endif
