// SPDX-License-Identifier: MIT
//
// UTF-8 as the tokenizers see it, and the alphabet in which byte-level vocabularies are written.

#ifndef IMX_CALIB_UNICODE_BYTES_H
#define IMX_CALIB_UNICODE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"

// Bytes of the character that starts with `lead`, by its high bits only; 1 for a byte that starts
// none.
size_t imx_utf8_len(uint8_t lead);

// Writes code point `c`, at most U+10FFFF, and returns the number of bytes.
size_t imx_utf8_put(char out[4], uint32_t c);

// Code points that regular expressions are shown another one for, of the class that they have in
// Unicode 15.1 and as long in UTF-8.
typedef struct imx_stand_in {
    uint32_t first, last; // both included
    uint32_t stand_in;
} imx_stand_in;

extern const imx_stand_in imx_stand_ins[]; // (imx_stand_ins_len), ascending
extern const size_t imx_stand_ins_len;

// A text that regular expressions may read. Zero-initialise.
typedef struct imx_clean_text {
    const char *text;    // (len) what is tokenized
    const char *subject; // (len) valid UTF-8 of the same shape, for matching
    size_t len;
    char *memory; // owned; NULL when both are the caller's text
} imx_clean_text;

// Cleans `len` bytes. Valid UTF-8 is left where it is. Else a byte that is not part of a character
// becomes U+FFFD; overlong forms are shortened; surrogates stay in `text`. In `subject` they and
// other code points have their stand-ins. clean->memory is the caller's to free(), also on failure.
imx_status imx_clean_utf8(imx_clean_text *clean, const char *text, size_t len, imx_error *err);

// *out = `text` with every space as U+2581 and one in front when `prefix` is set; the caller's to
// free().
imx_status imx_escape_spaces(const char *text, size_t len, bool prefix, char **out, size_t *out_len,
                             imx_error *err);

// The letter that stands for a byte in byte-level vocabularies (GPT-2): the byte's own code point
// where that is a printable character of Latin-1, else the next free one from U+0100 on. Writes
// one or two bytes of UTF-8 and returns how many.
size_t imx_byte_letter(char out[4], uint8_t byte);

#endif
