// SPDX-License-Identifier: MIT
//
// The header of the first file holds all that decides its bytes but the weights themselves: recipe,
// effort, program version, the hash of the imatrix, names, types and offsets of the tensors. So an
// earlier run was about the same job when the header it left equals the one about to be written.
// Only the hash of the source is not known before the end: it is zeros in both, and what a run that
// was stopped between entering it and the rename has left there is not compared.
//
// Files grow in the order of the items, so how far a run came is a matter of lengths: an item is
// there when the file reaches to the end of its padding, and the first that is not ends what is
// kept, of its own and of later files. All files are opened, and the old content of all is checked
// and cut, before the first byte is written: a partial file thus never holds tensors of a job other
// than that of the files before it. Equal headers can belong to models that differ in their weights
// alone, so the pipeline makes a row of every kept tensor again and compares it.

#include "quant/pipeline/output_files.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "formats/memory.h"
#include "formats/output_target.h"
#include "formats/partial_file.h"
#include "quant/plan/model_keys.h"

enum { HASH_LEN = 32, STRING_LENGTH_BYTES = 8 };

typedef struct output_file {
    imx_partial_file *partial;
    uint8_t *header;
    size_t header_bytes;
} output_file;

struct imx_output_files {
    const imx_plan *plan;
    output_file *files; // (plan->n_shards)
    size_t n_kept;
    size_t hash_offset; // of the hash's digits in the first file; 0 when it has none
};

// ---- headers -----------------------------------------------------------------------------------

static imx_status set_split_keys(imx_gguf_builder *builder, const imx_plan *plan, size_t shard,
                                 imx_error *err) {
    if (plan->n_shards == 1) {
        return IMX_OK;
    }
    assert(plan->n_shards <= UINT16_MAX);
    IMX_TRY(imx_gguf_set_u16(builder, "split.no", (uint16_t)shard, err));
    IMX_TRY(imx_gguf_set_u16(builder, "split.count", (uint16_t)plan->n_shards, err));
    return imx_gguf_set_i32(builder, "split.tensors.count", (int32_t)plan->n_items, err);
}

static imx_status build_header(imx_output_files *files, size_t shard, imx_gguf_builder *builder,
                               imx_error *err) {
    const imx_plan *plan = files->plan;
    const imx_plan_shard *range = &plan->shards[shard];
    output_file *file = &files->files[shard];
    IMX_TRY(set_split_keys(builder, plan, shard, err));
    for (size_t i = 0; i < range->n_items; ++i) {
        const imx_plan_item *item = &plan->items[range->first_item + i];
        IMX_TRY(imx_gguf_add_tensor(builder, item->name, item->type, item->source->n_dims,
                                    item->source->dims, err));
    }
    return imx_gguf_builder_header(builder, &file->header, &file->header_bytes, err);
}

// Files after the first have no keys but those that readers need to make sense of them.
static imx_status build_later_header(imx_output_files *files, size_t shard, uint64_t alignment,
                                     imx_error *err) {
    imx_gguf_builder *builder;
    imx_status status = imx_gguf_builder_new(&builder, err);
    if (status == IMX_OK && alignment != IMX_GGUF_DEFAULT_ALIGNMENT) {
        status = imx_gguf_set_u32(builder, "general.alignment", (uint32_t)alignment, err);
    }
    if (status == IMX_OK) {
        status = build_header(files, shard, builder, err);
    }
    imx_gguf_builder_free(builder);
    return status;
}

