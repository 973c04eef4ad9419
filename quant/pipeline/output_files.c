// SPDX-License-Identifier: MIT
//
// The header of the first file holds all that decides its bytes but the weights themselves: recipe,
// effort, program version, the hash of the imatrix, names, types and offsets of the tensors. So an
// earlier run was about the same job when the header it left equals the one about to be written.
// Only the hash of the source is not known before the end: it is zeros in both, and what a run that
// was stopped between entering it and the rename has left there is not compared.
//
// Written in the order of the items, files grow, and how far a run came is a matter of lengths: an
// item is there when the file reaches to the end of its padding, and the first that is not ends
// what is kept, of its own and of later files. All files are opened, and the old content of all is
// checked and cut, before the first byte is written: a partial file thus never holds tensors of a
// job other than that of the files before it. Equal headers can belong to models that differ in
// their weights alone, so the pipeline makes a row of every kept tensor again and compares it.
//
// Written in any order, files have their full length from the start, most of it a hole, and what
// has been written is for the caller to remember. The two must not take each other's files for
// their own, which is why keys that tell them apart are in every header (quant/plan/model_keys.h).

#include "quant/pipeline/output_files.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "formats/memory.h"
#include "formats/output_target.h"
#include "formats/partial_file.h"
#include "quant/pipeline/output_header.h"
#include "quant/plan/model_keys.h"

enum { HASH_LEN = 32, STRING_LENGTH_BYTES = 8 };

typedef struct output_file {
    imx_partial_file *partial;
    uint8_t *header;
    size_t header_bytes;
} output_file;

struct imx_output_files {
    const imx_plan *plan;
    imx_output_order order;
    output_file *files; // (plan->n_shards)
    size_t n_kept;
    size_t hash_offset; // of the hash's digits in the first file; 0 when it has none
};

// Of a file when it is complete.
static uint64_t file_bytes(const imx_output_files *files, size_t shard) {
    return files->files[shard].header_bytes + files->plan->shards[shard].size_bytes;
}

// ---- what an earlier run has left --------------------------------------------------------------

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

static imx_status check_header(const imx_output_files *files, size_t shard, imx_error *err) {
    const output_file *file = &files->files[shard];
    const uint64_t there = imx_partial_file_size(file->partial);
    const size_t n = there < file->header_bytes ? (size_t)there : file->header_bytes;
    const bool has_hash = shard == 0 && files->hash_offset > 0;
    const size_t hash_begin = has_hash ? min_size(files->hash_offset, n) : n;
    const size_t hash_end = min_size(hash_begin + HASH_LEN, n);
    bool is_same;
    IMX_TRY(imx_partial_file_compare(file->partial, 0, file->header, hash_begin, &is_same, err));
    if (is_same) {
        IMX_TRY(imx_partial_file_compare(file->partial, hash_end, file->header + hash_end,
                                         n - hash_end, &is_same, err));
    }
    return is_same ? IMX_OK
                   : imx_fail(err, IMX_ERR_MISMATCH,
                              "%s: was left by another job (other model, type, imatrix, text, "
                              "options or version): repeat that one to finish it, or run without "
                              "resuming to replace it",
                              imx_partial_file_path(file->partial));
}

// The items of a shard that its partial file holds; *size_bytes is where they end.
static size_t count_kept(const imx_output_files *files, size_t shard, uint64_t *size_bytes) {
    const imx_plan_shard *range = &files->plan->shards[shard];
    const imx_plan_item *items = files->plan->items + range->first_item;
    const output_file *file = &files->files[shard];
    const uint64_t there = imx_partial_file_size(file->partial);
    size_t n_kept = 0;
    *size_bytes = 0;
    for (size_t i = 0; i < range->n_items; ++i) {
        const uint64_t end = i + 1 < range->n_items ? items[i + 1].offset : range->size_bytes;
        if (there < file->header_bytes + end) {
            break;
        }
        *size_bytes = file->header_bytes + end;
        n_kept = i + 1;
    }
    return n_kept;
}

