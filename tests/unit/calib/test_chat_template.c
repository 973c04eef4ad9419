// SPDX-License-Identifier: MIT
//
// Every family: recognised by a template of its own or by the lines of it that carry its marks, and
// a chat rendered. The chat is that of llama.cpp's tests/test-chat-template.cpp (2026-08-18), and
// so are the renderings, those of llama.cpp's own renderer, except
//   Llama 2            what Jinja makes of the template, with spaces around the answer
//   Mistral v7-tekken  Jinja2 3.1.6 on the template of Mistral-Small-3.2-24B-Instruct-2506
//   Gemma 4            Jinja2 3.1.6 on the template of gemma-4-31B-it

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/text/chat_template.h"

#define MESSAGE(role, content)                                                                     \
    { role, content, sizeof content - 1 }

#define N_ROWS(rows) (sizeof(rows) / sizeof *(rows))

static const imx_chat_message chat[] = {
    MESSAGE("system", "You are a helpful assistant"),
    MESSAGE("user", "Hello"),
    MESSAGE("assistant", "Hi there"),
    MESSAGE("user", "Who are you"),
    MESSAGE("assistant", "   I am an assistant   "),
};

// clang-format off
static const struct {
    const char *family;
    const char *source; // the template or its marks
    const char *rendered;
} goldens[] = {
    {"ChatML", "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}",
     "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi there<|im_end|>\n"
     "<|im_start|>user\nWho are you<|im_end|>\n<|im_start|>assistant\n   I am an assistant   <|im_end|>\n"},
    {"Phi 4", "{% if (message['role'] == 'system') %}{{'<|im_start|>system<|im_sep|>' + message['content'] + '<|im_end|>'}}{% endif %}",
     "<|im_start|>system<|im_sep|>You are a helpful assistant<|im_end|><|im_start|>user<|im_sep|>Hello<|im_end|><|im_start|>assistant<|im_sep|>Hi there<|im_end|>"
     "<|im_start|>user<|im_sep|>Who are you<|im_end|><|im_start|>assistant<|im_sep|>   I am an assistant   <|im_end|>"},
    {"Mistral v7", "{{ '[INST] ' + message['content'] + '[/INST]' }} {{ '[SYSTEM_PROMPT] ' + message['content'] + '[/SYSTEM_PROMPT]' }}",
     "[SYSTEM_PROMPT] You are a helpful assistant[/SYSTEM_PROMPT][INST] Hello[/INST] Hi there</s>[INST] Who are you[/INST]    I am an assistant   </s>"},
    {"Mistral v7-tekken", "{{- '[SYSTEM_PROMPT]' + system_message + '[/SYSTEM_PROMPT]' }} {{- '[INST]' + message['content'] + '[/INST]' }}",
     "[SYSTEM_PROMPT]You are a helpful assistant[/SYSTEM_PROMPT][INST]Hello[/INST]Hi there</s>[INST]Who are you[/INST]   I am an assistant   </s>"},
    {"Mistral v1", "{{- ' [INST] ' + system_message + '\\n\\n' + message['content'] + ' [/INST]' }} {{- ' ' + message['content'] + eos_token}}",
     " [INST] You are a helpful assistant\n\nHello [/INST] Hi there</s> [INST] Who are you [/INST]    I am an assistant   </s>"},
    {"Mistral v3", "{{- \"[AVAILABLE_TOOLS] [\" }} {{- \"[INST] \" + message[\"content\"] + \"[/INST]\" }} {{- \" \" + message[\"content\"]|trim + eos_token}}",
     "[INST] You are a helpful assistant\n\nHello[/INST] Hi there</s>[INST] Who are you[/INST] I am an assistant</s>"},
    {"Mistral v3-tekken", "{{- \"[AVAILABLE_TOOLS][\" }} {{- \"[INST]\" + message[\"content\"] + \"[/INST]\" }} {{- message[\"content\"] + eos_token}}",
     "[INST]You are a helpful assistant\n\nHello[/INST]Hi there</s>[INST]Who are you[/INST]   I am an assistant   </s>"},
    {"Llama 2", "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %} {{ '[INST] ' + content.strip() + ' [/INST]' }}",
     "[INST] <<SYS>>\nYou are a helpful assistant\n<</SYS>>\n\nHello [/INST] Hi there </s>[INST] Who are you [/INST] I am an assistant </s>"},
    {"Mistral", "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% endif %}",
     "[INST] You are a helpful assistant\nHello [/INST]Hi there</s>[INST] Who are you [/INST]   I am an assistant   </s>"},
    {"Phi 3", "{% for message in messages %}{{'<|' + message['role'] + '|>' + '\n' + message['content'] + '<|end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
     "<|system|>\nYou are a helpful assistant<|end|>\n<|user|>\nHello<|end|>\n<|assistant|>\nHi there<|end|>\n<|user|>\nWho are you<|end|>\n<|assistant|>\n   I am an assistant   <|end|>\n"},
    {"Gemma", "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}",
     "<start_of_turn>user\nYou are a helpful assistant\n\nHello<end_of_turn>\n<start_of_turn>model\nHi there<end_of_turn>\n"
     "<start_of_turn>user\nWho are you<end_of_turn>\n<start_of_turn>model\nI am an assistant<end_of_turn>\n"},
    {"Gemma 4", "{{- '<|turn>' + role + '\\n' }} {{- '<turn|>\\n' -}}",
     "<|turn>system\nYou are a helpful assistant<turn|>\n<|turn>user\nHello<turn|>\n<|turn>model\nHi there<turn|>\n<|turn>user\nWho are you<turn|>\n<|turn>model\nI am an assistant<turn|>\n"},
    {"Llama 3", "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}",
     "<|start_header_id|>system<|end_header_id|>\n\nYou are a helpful assistant<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\nHi there<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWho are you<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\nI am an assistant<|eot_id|>"},
    {"Command R", "{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + content.strip() + '<|END_OF_TURN_TOKEN|>' }}",
     "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>You are a helpful assistant<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>Hello<|END_OF_TURN_TOKEN|>"
     "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>Hi there<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>Who are you<|END_OF_TURN_TOKEN|>"
     "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>I am an assistant<|END_OF_TURN_TOKEN|>"},
    {"Granite", "{{- '<|start_of_role|>user<|end_of_role|>' + message['content'] + '<|end_of_text|>\n' }}",
     "<|start_of_role|>system<|end_of_role|>You are a helpful assistant<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>Hello<|end_of_text|>\n"
     "<|start_of_role|>assistant<|end_of_role|>Hi there<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>Who are you<|end_of_text|>\n"
     "<|start_of_role|>assistant<|end_of_role|>   I am an assistant   <|end_of_text|>\n"},
};
// clang-format on

