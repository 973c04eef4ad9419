// SPDX-License-Identifier: MIT
//
// What a source is, which documents it has, and how they are joined: over files in a scratch
// folder.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "calib/text/text_source.h"
#include "calib/tokenizer/tokenizer.h"

static char folder[] = "/tmp/imatrix-text-source-XXXXXX";
static imx_gguf *phi_4; // a model without anything but a chat template

// NAME in the folder. The string is valid until the next call but three.
static const char *path_of(const char *name) {
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text) {
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int open_fixture(void **state) {
    (void)state;
    imx_gguf_builder *builder;
    static uint8_t *bytes;
    size_t n;
    imx_gguf_builder_new(&builder, NULL);
    imx_gguf_set_str(builder, "tokenizer.chat_template", "<|im_start|> <|im_sep|>", NULL);
    imx_gguf_builder_header(builder, &bytes, &n, NULL);
    imx_gguf_builder_free(builder);
    return mkdtemp(folder) == NULL || imx_gguf_parse(&phi_4, bytes, n, "m.gguf", NULL) != IMX_OK;
}

static int close_fixture(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    imx_gguf_close(phi_4);
    return system(command);
}

static imx_text_source *open_source(const char *argument, bool parse_special) {
    imx_text_source *source;
    imx_error err;
    if (imx_text_source_open(&source, argument, phi_4, parse_special, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    return source;
}

// Expects these documents of a source, with a '|' behind each; packed, they are one text.
static void expect_documents(const char *argument, bool packed, const char *expected) {
    imx_text_source *source = open_source(argument, false);
    imx_marked_text text = {0};
    imx_error err;
    char got[256] = "";
    size_t n = 0;
    for (bool found = true; found;) {
        if (imx_text_source_next(source, &text, &found, &err) != IMX_OK) {
            fail_msg("%s", err.message);
        }
        if (found != packed) {
            n += (size_t)snprintf(got + n, sizeof got - n, "%.*s%s", (int)text.len,
                                  text.len > 0 ? text.data : "", found || packed ? "|" : "");
            imx_marked_text_clear(&text);
        }
    }
    assert_string_equal(got, expected);
    imx_marked_text_free(&text);
    imx_text_source_close(source);
}

static void test_plain_file(void **state) {
    (void)state;
    write_file("a.txt", "one\n\n two\r\n{\"text\": 1}\n");
    expect_documents(path_of("a.txt"), false, "one\n\n two\r\n{\"text\": 1}\n|");
    write_file("none.txt", "");
    expect_documents(path_of("none.txt"), false, "|");
}

static void test_jsonl(void **state) {
    (void)state;
    write_file("a.jsonl",
               "{\"text\": \"one\"}\n\n \t\r\n{\"id\": 7, \"text\": \"t\\u00e4\\nx\"}\r\n"
               "{\"text\": \"taken\", \"messages\": []}\n{\"text\": \"\"}");
    expect_documents(path_of("a.jsonl"), false, "one|tä\nx|taken||");
    expect_documents(path_of("a.jsonl"), true, "one\ntä\nx\ntaken\n|");
    write_file("blank.jsonl", "\n\n");
    expect_documents(path_of("blank.jsonl"), false, "");
}

static void test_nul(void **state) {
    (void)state;
    imx_marked_text text = {0};
    bool found;
    write_file("nul.jsonl", "{\"text\": \"a\\u0000b\"}\n");
    imx_text_source *source = open_source(path_of("nul.jsonl"), false);
    assert_int_equal(imx_text_source_next(source, &text, &found, NULL), IMX_OK);
    assert_int_equal(text.len, 3);
    assert_memory_equal(text.data, "a\0b", 3);
    imx_marked_text_free(&text);
    imx_text_source_close(source);
}

static void test_chats(void **state) {
    (void)state;
    static const char rendered[] = "<|im_start|>user<|im_sep|>Hi<|im_end|>"
                                   "<|im_start|>assistant<|im_sep|>Yes?<|im_end|>";
    char expected[256];
    write_file(
        "chat.jsonl",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", "
        "\"content\": [{\"type\": \"text\", \"text\": \"Ye\"}, {\"text\": \"s?\"}]}]}\n");
    snprintf(expected, sizeof expected, "%s|", rendered);
    expect_documents(path_of("chat.jsonl"), false, expected);
    write_file("mixed.jsonl", "{\"text\": \"a\"}\n{\"messages\": [{\"role\": \"user\", "
                              "\"content\": \"Hi\"}]}\n{\"text\": \"b\"}\n");
    expect_documents(path_of("mixed.jsonl"), true, "a\n<|im_start|>user<|im_sep|>Hi<|im_end|>b|");
}

// Special tokens are parsed in plain text when asked for, in the contents of a chat never.
static void test_spans(void **state) {
    (void)state;
    write_file("spans.jsonl",
               "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}\n{\"text\": \"y\"}\n");
    for (int parse_special = 0; parse_special < 2; parse_special++) {
        imx_text_source *source = open_source(path_of("spans.jsonl"), parse_special);
        imx_marked_text text = {0};
        bool found;
        assert_int_equal(imx_text_source_next(source, &text, &found, NULL), IMX_OK);
        assert_int_equal(text.n_spans, 3);
        assert_false(text.spans[1].parse_special);
        assert_int_equal(text.spans[1].len, 1);
        assert_int_equal(imx_text_source_next(source, &text, &found, NULL), IMX_OK);
        assert_int_equal(text.n_spans, parse_special ? 3 : 4);
        assert_int_equal(text.spans[text.n_spans - 1].parse_special, parse_special);
        imx_marked_text_free(&text);
        imx_text_source_close(source);
    }
}

static void test_directory(void **state) {
    (void)state;
    mkdir(path_of("texts"), 0777);
    mkdir(path_of("texts/folder"), 0777);
    write_file("texts/b.txt", "B");
    write_file("texts/a.MD", "A\n");
    write_file("texts/c.jsonl", "{\"text\": \"C1\"}\n{\"text\": \"C2\"}\n");
    write_file("texts/.hidden.txt", "no");
    write_file("texts/notes.pdf", "no");
    write_file("texts/folder/d.txt", "no");
    expect_documents(path_of("texts"), false, "A\n|B|C1|C2|");
    expect_documents(path_of("texts"), true, "A\nB\nC1\nC2|");
}

// What comes through a pipe has no name: its first line tells what it is.
static void expect_piped(const char *bytes, const char *expected) {
    const int saved = dup(STDIN_FILENO);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], bytes, strlen(bytes)), (ssize_t)strlen(bytes));
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    expect_documents("-", false, expected);
    dup2(saved, STDIN_FILENO);
    close(saved);
    clearerr(stdin);
}