// What is written in any order is there as a whole or not at all.
static imx_status check_size(const imx_output_files *files, size_t shard, imx_error *err) {
    const imx_partial_file *partial = files->files[shard].partial;
    const uint64_t there = imx_partial_file_size(partial);
    const uint64_t expected = file_bytes(files, shard);
    if (there == expected) {
        return IMX_OK;
    }
    return imx_fail(err, IMX_ERR_MISMATCH,
                    "%s: has %" PRIu64 " bytes and an interrupted run would have left %" PRIu64
                    ": run without resuming",
                    imx_partial_file_path(partial), there, expected);
}

static imx_status check_left(const imx_output_files *files, imx_error *err) {
    for (size_t shard = 0; shard < files->plan->n_shards; ++shard) {
        IMX_TRY(check_header(files, shard, err));
        if (files->order == IMX_OUTPUT_IN_ANY_ORDER) {
            IMX_TRY(check_size(files, shard, err));
        }
    }
    return IMX_OK;
}

// The bytes to keep of a file. Where items come in order those that are there are counted.
static uint64_t keep_items(imx_output_files *files, size_t shard) {
    uint64_t size_bytes = 0;
    if (files->order == IMX_OUTPUT_IN_ANY_ORDER) {
        return file_bytes(files, shard);
    }
    if (files->n_kept == files->plan->shards[shard].first_item) {
        files->n_kept += count_kept(files, shard, &size_bytes);
    }
    return size_bytes;
}

// Cuts every file behind what is kept of it; files of which nothing is kept begin anew.
static imx_status begin_files(imx_output_files *files, bool resume, imx_error *err) {
    for (size_t shard = 0; shard < files->plan->n_shards; ++shard) {
        const output_file *file = &files->files[shard];
        const uint64_t kept_bytes = resume ? keep_items(files, shard) : 0;
        IMX_TRY(imx_partial_file_resize(file->partial, kept_bytes, err));
        if (kept_bytes == 0) {
            IMX_TRY(
                imx_partial_file_write(file->partial, 0, file->header, file->header_bytes, err));
        }
        if (files->order == IMX_OUTPUT_IN_ANY_ORDER) {
            IMX_TRY(imx_partial_file_resize(file->partial, file_bytes(files, shard), err));
        }
    }
    return IMX_OK;
}

// ---- opening -----------------------------------------------------------------------------------

static imx_status check_alignment(const imx_gguf_builder *builder, const imx_gguf *source,
                                  imx_error *err) {
    const uint64_t alignment = imx_gguf_builder_alignment(builder);
    if (alignment == source->alignment) {
        return IMX_OK;
    }
    return imx_fail(err, IMX_ERR_ARGUMENT,
                    "the alignment of %s is %" PRIu64 " and cannot be changed to %" PRIu64,
                    source->path, source->alignment, alignment);
}

static bool is_file_of(const imx_gguf *source, const struct stat *target) {
    struct stat file;
    for (size_t i = 0; i < imx_gguf_n_files(source); ++i) {
        if (stat(imx_gguf_file(source, i)->path, &file) == 0 && file.st_dev == target->st_dev &&
            file.st_ino == target->st_ino) {
            return true;
        }
    }
    return false;
}

static imx_status check_target(const imx_output_files *files, const imx_gguf *source,
                               const char *path, imx_error *err) {
    struct stat target;
    if (stat(path, &target) != 0) {
        return IMX_OK; // a new file
    }
    if (is_file_of(source, &target)) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "%s: is the source model; choose another name for the output", path);
    }
    if (files->order == IMX_OUTPUT_IN_ANY_ORDER && !S_ISREG(target.st_mode) &&
        !S_ISDIR(target.st_mode)) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "%s: is a pipe or device, and this model is not written from front to "
                        "back; name a file",
                        path);
    }
    return IMX_OK;
}

static imx_status open_output_at(imx_output_files *files, size_t shard, const imx_gguf *source,
                                 const char *path, imx_error *err) {
    imx_partial_file **partial = &files->files[shard].partial;
    IMX_TRY(check_target(files, source, path, err));
    return imx_partial_file_open(partial, path, err);
}

