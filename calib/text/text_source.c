// SPDX-License-Identifier: MIT
//
// Everything passes through one reader of lines. A plain file is its lines appended, so that what
// the tokenizer sees are the bytes of the file; a line of JSONL is parsed and gone before the next
// is read.

#include "calib/text/text_source.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "calib/text/json_document.h"
#include "formats/file_hash.h"
#include "formats/memory.h"

struct imx_text_source {
    char *path;
    double weight;
    char **files; // (n_files) to read, owned
    size_t n_files, files_capacity;
    size_t next_file;
    XXH3_state_t *hash;
    imx_json_options json;
    bool follows_chat; // the last document was one

    // The file being read; NULL between two files.
    FILE *file;
    const char *file_name;
    bool is_jsonl;
    char *line; // (line_len) the last line read, its newline included
    size_t line_len;
    size_t line_capacity;
    size_t line_no;   // from 1
    bool has_pending; // `line` is yet to be handed out
};

// ---------------------------------------------------------------------------------------------
// What a source is

static bool is_standard_input(const char *path) {
    return strcmp(path, "-") == 0;
}

// As messages and records call it.
static const char *shown_path(const char *path) {
    return is_standard_input(path) ? "standard input" : path;
}

static bool exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

// Takes the weight off the path.
static imx_status split_weight(imx_text_source *source, const char *argument, imx_error *err) {
    char *colon = strrchr(source->path, ':');
    char *end;
    source->weight = 1;
    if (colon == NULL || colon[1] == '\0' || exists(argument)) {
        return IMX_OK;
    }
    const double weight = strtod(colon + 1, &end);
    if (*end != '\0') {
        return IMX_OK;
    }
    if (!(weight > 0 && weight <= 1)) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "%s: a weight is the share of a text that is used, above 0 and at most 1; "
                        "to count a text more, count the others less",
                        argument);
    }
    source->weight = weight;
    *colon = '\0';
    return IMX_OK;
}

static imx_status read_argument(imx_text_source *source, const char *argument, imx_error *err) {
    source->path = strdup(argument);
    if (source->path == NULL) {
        return imx_fail_memory(err, strlen(argument) + 1);
    }
    IMX_TRY(split_weight(source, argument, err));
    for (size_t n = strlen(source->path); n > 1 && source->path[n - 1] == '/'; --n) {
        source->path[n - 1] = '\0'; // what is left has a base name
    }
    return IMX_OK;
}

static bool has_suffix(const char *name, const char *suffix) {
    const size_t len = strlen(name);
    const size_t suffix_len = strlen(suffix);
    return len > suffix_len && strcasecmp(name + len - suffix_len, suffix) == 0;
}

static bool is_text_name(const char *name) {
    return name[0] != '.' &&
           (has_suffix(name, ".txt") || has_suffix(name, ".md") || has_suffix(name, ".jsonl"));
}

// Adds DIRECTORY/NAME, or NAME when `directory` is NULL.
static imx_status add_file(imx_text_source *source, const char *directory, const char *name,
                           imx_error *err) {
    const size_t size = (directory != NULL ? strlen(directory) : 0) + strlen(name) + 2;
    char *path;
    IMX_TRY(imx_grow(&source->files, &source->files_capacity, source->n_files + 1,
                     sizeof *source->files, err));
    IMX_TRY(imx_alloc_zeroed(&path, size, 1, err));
    snprintf(path, size, "%s%s%s", directory != NULL ? directory : "", directory != NULL ? "/" : "",
             name);
    source->files[source->n_files++] = path;
    return IMX_OK;
}

