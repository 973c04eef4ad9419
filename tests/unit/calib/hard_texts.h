// SPDX-License-Identifier: MIT
//
// A text of what tokenizers trip over, and a hash of the tokens that come out.

#ifndef IMX_TESTS_HARD_TEXTS_H
#define IMX_TESTS_HARD_TEXTS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { HARD_TEXT_BYTES = 1 << 18 };

typedef struct hard_text {
    size_t len;
    char bytes[HARD_TEXT_BYTES];
} hard_text;

static const char *const hard_samples[] = {
    // emoji: joined, flags, skin tones, keycaps
    "👩‍👩‍👧‍👦 👨🏽‍🚀👋🏿 🇩🇪🇫🇷🇯🇵🏴 ☀️❤️‍🔥 1️⃣#️⃣ ♂️ a😀b😀😀 😀1 '😀s",
    // combining marks
    "e\u0301te\u0301 x\u0300\u0301\u0302 \u0301a 1\u0301 .\u0301. नमस्ते कि தமிழ் น้ำ မြန်မာ বাংলা",
    // digits, long runs
    "1 12 123 1234 12345 1234567 99999999999999999999999999999999999999999 1,234.89 ٠١٢٣٤٥ ²³½Ⅷ①",
    "中文字符，你好！日本語カタカナ。한국어 ㄱㄴ ｆｕｌｌ １２３ ㄅㄆ　全角　々〇 龥鿿 㐀豈 𠀀 'S中 中's",
    "שלום עולם, זה טסט. مرحبا بالعالم! ١٢٣ السَّلامُ \u200f\u202b x \u202c سلام‌خوبی",
    "I'm IT'S DON'T we'LL they'Ve 'sa ''s 'ſ 'll'll HTTPServer camelCase ÄÖüß ǅ ªº ꭰᎠ aB ABc",
    "a b  c   d\t\tg \t h\u00a0\u00a0i\u2003j\u3000\u3000k\u180el\u200bm\u2028n\xC2\x85o\x0b\x0cq\ufeffr",
    "\n\n\na\r\nb\r\n\r\nc\r\rd\n\re \nf \r\ng\t\nh\n\n  j  \n\n  \n k ... !!! === // /\n\n ~a !a -1 $a$",
};

static inline void add_hard_bytes(hard_text *t, const char *bytes, size_t n) {
    if (t->len + n <= sizeof t->bytes) {
        memcpy(t->bytes + t->len, bytes, n);
        t->len += n;
    }
}

static inline void add_hard_code_point(hard_text *t, uint32_t c) {
    char out[4];
    const size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    out[0] = (char)(n == 1 ? c : (0xF00u >> n & 0xFF) | c);
    add_hard_bytes(t, out, n);
}

// Code points one by one, between letters, digits and spaces by turns. Surrogates are among them.
static inline void add_hard_range(hard_text *t, uint32_t first, uint32_t last) {
    static const char *const between[] = {"", " ", "a", "1", ".", "A"};
    for (uint32_t c = first; c <= last; c++) {
        add_hard_code_point(t, c);
        const char *b = between[c % 7 % 6];
        add_hard_bytes(t, b, strlen(b));
    }
}

static inline void make_hard_text(hard_text *t) {
    static const uint32_t ranges[][2] = {
        {0x0, 0x3400},      {0x4DB0, 0x4E20},   {0x9F90, 0xA000},   {0xA490, 0xABFF},
        {0xD790, 0xD820},   {0xF8F0, 0xFFFF},   {0x10000, 0x10FFF}, {0x11200, 0x12000},
        {0x13420, 0x13460}, {0x1B130, 0x1B160}, {0x1D2C0, 0x1D7FF}, {0x1E000, 0x1E6FF},
        {0x1F1E0, 0x1FBFF}, {0x2A6D0, 0x2A710}, {0x2B730, 0x2B750}, {0x2EBE0, 0x2EE70},
        {0xE0000, 0xE0080},
    };
    static const char alphabet[] = "aAbBzZsStT12  \t\n\r'.,!~/";
    t->len = 0;
    for (size_t i = 0; i < sizeof hard_samples / sizeof *hard_samples; i++) {
        add_hard_bytes(t, hard_samples[i], strlen(hard_samples[i]) + 1); // with its NUL
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        const char pair[2] = {(char)byte, 'x'};
        add_hard_bytes(t, pair, 1 + byte % 2);
    }
    uint32_t random = 1;
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525u + 1013904223u;
        add_hard_bytes(t, &alphabet[(random >> 16) % (sizeof alphabet - 1)], 1);
    }
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        add_hard_range(t, ranges[i][0], ranges[i][1]);
    }
}

// FNV-1a over the ids.
static inline uint32_t hash_tokens(const int32_t *ids, size_t n) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < n; i++) {
        for (int shift = 0; shift < 32; shift += 8) {
            hash = (hash ^ ((uint32_t)ids[i] >> shift & 0xFF)) * 16777619u;
        }
    }
    return hash;
}

#endif