static imx_status open_output(imx_output_files *files, size_t shard, const imx_gguf *source,
                              const char *path, imx_error *err) {
    char *shard_path;
    if (files->plan->n_shards == 1) {
        return open_output_at(files, shard, source, path, err);
    }
    IMX_TRY(imx_gguf_shard_path(&shard_path, path, (uint32_t)shard, (uint32_t)files->plan->n_shards,
                                err));
    const imx_status status = open_output_at(files, shard, source, shard_path, err);
    free(shard_path);
    return status;
}

// Bytes of all files when they are complete.
static uint64_t total_bytes(const imx_output_files *files) {
    uint64_t n_bytes = 0;
    for (size_t shard = 0; shard < files->plan->n_shards; ++shard) {
        n_bytes += file_bytes(files, shard);
    }
    return n_bytes;
}

// The partial files take space that this run uses again, kept or not.
static imx_status check_space(const imx_output_files *files, const char *path, imx_error *err) {
    const uint64_t needed = total_bytes(files);
    uint64_t there = 0;
    for (size_t shard = 0; shard < files->plan->n_shards; ++shard) {
        there += imx_partial_file_disk_bytes(files->files[shard].partial);
    }
    return imx_disk_space_check(path, needed > there ? needed - there : 0, err);
}

static imx_status build_headers(imx_output_files *files, imx_gguf_builder *builder,
                                imx_error *err) {
    for (size_t shard = 0; shard < files->plan->n_shards; ++shard) {
        output_file *file = &files->files[shard];
        IMX_TRY(imx_output_header_build(&file->header, &file->header_bytes, files->plan, shard,
                                        builder, err));
    }
    if (imx_gguf_builder_value_offset(builder, IMX_KEY_SOURCE_HASH, &files->hash_offset)) {
        files->hash_offset += STRING_LENGTH_BYTES;
        assert(files->hash_offset + HASH_LEN <= files->files[0].header_bytes);
    }
    return IMX_OK;
}

// *out has the headers and no files yet.
static imx_status prepare(imx_output_files **out, const imx_plan *plan, imx_gguf_builder *builder,
                          imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(out, 1, sizeof **out, err));
    (*out)->plan = plan;
    IMX_TRY(imx_alloc_zeroed(&(*out)->files, plan->n_shards, sizeof *(*out)->files, err));
    return build_headers(*out, builder, err);
}

imx_status imx_output_files_measure(uint64_t *n_bytes, const imx_plan *plan,
                                    imx_gguf_builder *builder, imx_error *err) {
    imx_output_files *files;
    const imx_status status = prepare(&files, plan, builder, err);
    if (status == IMX_OK) {
        *n_bytes = total_bytes(files);
    }
    imx_output_files_close(files);
    return status;
}

static imx_status open_files(imx_output_files *files, const imx_gguf *source, const char *path,
                             bool resume, imx_error *err) {
    for (size_t shard = 0; shard < files->plan->n_shards; ++shard) {
        IMX_TRY(open_output(files, shard, source, path, err));
    }
    if (resume) {
        IMX_TRY(check_left(files, err));
    }
    IMX_TRY(check_space(files, path, err));
    return begin_files(files, resume, err);
}

imx_status imx_output_files_open(imx_output_files **out, const imx_plan *plan,
                                 const imx_gguf *source, imx_gguf_builder *builder,
                                 const char *path, imx_output_order order, bool resume,
                                 imx_error *err) {
    imx_output_files *files;
    *out = NULL;
    IMX_TRY(check_alignment(builder, source, err));
    imx_status status = prepare(&files, plan, builder, err);
    if (status == IMX_OK) {
        files->order = order;
        status = open_files(files, source, path, resume, err);
    }
    if (status != IMX_OK) {
        imx_output_files_close(files);
        files = NULL;
    }
    *out = files;
    return status;
}

// ---- writing and the end -----------------------------------------------------------------------

size_t imx_output_files_n_kept(const imx_output_files *files) {
    return files->n_kept;
}

static size_t shard_of(const imx_plan *plan, size_t i) {
    size_t shard = 0;
    while (i - plan->shards[shard].first_item >= plan->shards[shard].n_items) {
        ++shard;
    }
    return shard;
}

