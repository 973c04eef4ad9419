// SPDX-License-Identifier: MIT
//
// A page of at most 80 columns: facts with a label in front, then two tables.

#include "imatrix/cli/inspect_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "imatrix/cli/console.h"

enum { WIDTH = 80, LABEL_WIDTH = 16, MAX_FACT = 1600, N_COUNTS = 8 };

// ---- writing -----------------------------------------------------------------------------------

// "5,397,248" into a buffer that the eighth call from now overwrites.
static const char *count(uint64_t n) {
    static char buffers[N_COUNTS][32];
    static int next;
    char *text = buffers[next++ % N_COUNTS] + sizeof buffers[0];
    *--text = '\0';
    for (int n_digits = 0; n_digits == 0 || n > 0; ++n_digits, n /= 10) {
        if (n_digits > 0 && n_digits % 3 == 0) {
            *--text = ',';
        }
        *--text = (char)('0' + n % 10);
    }
    return text;
}

// The bytes of `text` that go on a line of `width`: up to the last space, or to the first where
// even that word is too long.
static size_t line_len(const char *text, size_t width) {
    size_t len = strlen(text);
    if (len <= width) {
        return len;
    }
    for (len = width; len > 0 && text[len] != ' '; --len) {
    }
    return len > 0 ? len : strcspn(text, " ");
}

static void print_wrapped(const char *text, int indent) {
    while (*text != '\0') {
        const size_t len = line_len(text, (size_t)(WIDTH - indent));
        printf("%.*s\n", (int)len, text);
        text += len;
        text += strspn(text, " ");
        if (*text != '\0') {
            printf("%*s", indent, "");
        }
    }
}

__attribute__((format(printf, 2, 3))) static void print_fact(const char *label, const char *format,
                                                             ...) {
    char text[MAX_FACT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("  %-*s", LABEL_WIDTH - 2, label);
    print_wrapped(text, LABEL_WIDTH);
}

static const char *or_unknown(const char *text) {
    return text[0] != '\0' ? text : "not stated";
}

static const char *format_range(imatrix_range range, char out[64]) {
    if (range.min == range.max) {
        snprintf(out, 64, "%s", count(range.min));
    } else {
        snprintf(out, 64, "%s to %s", count(range.min), count(range.max));
    }
    return out;
}

// ---- what it is --------------------------------------------------------------------------------

static double source_bits(const imatrix_inspection *m) {
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < m->n_types; ++i) {
        n_bytes += m->types[i].size_bytes;
    }
    return m->n_weights > 0 ? 8.0 * (double)n_bytes / (double)m->n_weights : 0.0;
}

static void print_file(const inspect_report *report) {
    const imatrix_inspection *m = report->model;
    printf("%s\n", report->options->model_path);
    if (m->name[0] != '\0') {
        print_fact("name", "%s", m->name);
    }
    print_fact("architecture", "%s", or_unknown(m->architecture));
    if (m->n_active_weights < m->n_weights) {
        print_fact("parameters", "%s, of which a token passes %s", count(m->n_weights),
                   count(m->n_active_weights));
    } else {
        print_fact("parameters", "%s", count(m->n_weights));
    }
    print_fact("size", "%s bytes (%s), %.2f bits per weight, %s file%s", count(m->file_bytes),
               console_bytes(m->file_bytes), source_bits(m), count(m->n_files),
               m->n_files > 1 ? "s" : "");
    print_fact("type", "%s%s%s%s", or_unknown(m->file_type),
               m->is_quantized ? ", already quantized" : "",
               m->imatrix_name[0] != '\0' ? ", with the imatrix " : "", m->imatrix_name);
}

static void print_shape(const imatrix_inspection *m) {
    char heads[64], kv_heads[64], n_ff[64];
    print_fact("context", m->n_ctx_train > 0 ? "%s tokens" : "not stated", count(m->n_ctx_train));
    print_fact("layers", "%s of width %s, feed-forward %s", count(m->n_layers), count(m->n_embd),
               m->n_ff.max > 0 ? format_range(m->n_ff, n_ff) : "none");
    if (m->n_heads.max > 0) {
        print_fact("attention", "%s heads, %s for keys and values; keys of %s, values of %s",
                   format_range(m->n_heads, heads), format_range(m->n_kv_heads, kv_heads),
                   count(m->key_length), count(m->value_length));
    }
    if (m->n_experts > 0) {
        print_fact("experts", "%s, %s for a token%s%s%s", count(m->n_experts),
                   count(m->n_experts_used), m->n_experts_shared > 0 ? ", and " : "",
                   m->n_experts_shared > 0 ? count(m->n_experts_shared) : "",
                   m->n_experts_shared > 0 ? " for every token" : "");
    }
}

static void print_vocabulary(const imatrix_inspection *m) {
    if (m->tokenizer[0] == '\0') {
        print_fact("vocabulary", "none");
        return;
    }
    print_fact("vocabulary", "%s tokens, %s%s%s", count(m->n_vocab), m->tokenizer,
               m->pre_tokenizer[0] != '\0' ? ", pre-tokenizer " : "", m->pre_tokenizer);
    if (m->chat_template[0] != '\0') {
        print_fact("chat template", "%s", m->chat_template);
    } else {
        print_fact("chat template", "%s, so collect takes no JSONL with \"messages\"",
                   m->has_chat_template ? "of an unknown family" : "none");
    }
}

static void print_types(const imatrix_inspection *m) {
    if (m->n_tensors == 0) {
        print_fact("tensors", "none: a vocabulary alone");
        return;
    }
    printf("\n  %-12s %8s %18s %18s\n", "tensors of", "number", "weights", "bytes");
    for (size_t i = 0; i < m->n_types; ++i) {
        const imatrix_type_total *type = &m->types[i];
        printf("  %-12s %8s %18s %18s\n", type->type, count(type->n_tensors),
               count(type->n_weights), count(type->size_bytes));
    }
}