static void test_standard_input(void **state) {
    (void)state;
    expect_piped("{\"text\": \"a\"}\n{\"text\": \"b\"}\n", "a|b|");
    expect_piped("plain {\n{\"text\": \"b\"}\n", "plain {\n{\"text\": \"b\"}\n|");
    expect_piped("{\"other\": 1}\n", "{\"other\": 1}\n|");
    expect_piped("", "|");
}

static void assert_weight(const char *argument, const char *path, double weight) {
    imx_text_source *source = open_source(argument, false);
    assert_string_equal(imx_text_source_path(source), path);
    assert_true(imx_text_source_weight(source) == weight);
    imx_text_source_close(source);
}

static void test_weights(void **state) {
    (void)state;
    static const char *const bad[] = {":0", ":-1", ":1.5", ":nan", ":inf"};
    char argument[160];
    imx_text_source *source;
    imx_error err;
    write_file("w:1", "");
    write_file("w", "");
    assert_weight(path_of("w"), path_of("w"), 1);
    assert_weight(path_of("w:0.25"), path_of("w"), 0.25);
    assert_weight(path_of("w:1"), path_of("w:1"), 1); // this file exists
    assert_weight(path_of("w:1:0.5"), path_of("w:1"), 0.5);
    assert_weight(path_of("w:x"), path_of("w:x"), 1); // no number, so part of the name
    assert_weight("-:0.5", "standard input", 0.5);
    mkdir(path_of("slashes"), 0777);
    write_file("slashes/a.txt", "");
    assert_weight(path_of("slashes//:0.5"), path_of("slashes"), 0.5);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(argument, sizeof argument, "%s%s", path_of("w"), bad[i]);
        assert_int_equal(imx_text_source_open(&source, argument, phi_4, false, &err),
                         IMX_ERR_ARGUMENT);
        assert_null(source);
        assert_non_null(strstr(err.message, bad[i]));
    }
}

static void test_hash(void **state) {
    (void)state;
    char hex[33];
    bool found;
    imx_marked_text text = {0};
    write_file("hash.jsonl", "{\"text\": \"one\"}\n\n");
    imx_text_source *source = open_source(path_of("hash.jsonl"), false);
    do {
        assert_int_equal(imx_text_source_next(source, &text, &found, NULL), IMX_OK);
    } while (found);
    imx_text_source_hash(source, hex);
    assert_string_equal(hex, "799e74c1a6676958a3099cad05d56497"); // of xxhsum -H2
    imx_text_source_close(source);
    imx_marked_text_free(&text);
}