// Where byte `offset` of item i stands in *file.
static uint64_t find_place(const imx_output_files *files, size_t i, uint64_t offset,
                           const output_file **file) {
    *file = &files->files[shard_of(files->plan, i)];
    return (*file)->header_bytes + files->plan->items[i].offset + offset;
}

imx_status imx_output_files_check_kept(const imx_output_files *files, size_t i, const void *data,
                                       size_t size_bytes, imx_error *err) {
    const output_file *file;
    const uint64_t place = find_place(files, i, 0, &file);
    bool is_same;
    assert(i < files->n_kept && size_bytes <= files->plan->items[i].size_bytes);
    IMX_TRY(imx_partial_file_compare(file->partial, place, data, size_bytes, &is_same, err));
    return is_same ? IMX_OK
                   : imx_fail(err, IMX_ERR_MISMATCH,
                              "%s: tensor %s in it comes from other weights or statistics: run "
                              "without resuming to replace it",
                              imx_partial_file_path(file->partial), files->plan->items[i].name);
}

imx_status imx_output_files_write(imx_output_files *files, size_t i, uint64_t offset,
                                  const void *data, size_t size_bytes, imx_error *err) {
    const output_file *file;
    const uint64_t place = find_place(files, i, offset, &file);
    return imx_partial_file_write(file->partial, place, data, size_bytes, err);
}

imx_status imx_output_files_sync(imx_output_files *files, imx_error *err) {
    for (size_t shard = 0; shard < files->plan->n_shards; ++shard) {
        IMX_TRY(imx_partial_file_sync(files->files[shard].partial, err));
    }
    return IMX_OK;
}

imx_status imx_output_files_tie(imx_output_files *files, const char mark[33], bool are_kept,
                                imx_error *err) {
    imx_partial_file *first = files->files[0].partial;
    bool is_same = true;
    if (files->hash_offset > 0 && are_kept) {
        IMX_TRY(imx_partial_file_compare(first, files->hash_offset, mark, HASH_LEN, &is_same, err));
    } else if (files->hash_offset > 0) {
        IMX_TRY(imx_partial_file_write(first, files->hash_offset, mark, HASH_LEN, err));
    }
    return is_same ? IMX_OK
                   : imx_fail(err, IMX_ERR_MISMATCH,
                              "%s: was left by a run of other files or options: run without "
                              "resuming to replace it",
                              imx_partial_file_path(first));
}

// Data first: nobody will find the hash of a source over weights that never reached the disk.
static imx_status complete(imx_output_files *files, const char *source_hash, imx_error *err) {
    imx_partial_file *first = files->files[0].partial;
    IMX_TRY(imx_output_files_sync(files, err));
    if (files->hash_offset > 0 && !imx_partial_file_is_special(first)) {
        IMX_TRY(imx_partial_file_write(first, files->hash_offset, source_hash, HASH_LEN, err));
        IMX_TRY(imx_partial_file_sync(first, err));
    }
    for (size_t shard = 0; shard < files->plan->n_shards; ++shard) {
        imx_partial_file *partial = files->files[shard].partial;
        assert(imx_partial_file_size(partial) == file_bytes(files, shard));
        files->files[shard].partial = NULL;
        IMX_TRY(imx_partial_file_commit(partial, err));
    }
    return IMX_OK;
}

imx_status imx_output_files_commit(imx_output_files *files, const char source_hash[33],
                                   imx_error *err) {
    const imx_status status = complete(files, source_hash, err);
    imx_output_files_close(files);
    return status;
}

static void free_files(imx_output_files *files, void (*end)(imx_partial_file *)) {
    if (files == NULL) {
        return;
    }
    for (size_t shard = 0; files->files != NULL && shard < files->plan->n_shards; ++shard) {
        end(files->files[shard].partial);
        free(files->files[shard].header);
    }
    free(files->files);
    free(files);
}

void imx_output_files_close(imx_output_files *files) {
    free_files(files, imx_partial_file_close);
}

void imx_output_files_discard(imx_output_files *files) {
    free_files(files, imx_partial_file_discard);
}
