// SPDX-License-Identifier: MIT
//
// In all the families below a chat is a sequence of turns, and a turn is
//
//     BEFORE content AFTER          with marks that depend on the role
//
// In those that know no turn of the system, its text stands inside the next turn of the user, in
// front of what the user says, again with a mark on either side. Some cut white space off the ends
// of a content. That is all the table has to say.
//
// What a template adds on its own is left out: a default system prompt, today's date, the list of
// tools. They would be the same in every sample.
//
// A family is recognised by strings that all of its templates contain. The first row whose markers
// are all there wins, so that of two families the one with more to show stands first.
//
// The special tokens of the vocabulary would not do as markers: a fine-tuned model keeps those of
// its base and is trained on another template.

#include "calib/text/chat_template.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MAX_MARKERS = 2 };

typedef enum trimming { KEEP, TRIM } trimming;

typedef struct turn_marks {
    const char *before;
    const char *after;
    trimming trim; // white space at both ends of the content
} turn_marks;

struct imx_chat_template {
    const char *name;
    const char *markers[MAX_MARKERS];
    bool system_in_user; // the system's text stands inside the next turn of the user
    turn_marks system, user, assistant;
};

// clang-format off
static const imx_chat_template templates[] = {
    {"Phi 4", {"<|im_start|>", "<|im_sep|>"}, false,
     {"<|im_start|>system<|im_sep|>", "<|im_end|>"}, {"<|im_start|>user<|im_sep|>", "<|im_end|>"}, {"<|im_start|>assistant<|im_sep|>", "<|im_end|>"}},
    {"ChatML", {"<|im_start|>", "<|im_end|>"}, false,
     {"<|im_start|>system\n", "<|im_end|>\n"}, {"<|im_start|>user\n", "<|im_end|>\n"}, {"<|im_start|>assistant\n", "<|im_end|>\n"}},
    {"Mistral v7", {"[SYSTEM_PROMPT] ", "[INST] "}, false,
     {"[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]"}, {"[INST] ", "[/INST]"}, {" ", "</s>"}},
    {"Mistral v7-tekken", {"[SYSTEM_PROMPT]", "[INST]"}, false,
     {"[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"}, {"[INST]", "[/INST]"}, {"", "</s>"}},
    {"Mistral v1", {"' [INST] ' + system_message"}, true,
     {"", "\n\n"}, {" [INST] ", " [/INST]"}, {" ", "</s>"}},
    {"Mistral v3-tekken", {"[AVAILABLE_TOOLS]", "\"[INST]\""}, true,
     {"", "\n\n"}, {"[INST]", "[/INST]"}, {"", "</s>"}},
    {"Mistral v3", {"[AVAILABLE_TOOLS]", "[INST]"}, true,
     {"", "\n\n"}, {"[INST] ", "[/INST]"}, {" ", "</s>", TRIM}},
    {"Llama 2", {"[INST]", "<<SYS>>"}, true,
     {"<<SYS>>\n", "\n<</SYS>>\n\n", TRIM}, {"[INST] ", " [/INST]", TRIM}, {" ", " </s>", TRIM}},
    {"Mistral", {"[INST]"}, true,
     {"", "\n"}, {"[INST] ", " [/INST]"}, {"", "</s>"}},
    {"Phi 3", {"<|assistant|>", "<|end|>"}, false,
     {"<|system|>\n", "<|end|>\n"}, {"<|user|>\n", "<|end|>\n"}, {"<|assistant|>\n", "<|end|>\n"}},
    {"Gemma", {"<start_of_turn>"}, true,
     {"", "\n\n", TRIM}, {"<start_of_turn>user\n", "<end_of_turn>\n", TRIM}, {"<start_of_turn>model\n", "<end_of_turn>\n", TRIM}},
    {"Gemma 4", {"<|turn>", "<turn|>"}, false,
     {"<|turn>system\n", "<turn|>\n", TRIM}, {"<|turn>user\n", "<turn|>\n", TRIM}, {"<|turn>model\n", "<turn|>\n", TRIM}},
    {"Llama 3", {"<|start_header_id|>", "<|end_header_id|>"}, false,
     {"<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>", TRIM}, {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>", TRIM},
     {"<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>", TRIM}},
    {"Command R", {"<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>"}, false,
     {"<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>", "<|END_OF_TURN_TOKEN|>", TRIM}, {"<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<|END_OF_TURN_TOKEN|>", TRIM},
     {"<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>", TRIM}},
    {"Granite", {"<|start_of_role|>", "<|end_of_role|>"}, false,
     {"<|start_of_role|>system<|end_of_role|>", "<|end_of_text|>\n"}, {"<|start_of_role|>user<|end_of_role|>", "<|end_of_text|>\n"},
     {"<|start_of_role|>assistant<|end_of_role|>", "<|end_of_text|>\n"}},
};
// clang-format on

enum { N_TEMPLATES = sizeof templates / sizeof *templates };

// ---------------------------------------------------------------------------------------------
// Recognising

static bool has_markers(const imx_chat_template *chat, const char *source, size_t len) {
    for (size_t i = 0; i < MAX_MARKERS && chat->markers[i] != NULL; ++i) {
        if (memmem(source, len, chat->markers[i], strlen(chat->markers[i])) == NULL) {
            return false;
        }
    }
    return true;
}

const imx_chat_template *imx_chat_template_find(const char *source, size_t len) {
    for (size_t i = 0; i < N_TEMPLATES; ++i) {
        if (has_markers(&templates[i], source, len)) {
            return &templates[i];
        }
    }
    return NULL;
}

const char *imx_chat_template_name(const imx_chat_template *chat) {
    return chat->name;
}

static imx_status refuse_template(const imx_gguf *gguf, const char *what, imx_error *err) {
    char names[512] = "";
    size_t n = 0;
    for (size_t i = 0; i < N_TEMPLATES && n < sizeof names; ++i) {
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i > 0 ? ", " : "",
                              templates[i].name);
    }
    return imx_fail(err, IMX_ERR_UNSUPPORTED,
                    "%s: %s; known are: %s. Render the chats beforehand, give them as 'text' "
                    "instead of 'messages', and use --parse-special",
                    gguf->path, what, names);
}

