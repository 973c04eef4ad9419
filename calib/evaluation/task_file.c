// SPDX-License-Identifier: MIT
//
// Strings are views into the mapped file; reading copies none.
//
// To choose, llama-perplexity draws from std::mt19937 with the seed 1: a HellaSwag task by its
// place among those that are left in order, another one by its place in a list whose last item
// fills the gap, that place being an f32 product. Both are done here to the bit, so that both
// programs score the same tasks.

#include "calib/evaluation/task_file.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "calib/evaluation/mersenne_twister.h"
#include "formats/little_endian.h"
#include "formats/memory.h"

enum {
    HELLASWAG_CHOICES = 4,
    HELLASWAG_LINES = 6,
    WINOGRANDE_COMMAS = 4,
    MAX_ANSWERS = 100,
    SEED = 1
};

static const imx_str no_text = {.data = ""};

static imx_status add_task(imx_task_file *file, imx_str head, imx_str tail, imx_error *err) {
    IMX_TRY(
        imx_grow(&file->tasks, &file->tasks_capacity, file->n_tasks + 1, sizeof *file->tasks, err));
    file->tasks[file->n_tasks] = (imx_task){
        .number = file->n_tasks,
        .head = head,
        .tail = tail,
        .first_choice = file->n_choices,
    };
    ++file->n_tasks;
    return IMX_OK;
}

