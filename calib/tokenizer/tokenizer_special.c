// SPDX-License-Identifier: MIT
//
// Special tokens are found before anything else looks at a text. A longer token wins over a shorter
// one wherever it stands: "xab" and "abcd" cut "xabcd" into "x" and "abcd". So the lengths are gone
// through from the longest to the shortest, each in one pass over what is still text; at a place
// where a token of this length may start, its bytes are looked up among the pieces. That takes as
// many passes as there are different lengths, a few dozen, however many tokens there are.

#include "calib/tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"

static bool is_special(const imx_specials *specials, uint8_t attributes) {
    return (attributes & specials->wanted) != 0 && (attributes & specials->unwanted) == 0;
}

static int longest_first(const void *a, const void *b) {
    const size_t x = ((const imx_special_group *)a)->len;
    const size_t y = ((const imx_special_group *)b)->len;
    return (x < y) - (x > y);
}

static imx_special_group *find_group(const imx_specials *specials, size_t len) {
    for (size_t i = 0; i < specials->n_groups; i++) {
        if (specials->groups[i].len == len) {
            return &specials->groups[i];
        }
    }
    return NULL;
}

imx_status imx_specials_init(imx_specials *specials, const imx_vocab *vocab, uint8_t wanted,
                             uint8_t unwanted, imx_error *err) {
    *specials = (imx_specials){.wanted = wanted, .unwanted = unwanted};
    size_t capacity = 0;
    for (uint32_t id = 0; id < vocab->n_tokens; id++) {
        const imx_str text = imx_pieces_get(&vocab->pieces, id);
        if (text.len == 0 || !is_special(specials, vocab->attributes[id])) {
            continue;
        }
        imx_special_group *group = find_group(specials, text.len);
        if (group == NULL) {
            IMX_TRY(imx_grow(&specials->groups, &capacity, specials->n_groups + 1,
                             sizeof *specials->groups, err));
            group = &specials->groups[specials->n_groups++];
            *group = (imx_special_group){.len = text.len};
        }
        group->first[(uint8_t)text.data[0]] = 1;
    }
    if (specials->n_groups > 0) {
        qsort(specials->groups, specials->n_groups, sizeof *specials->groups, longest_first);
    }
    return IMX_OK;
}

void imx_specials_free(imx_specials *specials) {
    free(specials->groups);
    *specials = (imx_specials){0};
}

static imx_status push_fragment(imx_fragments *fragments, const char *text, size_t len, int32_t id,
                                imx_error *err) {
    if (len == 0) {
        return IMX_OK;
    }
    IMX_TRY(imx_grow(&fragments->items, &fragments->capacity, fragments->n + 1,
                     sizeof *fragments->items, err));
    fragments->items[fragments->n++] = (imx_fragment){.text = text, .len = len, .id = id};
    return IMX_OK;
}

static size_t count_space(const char *text, size_t len) {
    size_t n = 0;
    while (n < len && (text[n] == ' ' || (text[n] >= '\t' && text[n] <= '\r'))) {
        n++;
    }
    return n;
}

// Appends the parts of a text to `out`, cut at the tokens of one length.
static imx_status cut_text(const imx_specials *specials, const imx_special_group *group,
                           const imx_vocab *vocab, const imx_fragment *fragment, imx_fragments *out,
                           imx_error *err) {
    const char *text = fragment->text;
    const char *const end = fragment->text + fragment->len;
    const char *start = text; // of what belongs to no token yet
    while ((size_t)(end - text) >= group->len) {
        int32_t id = -1;
        if (group->first[(uint8_t)*text]) {
            id = imx_vocab_find(vocab, text, group->len);
        }
        if (id < 0 || !is_special(specials, vocab->attributes[id])) {
            text++;
            continue;
        }
        IMX_TRY(push_fragment(out, start, (size_t)(text - start), -1, err));
        IMX_TRY(push_fragment(out, text, group->len, id, err));
        text += group->len;
        if (vocab->attributes[id] & IMX_TOKEN_RSTRIP) {
            text += count_space(text, (size_t)(end - text));
        }
        start = text;
    }
    return push_fragment(out, start, (size_t)(end - start), -1, err);
}

static imx_status cut_fragments(const imx_specials *specials, const imx_special_group *group,
                                const imx_vocab *vocab, const imx_fragments *in, imx_fragments *out,
                                imx_error *err) {
    out->n = 0;
    for (size_t i = 0; i < in->n; i++) {
        const imx_fragment *fragment = &in->items[i];
        if (fragment->id >= 0) {
            IMX_TRY(push_fragment(out, fragment->text, fragment->len, fragment->id, err));
        } else {
            IMX_TRY(cut_text(specials, group, vocab, fragment, out, err));
        }
    }
    return IMX_OK;
}

imx_status imx_specials_cut(const imx_specials *specials, const imx_vocab *vocab, const char *text,
                            size_t len, imx_fragments *fragments, imx_error *err) {
    imx_fragments next = {0};
    imx_status status = push_fragment(fragments, text, len, -1, err);
    for (size_t i = 0; i < specials->n_groups && status == IMX_OK; i++) {
        status = cut_fragments(specials, &specials->groups[i], vocab, fragments, &next, err);
        const imx_fragments swapped = *fragments;
        *fragments = next;
        next = swapped;
    }
    imx_fragments_free(&next);
    return status;
}

void imx_fragments_free(imx_fragments *fragments) {
    free(fragments->items);
    *fragments = (imx_fragments){0};
}