imx_status imx_chat_template_of(const imx_chat_template **out, const imx_gguf *gguf,
                                imx_error *err) {
    imx_str source = {0};
    *out = NULL;
    IMX_TRY(imx_gguf_get_str(gguf, "tokenizer.chat_template", false, &source, err));
    if (source.data == NULL) {
        return refuse_template(gguf, "the model has no chat template (tokenizer.chat_template)",
                               err);
    }
    *out = imx_chat_template_find(source.data, source.len);
    if (*out == NULL) {
        return refuse_template(gguf, "its chat template is of an unknown family", err);
    }
    return IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// Rendering

// NULL when the role is unknown.
static const turn_marks *find_turn(const imx_chat_template *chat, const char *role) {
    const struct {
        const char *role;
        const turn_marks *turn;
    } turns[] = {
        {"system", &chat->system},
        {"developer", &chat->system},
        {"user", &chat->user},
        {"assistant", &chat->assistant},
    };
    for (size_t i = 0; i < sizeof turns / sizeof *turns; ++i) {
        if (strcmp(turns[i].role, role) == 0) {
            return turns[i].turn;
        }
    }
    return NULL;
}

static bool is_space(char c) {
    return isspace((unsigned char)c) != 0;
}

static imx_status append_mark(imx_marked_text *text, const char *mark, imx_error *err) {
    return imx_marked_text_append(text, mark, strlen(mark), true, err);
}

static imx_status append_content(imx_marked_text *text, const imx_chat_message *message,
                                 trimming trim, imx_error *err) {
    const char *begin = message->content;
    const char *end = begin + message->content_len;
    while (trim == TRIM && begin < end && is_space(*begin)) {
        ++begin;
    }
    while (trim == TRIM && begin < end && is_space(end[-1])) {
        --end;
    }
    return imx_marked_text_append(text, begin, (size_t)(end - begin), false, err);
}

// Appends the messages of the system that stand directly before message `end`.
static imx_status append_system(const imx_chat_template *chat, const imx_chat_message *messages,
                                size_t end, imx_marked_text *text, imx_error *err) {
    size_t begin = end;
    while (begin > 0 && find_turn(chat, messages[begin - 1].role) == &chat->system) {
        --begin;
    }
    for (size_t i = begin; i < end; ++i) {
        IMX_TRY(append_mark(text, chat->system.before, err));
        IMX_TRY(append_content(text, &messages[i], chat->system.trim, err));
        IMX_TRY(append_mark(text, chat->system.after, err));
    }
    return IMX_OK;
}

static imx_status append_turn(const imx_chat_template *chat, const imx_chat_message *messages,
                              size_t i, imx_marked_text *text, imx_error *err) {
    const turn_marks *turn = find_turn(chat, messages[i].role);
    IMX_TRY(append_mark(text, turn->before, err));
    if (chat->system_in_user && turn == &chat->user) {
        IMX_TRY(append_system(chat, messages, i, text, err));
    }
    IMX_TRY(append_content(text, &messages[i], turn->trim, err));
    return append_mark(text, turn->after, err);
}

static imx_status check_message(const imx_chat_template *chat, const imx_chat_message *messages,
                                size_t n_messages, size_t i, imx_error *err) {
    const turn_marks *turn = find_turn(chat, messages[i].role);
    if (turn == NULL) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "messages[%zu]: role '%.32s' is none of system, developer, user and "
                        "assistant; leave the message out, or render the chat beforehand",
                        i, messages[i].role);
    }
    if (!chat->system_in_user || turn != &chat->system) {
        return IMX_OK;
    }
    const turn_marks *next = i + 1 < n_messages ? find_turn(chat, messages[i + 1].role) : NULL;
    if (next != &chat->user && next != &chat->system) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "messages[%zu]: a system message is part of the next user message in the "
                        "template of the model (%s), and no user message follows it",
                        i, chat->name);
    }
    return IMX_OK;
}

imx_status imx_chat_render(const imx_chat_template *chat, const imx_chat_message *messages,
                           size_t n_messages, imx_marked_text *text, imx_error *err) {
    for (size_t i = 0; i < n_messages; ++i) {
        IMX_TRY(check_message(chat, messages, n_messages, i, err));
        const bool is_folded =
            chat->system_in_user && find_turn(chat, messages[i].role) == &chat->system;
        if (!is_folded) {
            IMX_TRY(append_turn(chat, messages, i, text, err));
        }
    }
    return IMX_OK;
}