// To the last task.
static imx_status add_choice(imx_task_file *file, imx_str text, bool is_right, imx_error *err) {
    IMX_TRY(imx_grow(&file->choices, &file->choices_capacity, file->n_choices + 1,
                     sizeof *file->choices, err));
    file->choices[file->n_choices++] = (imx_task_choice){text, is_right};
    ++file->tasks[file->n_tasks - 1].n_choices;
    return IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// Text formats

typedef struct line_reader {
    const char *next, *end;
    size_t number; // of the line read last, from 1
} line_reader;

static line_reader read_lines(const imx_task_file *file) {
    const char *text = (const char *)file->map.data;
    return (line_reader){text, text + file->map.size_bytes, 0};
}

// False at the end of the file.
static bool next_line(line_reader *reader, imx_str *line) {
    if (reader->next == reader->end) {
        return false;
    }
    const size_t n_left = (size_t)(reader->end - reader->next);
    const char *newline = memchr(reader->next, '\n', n_left);
    line->data = reader->next;
    line->len = newline != NULL ? (size_t)(newline - reader->next) : n_left;
    reader->next += line->len + (newline != NULL);
    ++reader->number;
    return true;
}

// The number of one digit that a text begins with, behind spaces; −1 when there is another thing.
static int leading_digit(imx_str text) {
    size_t i = 0;
    while (i < text.len && text.data[i] == ' ') {
        ++i;
    }
    const bool is_number = i < text.len && isdigit((unsigned char)text.data[i]);
    const bool is_longer = i + 1 < text.len && isdigit((unsigned char)text.data[i + 1]);
    return is_number && !is_longer ? text.data[i] - '0' : -1;
}

static imx_status read_hellaswag(imx_task_file *file, imx_error *err) {
    line_reader reader = read_lines(file);
    imx_str lines[HELLASWAG_LINES];
    while (next_line(&reader, &lines[0])) {
        if (lines[0].len == 0) {
            continue;
        }
        for (size_t i = 1; i < HELLASWAG_LINES; ++i) {
            if (!next_line(&reader, &lines[i])) {
                return imx_fail(err, IMX_ERR_FORMAT,
                                "%s: line %zu: the last task has %zu lines of %d; the file is "
                                "truncated, or not HellaSwag's",
                                file->map.path, reader.number, i, HELLASWAG_LINES);
            }
        }
        const int right = leading_digit(lines[1]);
        if (right < 0 || right >= HELLASWAG_CHOICES) {
            return imx_fail(err, IMX_ERR_FORMAT,
                            "%s: line %zu: the number of the right ending, 0 to 3, is expected; "
                            "a line is missing or too many, or this is not HellaSwag",
                            file->map.path, reader.number - 4);
        }
        IMX_TRY(add_task(file, lines[0], no_text, err));
        for (int i = 0; i < HELLASWAG_CHOICES; ++i) {
            IMX_TRY(add_choice(file, lines[2 + i], i == right, err));
        }
    }
    return IMX_OK;
}

// Cuts a line at its first four commas outside of double quotes; fields that it lacks are empty.
static void cut_fields(imx_str line, imx_str fields[WINOGRANDE_COMMAS + 1]) {
    size_t n = 0;
    bool is_quoted = false;
    for (size_t i = 0; i <= WINOGRANDE_COMMAS; ++i) {
        fields[i] = (imx_str){.data = line.data};
    }
    for (size_t i = 0; i < line.len && n < WINOGRANDE_COMMAS; ++i) {
        is_quoted ^= line.data[i] == '"';
        if (line.data[i] == ',' && !is_quoted) {
            fields[n].len = (size_t)(line.data + i - fields[n].data);
            fields[++n] = (imx_str){.data = line.data + i + 1};
        }
    }
    fields[n].len = (size_t)(line.data + line.len - fields[n].data);
}

static imx_str without_quotes(imx_str text) {
    const bool is_quoted = text.len >= 2 && text.data[0] == '"';
    return is_quoted ? (imx_str){.data = text.data + 1, .len = text.len - 2} : text;
}

static imx_status add_sentence(imx_task_file *file, imx_str sentence, const imx_str choices[2],
                               int right, imx_error *err) {
    const char *gap = memchr(sentence.data, '_', sentence.len);
    const size_t n_before = (size_t)(gap - sentence.data);
    const imx_str head = {.data = sentence.data, .len = n_before};
    const imx_str tail = {.data = gap + 1, .len = sentence.len - n_before - 1};
    IMX_TRY(add_task(file, head, tail, err));
    IMX_TRY(add_choice(file, choices[0], right == 1, err));
    return add_choice(file, choices[1], right == 2, err);
}

static imx_status read_winogrande(imx_task_file *file, imx_error *err) {
    line_reader reader = read_lines(file);
    imx_str line, fields[WINOGRANDE_COMMAS + 1];
    while (next_line(&reader, &line)) {
        if (line.len == 0) {
            continue;
        }
        cut_fields(line, fields);
        const imx_str sentence = without_quotes(fields[1]);
        const int right = leading_digit(fields[4]);
        if (right < 1 || right > 2 || memchr(sentence.data, '_', sentence.len) == NULL) {
            return imx_fail(err, IMX_ERR_FORMAT,
                            "%s: line %zu: 'number,sentence with _,choice,choice,1 or 2' is "
                            "expected; the file is truncated, or not Winogrande's",
                            file->map.path, reader.number);
        }
        IMX_TRY(add_sentence(file, sentence, &fields[2], right, err));
    }
    return IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// The binary format

typedef struct byte_reader {
    const imx_file_map *map;
    uint64_t place; // at most the file's size
    imx_error *err;
} byte_reader;

static imx_status take_bytes(byte_reader *reader, uint64_t n_bytes, const uint8_t **bytes) {
    const uint64_t n_left = reader->map->size_bytes - reader->place;
    if (n_bytes > n_left) {
        return imx_fail(reader->err, IMX_ERR_FORMAT,
                        "%s: byte %" PRIu64 ": %" PRIu64 " bytes are announced, and %" PRIu64
                        " are left; the file is truncated, or no multiple-choice tasks",
                        reader->map->path, reader->place, n_bytes, n_left);
    }
    *bytes = reader->map->data + reader->place;
    reader->place += n_bytes;
    return IMX_OK;
}

static imx_status take_u32(byte_reader *reader, uint32_t *value) {
    const uint8_t *bytes;
    IMX_TRY(take_bytes(reader, 4, &bytes));
    *value = (uint32_t)imx_load_le(bytes, 4);
    return IMX_OK;
}

// An empty string is a mistake in what `what` names, unless that is NULL.
static imx_status take_string(byte_reader *reader, const char *what, imx_str *text) {
    const uint64_t place = reader->place;
    const uint8_t *bytes;
    uint32_t n_bytes;
    IMX_TRY(take_u32(reader, &n_bytes));
    IMX_TRY(take_bytes(reader, n_bytes, &bytes));
    if (n_bytes == 0 && what != NULL) {
        return imx_fail(reader->err, IMX_ERR_FORMAT, "%s: byte %" PRIu64 ": the %s is empty",
                        reader->map->path, place, what);
    }
    *text = (imx_str){.data = (const char *)bytes, .len = n_bytes};
    return IMX_OK;
}

// A list of answers, added to the last task when `file` is not NULL.
static imx_status take_answers(byte_reader *reader, imx_task_file *file) {
    const uint64_t place = reader->place;
    imx_str answers[MAX_ANSWERS];
    const uint8_t *labels;
    uint32_t n;
    IMX_TRY(take_u32(reader, &n));
    if (n > MAX_ANSWERS || (n == 0 && file != NULL)) {
        return imx_fail(reader->err, IMX_ERR_FORMAT,
                        "%s: byte %" PRIu64 ": a task with %" PRIu32 " answers; 1 to %d are read",
                        reader->map->path, place, n, MAX_ANSWERS);
    }
    for (uint32_t i = 0; i < n; ++i) {
        IMX_TRY(take_string(reader, file != NULL ? "answer" : NULL, &answers[i]));
    }
    IMX_TRY(take_bytes(reader, (uint64_t)n * 4, &labels));
    for (uint32_t i = 0; i < n && file != NULL; ++i) {
        IMX_TRY(add_choice(file, answers[i], imx_load_le(labels + 4 * i, 4) == 1, reader->err));
    }
    return IMX_OK;
}

static imx_status take_task(byte_reader *reader, imx_task_file *file) {
    imx_str question;
    IMX_TRY(take_string(reader, "question", &question));
    IMX_TRY(add_task(file, question, no_text, reader->err));
    IMX_TRY(take_answers(reader, file));
    return take_answers(reader, NULL);
}

static imx_status read_multiple_choice(imx_task_file *file, imx_error *err) {
    byte_reader reader = {.map = &file->map, .err = err};
    const uint8_t *offsets;
    uint32_t n_tasks;
    IMX_TRY(take_u32(&reader, &n_tasks));
    IMX_TRY(take_bytes(&reader, (uint64_t)n_tasks * 4, &offsets));
    for (uint32_t i = 0; i < n_tasks; ++i) {
        const uint64_t offset = imx_load_le(offsets + (size_t)4 * i, 4);
        if (offset < reader.place || offset > file->map.size_bytes) {
            return imx_fail(err, IMX_ERR_FORMAT,
                            "%s: task %" PRIu32 " of %" PRIu32 " is said to begin at byte %" PRIu64
                            ", and the one before it ends at %" PRIu64 " of %" PRIu64
                            "; the file is truncated, or no multiple-choice tasks",
                            file->map.path, i + 1, n_tasks, offset, reader.place,
                            file->map.size_bytes);
        }
        reader.place = offset;
        IMX_TRY(take_task(&reader, file));
    }
    return IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// Choosing

// Brings a random task to place i, for every i < max_tasks; the others stay in order.
static imx_status choose_in_order(imx_task_file *file, uint64_t max_tasks, imx_error *err) {
    (void)err;
    const size_t n_wanted =
        max_tasks > 0 && max_tasks < file->n_tasks ? (size_t)max_tasks : file->n_tasks;
    imx_twister twister = imx_twister_seed(SEED);
    for (size_t i = 0; i < n_wanted; ++i) {
        imx_task *left = file->tasks + i;
        const size_t j = imx_twister_below(&twister, (uint32_t)(file->n_tasks - i));
        const imx_task chosen = left[j];
        memmove(left + 1, left, j * sizeof *left);
        *left = chosen;
    }
    file->n_tasks = n_wanted;
    return IMX_OK;
}

// The same, but the last task left takes the place of the one chosen. All tasks stay as they are.
static imx_status choose_by_swap(imx_task_file *file, uint64_t max_tasks, imx_error *err) {
    size_t n_left = file->n_tasks;
    imx_twister twister = imx_twister_seed(SEED);
    imx_task *left;
    if (max_tasks == 0 || max_tasks >= n_left) {
        return IMX_OK;
    }
    IMX_TRY(imx_alloc_zeroed(&left, n_left, sizeof *left, err));
    memcpy(left, file->tasks, n_left * sizeof *left);
    file->n_tasks = (size_t)max_tasks;
    for (size_t i = 0; i < file->n_tasks; ++i) {
        const float share = 0x1p-32f * (float)imx_twister_next(&twister);
        const size_t place = (size_t)(share * (float)n_left);
        const size_t j = place < n_left ? place : n_left - 1;
        file->tasks[i] = left[j];
        left[j] = left[--n_left];
    }
    free(left);
    return IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// The file

static const struct {
    imx_status (*read)(imx_task_file *file, imx_error *err);
    imx_status (*choose)(imx_task_file *file, uint64_t max_tasks, imx_error *err);
    const char *separator;
    bool scores_tail;
} formats[IMX_N_TASK_KINDS] = {
    [IMX_TASKS_HELLASWAG] = {read_hellaswag, choose_in_order, " ", false},
    [IMX_TASKS_WINOGRANDE] = {read_winogrande, choose_by_swap, "", true},
    [IMX_TASKS_MULTIPLE_CHOICE] = {read_multiple_choice, choose_by_swap, " ", false},
};

imx_status imx_task_file_open(imx_task_file *file, const char *path, imx_task_kind kind,
                              uint64_t max_tasks, imx_error *err) {
    *file = (imx_task_file){
        .separator = formats[kind].separator,
        .scores_tail = formats[kind].scores_tail,
    };
    IMX_TRY(imx_file_map_open(&file->map, path, err));
    IMX_TRY(formats[kind].read(file, err));
    if (file->n_tasks == 0 || file->n_tasks > UINT32_MAX) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: holds no tasks", path);
    }
    return formats[kind].choose(file, max_tasks, err);
}

void imx_task_file_close(imx_task_file *file) {
    imx_file_map_close(&file->map);
    free(file->tasks);
    free(file->choices);
    *file = (imx_task_file){0};
}