static imx_status build_headers(imx_output_files *files, imx_gguf_builder *builder,
                                imx_error *err) {
    const uint64_t alignment = imx_gguf_builder_alignment(builder);
    IMX_TRY(build_header(files, 0, builder, err));
    if (imx_gguf_builder_value_offset(builder, IMX_KEY_SOURCE_HASH, &files->hash_offset)) {
        files->hash_offset += STRING_LENGTH_BYTES;
        assert(files->hash_offset + HASH_LEN <= files->files[0].header_bytes);
    }
    for (size_t shard = 1; shard < files->plan->n_shards; ++shard) {
        IMX_TRY(build_later_header(files, shard, alignment, err));
    }
    return IMX_OK;
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
                              "%s: was left by another job (other model, type, imatrix, options or "
                              "version): repeat that one to finish it, or run without resuming "
                              "to replace it",
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

// Cuts every file behind what is kept of it; files of which nothing is kept begin anew.
static imx_status keep_finished(imx_output_files *files, bool resume, imx_error *err) {
    const imx_plan *plan = files->plan;
    for (size_t shard = 0; shard < plan->n_shards; ++shard) {
        output_file *file = &files->files[shard];
        uint64_t size_bytes = 0;
        if (resume && files->n_kept == plan->shards[shard].first_item) {
            files->n_kept += count_kept(files, shard, &size_bytes);
        }
        IMX_TRY(imx_partial_file_cut(file->partial, size_bytes, err));
        if (size_bytes == 0) {
            IMX_TRY(imx_partial_file_append(file->partial, file->header, file->header_bytes, err));
        }
    }
    return IMX_OK;
}

// ---- opening -----------------------------------------------------------------------------------

// The model would replace what it is made from.
static imx_status refuse_source(const imx_gguf *source, const char *path, imx_error *err) {
    struct stat target;
    struct stat file;
    const bool exists = stat(path, &target) == 0;
    for (size_t i = 0; exists && i < imx_gguf_n_files(source); ++i) {
        if (stat(imx_gguf_file(source, i)->path, &file) == 0 && file.st_dev == target.st_dev &&
            file.st_ino == target.st_ino) {
            return imx_fail(err, IMX_ERR_ARGUMENT,
                            "%s: is the source model; choose another name for the output", path);
        }
    }
    return IMX_OK;
}

static imx_status open_output_at(imx_output_files *files, size_t shard, const imx_gguf *source,
                                 const char *path, imx_error *err) {
    imx_partial_file **partial = &files->files[shard].partial;
    IMX_TRY(refuse_source(source, path, err));
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
    uint64_t n_bytes = files->plan->size_bytes;
    for (size_t shard = 0; shard < files->plan->n_shards; ++shard) {
        n_bytes += files->files[shard].header_bytes;
    }
    return n_bytes;
}

// The partial files take space that this run uses again, kept or not.
static imx_status check_space(const imx_output_files *files, const char *path, imx_error *err) {
    const uint64_t needed = total_bytes(files);
    uint64_t there = 0;
    for (size_t shard = 0; shard < files->plan->n_shards; ++shard) {
        there += imx_partial_file_size(files->files[shard].partial);
    }
    return imx_disk_space_check(path, needed > there ? needed - there : 0, err);
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
    const size_t n_shards = files->plan->n_shards;
    for (size_t shard = 0; shard < n_shards; ++shard) {
        IMX_TRY(open_output(files, shard, source, path, err));
    }
    for (size_t shard = 0; resume && shard < n_shards; ++shard) {
        IMX_TRY(check_header(files, shard, err));
    }
    IMX_TRY(check_space(files, path, err));
    return keep_finished(files, resume, err);
}

imx_status imx_output_files_open(imx_output_files **out, const imx_plan *plan,
                                 const imx_gguf *source, imx_gguf_builder *builder,
                                 const char *path, bool resume, imx_error *err) {
    imx_output_files *files;
    imx_status status = prepare(&files, plan, builder, err);
    if (status == IMX_OK) {
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

imx_status imx_output_files_check_kept(const imx_output_files *files, size_t i, size_t shard,
                                       const void *data, size_t size_bytes, imx_error *err) {
    const output_file *file = &files->files[shard];
    const imx_plan_item *item = &files->plan->items[i];
    bool is_same;
    assert(i < files->n_kept && size_bytes <= item->size_bytes);
    IMX_TRY(imx_partial_file_compare(file->partial, file->header_bytes + item->offset, data,
                                     size_bytes, &is_same, err));
    return is_same ? IMX_OK
                   : imx_fail(err, IMX_ERR_MISMATCH,
                              "%s: tensor %s in it comes from other weights or statistics: run "
                              "without resuming to replace it",
                              imx_partial_file_path(file->partial), item->name);
}

imx_status imx_output_files_append(imx_output_files *files, size_t shard, const void *data,
                                   size_t size_bytes, imx_error *err) {
    return imx_partial_file_append(files->files[shard].partial, data, size_bytes, err);
}

// Data first: nobody will find the hash of a source over weights that never reached the disk.
static imx_status complete(imx_output_files *files, const char *source_hash, imx_error *err) {
    imx_partial_file *first = files->files[0].partial;
    for (size_t shard = 0; shard < files->plan->n_shards; ++shard) {
        const output_file *file = &files->files[shard];
        assert(imx_partial_file_size(file->partial) ==
               file->header_bytes + files->plan->shards[shard].size_bytes);
        IMX_TRY(imx_partial_file_sync(file->partial, err));
    }
    if (files->hash_offset > 0) {
        IMX_TRY(imx_partial_file_patch(first, files->hash_offset, source_hash, HASH_LEN, err));
        IMX_TRY(imx_partial_file_sync(first, err));
    }
    for (size_t shard = 0; shard < files->plan->n_shards; ++shard) {
        imx_partial_file *partial = files->files[shard].partial;
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