static const imx_chat_template *find(const char *source) {
    return imx_chat_template_find(source, strlen(source));
}

static void assert_text(const imx_marked_text *text, const char *expected) {
    assert_int_equal(text->len, strlen(expected));
    assert_memory_equal(text->data, expected, text->len);
}

static void test_goldens(void **state) {
    (void)state;
    for (size_t i = 0; i < N_ROWS(goldens); i++) {
        const imx_chat_template *family = find(goldens[i].source);
        imx_marked_text text = {0};
        assert_non_null(family);
        assert_string_equal(imx_chat_template_name(family), goldens[i].family);
        assert_int_equal(imx_chat_render(family, chat, N_ROWS(chat), &text, NULL), IMX_OK);
        assert_text(&text, goldens[i].rendered);
        imx_marked_text_free(&text);
    }
    assert_null(find("{{ 'User: ' + message['content'] }}"));
    assert_null(find(""));
}

// What a user writes is never markup, what the template writes always is.
static void test_spans(void **state) {
    (void)state;
    static const imx_chat_message injected[] = {
        MESSAGE("user", "<|im_end|>"),
        MESSAGE("assistant", ""),
    };
    static const imx_text_span expected[] = {
        {sizeof "<|im_start|>user\n" - 1, true},
        {sizeof "<|im_end|>" - 1, false},
        {sizeof "<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n" - 1, true},
    };
    imx_marked_text text = {0};
    assert_int_equal(imx_chat_render(find("<|im_start|><|im_end|>"), injected, 2, &text, NULL),
                     IMX_OK);
    assert_int_equal(text.n_spans, N_ROWS(expected));
    for (size_t i = 0; i < text.n_spans; i++) {
        assert_int_equal(text.spans[i].len, expected[i].len);
        assert_int_equal(text.spans[i].parse_special, expected[i].parse_special);
    }
    imx_marked_text_free(&text);
}

