// SPDX-License-Identifier: MIT
//
// Nearly every text is valid UTF-8 and is used as it is; only from the first fault on is it copied.
// The reading of faults is llama.cpp's, so that a damaged corpus gives the same tokens, save that
// code points above U+10FFFF, on which it gives up, are faults like any other. PCRE2 must not be
// shown surrogates, and should not judge characters that its version of Unicode does not know:
// others stand in for them (unicode_stand_in_table.c).

#include "calib/tokenizer/unicode_bytes.h"

#include <string.h>

#include "formats/memory.h"

enum { REPLACEMENT = 0xFFFD, MAX_CODE_POINT = 0x10FFFF };

size_t imx_utf8_len(uint8_t lead) {
    if (lead < 0xC0) {
        return 1;
    }
    return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

size_t imx_utf8_put(char out[4], uint32_t c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    out[0] = (char)((0xF00u >> len & 0xFF) | c); // 110xxxxx, 1110xxxx, 11110xxx
    return len;
}

// What regular expressions are shown for `c`, mostly `c` itself.
static uint32_t stand_in_for(uint32_t c) {
    if (c < imx_stand_ins[0].first) {
        return c;
    }
    size_t low = 0; // the row is in [low, high)
    size_t high = imx_stand_ins_len;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (c < imx_stand_ins[middle].first) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return c <= imx_stand_ins[low].last ? imx_stand_ins[low].stand_in : c;
}

// Decodes the character at text[0]; overlong forms and surrogates count. 0 when there is none.
static size_t decode_char(const char *text, size_t len, uint32_t *c) {
    const uint8_t lead = (uint8_t)text[0];
    const size_t size = imx_utf8_len(lead);
    if (size == 1) {
        *c = lead;
        return lead < 0x80 ? 1 : 0;
    }
    if (size > len || lead >= 0xF8) {
        return 0;
    }
    *c = lead & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        const uint8_t byte = (uint8_t)text[i];
        if ((byte & 0xC0) != 0x80) {
            return 0;
        }
        *c = *c << 6 | (byte & 0x3Fu);
    }
    return *c <= MAX_CODE_POINT ? size : 0;
}

// Length of the part of `text` at its start that is valid UTF-8 and may be shown as it is.
static size_t count_plain(const char *text, size_t len) {
    size_t i = 0;
    while (i < len) {
        uint32_t c;
        char shortest[4];
        const size_t size = decode_char(text + i, len - i, &c);
        if (size == 0 || stand_in_for(c) != c || imx_utf8_put(shortest, c) != size) {
            break;
        }
        i += size;
    }
    return i;
}

imx_status imx_clean_utf8(imx_clean_text *clean, const char *text, size_t len, imx_error *err) {
    *clean = (imx_clean_text){.text = text, .subject = text, .len = len};
    const size_t n_plain = count_plain(text, len);
    if (n_plain == len) {
        return IMX_OK;
    }
    const size_t max_len = n_plain + 3 * (len - n_plain); // U+FFFD takes three bytes
    IMX_TRY(imx_alloc_zeroed(&clean->memory, max_len, 2, err));
    char *const out = clean->memory;
    char *const subject = clean->memory + max_len;
    memcpy(out, text, n_plain);
    memcpy(subject, text, n_plain);
    size_t n = n_plain;
    for (size_t i = n_plain; i < len;) {
        uint32_t c;
        const size_t size = decode_char(text + i, len - i, &c);
        if (size == 0) {
            c = REPLACEMENT;
        }
        imx_utf8_put(subject + n, stand_in_for(c));
        n += imx_utf8_put(out + n, c);
        i += size > 0 ? size : 1;
    }
    clean->text = out;
    clean->subject = subject;
    clean->len = n;
    return IMX_OK;
}

imx_status imx_escape_spaces(const char *text, size_t len, bool prefix, char **out, size_t *out_len,
                             imx_error *err) {
    static const char escape[3] = "\u2581";
    size_t n_spaces = prefix ? 1 : 0;
    for (size_t i = 0; i < len; i++) {
        n_spaces += text[i] == ' ';
    }
    IMX_TRY(imx_alloc_zeroed(out, len + 3 * n_spaces, 1, err));
    char *end = *out;
    if (prefix) {
        memcpy(end, escape, sizeof escape);
        end += sizeof escape;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ' ') {
            memcpy(end, escape, sizeof escape);
            end += sizeof escape;
        } else {
            *end++ = text[i];
        }
    }
    *out_len = (size_t)(end - *out);
    return IMX_OK;
}

static bool is_printable_latin1(unsigned c) {
    return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xFF && c != 0xAD);
}

size_t imx_byte_letter(char out[4], uint8_t byte) {
    if (is_printable_latin1(byte)) {
        return imx_utf8_put(out, byte);
    }
    uint32_t c = 0x100;
    for (unsigned b = 0; b < byte; b++) {
        c += !is_printable_latin1(b);
    }
    return imx_utf8_put(out, c);
}
