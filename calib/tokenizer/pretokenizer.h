// SPDX-License-Identifier: MIT
//
// Pre-tokenizers: regular expressions that cut a text into the words inside which BPE merges.

#ifndef IMX_CALIB_PRETOKENIZER_H
#define IMX_CALIB_PRETOKENIZER_H

#include <stddef.h>

#include "calib/tokenizer/unicode_bytes.h"
#include "formats/error.h"
#include "formats/gguf.h"

enum {
    IMX_PRE_ADD_BOS = 1,         // BOS is added unless the file says otherwise
    IMX_PRE_ALWAYS_BOS = 2,      // BOS is added whatever the file says
    IMX_PRE_NO_BOS = 4,          // there is no BOS token unless the file names one
    IMX_PRE_WHOLE_WORDS = 8,     // a word that is a token is not merged: it is that token
    IMX_PRE_WHOLE_NEWLINES = 16, // the same for words of newlines only
    IMX_PRE_RAW = 32,            // pieces are plain UTF-8, not GPT-2 letters
    IMX_PRE_ESCAPE = 64,         // spaces become U+2581 before the text is cut
    IMX_PRE_NO_MERGES = 128,     // the file may come without merges
};

enum { IMX_PRE_MAX_STAGES = 6 };

// A row of the table.
typedef struct imx_pretokenizer_row {
    const char *name;            // tokenizer.ggml.pre
    const char *const *patterns; // one for each stage, ends with NULL
    unsigned flags;              // IMX_PRE_*
} imx_pretokenizer_row;

extern const imx_pretokenizer_row imx_pretokenizer_table[];
extern const size_t imx_pretokenizer_table_len;

typedef struct imx_pretokenizer imx_pretokenizer;

// Compiles the pre-tokenizer `name`. *out is the caller's to imx_pretokenizer_close. An unknown
// name is IMX_ERR_UNSUPPORTED together with the known ones; `path` is only for messages.
imx_status imx_pretokenizer_open(imx_pretokenizer **out, imx_str name, const char *path,
                                 imx_error *err);
void imx_pretokenizer_close(imx_pretokenizer *pretokenizer);

unsigned imx_pretokenizer_flags(const imx_pretokenizer *pretokenizer);

// Receives the words in order; together they are the whole text.
typedef imx_status (*imx_word_sink)(void *context, const char *word, size_t len, imx_error *err);

// Cuts a text. Several threads may use one pre-tokenizer.
imx_status imx_pretokenizer_split(const imx_pretokenizer *pretokenizer, const imx_clean_text *text,
                                  imx_word_sink sink, void *context, imx_error *err);

#endif
