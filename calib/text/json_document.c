// SPDX-License-Identifier: MIT

#include "calib/text/json_document.h"

#include <jansson.h>
#include <stdlib.h>

#include "formats/memory.h"

static json_t *parse_line(const char *line, size_t len, json_error_t *error) {
    return json_loadb(line, len, JSON_ALLOW_NUL, error);
}

bool imx_json_is_document(const char *line, size_t len) {
    json_t *root = parse_line(line, len, NULL);
    const bool is_document =
        json_object_get(root, "text") != NULL || json_object_get(root, "messages") != NULL;
    json_decref(root);
    return is_document;
}

// Replaces a content that is a list of texts by their concatenation.
static imx_status join_parts(json_t *message, size_t i, imx_error *err) {
    const json_t *parts = json_object_get(message, "content");
    imx_marked_text joined = {0};
    imx_status status = IMX_OK;
    for (size_t p = 0; p < json_array_size(parts) && status == IMX_OK; ++p) {
        const json_t *text = json_object_get(json_array_get(parts, p), "text");
        if (json_is_string(text)) {
            status = imx_marked_text_append(&joined, json_string_value(text),
                                            json_string_length(text), false, err);
        } else {
            status = imx_fail(err, IMX_ERR_FORMAT, "messages[%zu]: part %zu is not a text", i, p);
        }
    }
    if (status == IMX_OK) {
        json_t *content = json_stringn_nocheck(joined.len > 0 ? joined.data : "", joined.len);
        if (json_object_set_new(message, "content", content) != 0) {
            status = imx_fail_memory(err, joined.len);
        }
    }
    imx_marked_text_free(&joined);
    return status;
}

// The strings of *out belong to `message`.
static imx_status read_message(imx_chat_message *out, json_t *message, size_t i, imx_error *err) {
    if (json_is_array(json_object_get(message, "content"))) {
        IMX_TRY(join_parts(message, i, err));
    }
    const json_t *role = json_object_get(message, "role");
    const json_t *content = json_object_get(message, "content");
    if (!json_is_string(role) || !json_is_string(content)) {
        return imx_fail(err, IMX_ERR_FORMAT, "messages[%zu]: '%s' is not a string%s", i,
                        json_is_string(role) ? "content" : "role",
                        json_is_string(role) ? " or a list of texts" : "");
    }
    *out = (imx_chat_message){
        .role = json_string_value(role),
        .content = json_string_value(content),
        .content_len = json_string_length(content),
    };
    return IMX_OK;
}

static imx_status append_chat(imx_json_options *options, const json_t *messages,
                              imx_marked_text *text, imx_error *err) {
    const size_t n = json_array_size(messages);
    imx_chat_message *read = NULL;
    imx_status status;
    if (!json_is_array(messages) || n == 0) {
        return imx_fail(err, IMX_ERR_FORMAT, "'messages' is not a list of messages");
    }
    if (options->chat == NULL) {
        IMX_TRY(imx_chat_template_of(&options->chat, options->model, err));
    }
    IMX_TRY(imx_alloc_zeroed(&read, n, sizeof *read, err));
    for (size_t i = 0; i < n; ++i) {
        IMX_TRY_GOTO(done, read_message(&read[i], json_array_get(messages, i), i, err));
    }
    status = imx_chat_render(options->chat, read, n, text, err);
done:
    free(read);
    return status;
}

static imx_status append_object(imx_json_options *options, const json_t *root,
                                imx_marked_text *text, bool *is_chat, imx_error *err) {
    const json_t *plain = json_object_get(root, "text");
    const json_t *messages = json_object_get(root, "messages");
    *is_chat = plain == NULL && messages != NULL;
    if (*is_chat) {
        return append_chat(options, messages, text, err);
    }
    if (!json_is_string(plain)) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "not an object with a string 'text' or a list 'messages'");
    }
    return imx_marked_text_append(text, json_string_value(plain), json_string_length(plain),
                                  options->parse_special, err);
}

imx_status imx_json_append_document(imx_json_options *options, const char *line, size_t len,
                                    imx_marked_text *text, bool *is_chat, imx_error *err) {
    json_error_t error;
    json_t *root = parse_line(line, len, &error);
    if (root == NULL) {
        return imx_fail(err, IMX_ERR_FORMAT, "byte %d: %s", error.position, error.text);
    }
    const imx_status status = append_object(options, root, text, is_chat, err);
    json_decref(root);
    return status;
}