static int compare_paths(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static imx_status list_directory(imx_text_source *source, imx_error *err) {
    DIR *directory = opendir(source->path);
    const struct dirent *entry;
    imx_status status = IMX_OK;
    if (directory == NULL) {
        return imx_fail(err, IMX_ERR_IO, "%s: cannot open: %s", source->path, strerror(errno));
    }
    while (status == IMX_OK && (entry = readdir(directory)) != NULL) {
        if (is_text_name(entry->d_name)) {
            status = add_file(source, source->path, entry->d_name, err);
        }
    }
    closedir(directory);
    if (status == IMX_OK && source->n_files == 0) {
        return imx_fail(err, IMX_ERR_IO,
                        "%s: no texts in this directory: it has no *.txt, *.md or *.jsonl of its "
                        "own (folders inside are not entered)",
                        source->path);
    }
    if (status == IMX_OK) {
        qsort(source->files, source->n_files, sizeof *source->files, compare_paths);
    }
    return status;
}

static imx_status list_files(imx_text_source *source, imx_error *err) {
    struct stat info;
    if (!is_standard_input(source->path) && stat(source->path, &info) == 0 &&
        S_ISDIR(info.st_mode)) {
        return list_directory(source, err);
    }
    return add_file(source, NULL, source->path, err);
}

imx_status imx_text_source_open(imx_text_source **out, const char *argument, const imx_gguf *model,
                                bool parse_special, imx_error *err) {
    imx_text_source *source;
    imx_status status;
    *out = NULL;
    IMX_TRY(imx_alloc_zeroed(&source, 1, sizeof *source, err));
    source->json = (imx_json_options){.model = model, .parse_special = parse_special};
    source->hash = XXH3_createState();
    if (source->hash == NULL) {
        status = imx_fail(err, IMX_ERR_MEMORY, "out of memory");
        goto failed;
    }
    XXH3_128bits_reset(source->hash);
    IMX_TRY_GOTO(failed, read_argument(source, argument, err));
    IMX_TRY_GOTO(failed, list_files(source, err));
    *out = source;
    return IMX_OK;

failed:
    imx_text_source_close(source);
    return status;
}

static void close_file(imx_text_source *source) {
    if (source->file != NULL && source->file != stdin) {
        fclose(source->file);
    }
    source->file = NULL;
}

void imx_text_source_close(imx_text_source *source) {
    if (source == NULL) {
        return;
    }
    close_file(source);
    for (size_t i = 0; i < source->n_files; ++i) {
        free(source->files[i]);
    }
    XXH3_freeState(source->hash);
    free(source->files);
    free(source->line);
    free(source->path);
    free(source);
}

// ---------------------------------------------------------------------------------------------
// Lines

// Reads the next line into source->line; *found is false at the end of the file.
static imx_status read_line(imx_text_source *source, bool *found, imx_error *err) {
    *found = true;
    if (source->has_pending) {
        source->has_pending = false;
        return IMX_OK;
    }
    errno = 0;
    const ssize_t n = getline(&source->line, &source->line_capacity, source->file);
    if (n < 0 && !feof(source->file)) {
        return imx_fail(err, IMX_ERR_IO, "%s: line %zu: cannot read: %s", source->file_name,
                        source->line_no + 1, strerror(errno));
    }
    *found = n >= 0;
    if (n >= 0) {
        source->line_len = (size_t)n;
        ++source->line_no;
        XXH3_128bits_update(source->hash, source->line, source->line_len);
    }
    return IMX_OK;
}

// What has no name to go by shows its kind in the first line.
static imx_status detect_jsonl(imx_text_source *source, imx_error *err) {
    bool found;
    IMX_TRY(read_line(source, &found, err));
    source->is_jsonl = found && imx_json_is_document(source->line, source->line_len);
    source->has_pending = found;
    return IMX_OK;
}

static imx_status open_file(imx_text_source *source, imx_error *err) {
    const char *path = source->files[source->next_file++];
    const bool is_stdin = is_standard_input(path);
    struct stat info;
    source->file_name = shown_path(path);
    source->file = is_stdin ? stdin : fopen(path, "rb");
    source->line_no = 0;
    if (source->file == NULL || fstat(fileno(source->file), &info) != 0) {
        return imx_fail(err, IMX_ERR_IO, "%s: cannot open: %s", source->file_name, strerror(errno));
    }
    if (!is_stdin && !S_ISREG(info.st_mode) && !S_ISFIFO(info.st_mode)) {
        return imx_fail(err, IMX_ERR_IO, "%s: is neither a file nor a pipe", path);
    }
    if (is_stdin || S_ISFIFO(info.st_mode)) {
        return detect_jsonl(source, err);
    }
    source->is_jsonl = has_suffix(path, ".jsonl");
    return IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// Documents

static imx_status begin_document(const imx_text_source *source, imx_marked_text *text,
                                 imx_error *err) {
    if (text->len == 0 || source->follows_chat || text->data[text->len - 1] == '\n') {
        return IMX_OK;
    }
    return imx_marked_text_append(text, "\n", 1, source->json.parse_special, err);
}

static imx_status append_plain(imx_text_source *source, imx_marked_text *text, imx_error *err) {
    bool found;
    IMX_TRY(begin_document(source, text, err));
    IMX_TRY(read_line(source, &found, err));
    while (found) {
        IMX_TRY(imx_marked_text_append(text, source->line, source->line_len,
                                       source->json.parse_special, err));
        IMX_TRY(read_line(source, &found, err));
    }
    source->follows_chat = false;
    close_file(source);
    return IMX_OK;
}

static bool is_blank(const char *line, size_t len) {
    while (len > 0 && isspace((unsigned char)line[len - 1])) {
        --len;
    }
    return len == 0;
}

// Appends the document of the next line that is not blank; at the end of the file closes it.
static imx_status append_json(imx_text_source *source, imx_marked_text *text, bool *found,
                              imx_error *err) {
    imx_error cause;
    do {
        IMX_TRY(read_line(source, found, err));
    } while (*found && is_blank(source->line, source->line_len));
    if (!*found) {
        close_file(source);
        return IMX_OK;
    }
    IMX_TRY(begin_document(source, text, err));
    const imx_status status = imx_json_append_document(
        &source->json, source->line, source->line_len, text, &source->follows_chat, &cause);
    if (status != IMX_OK) {
        return imx_fail(err, status, "%s: line %zu: %s", source->file_name, source->line_no,
                        cause.message);
    }
    return IMX_OK;
}

imx_status imx_text_source_next(imx_text_source *source, imx_marked_text *text, bool *found,
                                imx_error *err) {
    *found = false;
    while (!*found && (source->file != NULL || source->next_file < source->n_files)) {
        if (source->file == NULL) {
            IMX_TRY(open_file(source, err));
        }
        if (source->is_jsonl) {
            IMX_TRY(append_json(source, text, found, err));
        } else {
            IMX_TRY(append_plain(source, text, err));
            *found = true;
        }
    }
    return IMX_OK;
}

const char *imx_text_source_path(const imx_text_source *source) {
    return shown_path(source->path);
}

double imx_text_source_weight(const imx_text_source *source) {
    return source->weight;
}

void imx_text_source_hash(const imx_text_source *source, char hex[33]) {
    imx_hash_to_hex(XXH3_128bits_digest(source->hash), hex);
}
