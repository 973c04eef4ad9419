// SPDX-License-Identifier: MIT
//
// A pre-tokenizer is a list of regular expressions. The first cuts the text into its matches and
// what lies between them; the next does the same with each of those parts, which it sees as a text
// of its own; the parts that leave the last stage are words. A match of no length cuts without
// taking anything.
//
// The stages are nested, not run one after the other, so that no list of parts is kept. Patterns
// are written so that no run of a text is scanned twice (see the table), because a megabyte without
// a space must not take a megabyte squared.

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "calib/tokenizer/pretokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"

struct imx_pretokenizer {
    const imx_pretokenizer_row *row;
    pcre2_code *stages[IMX_PRE_MAX_STAGES]; // (n_stages)
    size_t n_stages;
    pcre2_match_context *limits; // read-only once made
};

// One call of imx_pretokenizer_split.
typedef struct splitting {
    const imx_pretokenizer *pretokenizer;
    const imx_clean_text *text;
    pcre2_match_data *match;
    imx_word_sink sink;
    void *context;
} splitting;

static const imx_pretokenizer_row *find_pretokenizer_row(imx_str name) {
    for (size_t i = 0; i < imx_pretokenizer_table_len; i++) {
        const imx_pretokenizer_row *row = &imx_pretokenizer_table[i];
        if (strlen(row->name) == name.len && memcmp(row->name, name.data, name.len) == 0) {
            return row;
        }
    }
    return NULL;
}

static imx_status fail_unknown_name(imx_str name, const char *path, imx_error *err) {
    char known[860] = "";
    size_t len = 0;
    for (size_t i = 0; i < imx_pretokenizer_table_len; i++) {
        const char *row_name = imx_pretokenizer_table[i].name;
        if (len + strlen(row_name) + 3 < sizeof known) {
            len += (size_t)sprintf(known + len, "%s%s", i > 0 ? " " : "", row_name);
        }
    }
    return imx_fail(err, IMX_ERR_UNSUPPORTED,
                    "%s: unknown tokenizer.ggml.pre '%.*s': name one that cuts text alike, or "
                    "update this program; known: %s",
                    path, (int)(name.len < 64 ? name.len : 64), name.data, known);
}

static imx_status compile_pattern(pcre2_code **code, const char *pattern, imx_error *err) {
    int error;
    size_t offset;
    *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error, &offset, NULL);
    if (*code == NULL) {
        char message[128] = "";
        pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof message);
        return imx_fail(err, error == PCRE2_ERROR_NOMEMORY ? IMX_ERR_MEMORY : IMX_ERR_UNSUPPORTED,
                        "the PCRE2 library refuses '%s' at %zu: %s", pattern, offset, message);
    }
    pcre2_jit_compile(*code, PCRE2_JIT_COMPLETE); // without JIT the interpreter does the work
    return IMX_OK;
}

static imx_status compile_stages(imx_pretokenizer *pretokenizer, imx_error *err) {
    const char *const *patterns = pretokenizer->row->patterns;
    for (; patterns[pretokenizer->n_stages] != NULL; pretokenizer->n_stages++) {
        IMX_TRY(compile_pattern(&pretokenizer->stages[pretokenizer->n_stages],
                                patterns[pretokenizer->n_stages], err));
    }
    pretokenizer->limits = pcre2_match_context_create(NULL);
    if (pretokenizer->limits == NULL) {
        return imx_fail(err, IMX_ERR_MEMORY, "out of memory for a regular expression");
    }
    pcre2_set_match_limit(pretokenizer->limits, UINT32_MAX);
    return IMX_OK;
}