// Expects the second document to be refused.
static void assert_refused(const char *line, const char *words) {
    char lines[512];
    imx_error err = {0};
    bool found;
    imx_marked_text text = {0};
    snprintf(lines, sizeof lines, "{\"text\": \"good\"}\n\n%s\n", line);
    write_file("bad.jsonl", lines);
    imx_text_source *source = open_source(path_of("bad.jsonl"), false);
    assert_int_equal(imx_text_source_next(source, &text, &found, &err), IMX_OK);
    assert_int_equal(imx_text_source_next(source, &text, &found, &err), IMX_ERR_FORMAT);
    if (strstr(err.message, "bad.jsonl: line 3: ") == NULL || strstr(err.message, words) == NULL) {
        fail_msg("'%s' does not name the line and say '%s'", err.message, words);
    }
    imx_text_source_close(source);
    imx_marked_text_free(&text);
}

static void test_bad_lines(void **state) {
    (void)state;
    assert_refused("{\"text\": \"cut", "byte ");
    assert_refused("{\"text\": \"a\"} {\"text\": \"b\"}", "end of file expected");
    assert_refused("[1]", "not an object");
    assert_refused("{\"text\": 3}", "not an object with a string 'text'");
    assert_refused("{\"prompt\": \"a\"}", "not an object with");
    assert_refused("{\"text\": \"\xff\"}", "unable to decode byte 0xff");
    assert_refused("{\"messages\": []}", "'messages' is not a list of messages");
    assert_refused("{\"messages\": \"a\"}", "'messages' is not a list of messages");
    assert_refused("{\"messages\": [7]}", "messages[0]: 'role' is not a string");
    assert_refused("{\"messages\": [{\"role\": \"user\"}]}", "messages[0]: 'content' is not");
    assert_refused("{\"messages\": [{\"role\": \"user\", \"content\": [{\"image\": 1}]}]}",
                   "messages[0]: part 0 is not a text");
    assert_refused("{\"messages\": [{\"role\": \"tool\", \"content\": \"a\"}]}", "role 'tool'");
}

static void assert_unreadable(const char *argument, const char *words) {
    imx_text_source *source;
    imx_marked_text text = {0};
    imx_error err = {0};
    bool found;
    imx_status status = imx_text_source_open(&source, argument, phi_4, false, &err);
    if (status == IMX_OK) {
        status = imx_text_source_next(source, &text, &found, &err);
    }
    assert_int_equal(status, IMX_ERR_IO);
    if (strstr(err.message, argument) == NULL || strstr(err.message, words) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, words);
    }
    imx_text_source_close(source);
    imx_marked_text_free(&text);
}

static void test_unreadable(void **state) {
    (void)state;
    mkdir(path_of("empty"), 0777);
    assert_unreadable(path_of("nowhere.txt"), "cannot open: No such file");
    assert_unreadable(path_of("empty"), "no texts in this directory");
    assert_unreadable("/dev/null", "neither a file nor a pipe");
}

// The ids are those of llama-tokenize (2026-08-18) for the rendered text, special tokens parsed;
// for the content "Hi <|end|> you" alone, not parsed.
static void test_tokens_of_a_chat(void **state) {
    (void)state;
    static const int32_t expected[] = {32006, 1522,  11473, 29889, 32007, 32010, 15043, 29892,
                                       3186,  32007, 32001, 6324,  727,   32007, 32010, 6324,
                                       529,   29989, 355,   29989, 29958, 366,   32007};
    char path[512];
    imx_gguf *gguf;
    imx_tokenizer *tokenizer;
    imx_text_source *source;
    imx_tokens tokens = {0};
    imx_marked_text text = {0};
    bool found;
    const char *shared = getenv("IMATRIX_SHARED");
    snprintf(path, sizeof path, "%s/vocabs/ggml-vocab-phi-3.gguf", shared != NULL ? shared : "");
    if (access(path, R_OK) != 0) {
        skip();
    }
    write_file("phi.jsonl",
               "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": "
               "\"user\", \"content\": \"Hello, world\"}, {\"role\": \"assistant\", \"content\": "
               "\"Hi there\"}, {\"role\": \"user\", \"content\": \"Hi <|end|> you\"}]}\n");
    assert_int_equal(imx_gguf_open(&gguf, path, NULL), IMX_OK);
    assert_int_equal(imx_tokenizer_open(&tokenizer, gguf, NULL), IMX_OK);
    assert_int_equal(imx_text_source_open(&source, path_of("phi.jsonl"), gguf, true, NULL), IMX_OK);
    assert_int_equal(imx_text_source_next(source, &text, &found, NULL), IMX_OK);
    assert_int_equal(
        imx_tokenize_spans(tokenizer, text.data, text.spans, text.n_spans, false, &tokens, NULL),
        IMX_OK);
    assert_int_equal(tokens.n, sizeof expected / sizeof *expected);
    assert_memory_equal(tokens.ids, expected, sizeof expected);
    imx_tokens_free(&tokens);
    imx_marked_text_free(&text);
    imx_text_source_close(source);
    imx_tokenizer_close(tokenizer);
    imx_gguf_close(gguf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_file),
        cmocka_unit_test(test_jsonl),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_chats),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_directory),
        cmocka_unit_test(test_standard_input),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_tokens_of_a_chat),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
