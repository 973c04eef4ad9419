// SPDX-License-Identifier: MIT
//
// Chats as the model was trained to read them. A model carries its chat template as a Jinja program
// (tokenizer.chat_template); here the program is not run but recognised, and the messages are put
// between the marks of its family.

#ifndef IMX_CALIB_CHAT_TEMPLATE_H
#define IMX_CALIB_CHAT_TEMPLATE_H

#include <stddef.h>

#include "calib/text/marked_text.h"
#include "formats/error.h"
#include "formats/gguf.h"

typedef struct imx_chat_message {
    const char *role;    // "system" (or "developer"), "user", "assistant"
    const char *content; // (content_len)
    size_t content_len;
} imx_chat_message;

// A family of templates: static, immutable.
typedef struct imx_chat_template imx_chat_template;

// The family of the model's template. None or an unknown one is IMX_ERR_UNSUPPORTED; the message
// lists the families and says what to do instead.
imx_status imx_chat_template_of(const imx_chat_template **out, const imx_gguf *gguf,
                                imx_error *err);

// The family that the text of a template belongs to, or NULL.
const imx_chat_template *imx_chat_template_find(const char *source, size_t len);

const char *imx_chat_template_name(const imx_chat_template *chat);

// Appends a chat to `text`: the markup as spans whose special tokens are parsed, the contents as
// spans whose are not. No BOS, which the tokenizer adds. A role that is none of the three, and a
// system message that no user message follows where the family wants it there, are IMX_ERR_FORMAT;
// `text` then holds part of the chat.
imx_status imx_chat_render(const imx_chat_template *chat, const imx_chat_message *messages,
                           size_t n_messages, imx_marked_text *text, imx_error *err);

#endif
