// SPDX-License-Identifier: MIT
//
// Words as the pre-tokenizers cut them. The expected cuts were computed with llama.cpp's
// unicode_regex_split (version of 2026-08-18) and its expressions for each name.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/tokenizer/pretokenizer.h"

// The words of a text, with '|' between them.
static const struct {
    const char *name;
    const char *words;
} splits[] = {
    {"gpt-2", "Hello| | world|,| it|'s| 2024|!|\n\n | x"},
    {"gpt-2", "IT|'|S| don|'t"},
    {"gpt-2", " a\U0001E4D0|\u0ECE| \U0001D2C01|\u1C89|x"}, // new in Unicode 15, 15, 15, 16
    {"default", "a|+|b|=|c| |123|45|,|`|x|`"},
    {"falcon", "a|+|b|=|c| |123|45|,`|x|`"},
    {"starcoder", "x| =| |1|2|3"},
    {"llama-bpe", "It|'S| |123|456|7| x|\n\n\n| y|  \n"},
    {"llama-bpe", "#include| <|a|.h|>\n|\tx|;\u180E|y"},
    {"qwen2", "It|'S| |1|2|3|4| (|a|)\r\n\r\n| b"},
    {"qwen35", "e\u0301te\u0301| |1"},
    {"minicpm5", "a|123|4| b"},
    {"laguna", "a| |\n\n| b"},
    {"seed-coder", "a|!|\n| b"},
    {"exaone-moe", "a b c|1| |2|!//"},
    {"jais-2", "a|    |  | b"},
    {"gpt-4o", "Camel|Case|HTTP's| über| Ä|B| |123|4| a|//\n"},
    {"tekken", "Camel|Case|HTTP|'s| |1|2|3|4"},
    {"granite-embed-multi-97m", "नमस्ते| Ab"},
    {"tiny_aya", "abc|1|234|567| a| | |12"},
    {"youtu", "한국어ㄱ|、|ok|中文|HelloWorld| |1|2"},
    {"deepseek-coder", "if| x|:|\n| | y| = |1|2|3|中文| é"},
    {"deepseek-llm", "if| x|:|\n| | y| =| |123|中文| é|   "},
    {"deepseek-v3", "a|~b| |~é| !|~| x|+y| |123|4|中文|\n"},
    {"afmoe", "abc|1|234|567|中文| a"},
    {"kimi-k2", "汉字|abc's| |123|4|!\n"},
    {"gemma4", "a b|\n\n|c"},
    {"bloom", "a| b|,| c| (|d|)"},
    {"viking", "a| |1|2|,| b"},
    {"chameleon", "a|\t|1|  |b|!|IMGIMGABZ"},
    {"whitespace", "a,|  \n|b|\u3000|c"}, // by hand: llama.cpp stops at two spaces
    {"superbpe", "1|234|567| |123\u00B2| |12"},
};

enum { N_SPLITS = sizeof splits / sizeof *splits };

static imx_pretokenizer *open_by_name(const char *name) {
    imx_pretokenizer *p;
    imx_error err;
    const imx_str str = {.data = name, .len = strlen(name)};
    if (imx_pretokenizer_open(&p, str, "test.gguf", &err) != IMX_OK) {
        fail_msg("%s: %s", name, err.message);
    }
    return p;
}

typedef struct joined {
    char text[256];
    size_t len;
} joined;

static imx_status join(void *context, const char *word, size_t len, imx_error *err) {
    (void)err;
    joined *j = context;
    if (j->len > 0) {
        j->text[j->len++] = '|';
    }
    memcpy(j->text + j->len, word, len);
    j->len += len;
    return IMX_OK;
}

static void test_golden_splits(void **state) {
    (void)state;
    for (size_t i = 0; i < N_SPLITS; i++) {
        char text[256];
        size_t len = 0;
        for (const char *c = splits[i].words; *c != '\0'; c++) {
            if (*c != '|') {
                text[len++] = *c;
            }
        }
        imx_pretokenizer *p = open_by_name(splits[i].name);
        imx_clean_text clean;
        joined j = {0};
        assert_int_equal(imx_clean_utf8(&clean, text, len, NULL), IMX_OK);
        assert_int_equal(imx_pretokenizer_split(p, &clean, join, &j, NULL), IMX_OK);
        free(clean.memory);
        j.text[j.len] = '\0';
        assert_string_equal(j.text, splits[i].words);
        imx_pretokenizer_close(p);
    }
}

