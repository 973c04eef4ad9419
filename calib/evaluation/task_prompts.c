// SPDX-License-Identifier: MIT
//
// A prompt is BOS, head, choice and tail, tokenized as one text. With c the number of tokens in
// which all prompts of a task begin alike, scored are
//
//     HellaSwag, multiple choice    all tokens from c on
//     Winogrande                    those behind head and choice, without the last token. Where a
//                                   prompt has no more than three tokens behind c, those from c on,
//                                   for the tail is then too short to tell anything
//
// In that last case llama-perplexity takes the probability of the second choice's first token from
// behind the end of the first choice's prompt. So do we: figures are there to be compared.

#include "calib/evaluation/task_prompts.h"

#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"

enum { MIN_TRAILING = 4 }; // tokens behind c for a Winogrande tail to be scored alone

// ---------------------------------------------------------------------------------------------
// Texts to tokens

static imx_status tokenize_parts(imx_task_prompts *p, const imx_tokenizer *tokenizer,
                                 const imx_str *parts, size_t n_parts, imx_error *err) {
    size_t len = 0;
    for (size_t i = 0; i < n_parts; ++i) {
        len += parts[i].len;
    }
    IMX_TRY(imx_grow(&p->text, &p->text_capacity, len + 1, 1, err));
    char *out = p->text;
    for (size_t i = 0; i < n_parts; ++i) {
        memcpy(out, parts[i].data, parts[i].len);
        out += parts[i].len;
    }
    return imx_tokenize(tokenizer, p->text, len, true, false, &p->tokens, err);
}

static imx_status add_prompt(imx_task_prompts *p, const imx_tokenizer *tokenizer,
                             const imx_task_file *file, const imx_task *task, imx_str choice,
                             imx_error *err) {
    const imx_str separator = {file->separator, strlen(file->separator)};
    const imx_str parts[] = {task->head, separator, choice, task->tail};
    const size_t start = p->tokens.n;
    IMX_TRY(imx_grow(&p->items, &p->capacity, p->n + 1, sizeof *p->items, err));
    IMX_TRY(tokenize_parts(p, tokenizer, parts, 4, err));
    const size_t n_tokens = p->tokens.n - start;
    if (n_tokens == 0) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: task %zu has a choice of no text", file->map.path,
                        task->number + 1);
    }
    p->items[p->n++] = (imx_task_prompt){.start = start, .n_tokens = n_tokens, .end = n_tokens};
    return IMX_OK;
}

// Tokens of head and choice alone.
static imx_status count_to_choice(imx_task_prompts *p, const imx_tokenizer *tokenizer,
                                  const imx_task *task, imx_str choice, size_t *n, imx_error *err) {
    const imx_str parts[] = {task->head, choice};
    const size_t start = p->tokens.n;
    IMX_TRY(tokenize_parts(p, tokenizer, parts, 2, err));
    *n = p->tokens.n - start;
    p->tokens.n = start;
    return IMX_OK;
}

// Tokens that all items begin with, but for the last one of the shortest.
static size_t count_common(const imx_task_prompts *p, const imx_task_prompt *items, size_t n) {
    size_t shortest = items[0].n_tokens;
    for (size_t s = 1; s < n; ++s) {
        shortest = items[s].n_tokens < shortest ? items[s].n_tokens : shortest;
    }
    for (size_t k = 0; k + 1 < shortest; ++k) {
        for (size_t s = 1; s < n; ++s) {
            if (p->tokens.ids[items[s].start + k] != p->tokens.ids[items[0].start + k]) {
                return k;
            }
        }
    }
    return shortest - 1;
}

// ---------------------------------------------------------------------------------------------
// What is scored

// `first_position`: where the first token is predicted.
static imx_status add_predictions(imx_task_prompts *p, imx_task_prompt *item, size_t first_position,
                                  imx_error *err) {
    item->first_prediction = p->n_predictions;
    item->n_predictions = item->end > item->first ? item->end - item->first : 0;
    IMX_TRY(imx_grow(&p->predictions, &p->predictions_capacity,
                     p->n_predictions + item->n_predictions, sizeof *p->predictions, err));
    for (size_t i = 0; i < item->n_predictions; ++i) {
        const size_t place = item->start + item->first + i;
        p->predictions[p->n_predictions++] = (imx_prediction){
            .position = i == 0 ? first_position : place - 1,
            .token = p->tokens.ids[place],
        };
    }
    return IMX_OK;
}

// Sets the range of both items of a task whose tail is scored; *with_choice: so are the choices.
static imx_status set_tails(imx_task_prompts *p, const imx_tokenizer *tokenizer,
                            const imx_task_file *file, const imx_task *task, imx_task_prompt *items,
                            bool *with_choice, imx_error *err) {
    const size_t n_common = items[0].first;
    *with_choice = false;
    for (size_t s = 0; s < task->n_choices; ++s) {
        *with_choice |= items[s].n_tokens < n_common + MIN_TRAILING;
    }
    for (size_t s = 0; s < task->n_choices; ++s) {
        const imx_str choice = file->choices[task->first_choice + s].text;
        if (!*with_choice) {
            IMX_TRY(count_to_choice(p, tokenizer, task, choice, &items[s].first, err));
        }
        items[s].end -= items[s].first + 1 < items[s].n_tokens ? 1 : 0;
    }
    return IMX_OK;
}

imx_status imx_task_prompts_add(imx_task_prompts *prompts, const imx_tokenizer *tokenizer,
                                const imx_task_file *file, const imx_task *task, imx_error *err) {
    const size_t first = prompts->n;
    bool with_choice = false;
    for (size_t s = 0; s < task->n_choices; ++s) {
        const imx_str choice = file->choices[task->first_choice + s].text;
        IMX_TRY(add_prompt(prompts, tokenizer, file, task, choice, err));
    }
    imx_task_prompt *items = prompts->items + first;
    const size_t n_common = count_common(prompts, items, task->n_choices);
    for (size_t s = 0; s < task->n_choices; ++s) {
        items[s].first = n_common > 0 ? n_common : 1; // nothing predicts the first token
    }
    if (file->scores_tail) {
        IMX_TRY(set_tails(prompts, tokenizer, file, task, items, &with_choice, err));
    }
    for (size_t s = 0; s < task->n_choices; ++s) {
        const size_t own = items[s].start + items[s].first - 1;
        const size_t position = with_choice && s == 1 ? items[1].start - 1 : own;
        IMX_TRY(add_predictions(prompts, &items[s], position, err));
    }
    return IMX_OK;
}

void imx_task_prompts_clear(imx_task_prompts *prompts) {
    prompts->tokens.n = prompts->n = prompts->n_predictions = 0;
}

void imx_task_prompts_free(imx_task_prompts *prompts) {
    imx_tokens_free(&prompts->tokens);
    free(prompts->items);
    free(prompts->predictions);
    free(prompts->text);
    *prompts = (imx_task_prompts){0};
}