// ---- what would be done with it ----------------------------------------------------------------

static uint64_t most_lacking(const imatrix_inspection *m) {
    uint64_t n = 0;
    for (size_t i = 0; i < m->n_sizes; ++i) {
        n = m->sizes[i].n_lacking_statistics > n ? m->sizes[i].n_lacking_statistics : n;
    }
    return n;
}

static bool any_requantizes(const imatrix_inspection *m) {
    for (size_t i = 0; i < m->n_sizes; ++i) {
        if (m->sizes[i].requantizes) {
            return true;
        }
    }
    return false;
}

// An error without the name of the model, which stands above.
static const char *without_path(const inspect_report *report, const char *error) {
    const size_t len = strlen(report->options->model_path);
    const bool has_path =
        strncmp(error, report->options->model_path, len) == 0 && strncmp(error + len, ": ", 2) == 0;
    return has_path ? error + len + 2 : error;
}

static void print_collect(const inspect_report *report) {
    const imatrix_inspection *m = report->model;
    const bool has_model = m->collect_error[0] == '\0';
    const bool has_tokenizer = m->tokenizer_error[0] == '\0';
    print_fact("collect, eval", has_model && has_tokenizer ? "yes" : "no");
    if (!has_model) {
        print_fact("  model", "%s", without_path(report, m->collect_error));
    }
    if (!has_tokenizer) {
        print_fact("  tokenizer", "%s", without_path(report, m->tokenizer_error));
    }
}

static void print_quantize(const inspect_report *report) {
    const imatrix_inspection *m = report->model;
    if (m->quantize_error[0] != '\0') {
        print_fact("quantize", "only to the types below: %s",
                   without_path(report, m->quantize_error));
    } else if (any_requantizes(m)) {
        print_fact("quantize",
                   "is quantized already, and loses more when it is again: types with * need "
                   "--allow-requantize");
    } else {
        print_fact("quantize", "yes");
    }
    if (report->options->imatrix_path != NULL) {
        const uint64_t n_lacking = most_lacking(m);
        print_fact("imatrix",
                   n_lacking > 0 ? "%s has nothing for %s tensors" : "%s covers what is quantized",
                   report->options->imatrix_path, count(n_lacking));
    }
}

static void print_cache(const imatrix_inspection *m) {
    char window[96] = "";
    char states[64] = "";
    if (m->n_window_layers > 0) {
        snprintf(window, sizeof window, " (%s of them of a window of %s tokens)",
                 count(m->n_window_layers), count(m->window));
    }
    if (m->n_state_layers > 0) {
        snprintf(states, sizeof states, ", states of %s recurrent layers",
                 count(m->n_state_layers));
    }
    print_fact("cache", "%s: F16 keys and values of %s layers%s%s", console_bytes(m->cache_bytes),
               count(m->n_cache_layers), window, states);
}

static void print_memory(const imatrix_inspection *m) {
    printf("\n");
    print_fact("memory", "for %s tokens of context, beside the file:", count(m->n_ctx));
    print_cache(m);
    print_fact("buffers", "about %s, for batches of 512 tokens with flash attention",
               console_bytes(m->compute_bytes));
}

static void print_size(const inspect_report *report, const imatrix_output_size *size) {
    char name[32];
    char fallbacks[48] = "";
    const char *fit = size == report->model->best ? "best" : size->fits ? "fits" : "";
    snprintf(name, sizeof name, "%s%s", size->recipe.name, size->requantizes ? "*" : "");
    if (size->n_fallbacks > 0) {
        snprintf(fallbacks, sizeof fallbacks, "  %s fallbacks", count(size->n_fallbacks));
    }
    printf("  %-12s %18s %6.2f %12s", name, count(size->file_bytes), size->bits_per_weight,
           console_bytes(size->memory_bytes));
    if (fit[0] != '\0' || fallbacks[0] != '\0') {
        printf("  %-4s%s", fit, fallbacks);
    }
    printf("\n");
}

static bool any_fallback(const imatrix_inspection *m) {
    for (size_t i = 0; i < m->n_sizes; ++i) {
        if (m->sizes[i].n_fallbacks > 0) {
            return true;
        }
    }
    return false;
}

static void print_sizes(const inspect_report *report) {
    const imatrix_inspection *m = report->model;
    printf("\n  %-12s %18s %6s %12s\n", "type", "bytes of file", "bits", "memory");
    for (size_t i = 0; i < m->n_sizes && m->sizes[i].file_bytes > 0; ++i) {
        print_size(report, &m->sizes[i]);
    }
    if (any_fallback(m)) {
        printf("\n");
        print_wrapped("Fallbacks: tensors whose rows are no multiple of the type's block of 256 or "
                      "32 weights get a larger type; `imatrix quantize --dry-run` names them.",
                      0);
    }
    if (report->options->fit_bytes > 0) {
        printf("\nBest in %s bytes (%s): %s\n", count(report->options->fit_bytes),
               console_bytes(report->options->fit_bytes),
               m->best != NULL ? m->best->recipe.name : "none; less context (-c) takes less");
    }
}

void inspect_report_print(const inspect_report *report) {
    print_file(report);
    print_shape(report->model);
    print_vocabulary(report->model);
    if (report->model->missing[0] != '\0') {
        print_fact("missing", "%s", report->model->missing);
    }
    print_types(report->model);
    printf("\n");
    print_collect(report);
    print_quantize(report);
    print_memory(report->model);
    print_sizes(report);
}