static imx_status expect_next(void *context, const char *word, size_t len, imx_error *err) {
    (void)err;
    const char **next = context;
    assert_ptr_equal(word, *next);
    assert_true(len > 0);
    *next += len;
    return IMX_OK;
}

// Every row: the words are the whole text, nothing lost and nothing twice, and a run of 100 kB is
// not a matter of minutes.
static void test_words_are_the_text(void **state) {
    (void)state;
    enum { RUN = 100000 };
    static const char runs[] = "a1 A\n.!~'";
    char *text = malloc(RUN);
    assert_non_null(text);
    for (size_t i = 0; i < imx_pretokenizer_table_len; i++) {
        imx_pretokenizer *p = open_by_name(imx_pretokenizer_table[i].name);
        for (size_t r = 0; r < sizeof runs - 1; r++) {
            memset(text, runs[r], RUN);
            text[RUN - 1] = 'b';
            const imx_clean_text clean = {.text = text, .subject = text, .len = RUN};
            const char *next = text;
            assert_int_equal(imx_pretokenizer_split(p, &clean, expect_next, &next, NULL), IMX_OK);
            assert_ptr_equal(next, text + RUN);
        }
        imx_pretokenizer_close(p);
    }
    free(text);
}

static void test_names_are_unique(void **state) {
    (void)state;
    for (size_t i = 0; i < imx_pretokenizer_table_len; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(imx_pretokenizer_table[i].name, imx_pretokenizer_table[j].name);
        }
    }
}

static void expect_clean(const char *text, size_t len, const char *cleaned, size_t cleaned_len) {
    imx_clean_text clean;
    assert_int_equal(imx_clean_utf8(&clean, text, len, NULL), IMX_OK);
    assert_int_equal(clean.len, cleaned_len);
    assert_memory_equal(clean.text, cleaned, cleaned_len);
    free(clean.memory);
}

#define EXPECT_CLEAN(text, cleaned) expect_clean(text, sizeof text - 1, cleaned, sizeof cleaned - 1)

static void test_invalid_utf8(void **state) {
    (void)state;
    EXPECT_CLEAN("a\0é中😀", "a\0é中😀");
    EXPECT_CLEAN("\x80z\xFF", "\uFFFDz\uFFFD");
    EXPECT_CLEAN("\xE4\xB8", "\uFFFD\uFFFD"); // cut short
    EXPECT_CLEAN("\xE4z\xB8", "\uFFFDz\uFFFD");
    EXPECT_CLEAN("\xC1\x81\xE0\x80\xAF", "A/");   // overlong
    EXPECT_CLEAN("\xED\xA0\x80", "\xED\xA0\x80"); // a surrogate stays
}

// What stands in for characters: shown to PCRE2, but the text keeps them.
static void test_stand_ins(void **state) {
    (void)state;
    imx_clean_text clean;
    static const char text[] = "a\xED\xA0\x80\u0CF3\u0CF2\U0001E4D0\U0001E4FA";
    assert_int_equal(imx_clean_utf8(&clean, text, sizeof text, NULL), IMX_OK);
    assert_memory_equal(clean.text, text, sizeof text);
    assert_string_equal(clean.subject, "a\uE000\u0816\u0CF2\U00010000\U0001E4FA");
    free(clean.memory);

    char from[4], to[4];
    for (size_t i = 0; i < imx_stand_ins_len; i++) {
        const imx_stand_in *row = &imx_stand_ins[i];
        assert_true(row->first <= row->last);
        assert_true(i == 0 || row->first > row[-1].last);
        assert_int_equal(imx_utf8_put(from, row->first), imx_utf8_put(to, row->stand_in));
        assert_int_equal(imx_utf8_put(from, row->last), imx_utf8_put(to, row->stand_in));
    }
}

// First, last and the ones around the gaps of the alphabet.
static void test_byte_letters(void **state) {
    (void)state;
    static const struct {
        uint8_t byte;
        const char *letter;
    } rows[] = {{0x00, "Ā"}, {' ', "Ġ"},  {'!', "!"},  {'~', "~"},  {0x7F, "ġ"},
                {0xA0, "ł"}, {0xA1, "¡"}, {0xAD, "Ń"}, {0xAE, "®"}, {0xFF, "ÿ"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char letter[5] = "";
        assert_int_equal(imx_byte_letter(letter, rows[i].byte), strlen(rows[i].letter));
        assert_string_equal(letter, rows[i].letter);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_splits),    cmocka_unit_test(test_words_are_the_text),
        cmocka_unit_test(test_names_are_unique), cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_stand_ins),        cmocka_unit_test(test_byte_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