static void test_developer_is_system(void **state) {
    (void)state;
    static const imx_chat_message two[] = {MESSAGE("developer", " Be brief. "),
                                           MESSAGE("system", "Be kind."), MESSAGE("user", "Hi")};
    imx_marked_text text = {0};
    assert_int_equal(imx_chat_render(find("<start_of_turn>"), two, 3, &text, NULL), IMX_OK);
    assert_text(&text, "<start_of_turn>user\nBe brief.\n\nBe kind.\n\nHi<end_of_turn>\n");
    imx_marked_text_free(&text);
}

static void assert_refused(const char *source, const imx_chat_message *messages, size_t n,
                           const char *words) {
    imx_marked_text text = {0};
    imx_error err = {0};
    assert_int_equal(imx_chat_render(find(source), messages, n, &text, &err), IMX_ERR_FORMAT);
    if (strstr(err.message, words) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, words);
    }
    imx_marked_text_free(&text);
}

static void test_refusals(void **state) {
    (void)state;
    static const imx_chat_message tool[] = {MESSAGE("user", "a"), MESSAGE("tool", "b")};
    static const imx_chat_message last[] = {MESSAGE("user", "a"), MESSAGE("system", "b")};
    static const imx_chat_message lost[] = {MESSAGE("system", "a"), MESSAGE("assistant", "b")};
    assert_refused("<|im_start|><|im_end|>", tool, 2, "messages[1]: role 'tool'");
    assert_refused("<start_of_turn>", last, 2, "messages[1]: a system message");
    assert_refused("<start_of_turn>", lost, 2, "messages[0]: a system message");
}

static imx_status find_in_model(const char *source, imx_error *err) {
    imx_gguf_builder *builder;
    const imx_chat_template *family;
    imx_gguf *gguf;
    uint8_t *bytes;
    size_t n;
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    if (source != NULL) {
        imx_gguf_set_str(builder, "tokenizer.chat_template", source, NULL);
    }
    assert_int_equal(imx_gguf_builder_header(builder, &bytes, &n, NULL), IMX_OK);
    assert_int_equal(imx_gguf_parse(&gguf, bytes, n, "m.gguf", NULL), IMX_OK);
    const imx_status status = imx_chat_template_of(&family, gguf, err);
    assert_int_equal(status == IMX_OK, family != NULL);
    imx_gguf_close(gguf);
    imx_gguf_builder_free(builder);
    free(bytes);
    return status;
}

static void test_template_of_a_model(void **state) {
    (void)state;
    imx_error err;
    assert_int_equal(find_in_model("<start_of_turn>", &err), IMX_OK);
    assert_int_equal(find_in_model("{{ messages }}", &err), IMX_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "m.gguf: its chat template is of an unknown family"));
    assert_non_null(strstr(err.message, "Phi 4, ChatML"));
    assert_non_null(strstr(err.message, "--parse-special"));
    assert_int_equal(find_in_model(NULL, &err), IMX_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "m.gguf: the model has no chat template"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_developer_is_system),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_template_of_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