imx_status imx_pretokenizer_open(imx_pretokenizer **out, imx_str name, const char *path,
                                 imx_error *err) {
    *out = NULL;
    const imx_pretokenizer_row *row = find_pretokenizer_row(name);
    if (row == NULL) {
        return fail_unknown_name(name, path, err);
    }
    imx_pretokenizer *pretokenizer;
    IMX_TRY(imx_alloc_zeroed(&pretokenizer, 1, sizeof *pretokenizer, err));
    pretokenizer->row = row;
    const imx_status status = compile_stages(pretokenizer, err);
    if (status != IMX_OK) {
        imx_pretokenizer_close(pretokenizer);
        return status;
    }
    *out = pretokenizer;
    return IMX_OK;
}

void imx_pretokenizer_close(imx_pretokenizer *pretokenizer) {
    if (pretokenizer == NULL) {
        return;
    }
    for (size_t i = 0; i < IMX_PRE_MAX_STAGES; i++) {
        pcre2_code_free(pretokenizer->stages[i]);
    }
    pcre2_match_context_free(pretokenizer->limits);
    free(pretokenizer);
}

unsigned imx_pretokenizer_flags(const imx_pretokenizer *pretokenizer) {
    return pretokenizer->row->flags;
}

// Runs the expression of a stage on the part [begin, end) from `from` on; a PCRE2 result.
static int run_stage(const splitting *s, size_t stage, size_t begin, size_t end, size_t from,
                     uint32_t options) {
    const imx_pretokenizer *p = s->pretokenizer;
    return pcre2_match(p->stages[stage], (PCRE2_SPTR)s->text->subject + begin, end - begin,
                       from - begin, PCRE2_NO_UTF_CHECK | options, s->match, p->limits);
}

// *start and *stop become the next match, both `end` when there is none.
static imx_status find_match(const splitting *s, size_t stage, size_t begin, size_t end,
                             size_t from, size_t *start, size_t *stop, imx_error *err) {
    int result = run_stage(s, stage, begin, end, from, 0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) {
        result = run_stage(s, stage, begin, end, from, PCRE2_NO_JIT);
    }
    if (result < 0 && result != PCRE2_ERROR_NOMATCH) {
        return imx_fail(err, IMX_ERR_MEMORY, "pre-tokenizer '%s': PCRE2 gave up with error %d",
                        s->pretokenizer->row->name, result);
    }
    const size_t *offsets = pcre2_get_ovector_pointer(s->match);
    *start = result < 0 ? end : begin + offsets[0];
    *stop = result < 0 ? end : begin + offsets[1];
    return IMX_OK;
}

// Hands on the part [begin, end), cut by `stage` and those behind it.
static imx_status split_part(const splitting *s, size_t stage, size_t begin, size_t end,
                             imx_error *err) {
    if (begin == end) {
        return IMX_OK;
    }
    if (stage == s->pretokenizer->n_stages) {
        return s->sink(s->context, s->text->text + begin, end - begin, err);
    }
    size_t done = begin; // handed on up to here
    size_t from = begin;
    while (from < end) {
        size_t start, stop;
        IMX_TRY(find_match(s, stage, begin, end, from, &start, &stop, err));
        IMX_TRY(split_part(s, stage + 1, done, start, err));
        IMX_TRY(split_part(s, stage + 1, start, stop, err));
        done = stop;
        from = stop;
        if (start == stop && stop < end) {
            from += imx_utf8_len((uint8_t)s->text->subject[stop]);
        }
    }
    return split_part(s, stage + 1, done, end, err);
}

imx_status imx_pretokenizer_split(const imx_pretokenizer *pretokenizer, const imx_clean_text *text,
                                  imx_word_sink sink, void *context, imx_error *err) {
    splitting s = {
        .pretokenizer = pretokenizer,
        .text = text,
        .match = pcre2_match_data_create(1, NULL),
        .sink = sink,
        .context = context,
    };
    if (s.match == NULL) {
        return imx_fail(err, IMX_ERR_MEMORY, "out of memory for a regular expression");
    }
    const imx_status status = split_part(&s, 0, 0, text->len, err);
    pcre2_match_data_free(s.match);
    return status;
}
